"""What a vision model said -> a description that can be trusted, or the reason why it is none.

Knows words, JSON and alphabets; nothing of servers, pictures or the catalog. What a model says is untrusted text for ever:
it is cleaned and judged here, it is never followed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

MAX_DESCRIPTION = 4000  # characters
MAX_VISIBLE_TEXT = 2000  # characters
MAX_TAGS = 20
MAX_TAG = 60  # characters


class BadAnswer(Exception):
    """The model's answer is no description. `kind` is one stable word or two, `reason` is written for a person."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ModelText:
    """All that a model said.

    `finish` is "stop", "length" (cut at its token limit) or "unfinished" (it ended without saying why).
    """

    text: str
    finish: str = "stop"
    only_thought: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of a good answer."""

    description: str
    tags: list[str]
    visible_text: str


def judge(said: ModelText, language: str) -> Answer:
    """The description in `said`. Raises BadAnswer when it is cut, empty, a refusal, a loop or in another language."""
    if not said.text.strip():
        raise BadAnswer("empty", "the model only thought and said nothing" if said.only_thought else "the model said nothing")
    if is_looping(said.text):
        raise BadAnswer("repetitive", "the model repeated itself without end")
    if said.finish == "length":
        raise BadAnswer("cut", "the answer was cut off at the model's token limit")
    if said.finish != "stop":
        raise BadAnswer("cut", "the model stopped in the middle of its answer")
    answer = _parse(said.text)
    if _letters(answer.description) < 3:
        raise BadAnswer("empty", "the model said nothing")
    if is_refusal(answer.description):
        raise BadAnswer("refused", f"the model did not describe it: {_shortened(answer.description)}")
    if is_wrong_language(answer.description, language):
        raise BadAnswer("wrong language", f"the description is not in the language asked for ({language})")
    return answer


# Cleaning

_PARAGRAPHS = re.compile(r"[\n\v\f\r\x85\u2028\u2029]+")


def clean_text(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """Text as it is stored: NFC, no control, bidi, invisible or lone surrogate characters, single spaces, one paragraph."""
    return " ".join(_printable(text).split())[:limit].rstrip()


def clean_lines(text: str, limit: int = MAX_VISIBLE_TEXT) -> str:
    """As clean_text, but line breaks stay: signs and pages have lines."""
    lines = (clean_text(line) for line in _PARAGRAPHS.split(text))
    return "\n".join(line for line in lines if line)[:limit].rstrip()


def _printable(text: str) -> str:
    return unicodedata.normalize("NFC", "".join(map(_printable_char, text)))


def _printable_char(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    if category == "Cc":
        return " " if char in "\t\n\v\f\r\x85" else ""
    if category in ("Zl", "Zp"):
        return " "
    if category == "Cf" and char not in "\u200c\u200d":  # joiners belong to scripts and emoji
        return ""
    return "" if ord(char) & 0xFFFE == 0xFFFE else char


# From text to fields

_FENCE = re.compile(r"```[a-zA-Z]*\s*(.*?)\s*```", re.DOTALL)
_PREAMBLE = re.compile(
    r"""^(?:
        (?:sure|certainly|of\ course|okay|ok|absolutely|конечно|хорошо|разумеется)\s*[!,.:]\s*
      | (?:here(?:['’]s|\ is|\ are)|below\ is)\ [^.:\n]{0,40}\b(?:descri|caption|summary|json|answer|what\ )[^.:\n]{0,60}:\s*
      | (?:вот|ниже)\ [^.:\n]{0,40}(?:описан|ответ|подпис|json|что\ )[^.:\n]{0,60}:\s*
      | (?:image\ |detailed\ )?(?:description|caption|answer)(?:\ of\ the\ (?:image|picture|photo))?\s*:\s*
      | (?:подробное\ )?(?:описание|ответ)(?:\ (?:изображения|картинки|фотографии))?\s*:\s*
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING = re.compile(
    r"""\s*(?:
        (?:would\ you\ like|do\ you\ want|let\ me\ know|feel\ free|if\ you(?:['’]d|\ would)\ like|is\ there\ anything)\b
      | (?:хотите\ ли\ вы|хотите,\ чтобы|дайте\ (?:мне\ )?знать|если\ (?:вы\ )?хотите|если\ (?:у\ вас\ )?есть\ вопросы)\b
    )[^.?!\n]*[.?!]*\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_TAGS_LINE = re.compile(r"^\W*(?:tags|keywords|теги|тэги|ключевые слова)\W*:\W*(.+)$", re.IGNORECASE | re.MULTILINE)
_TEXT_LINE = re.compile(r"^\W*(?:visible[ _]text|видимый текст)\W*:\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_TITLE = re.compile(r"^\s{0,3}#{1,6}[^\n]{0,40}(?:descri|caption|описани)[^\n]{0,20}\n+", re.IGNORECASE)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*\*|\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1")


def _parse(text: str) -> Answer:
    """JSON of the asked shape, alone, fenced or after a preamble; else plain text."""
    candidate = text.strip()
    if fenced := _FENCE.search(candidate):
        candidate = fenced.group(1)
    start = candidate.find("{")
    if start == 0 or (start > 0 and '"description"' in candidate[start:]):
        return _from_json(candidate[start:])
    return _from_prose(candidate)


def _from_json(text: str) -> Answer:
    try:
        # Some models leave white space or a bracket behind the object.
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        raise BadAnswer("bad answer", "the answer is broken JSON") from None
    if not isinstance(value, dict) or not isinstance(value.get("description"), str):
        raise BadAnswer("bad answer", "the answer is JSON without a description")
    visible_text = value.get("visible_text")
    return Answer(
        description=_prose(value["description"]),
        tags=clean_tags(value.get("tags")),
        visible_text=_visible_text(visible_text if isinstance(visible_text, str) else _joined(visible_text)),
    )


def _from_prose(text: str) -> Answer:
    tags, visible_text = _TAGS_LINE.search(text), _TEXT_LINE.search(text)
    rest = _TEXT_LINE.sub("", _TAGS_LINE.sub("", text))
    return Answer(
        description=_prose(rest),
        tags=clean_tags(tags.group(1) if tags else None),
        visible_text=_visible_text(visible_text.group(1) if visible_text else ""),
    )


def _prose(text: str) -> str:
    """A description without markdown, preamble and closing question."""
    text = _HEADING.sub("", _BULLET.sub("", _TITLE.sub("", text.strip())))
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", text)).strip()
    for _ in range(3):  # "Sure! Here is the description: Description: …"
        text = _PREAMBLE.sub("", text, count=1).lstrip()
    text = clean_text(_CLOSING.sub("", text), MAX_DESCRIPTION + 1)
    if len(text) >= 2 and text[0] + text[-1] in ('""', "“”", "«»") and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    if len(text) > MAX_DESCRIPTION:
        text = text[: MAX_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
    return text


def clean_tags(value: Any) -> list[str]:
    """Short distinct words, from a list or from one string with commas."""
    if isinstance(value, str):
        value = re.split(r"[,;\n]", value)
    if not isinstance(value, list):
        return []
    tags: dict[str, str] = {}
    for item in value:
        if isinstance(item, str) and (tag := clean_text(item).strip(" #*.\"'`,;«»")) and len(tag) <= MAX_TAG:
            tags.setdefault(tag.casefold(), tag)
    return list(tags.values())[:MAX_TAGS]


_NO_TEXT = re.compile(
    r"(?i)^\W*(?:none|n/?a|null|no (?:visible |readable )?text.*|empty|there is no .*text.*|нет|отсутствует|"
    r"(?:видимого )?текста? (?:нет|отсутствует|не видно).*|нет (?:видимого )?текста.*)?\W*$"
)


def _visible_text(text: str) -> str:
    cleaned = clean_lines(text)
    return "" if _NO_TEXT.match(cleaned) else cleaned


def _joined(value: Any) -> str:
    return "\n".join(item for item in value if isinstance(item, str)) if isinstance(value, list) else ""


# Judging

_REFUSAL = re.compile(
    r"""^\W*(?:
        (?:i['’]m|i\ am)\ (?:really\ |very\ |so\ )?sorry\b | sorry,?\ (?:but\ )?i\b | i\ apologi[sz]e
      | unfortunately,?\ i\b | i['’]m\ (?:unable|not\ able)\b | (?:as|i['’]m|i\ am)\ an?\ (?:ai|text|language|large)\b
      | i\ (?:do\ not|don['’]t|cannot|can['’]t|can\ not|am\ unable|am\ not\ able|could\ not|couldn['’]t)\ (?:to\ )?
            (?:actually\ |directly\ )?
            (?:see|view|access|analy[sz]e|process|describe|display|help|assist|have|provide|identify)
      | (?:it\ (?:seems|looks|appears)\ (?:like\ |that\ )?)?(?:there(?:\ is|['’]s|\ was)\ )?no\ (?:image|picture|photo)\w*
            \ (?:was\ |is\ |has\ been\ )?(?:provided|attached|shared|uploaded|included|visible|to\ )
      | it\ (?:seems|looks|appears)\ (?:like\ |that\ )?(?:you\b|(?:the|your)\ (?:image|picture|photo)\ (?:did|has|was|is)\b)
      | (?:please\ |could\ you\ |kindly\ )+(?:provide|upload|share|attach|send)\b
      | you\ (?:mentioned|haven['’]t|have\ not|did\ not|didn['’]t)\b
      | (?:к\ сожалению|прошу\ прощения)\b.{0,40}\bя\b | (?:извините|простите)\b
      | я\ (?:не\ (?:вижу|могу|в\ состоянии|имею|способ\w+)|(?:всего\ лишь\ )?(?:языковая|текстовая|ии\b))
      | (?:пожалуйста,?\ )(?:загрузите|прикрепите|предоставьте|пришлите|отправьте) | вы\ не\ (?:прикре|загру|предост|присл)
      | (?:изображени|картинк|фотографи)\w*\ не\ (?:было\ |была\ )?(?:прикре|загру|предост|найден|видн)
      | как\ (?:языковая|текстовая|ии)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def is_refusal(text: str) -> bool:
    """Whether the model says that it cannot or will not describe, instead of describing.

    `[img-0]` is the placeholder that a model without eyes sees in place of the picture.
    """
    return _REFUSAL.match(text) is not None or re.search(r"\[img-\d", text) is not None


_PERIODIC_TAIL = re.compile(r"(.{1,80}?)\1{5,}\Z", re.DOTALL)
_TAIL = 600


def is_looping(text: str) -> bool:
    """Whether the end of `text` is one piece again and again, or the whole says the same few phrases."""
    tail = text[-_TAIL:].rstrip()
    # A row of dots or dashes is no loop yet; what goes on for 120 characters is.
    match = _PERIODIC_TAIL.search(tail)
    if match and (len(match.group()) >= 120 and any(char.isalnum() for char in match.group())):
        return True
    if len(text) >= _TAIL and len(set(text[-_TAIL:])) <= 3:
        return True
    words = re.findall(r"\w+", text.casefold())
    if len(words) < 40:
        return False
    phrases = Counter(zip(words, words[1:], words[2:], strict=False))
    return len(phrases) / (len(words) - 2) < 0.5


_CYRILLIC = frozenset({"ru", "uk", "be", "bg", "mk", "kk", "ky", "mn", "tg"})
_LATIN = frozenset(
    ("cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "lt", "lv", "nb", "nl", "no", "pl", "pt")
    + ("ro", "sk", "sl", "sq", "sv", "tr", "vi")
)
_QUOTED = re.compile(r"«[^«»]*»|“[^“”]*”|\"[^\"]*\"|„[^„“”]*[“”]|‘[^‘’]*’")


def is_wrong_language(text: str, language: str) -> bool:
    """Whether most letters belong to another alphabet than that of `language`; False where that cannot be told.

    Quoted text is left out: a sign in a picture keeps its own language.
    """
    primary = language.partition("-")[0]
    unquoted = _QUOTED.sub(" ", text)
    cyrillic = sum("\u0400" <= char <= "\u052f" for char in unquoted)
    latin = sum(char.isalpha() and char < "\u0250" for char in unquoted)
    other = sum(char.isalpha() for char in unquoted) - cyrillic - latin
    if cyrillic + latin + other < 12:
        return False
    if primary in _CYRILLIC:
        return latin + other > cyrillic
    if primary in _LATIN:
        return cyrillic + other > latin
    return False


def _letters(text: str) -> int:
    return sum(char.isalpha() for char in text)


def _shortened(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
