// What one picture's article can do, on its own page and over the search: copy, forms, swipe.

import { announce, t } from "./texts.js";

const SWIPE = 60; // pixels

export function bringToLife(article) {
  article.querySelector(".copy")?.addEventListener("click", (event) => copy(event.currentTarget));
  for (const form of article.querySelectorAll("form[data-quiet]")) form.addEventListener("submit", (event) => post(event, form, article));
  article.querySelector(".whole")?.addEventListener("click", zoom);
  swipe(article.querySelector(".stage"), (direction) => article.querySelector(direction < 0 ? ".next" : ".previous").click());
}

// Every pixel of the picture, with what was clicked in the middle; and back.
function zoom(event) {
  event.preventDefault();
  const stage = event.currentTarget.closest(".stage");
  const image = event.currentTarget.querySelector("img");
  const [across, down] = [event.offsetX / image.clientWidth, event.offsetY / image.clientHeight];
  if (!stage.classList.toggle("zoomed")) return;
  const canvas = image.closest(".canvas");
  canvas.scrollTo(across * image.clientWidth - canvas.clientWidth / 2, down * image.clientHeight - canvas.clientHeight / 2);
}

async function copy(button) {
  const label = button.querySelector("span");
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    label.textContent = t("copied");
  } catch {
    getSelection().selectAllChildren(button.closest(".path").querySelector("code"));
    label.textContent = t("copy_failed");
  }
  announce(label.textContent);
  setTimeout(() => (label.textContent = before), 2000);
}

async function post(event, form, article) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const answer = await fetch(form.action, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "application/json" },
  }).catch(() => null);
  if (!answer?.ok) {
    button.disabled = false;
    announce((button.querySelector("span").textContent = t("did_not_work")));
  } else if (form.dataset.then) {
    const said = article.querySelector(form.dataset.then);
    said.hidden = false;
    form.remove();
    announce(said.textContent);
  } else {
    button.disabled = false;
    announce(t("opened"));
  }
}

// -1: to the left, which is forward.
function swipe(stage, turn) {
  let start = null;
  stage.addEventListener("touchstart", (event) => (start = event.touches.length === 1 ? event.touches[0] : null), { passive: true });
  stage.addEventListener("touchend", (event) => {
    if (!start || event.touches.length || stage.classList.contains("zoomed") || (visualViewport?.scale ?? 1) > 1.05) return;
    const [end] = event.changedTouches;
    const [across, down] = [end.clientX - start.clientX, end.clientY - start.clientY];
    if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) turn(Math.sign(across));
  });
}

export function isTyping(event) {
  return event.target.matches?.("input:not([type=checkbox]), select, textarea, [role=slider]") || event.metaKey || event.ctrlKey || event.altKey;
}
