// The search: what is typed or chosen -> the API -> the grid; the address and the scroll position follow.

import { address, asked, changed, isTold } from "./address.js";
import { setUpFilters, showChosen, showFacets } from "./facets.js";
import { announce, coverage, t } from "./texts.js";
import { showTiles } from "./tiles.js";
import { Timeline } from "./timeline.js";

const TYPING_PAUSE = 120; // ms
const PAGE = 60;
const MOST_AT_ONCE = 500;
const NEW_THOUGHT = 4000; // ms: typing after so long is a new step for the back button

export class Search {
  constructor() {
    this.params = asked(new URLSearchParams(location.search));
    this.grid = document.querySelector(".grid");
    this.field = document.getElementById("q");
    this.link = document.querySelector(".more a");
    this.next = this.link.getAttribute("href");
    this.count = this.grid.querySelectorAll(".tile").length;
    this.lastTyped = 0;
    setUpFilters((params) => this.go(params));
    this.timeline = new Timeline(document.querySelector(".timeline"), (after, before) => this.go(changed(this.params, { after, before })));
    this.timeline.update(null, this.params.get("after"), this.params.get("before"));
    showChosen(this.params);
    this.listen();
    this.restore(history.state);
  }

  listen() {
    this.field.addEventListener("input", () => this.typed());
    this.field.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.typed(0);
    });
    document.addEventListener("click", (event) => this.clicked(event));
    document.querySelector(".again").addEventListener("click", () => this.run());
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.more(), { rootMargin: "1200px" }).observe(this.link.parentElement);
    history.scrollRestoration = "manual";
    addEventListener("scrollend", () => this.remember());
    addEventListener("pagehide", () => this.remember());
  }

  typed(pause = TYPING_PAUSE) {
    clearTimeout(this.pausing);
    this.pausing = setTimeout(() => {
      const params = changed(this.params, { q: this.field.value });
      if (params.toString() === this.params.toString()) return;
      const isSameThought = performance.now() - this.lastTyped < NEW_THOUGHT;
      this.lastTyped = performance.now();
      this.go(params, isSameThought ? "replaceState" : "pushState");
    }, pause);
  }

  clicked(event) {
    const link = event.target.closest?.("a");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented) return;
    if (link === this.link) {
      event.preventDefault();
      this.more();
    } else if ("search" in link.dataset || (link.pathname === "/" && link.origin === location.origin)) {
      event.preventDefault();
      link.closest("details")?.removeAttribute("open");
      this.go(asked(new URLSearchParams(link.search)));
    }
  }

  // To another search, as a step of the history or in place of the one shown.
  go(params, step = "pushState") {
    this.remember();
    history[step]({}, "", address("/", params));
    dispatchEvent(new Event("left-picture"));
    return this.show(params);
  }

  show(params, count = PAGE) {
    clearTimeout(this.pausing);
    this.params = params;
    if (this.field.value.trim() !== (params.get("q") ?? "").trim()) this.field.value = params.get("q") ?? "";
    this.keepForForm();
    showChosen(params);
    this.timeline.update(null, params.get("after"), params.get("before"));
    return this.run(count);
  }

  // The plain form beside the scripts sends the other filters, too.
  keepForForm() {
    const form = this.field.form;
    form.querySelectorAll("input[type=hidden]").forEach((field) => field.remove());
    for (const [name, value] of this.params) if (name !== "q") form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }

  // A newer search ends the one under way: an answer that comes late is never shown.
  async run(count = PAGE) {
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    this.grid.classList.add("waiting");
    try {
      const page = await ask("search", this.params, { limit: Math.min(count, MOST_AT_ONCE) }, signal);
      this.showPage(page);
      while (this.next && this.count < count) await this.fetchMore(signal);
      this.countFacets(signal).catch((error) => this.failed(error));
    } catch (error) {
      this.failed(error);
    }
  }

  showPage(page) {
    this.grid.classList.remove("waiting");
    this.grid.classList.toggle("told", isTold(this.params));
    showTiles(this.grid, page, this.params, false);
    this.arrived(page);
    scrollTo(0, 0);
    showSaid(page, this.params);
    document.title = [this.params.get("q"), "image-catalog"].filter(Boolean).join(" · ");
  }

  arrived(page) {
    this.next = page.next;
    this.count = this.grid.querySelectorAll(".tile").length;
    this.link.href = page.next ?? "";
    this.link.parentElement.hidden = !page.next;
    dispatchEvent(new Event("pictures"));
  }

  // Chips are counted after the pictures are on the screen.
  async countFacets(signal) {
    const { params } = this;
    const facets = await ask("facets", params, {}, signal);
    showFacets(facets, params);
    this.timeline.update(facets.months, params.get("after"), params.get("before"));
  }

  async more() {
    if (!this.next || this.fetching || this.grid.classList.contains("waiting")) return;
    try {
      this.asking ??= new AbortController();
      await this.fetchMore(this.asking.signal);
    } catch (error) {
      this.failed(error);
    }
  }

  async fetchMore(signal) {
    this.fetching = signal;
    try {
      const offset = new URL(this.next, location).searchParams.get("offset");
      const page = await ask("search", this.params, { offset, limit: PAGE }, signal);
      showTiles(this.grid, page, this.params, true);
      this.arrived(page);
    } finally {
      if (this.fetching === signal) this.fetching = null;
    }
  }

  failed(error) {
    if (error.name === "AbortError") return;
    this.grid.classList.remove("waiting");
    const trouble = document.querySelector(".trouble");
    trouble.firstChild.textContent = `${error.said ?? trouble.dataset.text} `;
    trouble.hidden = false;
  }

  // Where the reader is, in the history entry itself, so that the back button finds it even after a reload.
  remember() {
    if (location.pathname !== "/" || this.isRestoring) return;
    history.replaceState({ ...history.state, scroll: scrollY, count: this.count }, "");
  }

  async restore(state) {
    if (!state?.scroll) return;
    this.isRestoring = true;
    if (state.count > this.count) {
      this.asking = new AbortController();
      while (this.next && this.count < state.count) await this.fetchMore(this.asking.signal).catch(() => (this.next = null));
    }
    scrollTo(0, state.scroll);
    this.isRestoring = false;
  }

  async returned(state) {
    const params = asked(new URLSearchParams(location.search));
    if (params.toString() !== this.params.toString()) {
      this.isRestoring = true;
      await this.show(params, state?.count ?? PAGE);
      this.isRestoring = false;
      scrollTo(0, state?.scroll ?? 0);
    } else if (state && Math.abs(scrollY - (state.scroll ?? 0)) > 2 && !state.isKept) {
      scrollTo(0, state.scroll ?? 0);
    }
  }
}

