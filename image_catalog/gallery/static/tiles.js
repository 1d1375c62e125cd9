// Results -> tiles of the grid, cloned from the template that the server filled the first tiles with.

import { address } from "./address.js";
import { date, language, t } from "./texts.js";

const template = (name) => document.getElementById(name).content.firstElementChild.cloneNode(true);

export function showTiles(grid, page, params, isMore) {
  const pieces = document.createDocumentFragment();
  let hasWeak = isMore && grid.querySelector(".divider") !== null;
  for (const result of page.results) {
    if (result.weaker && !hasWeak) {
      pieces.append(document.getElementById(page.fits ? "divider" : "divider-nearest").content.cloneNode(true));
      hasWeak = true;
    }
    pieces.append(tile(result, params));
  }
  if (isMore) grid.append(pieces);
  else grid.replaceChildren(pieces);
}

function tile(result, params) {
  const item = template("tile");
  item.className = `tile ${ratio(result)}${result.weaker ? " weak" : ""}`;
  item.dataset.id = result.id;
  item.firstElementChild.href = address(`/image/${result.id}`, params);
  fillThumbnail(item.querySelector("img"), result);
  if (result.copies) item.querySelector(".frame").append(copies(result.copies));
  const pairs = result.highlights?.length ? result.highlights : [[result.description || result.name, false]];
  item.querySelector(".text").replaceChildren(...pairs.map(lit));
  item.querySelector(".about").replaceChildren(...about(result));
  return item;
}

function ratio({ width, height }) {
  return `r${Math.min(64, Math.max(8, Math.round(((width || 4) / (height || 3)) * 20)))}`;
}

function fillThumbnail(image, { thumb, width, height, name }) {
  const shape = Math.min(1, (width || 4) / (height || 3));
  const base = `${thumb}${thumb.includes("?") ? "&" : "?"}size=`;
  image.width = width || 4;
  image.height = height || 3;
  image.alt = name;
  image.srcset = `${base}320 ${Math.round(320 * shape)}w, ${base}640 ${Math.round(640 * shape)}w`;
  image.src = `${base}320`;
}

function lit([text, isLit]) {
  if (!isLit) return document.createTextNode(text);
  const mark = document.createElement("mark");
  mark.textContent = text;
  return mark;
}

function copies(count) {
  const badge = template("copies");
  badge.title = t("copies", { n: count });
  badge.append(String(count + 1));
  return badge;
}

function about(result) {
  const why = result.why ?? {};
  const place = ((language === "ru" && result.place_ru) || result.place || "").split(",")[0];
  const isByMeaning = typeof why.meaning === "number" && !why.words?.length && !why.facts?.length;
  return [
    span("date", date(result.taken_at)),
    span("town", place),
    because("why.words", why.words),
    because("why.facts", why.facts),
    span("why", isByMeaning ? t("why.meaning") : ""),
    span("why", result.state === "waiting" ? t("state.waiting") : ""),
    span("why failed", result.state === "failed" ? t("state.failed") : ""),
  ].filter(Boolean);
}

function span(name, text) {
  if (!text) return null;
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function because(key, found) {
  if (!found?.length) return null;
  const element = span("why", ` ${found.join(", ")}`);
  element.prepend(span("because", t(key)));
  return element;
}
