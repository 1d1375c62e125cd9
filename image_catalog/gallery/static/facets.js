// The menus of filters: their lists, what they are called when chosen, and how they open and close.

import { address, asked, changed } from "./address.js";
import { dates, number } from "./texts.js";

const LISTS = { camera: "cameras", near: "places", folder: "folders", tag: "tags", format: "formats" };
const WORTH_NARROWING = 9;

export function setUpFilters(go) {
  const filters = document.querySelector(".filters");
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    event.target.closest("details").open = false;
    go(asked(new URLSearchParams(new FormData(event.target))));
  });
  filters.addEventListener("input", (event) => {
    if (event.target.matches(".narrow")) narrow(event.target);
  });
  filters.addEventListener("toggle", (event) => event.target.open && opened(event.target), true);
  document.addEventListener("click", (event) => closeMenus(event.target.closest?.(".menu details")));
  document.addEventListener("keydown", (event) => {
    const open = filters.querySelector("details[open]");
    if (event.key !== "Escape" || !open) return;
    event.preventDefault();
    open.open = false;
    open.querySelector("summary").focus();
  });
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll(".menu details[open]")) if (menu !== except) menu.open = false;
}

// A list near the right edge opens to the left.
function opened(menu) {
  const choices = menu.querySelector(".choices");
  choices.classList.toggle("leftwards", menu.getBoundingClientRect().left + choices.offsetWidth > document.documentElement.clientWidth - 8);
}

function narrow(field) {
  const wanted = field.value.trim().toLocaleLowerCase();
  for (const item of field.parentElement.querySelectorAll("li")) item.hidden = !item.textContent.toLocaleLowerCase().includes(wanted);
}

// Which filters are on, at once; the lists follow when the server has counted.
export function showChosen(params) {
  for (const menu of document.querySelectorAll(".menu")) {
    const names = menu.dataset.parameter.split(" ");
    const chosen = names.flatMap((name) => params.getAll(name));
    menu.classList.toggle("active", chosen.length > 0);
    showLabel(menu, params, chosen);
    const clear = menu.querySelector(".clear");
    clear.hidden = chosen.length === 0;
    clear.href = address("/", changed(params, Object.fromEntries(names.map((name) => [name, null]))));
    if (menu.querySelector("form")) fillForm(menu.querySelector("form"), params, names);
  }
  showLike(params);
}

function showLabel(menu, params, chosen) {
  const label = menu.querySelector(".label");
  if (menu.classList.contains("dates")) label.textContent = dates(params.get("after"), params.get("before")) || label.dataset.title;
  else if (!menu.classList.contains("rest")) label.textContent = chosen.map((value) => named(menu, value)).join(", ") || label.dataset.title;
}

function named(menu, value) {
  for (const link of menu.querySelectorAll("li a")) if (link.dataset.value === value) return link.querySelector(".value").textContent;
  return value;
}

function fillForm(form, params, names) {
  form.querySelectorAll("input[type=hidden]").forEach((field) => field.remove());
  for (const [name, value] of params) if (!names.includes(name)) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  for (const field of form.querySelectorAll("[name]:not([type=hidden])")) {
    const value = params.get(field.name) ?? "";
    if (field.type === "checkbox") field.checked = value !== "";
    else if (field.type === "date") field.value = value && `${value}-01-01`.slice(0, 10);
    else field.value = value;
    if (field.tagName === "SELECT" && field.selectedIndex < 0) field.selectedIndex = 0;
  }
}

function showLike(params) {
  const like = document.querySelector(".like");
  const id = params.get("like");
  like.hidden = !id;
  const image = like.querySelector("img");
  image.hidden = !/^\d+$/.test(id ?? "");
  if (!image.hidden) image.src = `/thumb/${id}?size=320`;
  like.querySelector(".clear").href = address("/", changed(params, { like: null }));
}

export function showFacets(facets, params) {
  for (const [parameter, list] of Object.entries(LISTS)) {
    const menu = document.querySelector(`.menu[data-parameter="${parameter}"]`);
    const values = facets[list] ?? [];
    const chosen = params.getAll(parameter);
    menu.hidden = values.length === 0 && chosen.length === 0;
    menu.querySelector("ul").replaceChildren(...values.map((value) => choice(value, parameter, params, "many" in menu.dataset)));
    const field = menu.querySelector(".narrow");
    field.hidden = values.length < WORTH_NARROWING;
    if (field.value) narrow(field);
    showLabel(menu, params, chosen);
  }
}

function choice({ value, label, count }, parameter, params, isMany) {
  const item = document.getElementById("choice").content.firstElementChild.cloneNode(true);
  const link = item.querySelector("a");
  const chosen = params.getAll(parameter);
  const isChosen = chosen.includes(value);
  const others = chosen.filter((one) => one !== value);
  const next = isChosen ? others : isMany ? [...chosen, value] : [value];
  link.href = address("/", changed(params, { [parameter]: next }));
  link.dataset.value = value;
  if (isChosen) link.setAttribute("aria-current", "true");
  link.querySelector(".value").textContent = label || value;
  link.querySelector(".count").textContent = number(count);
  return item;
}