async function ask(name, params, more, signal) {
  const query = new URLSearchParams(params);
  for (const [key, value] of Object.entries(more)) query.set(key, value);
  const answer = await fetch(address(`/api/${name}`, query), { signal, headers: { Accept: "application/json" } });
  if (answer.ok) return answer.json();
  const body = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(`${answer.status}`), { said: answer.status === 400 ? body.error ?? body.message : undefined });
}

function showSaid(page, params) {
  document.querySelector(".trouble").hidden = true;
  const isCounted = typeof page.total === "number";
  const text = isCounted ? t(params.size ? "found" : "pictures", { n: page.total }) : "";
  document.querySelector("[data-total]").textContent = text;
  announce(text || t("results_shown", { n: page.results.length }));
  const meant = document.querySelector(".meant");
  meant.hidden = !page.did_you_mean;
  meant.querySelector("a").textContent = page.did_you_mean ?? "";
  meant.querySelector("a").href = address("/", changed(params, { q: page.did_you_mean }));
  const notes = document.querySelector(".notes");
  notes.hidden = !page.notes?.length;
  notes.replaceChildren(...(page.notes ?? []).map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  const nothing = document.querySelector(".nothing");
  nothing.hidden = page.results.length > 0;
  const without = nothing.querySelector("[data-search]");
  if (without) without.href = address("/", asked(new URLSearchParams({ q: params.get("q") ?? "" })));
  if (page.coverage) document.querySelector("[data-coverage]").textContent = coverage(page.coverage);
}
