"""What was found -> one HTML page with thumbnails that needs no other file and no network.

Knows HTML and rows; the thumbnails come from who calls.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Sequence
from string import Template

from image_catalog.catalog_search import shown_name
from image_catalog.command_line import printable
from image_catalog.file_links import file_url
from image_catalog.matching import Matcher
from image_catalog.search import Hit, Result
from image_catalog.search_output import others_of, path_of, place_of, text_of

THUMBNAIL_SIZE = 400  # pixels of the long side
MARK = '<meta name="generator" content="image-catalog">'

# Nothing may be loaded, no script may run, whatever a description says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PAGE = Template("""<!doctype html>
<html lang="$language">
<meta charset="utf-8">
$mark
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark; --card: light-dark(#fff, #1d1f22); --line: light-dark(#d9dce0, #35393e);
    --soft: light-dark(#5b6470, #a3adb8); background: light-dark(#f4f5f7, #121315); font: 16px/1.45 system-ui, sans-serif; }
  body { margin: 0 auto; max-width: 96rem; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 3rem; }
  h1 { font-size: 1.5rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
  h2 { border-top: 1px solid var(--line); color: var(--soft); font-size: 1rem; font-weight: 500; margin: 2rem 0 0;
    padding-top: .8rem; }
  header p { color: var(--soft); margin: .2rem 0 0; }
  ul { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); margin: 1.2rem 0 0;
    padding: 0; }
  li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; list-style: none; overflow: hidden; }
  img, .none { aspect-ratio: 4 / 3; background: light-dark(#e6e8eb, #0b0c0d); display: block; object-fit: contain; width: 100%; }
  .none { align-content: center; color: var(--soft); text-align: center; }
  div.text { padding: .7rem 1rem 1rem; }
  p { margin: .5rem 0 0; overflow-wrap: anywhere; }
  .path, .about, .also { color: var(--soft); font-size: .82rem; margin: .1rem 0 0; }
  a { color: inherit; overflow-wrap: anywhere; text-decoration: none; }
  a.name { font-weight: 600; }
  a:hover, a:focus { text-decoration: underline; }
  mark { background: #ffe27a; border-radius: .2rem; color: #222; padding: 0 .1em; }
</style>
<header>
<h1>$title</h1>
<p>$count</p>
</header>
<main>
$lists
</main>
</html>
""")
_PICTURE = Template("""<li>
  <a href="$link" tabindex="-1">$image</a>
  <div class="text">
    <a class="name" href="$link">$name</a>
    <p class="path">$folder</p>
    <p class="about">$about</p>
    <p>$text</p>
$others  </div>
</li>""")
_WORDS = {
    "en": {
        "title": "Pictures",
        "count": "Pictures found: ",
        "weak": "Weaker matches",
        "nearest": "Nothing fits well; the nearest",
        "none": "no thumbnail",
        "also": "Also: ",
    },
    "ru": {
        "title": "Снимки",
        "count": "Найдено снимков: ",
        "weak": "Менее точные",
        "nearest": "Ничто не подходит; ближайшие",
        "none": "нет миниатюры",
        "also": "Также: ",
    },
}


def page(result: Result, question: str, thumbnail: Callable[[bytes], bytes | None]) -> str:
    """The whole page. `question` is what was asked; `thumbnail` gives a JPEG of the picture at a path, or None."""
    language = "ru" if any("\u0400" <= char <= "\u04ff" for char in question) else "en"
    said, matcher = _WORDS[language], Matcher(result.query)

    def listed(hits: Sequence[Hit]) -> str:
        pictures = (_picture(hit, result, matcher, thumbnail(hit.row["path_bytes"]), said) for hit in hits)
        return "\n".join(("<ul>", *pictures, "</ul>")) if hits else ""

    strong, weak = ([hit for hit in result.hits if hit.is_weak == is_weak] for is_weak in (False, True))
    divider = f"<h2>{said['weak' if result.fits else 'nearest']}</h2>" if weak else ""
    return _PAGE.substitute(
        language=language,
        mark=MARK,
        policy=html.escape(_POLICY),
        title=_safe(question.strip() or said["title"]),
        count=f"{said['count']}{len(strong)}",
        lists="\n".join(filter(None, (listed(strong), divider, listed(weak)))),
    )


def _picture(hit: Hit, result: Result, matcher: Matcher, jpeg: bytes | None, said: dict[str, str]) -> str:
    folder, name = os.path.split(path_of(hit))
    image = f'<div class="none">{said["none"]}</div>'
    if jpeg is not None:
        image = f'<img alt="{_safe(name)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
    camera = shown_name(its) if (its := [hit.row[part] for part in ("camera_make", "camera_model") if hit.row[part]]) else ""
    about = " · ".join(filter(None, ((hit.row["taken_at"] or "")[:10], place_of(hit, result), camera)))
    others = html.escape(others_of(hit))
    return _PICTURE.substitute(
        image=image,
        link=file_url(hit.row["path_bytes"]),
        name=_safe(name),
        folder=_safe(folder),
        about=_marked(about, matcher),
        text=_marked(text_of(hit), matcher),
        others=f'    <p class="also">{said["also"]}{others}</p>\n' if others else "",
    )


def _marked(text: str, matcher: Matcher) -> str:
    parts, last = [], 0
    for start, end in matcher.spans(text):
        parts += [_safe(text[last:start]), "<mark>", _safe(text[start:end]), "</mark>"]
        last = end
    return "".join([*parts, _safe(text[last:])])


def _safe(text: str) -> str:
    return html.escape(printable(text))
