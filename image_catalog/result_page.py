"""What was found -> one HTML page with thumbnails that needs no other file and no network.

Knows HTML and rows; the thumbnails come from who calls.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable
from string import Template

from image_catalog.command_line import printable
from image_catalog.file_links import file_url
from image_catalog.matching import Matcher
from image_catalog.search import Hit, Result
from image_catalog.search_output import path_of, place_of, text_of

THUMBNAIL_SIZE = 400  # pixels of the long side

# Nothing may be loaded, no script may run, whatever a description says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PAGE = Template("""<!doctype html>
<html lang="$language">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
  body { margin: 0 auto; max-width: 90rem; padding: 1.5rem; }
  h1 { font-size: 1.4rem; font-weight: 600; margin: 0 0 1.2rem; overflow-wrap: anywhere; }
  ul { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); margin: 0; padding: 0; }
  li { border: 1px solid #8884; border-radius: .6rem; list-style: none; overflow: hidden; }
  li.weak { opacity: .72; }
  img, .none { aspect-ratio: 4 / 3; background: #8882; display: block; object-fit: contain; width: 100%; }
  .none { align-content: center; text-align: center; }
  div.text { padding: .8rem 1rem 1rem; }
  p { margin: .4rem 0 0; overflow-wrap: anywhere; }
  .about { font-size: .85rem; opacity: .75; }
  a { color: inherit; font-size: .85rem; overflow-wrap: anywhere; }
  mark { background: #ffe27a; border-radius: .2rem; color: #222; padding: 0 .1em; }
</style>
<h1>$title</h1>
<ul>
$pictures
</ul>
</html>
""")
_PICTURE = Template("""<li$weak>
  $image
  <div class="text">
    <a href="$link">$path</a>
    <p class="about">$about</p>
    <p>$text</p>
  </div>
</li>""")
_WORDS = {
    "en": {"found": "pictures found", "none": "no thumbnail", "title": "Pictures"},
    "ru": {"found": "найдено снимков", "none": "нет миниатюры", "title": "Снимки"},
}


def page(result: Result, question: str, thumbnail: Callable[[bytes], bytes | None]) -> str:
    """The whole page. `question` is what was asked; `thumbnail` gives a JPEG of the picture at a path, or None."""
    language = "ru" if any("\u0400" <= char <= "\u04ff" for char in question) else "en"
    matcher = Matcher(result.query)
    title = question.strip() or _WORDS[language]["title"]
    return _PAGE.substitute(
        language=language,
        policy=html.escape(_POLICY),
        title=_safe(f"{title} · {_WORDS[language]['found']}: {len(result.hits)}"),
        pictures="\n".join(_picture(hit, result, matcher, thumbnail, _WORDS[language]["none"]) for hit in result.hits),
    )


def _picture(hit: Hit, result: Result, matcher: Matcher, thumbnail: Callable[[bytes], bytes | None], no_thumbnail: str) -> str:
    path = hit.row["path_bytes"]
    jpeg = thumbnail(path)
    name = _safe(os.path.basename(path_of(hit)))
    image = f'<div class="none">{no_thumbnail}</div>'
    if jpeg is not None:
        image = f'<img alt="{name}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
    about = " · ".join(filter(None, ((hit.row["taken_at"] or "")[:10], place_of(hit, result), hit.row["camera_model"])))
    return _PICTURE.substitute(
        weak=' class="weak"' if hit.is_weak else "",
        image=image,
        link=file_url(path),
        path=_safe(path_of(hit)),
        about=_safe(about),
        text=_marked(text_of(hit), matcher),
    )


def _marked(text: str, matcher: Matcher) -> str:
    parts, last = [], 0
    for start, end in matcher.spans(text):
        parts += [_safe(text[last:start]), "<mark>", _safe(text[start:end]), "</mark>"]
        last = end
    return "".join([*parts, _safe(text[last:])])


def _safe(text: str) -> str:
    return html.escape(printable(text))
