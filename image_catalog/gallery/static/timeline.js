// Pictures by month as bars; a stretch of them is chosen with mouse, finger or keys.

import { dates, month, monthName, monthNumber, t } from "./texts.js";

const NARROWEST = 4; // pixels of a bar: more months than that are drawn by quarter or year
const FIRST_PHOTOGRAPH = 1826 * 12;
const SETTLE = 300; // ms after the last key before the search runs

export class Timeline {
  constructor(element, choose) {
    this.element = element;
    this.choose = choose;
    this.bars = element.querySelector(".bars");
    this.ends = { from: element.querySelector(".from"), to: element.querySelector(".to") };
    this.months = JSON.parse(element.dataset.months);
    this.chosen = ["", ""];
    this.bars.addEventListener("pointerdown", (event) => this.brush(event));
    this.bars.addEventListener("pointermove", (event) => event.buttons === 0 && this.say(this.at(event), this.at(event)));
    this.bars.addEventListener("pointerleave", () => this.show());
    for (const [end, handle] of Object.entries(this.ends)) {
      handle.addEventListener("pointerdown", (event) => this.drag(event, end));
      handle.addEventListener("keydown", (event) => this.press(event, end));
    }
    new ResizeObserver(() => this.draw()).observe(element);
  }

  update(months, after, before) {
    if (months) this.months = months;
    this.chosen = [after ?? "", before ?? ""];
    this.draw();
  }

  draw() {
    const latest = (new Date().getFullYear() + 2) * 12; // a wrong clock must not stretch the line by centuries
    const counts = new Map(this.months.map(([name, count]) => [monthNumber(name), count]).filter(([at]) => at >= FIRST_PHOTOGRAPH && at < latest));
    const all = [...counts.keys()];
    const [first, last] = [Math.min(...all), Math.max(...all)];
    this.element.hidden = !(last > first);
    if (this.element.hidden) return;
    const room = this.bars.clientWidth / NARROWEST;
    this.unit = [1, 3, 12].find((unit) => (last - first) / unit < room) ?? 12;
    this.first = Math.floor(first / this.unit) * this.unit;
    this.count = Math.floor((last - this.first) / this.unit) + 1;
    this.drawBars(counts);
    this.drawYears();
    this.show();
  }

  drawBars(counts) {
    const sums = Array(this.count).fill(0);
    for (const [at, count] of counts) sums[Math.floor((at - this.first) / this.unit)] += count;
    const most = Math.sqrt(Math.max(...sums));
    this.bars.replaceChildren(
      ...sums.map((sum) => {
        const bar = document.createElement("i");
        bar.style.height = sum ? `${Math.max(5, (100 * Math.sqrt(sum)) / most)}%` : "0";
        return bar;
      }),
    );
    this.sums = sums;
  }

  drawYears() {
    const names = [];
    const room = (44 / this.bars.clientWidth) * this.count; // bars that a year's name covers
    let free = 0;
    for (let at = 0; at < this.count; at++) {
      const value = this.first + at * this.unit;
      if (value % 12 >= this.unit || at < free || at > this.count - room) continue;
      const name = document.createElement("span");
      name.textContent = Math.floor(value / 12);
      name.style.left = `${(100 * at) / this.count}%`;
      names.push(name);
      free = at + room;
    }
    this.element.querySelector(".years").replaceChildren(...names);
  }

  // The first and last bar that are chosen.
  range() {
    const [after, before] = this.chosen.map(monthOf);
    const from = Number.isNaN(after) ? 0 : Math.floor((after - this.first) / this.unit);
    const to = Number.isNaN(before) ? this.count - 1 : Math.ceil((before - this.first) / this.unit) - 1;
    const within = (value) => Math.min(this.count - 1, Math.max(0, value));
    return [within(from), Math.max(within(from), within(to))];
  }

  show([from, to] = this.range()) {
    const isAll = from === 0 && to === this.count - 1;
    [...this.bars.children].forEach((bar, at) => bar.classList.toggle("in", !isAll && at >= from && at <= to));
    const place = (at) => `calc(12px + (100% - 24px) * ${at / this.count})`;
    this.ends.from.style.left = place(from);
    this.ends.to.style.left = place(to + 1);
    const chosen = this.element.querySelector(".chosen");
    chosen.style.left = place(from);
    chosen.style.right = `calc(12px + (100% - 24px) * ${1 - (to + 1) / this.count})`;
    chosen.hidden = isAll;
    this.tell(this.ends.from, from, month(this.monthAt(from)));
    this.tell(this.ends.to, to, month(monthName(this.first + (to + 1) * this.unit - 1)));
    this.say(from, to);
  }

  tell(handle, at, text) {
    handle.ariaValueMax = this.count - 1;
    handle.ariaValueNow = at;
    handle.ariaValueText = text;
  }

  say(from, to) {
    const count = this.sums.slice(from, to + 1).reduce((sum, one) => sum + one, 0);
    const isAll = from === 0 && to === this.count - 1;
    const name = isAll ? t("timeline.all") : dates(this.monthAt(from), this.monthAt(to + 1));
    this.element.querySelector(".span").textContent = t("in_month", { month: name, n: count });
  }

  monthAt(at) {
    return monthName(this.first + at * this.unit);
  }

  at(event) {
    const box = this.bars.getBoundingClientRect();
    return Math.min(this.count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * this.count)));
  }

  brush(event) {
    const start = this.at(event);
    this.follow(event, this.bars, (at) => [Math.min(start, at), Math.max(start, at)]);
  }

  drag(event, end) {
    const [from, to] = this.range();
    this.follow(event, this.ends[end], (at) => (end === "from" ? [Math.min(at, to), to] : [from, Math.max(at, from)]));
  }

  follow(event, target, rangeAt) {
    if (event.button) return;
    let range = rangeAt(this.at(event));
    this.show(range);
    const controller = new AbortController();
    const { signal } = controller;
    const finish = (isChosen) => {
      controller.abort();
      this.element.classList.remove("brushing");
      if (isChosen) this.commit(range);
      else this.show();
    };
    target.setPointerCapture(event.pointerId);
    this.element.classList.add("brushing");
    target.addEventListener("pointermove", (moved) => this.show((range = rangeAt(this.at(moved)))), { signal });
    target.addEventListener("pointerup", () => finish(true), { signal });
    target.addEventListener("pointercancel", () => finish(false), { signal });
  }

  press(event, end) {
    const [from, to] = this.range();
    const at = end === "from" ? from : to;
    const year = Math.max(1, Math.round(12 / this.unit));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -year, PageUp: year, Home: -at, End: this.count - 1 - at };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const wanted = Math.min(this.count - 1, Math.max(0, at + steps[event.key]));
    const range = end === "from" ? [Math.min(wanted, to), to] : [from, Math.max(wanted, from)];
    this.chosen = this.named(range);
    this.show();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.choose(...this.chosen), SETTLE);
  }

  commit(range) {
    this.chosen = this.named(range);
    this.show();
    this.choose(...this.chosen);
  }

  named([from, to]) {
    return [from === 0 ? "" : this.monthAt(from), to === this.count - 1 ? "" : this.monthAt(to + 1)];
  }
}

// The month that a date lies in; NaN for no date.
function monthOf(value) {
  return monthNumber(/^\d{4}(-\d\d)?/.exec(value)?.[0]);
}
