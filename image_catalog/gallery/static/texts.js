// What the scripts say: texts from the server, with plurals, numbers and dates as the templates write them.

const texts = JSON.parse(document.body.dataset.texts);
const plural = new Intl.PluralRules(texts.lang);
const digits = new Intl.NumberFormat(texts.lang);
const FORMS = { en: ["one", "other"], ru: ["one", "few", "many"] };

export const number = (value) => digits.format(value);

export function t(key, values = {}) {
  let text = texts[key];
  if (Array.isArray(text)) text = text[Math.max(0, FORMS[texts.lang].indexOf(plural.select(values.n)))];
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

export function month(value) {
  const [year, name] = value.split("-");
  return `${texts["months.short"].split(" ")[name - 1]} ${year}`;
}

export function date(value) {
  const [, year, name, day] = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?/.exec(value || "") || [];
  if (!year) return "";
  if (!(name >= 1 && name <= 12)) return year;
  if (!day) return month(`${year}-${name}`);
  const short = texts["months.short"].split(" ")[name - 1];
  const isWhole = texts.lang !== "en" && !short.endsWith(".");
  return `${Number(day)} ${isWhole ? texts["months.in_date"].split(" ")[name - 1] : short} ${year}`;
}

// The chosen time as people say it: 2023, Jun – Aug 2023, from 5 Jun 2023. `before` is the first moment that is left out.
export function dates(after, before) {
  const whole = wholeMonths(after, before);
  if (whole) return whole;
  const ends = [after && t("from_on", { date: date(after) || after }), before && t("before_on", { date: date(before) || before })];
  return ends.filter(Boolean).join(" ");
}

function wholeMonths(after, before) {
  const from = monthNumber(after);
  const to = monthNumber(before) - 1;
  if (!(from <= to)) return "";
  const [first, last] = [monthName(from), monthName(to)];
  if (first.endsWith("-01") && last.endsWith("-12")) return first.slice(0, 4) === last.slice(0, 4) ? first.slice(0, 4) : `${first.slice(0, 4)} – ${last.slice(0, 4)}`;
  if (from === to) return month(first);
  return first.slice(0, 4) === last.slice(0, 4) ? `${month(first).replace(/ \d+$/, "")} – ${month(last)}` : `${month(first)} – ${month(last)}`;
}

// Months since the year 0; NaN for what is no month's first day.
export function monthNumber(value) {
  const [, year, name = "01"] = /^(\d{4})(?:-(\d\d))?(?:-01)?$/.exec(value || "") || [];
  return year ? year * 12 + Number(name) - 1 : NaN;
}

export function monthName(value) {
  return `${String(Math.floor(value / 12)).padStart(4, "0")}-${String((value % 12) + 1).padStart(2, "0")}`;
}

export function coverage(there) {
  const parts = [t(there.described === there.images ? "coverage.all" : "coverage.some", { n: there.images, described: there.described })];
  for (const name of ["waiting", "failed", "behind"]) if (there[name]) parts.push(t(`coverage.${name}`, { n: there[name] }));
  return parts.join(" · ");
}

export const language = texts.lang;

export function announce(text) {
  document.querySelector(".announce").textContent = text;
}
