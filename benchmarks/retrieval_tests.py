"""What retrieval.py asks: catalogs made of captions that people wrote, and queries of several kinds for each.

Goes in: a folder with NAME.LANG.txt or NAME.NUMBER.LANG.txt (a line a picture), or with the captions.json of a folder of
photographs (by path: en, ru, tags_en, tags_ru, visible_text, queries_en, queries_ru). What captions lack is made, the same in
every run: plates and signs that can be read in the picture, places, cameras, years and people.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from image_catalog import words
from image_catalog.query import parse

SIGNS = ("exit", "cafe", "taxi", "bank", "hotel", "pizza"), ("luna", "nord", "royal", "city", "old", "river", "roma", "alpha")
PLACES = ("Sochi", "Сочи"), ("Paris", "Париж"), ("Moscow", "Москва"), ("Rome", "Рим"), ("Oslo", "Осло"), ("Prague", "Прага")
PEOPLE = ("Anna", "Анна"), ("Ivan", "Иван"), ("Marfa", "Марфа"), ("Olga", "Ольга"), ("Peter", "Пётр"), ("Zoya", "Зоя")
CAMERAS = ("Canon EOS 5D", "кэнон"), ("Nikon D90", "никон"), ("Apple iPhone 12", "айфон"), ("Samsung SM-G930F", "самсунг")
SEASONS = ("winter", "зима"), ("spring", "весна"), ("summer", "лето"), ("autumn", "осень")
FACTS = (PLACES, PEOPLE, CAMERAS, SEASONS)
_LEAST_WORD = 3  # letters


class Picture(NamedTuple):
    """What is stored of a picture: `facts` are in no vector."""

    text: str
    language: str
    facts: str = ""
    visible_text: str = ""
    tags: tuple[str, ...] = ()


class Test(NamedTuple):
    """What is stored, and what is asked; of each query, the numbers of the pictures that are right.

    `pair`: the language that is asked in and the one that is stored.
    """

    name: str
    pair: str
    pictures: list[Picture]
    queries: list[tuple[str, set[int]]]


Captions = dict[str, dict[int, list[str]]]  # by language and number


def tests_in(folder: Path) -> Iterator[Test]:
    if (folder / "captions.json").exists():
        yield from of_photographs(json.loads((folder / "captions.json").read_text(encoding="utf-8")))
    files: dict[str, Captions] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(folder.glob("*.txt")):
        if match := re.fullmatch(r"(.+?)(?:\.(\d+))?\.([a-z]{2})\.txt", path.name):
            name, number, language = match.groups()
            files[name][language][int(number or 0)] = path.read_text(encoding="utf-8").splitlines()
    for name, captions in files.items():
        for language, numbered in captions.items():
            if len(numbered) > 1:
                yield from in_one_language(f"{name} {language}", language, numbered)
        if len(captions) == 2:
            yield from in_two_languages(name, {language: numbered[min(numbered)] for language, numbered in captions.items()})


def in_one_language(name: str, language: str, numbered: dict[int, list[str]]) -> Iterator[Test]:
    """The first caption is stored, the last (the shortest) is asked: as it is, by its words, with a name, …"""
    chance = random.Random(1)
    stored, asked = numbered[min(numbered)], numbered[max(numbered)]
    plain = [Picture(text, language) for text in stored]
    pair = f"{language} > {language}"
    yield Test(f"{name}: another's caption", pair, plain, each(asked))
    yield Test(f"{name}: 3 words of another's caption", pair, plain, each([some_words(text, 3, chance) for text in asked]))
    yield visible_text(name, pair, plain, chance)
    facts = [[chance.choice(kind) for kind in FACTS] for _ in plain]
    known = [picture._replace(facts=all_words(its)) for picture, its in zip(plain, facts, strict=True)]
    yield facts_alone(name, pair, known, facts, chance)
    of_language = int(language == "ru")
    with_names = [f"{text} {chance.choice(its[:2])[of_language]}" for text, its in zip(asked, facts, strict=True)]
    yield Test(f"{name}: caption and a place or person", pair, known, each(with_names))
    short = [f"{some_words(text, 2, chance)} {its[0][of_language]}" for text, its in zip(asked, facts, strict=True)]
    yield Test(f"{name}: 2 words and a place", pair, known, each(short))


def visible_text(name: str, pair: str, plain: Sequence[Picture], chance: random.Random) -> Test:
    def sign() -> str:
        plate = f"{''.join(chance.choices('ABEKMHOPCTYX', k=2))} {chance.randint(1000, 9999)}"
        return chance.choice((plate, " ".join(map(chance.choice, SIGNS))))

    pictures = [picture._replace(visible_text=sign()) for picture in plain]
    where: dict[str, set[int]] = defaultdict(set)
    for number, picture in enumerate(pictures):
        where[picture.visible_text].add(number)
    return Test(f"{name}: visible text", pair, pictures, [(text.lower(), numbers) for text, numbers in where.items()])


def facts_alone(name: str, pair: str, pictures: list[Picture], facts: list[list[tuple[str, str]]], chance: random.Random) -> Test:
    queries = []
    for its in facts:
        chosen, language = chance.sample(its, 2), chance.randint(0, 1)
        right = {number for number, others in enumerate(facts) if set(chosen) <= set(others)}
        queries.append((" ".join(words.words_of(fact[language])[0] for fact in chosen), right))
    return Test(f"{name}: facts alone", pair, pictures, queries)


def in_two_languages(name: str, texts: dict[str, list[str]]) -> Iterator[Test]:
    """Each language asked in the other and by its own words; then a catalog of which half is in each."""
    chance = random.Random(2)
    for stored in texts:
        pictures = [Picture(text, stored) for text in texts[stored]]
        for asked in texts:
            pair = f"{asked} > {stored}"
            if asked != stored:
                yield Test(f"{name}: {pair}", pair, pictures, each(texts[asked]))
            some = [some_words(text, 3, chance) for text in texts[asked]]
            yield Test(f"{name}: {pair}, 3 words", pair, pictures, each(some))
            facts = [[chance.choice(PLACES), chance.choice(SEASONS)] for _ in pictures]
            known = [picture._replace(facts=all_words(its)) for picture, its in zip(pictures, facts, strict=True)]
            short = [
                f"{some_words(text, 2, chance)} {its[0][asked == 'ru']}" for text, its in zip(texts[asked], facts, strict=True)
            ]
            yield Test(f"{name}: {pair}, 2 words and a place", pair, known, each(short))
    yield from mixed(name, texts, chance)


def mixed(name: str, texts: dict[str, list[str]], chance: random.Random) -> Iterator[Test]:
    one, other = texts
    chosen = [chance.choice((one, other)) for _ in texts[one]]
    pictures = [Picture(texts[language][number], language) for number, language in enumerate(chosen)]
    across = [texts[other if language == one else one][number] for number, language in enumerate(chosen)]
    within = [picture.text for picture in pictures]
    for kind, asked in (("other", across), ("same", within)):
        pair = f"en, ru > {kind}"
        if kind == "other":
            yield Test(f"{name} mixed: asked in the other language", pair, pictures, each(asked))
        some = [some_words(text, 3, chance) for text in asked]
        yield Test(f"{name} mixed: 3 words of the {kind} language", pair, pictures, each(some))


def of_photographs(captions: dict[str, dict[str, object]]) -> Iterator[Test]:
    """What two people would type for each photograph, in each language; tags are stored, too."""
    photographs = list(captions.values())

    def stored(language_of: Callable[[int], str], *more: str) -> list[Picture]:
        """Described in a language, with tags in that and in `more`."""
        return [
            Picture(str(its[language]), language, "", str(its["visible_text"] or ""), tags_of(its, language, *more))
            for its, language in ((its, language_of(number)) for number, its in enumerate(photographs))
        ]

    def tags_of(its: dict[str, object], *languages: str) -> tuple[str, ...]:
        return tuple(tag for language in dict.fromkeys(languages) for tag in its[f"tags_{language}"])  # type: ignore[attr-defined]

    def asked(*languages: str) -> list[tuple[str, set[int]]]:
        return [(query, {at}) for at, its in enumerate(photographs) for one in languages for query in its[f"queries_{one}"]]  # type: ignore[attr-defined]

    for language in ("en", "ru"):
        for other in ("en", "ru"):
            pair = f"{other} > {language}"
            yield Test(f"photographs: {pair}", pair, stored(lambda _, its=language: its), asked(other))  # type: ignore[misc]
    for language, other in (("en", "ru"), ("ru", "en")):
        pictures = stored(lambda _, its=language: its, other)  # type: ignore[misc]
        yield Test(f"photographs, tags of both: {other} > {language}", "across, tags of both", pictures, asked(other))
    yield Test(
        "photographs mixed: both languages", "en, ru > both", stored(lambda number: ("en", "ru")[number % 2]), asked("en", "ru")
    )


def each(queries: Sequence[str]) -> list[tuple[str, set[int]]]:
    """Query i means picture i."""
    return [(query, {number}) for number, query in enumerate(queries)]


def some_words(text: str, count: int, chance: random.Random) -> str:
    """As people type: some words that say something, in their order."""
    of_text = {word: None for word in words.words_of(text) if len(word) >= _LEAST_WORD}
    telling = [word for word in of_text if len(parse(f"{word} zebra").wanted) == 2] or list(of_text)
    chosen = sorted(chance.sample(range(len(telling)), min(count, len(telling))))
    return " ".join(telling[number] for number in chosen)


def all_words(facts: Sequence[tuple[str, str]]) -> str:
    return "; ".join(word for fact in facts for word in fact)
