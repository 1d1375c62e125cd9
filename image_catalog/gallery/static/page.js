// What runs first on every page: which parts it has, and the keys that work everywhere.

import { bringToLife, isTyping } from "./picture.js";
import { Search } from "./search.js";
import { Viewer } from "./viewer.js";

const { classList } = document.body;
if (classList.contains("search")) new Viewer(new Search());
if (classList.contains("image")) showPicture(document.querySelector("article"));
document.addEventListener("keydown", focusQuestion);

function focusQuestion(event) {
  if (event.key !== "/" || isTyping(event)) return;
  event.preventDefault();
  const field = document.getElementById("q");
  const cross = document.querySelector(".viewer[open] .close");
  if (!cross) return field.select();
  addEventListener("popstate", () => field.select(), { once: true });
  cross.click();
}

// A picture that has the page to itself: opened by its address, or shown again after a reload.
function showPicture(article) {
  bringToLife(article);
  article.querySelector(".close").addEventListener("click", (event) => {
    if (!history.state?.depth) return;
    event.preventDefault();
    history.go(-history.state.depth);
  });
  document.addEventListener("keydown", (event) => {
    const name = { ArrowLeft: ".previous", ArrowRight: ".next", Escape: ".close" }[event.key];
    if (name && !isTyping(event)) article.querySelector(`.stage ${name}:not([hidden])`)?.click();
  });
  // After a reload the steps back belong to this document, which does not know the search.
  addEventListener("popstate", () => location.reload());
}
