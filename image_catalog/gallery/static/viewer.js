// A picture over the search: opened from the grid, left with the back button, Esc or the cross; the grid stays as it is.

import { asked, imageOf } from "./address.js";
import { bringToLife, isTyping } from "./picture.js";
import { announce, t } from "./texts.js";

export class Viewer {
  constructor(search) {
    this.search = search;
    this.dialog = document.querySelector(".viewer");
    document.addEventListener("click", (event) => this.clicked(event), true);
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.leave();
    });
    this.dialog.addEventListener("keydown", (event) => this.pressed(event));
    addEventListener("popstate", (event) => this.travelled(event.state));
    addEventListener("left-picture", () => this.close());
    addEventListener("pictures", () => this.dialog.open && this.aimArrows());
  }

  clicked(event) {
    const link = event.target.closest?.("a");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin || link.target) return;
    if (link.matches(".viewer .close")) {
      event.preventDefault();
      this.leave();
    } else if (imageOf(link)) {
      event.preventDefault();
      this.go(link.href, link.matches(".viewer .stage a"));
    }
  }

  // Turning to the next picture replaces the step in the history: back leads to the grid, not through all that was seen.
  go(href, isTurn) {
    this.search.remember();
    const depth = (history.state?.depth ?? 0) + (isTurn ? 0 : 1);
    history[isTurn ? "replaceState" : "pushState"]({ depth }, "", href);
    return this.open();
  }

  async open() {
    const { href } = location;
    this.loading?.abort();
    const { signal } = (this.loading = new AbortController());
    try {
      const answer = await fetch(href, { headers: { "X-Fragment": "picture" }, signal });
      if (!answer.ok) throw new Error(answer.status);
      this.show(await answer.text());
    } catch (error) {
      if (error.name !== "AbortError") location.assign(href); // the page itself says what is wrong
    }
  }

  show(fragment) {
    // Written by our own templates, which escape every text; a parsed document runs no script.
    const article = new DOMParser().parseFromString(fragment, "text/html").querySelector("article");
    this.dialog.replaceChildren(document.adoptNode(article));
    bringToLife(article);
    if (!this.dialog.open) {
      document.documentElement.classList.add("viewing");
      this.dialog.showModal();
    }
    this.dialog.scrollTop = 0;
    this.dialog.focus();
    document.title = `${article.querySelector("h1").textContent} · image-catalog`;
    this.aimArrows();
    announce(document.title);
  }

  // The arrows follow the grid, which may hold more than the server was asked for.
  aimArrows() {
    const tile = this.tile();
    if (!tile) return;
    const tiles = [...this.search.grid.querySelectorAll(".tile")];
    const at = tiles.indexOf(tile);
    this.aim(".previous", tiles[at - 1]);
    this.aim(".next", tiles[at + 1]);
    if (at > tiles.length - 8) this.search.more();
    const position = { name: this.dialog.querySelector("h1").textContent, position: at + 1, total: tiles.length };
    this.dialog.ariaLabel = t("picture_of", position);
  }

  aim(arrow, tile) {
    const link = this.dialog.querySelector(arrow);
    if (!tile) return;
    link.hidden = false;
    link.href = tile.querySelector("a").href;
    if (arrow === ".next") new Image().src = `/picture/${tile.dataset.id}`;
  }

  tile() {
    const id = this.dialog.querySelector("article")?.dataset.id;
    return this.search.grid.querySelector(`.tile[data-id="${CSS.escape(id)}"]`);
  }

  pressed(event) {
    if (isTyping(event)) return;
    const arrow = { ArrowLeft: ".previous", ArrowRight: ".next" }[event.key];
    const link = arrow && this.dialog.querySelector(`${arrow}:not([hidden])`);
    if (!link) return;
    event.preventDefault();
    link.click();
  }

  leave() {
    const depth = history.state?.depth;
    if (depth) history.go(-depth);
    else this.search.go(asked(new URLSearchParams(location.search)));
  }

  travelled(state) {
    if (imageOf(location)) {
      this.open();
      return;
    }
    const tile = this.dialog.open ? this.tile() : null;
    this.close();
    this.search.returned(tile ? { ...state, isKept: true } : state);
    const link = tile?.querySelector("a");
    link?.focus({ preventScroll: true });
    tile?.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.loading?.abort();
    if (!this.dialog.open) return;
    this.dialog.close();
    this.dialog.replaceChildren();
    document.documentElement.classList.remove("viewing");
    document.title = [this.search.params.get("q"), "image-catalog"].filter(Boolean).join(" · ");
  }
}
