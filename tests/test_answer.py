"""What counts as a description: every kind of answer that models were seen to give, and what becomes of it."""

from __future__ import annotations

import json
import time

import pytest

from image_catalog.answer import BadAnswer, ModelText, clean_lines, clean_tags, clean_text, is_looping, is_refusal, judge

DOG = "A brown dog runs over wet sand towards the sea. The sky is grey and the light is soft."
ПЁС = "Коричневая собака бежит по мокрому песку к морю. Небо серое, свет мягкий."


def as_json(description: object, **more: object) -> str:
    return json.dumps({"description": description, "tags": ["dog"], "visible_text": ""} | more, ensure_ascii=False)


@pytest.mark.parametrize(
    "said",
    [
        as_json(DOG),
        as_json(DOG) + "\n  \n",
        as_json(DOG) + "}",
        "\ufeff" + as_json(DOG),
        f"```json\n{as_json(DOG)}\n```",
        f"Here's a description of the image:\n\n```json\n{as_json(DOG)}\n```\nLet me know if you need more!",
        f"Sure, here is the JSON: {as_json(DOG)}",
        DOG,
        f'"{DOG}"',
        f"Here's a description of the image:\n\n{DOG}",
        f"Sure! Here is a detailed description of this photo:\n{DOG}",
        f"Certainly. **Description:** {DOG}",
        f"## Description\n\n**{DOG}**",
        f"* {DOG}",
        f"{DOG} Would you like me to describe anything else?",
        f"{DOG}\n\nLet me know if you'd like more details!",
        DOG.replace("brown", "**brown**").replace("sea", "*sea*"),
        as_json(f"Description: {DOG}"),
        DOG.replace(" ", "\n", 3),
    ],
)
def test_wrappings_are_taken_off(said: str) -> None:
    assert judge(ModelText(said), "en").description == DOG


@pytest.mark.parametrize(
    "said",
    [
        ПЁС,
        f"Вот описание изображения:\n\n{ПЁС}",
        f"Конечно! Вот подробное описание этой картинки:\n{ПЁС}",
        f"Описание: {ПЁС}",
        f"**Описание изображения:** {ПЁС}",
        f"{ПЁС} Хотите ли вы, чтобы я описал что-нибудь ещё?",
        f"{ПЁС}\nЕсли у вас есть вопросы, спрашивайте!",
        as_json(ПЁС),
    ],
)
def test_wrappings_in_russian_are_taken_off(said: str) -> None:
    assert judge(ModelText(said), "ru").description == ПЁС


def test_words_that_only_look_like_a_wrapping_stay() -> None:
    for text in (
        "Here is where the river meets the sea: a wide delta.",
        "Sorry-looking roses droop over a fence.",
        "Caption on the wall reads HOTEL; below it stand two bicycles.",
        "A man says please provide the form on a hand-written poster.",
        "Описание выставки висит на стене, рядом стоят посетители.",
        "2 dogs and 3 cats lie on a sofa.",
        "A list on a blackboard: 1) bread 2) milk.",
    ):
        language = "ru" if text.startswith("О") else "en"
        assert judge(ModelText(text), language).description == text


def test_tags_and_visible_text_come_along() -> None:
    answer = judge(ModelText(as_json(DOG, tags=["dog", "Dog", "#sea ", 7, "", "x" * 99], visible_text="EXIT\n  Ausgang ")), "en")
    assert answer.tags == ["dog", "sea"]
    assert answer.visible_text == "EXIT\nAusgang"
    prose = judge(ModelText(f"{DOG}\n\n**Tags:** dog, sea, sand\nVisible text: EXIT"), "en")
    assert (prose.description, prose.tags, prose.visible_text) == (DOG, ["dog", "sea", "sand"], "EXIT")


@pytest.mark.parametrize(
    "nothing", ["none", "None.", "N/A", "There is no visible text.", "no text", "Нет", "текст отсутствует", ""]
)
def test_no_text_in_the_picture_is_not_a_text(nothing: str) -> None:
    assert judge(ModelText(as_json(DOG, visible_text=nothing)), "en").visible_text == ""


def test_odd_shapes_of_tags() -> None:
    assert clean_tags("a, b;c\nd") == ["a", "b", "c", "d"]
    assert clean_tags({"a": 1}) == clean_tags(None) == clean_tags(3) == []
    assert len(clean_tags([f"tag {number}" for number in range(100)])) == 20


REFUSALS = [
    "I'm sorry, but I can't see an image.",
    "I’m sorry, I cannot describe this picture.",
    "Sorry, but I can't help with that.",
    "I don't see any image. Please provide one.",
    "I cannot view images.",
    "I am unable to see the picture.",
    "I'm unable to process images.",
    "Unfortunately, I cannot see it.",
    "As an AI language model, I cannot see pictures.",
    "As a text-based assistant, I have no eyes.",
    "There is no image attached to your message.",
    "No image was provided.",
    "It seems that no image was uploaded.",
    "It looks like you haven't attached a picture.",
    "It appears the image did not load.",
    "Please provide the image you want me to describe.",
    "You mentioned [img-0], which I cannot see.",
    "A dog near [img-0] on the beach.",
    "К сожалению, я не вижу изображения.",
    "Извините, но я не могу описать эту картинку.",
    "Я не вижу изображения в вашем сообщении.",
    "Я не могу просматривать картинки.",
    "Я всего лишь языковая модель.",
    "Пожалуйста, загрузите изображение.",
    "Изображение не было прикреплено.",
    "Вы не прикрепили картинку.",
    "Как языковая модель, я не вижу картинок.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_none(text: str) -> None:
    assert is_refusal(text)
    with pytest.raises(BadAnswer) as caught:
        judge(ModelText(as_json(text)), "en")
    assert caught.value.kind == "refused"


@pytest.mark.parametrize(
    "text",
    [
        "A sign says: I'm sorry, we are closed.",
        "The image shows a street where I can see nothing moving.",
        "No people are visible on this empty beach.",
        "No picture hangs on the wall of this bare white room.",
        "An artificial intelligence conference with a large screen.",
        "Картинка не в фокусе: размытая собака на траве.",
        "Фотография сделана с крыши, видны извините-надпись и дома.",
        "Изображение не цветное: чёрно-белая фотография вокзала.",
    ],
)
def test_descriptions_that_only_sound_like_refusals(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (ModelText(""), "empty"),
        (ModelText(" \n\t"), "empty"),
        (ModelText("", only_thought=True), "empty"),
        (ModelText("\r\n\r\n\r\n\r\n", "length"), "empty"),
        (ModelText(as_json("")), "empty"),
        (ModelText(as_json(" . ")), "empty"),
        (ModelText(as_json("\x00\x1b")), "empty"),
        (ModelText('{\n  "description": "The', "length"), "cut"),
        (ModelText(DOG, "length"), "cut"),
        (ModelText(DOG, "unfinished"), "cut"),
        (ModelText('{"description": "A dog", "tags": ['), "bad answer"),
        (ModelText('{"text": "A dog"}'), "bad answer"),
        (ModelText(as_json(None)), "bad answer"),
        (ModelText(as_json(5)), "bad answer"),
        (ModelText(as_json(["A dog"])), "bad answer"),
        (ModelText("{" * 100_000), "repetitive"),
        (ModelText('{"description": ' + "[" * 400), "bad answer"),
        (ModelText("a 3D model of " * 200), "repetitive"),
        (ModelText('{"description": "' + "и собака, и кошка " * 50, "length"), "repetitive"),
        (ModelText(as_json("The dog is brown. The dog is big. " * 12)), "repetitive"),
        (ModelText("{\n" + "  \n" * 300, "unfinished"), "repetitive"),
        (ModelText(as_json(ПЁС)), "wrong language"),
        (ModelText("这只棕色的狗在沙滩上奔跑，天空灰蒙蒙的，光线很柔和。"), "wrong language"),
    ],
)
def test_what_is_no_description(said: ModelText, kind: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        judge(said, "en")
    assert caught.value.kind == kind


def test_a_nested_json_bomb_ends_as_a_bad_answer() -> None:
    bomb = '{"description": ' + "".join("[" if number % 7 else '{"a' + str(number) + '":' for number in range(60_000))
    with pytest.raises(BadAnswer):
        judge(ModelText(bomb), "en")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (DOG, "en"),
        (DOG, "de"),  # English and German share an alphabet: it cannot be told
        (ПЁС, "ru"),
        (ПЁС, "uk"),
        (ПЁС, "ja"),  # three alphabets at once: not judged
        ("Вывеска «HOTEL CALIFORNIA — ROOMS AND APARTMENTS FOR RENT» над входом.", "ru"),
        ('A shop sign reads "ПРОДУКТЫ И ХОЗЯЙСТВЕННЫЕ ТОВАРЫ" above a door.', "en"),
        ("Canon EOS 5D лежит на столе.", "ru"),
        ("OK", "ru"),
    ],
)
def test_languages_that_are_right_or_cannot_be_told(text: str, language: str) -> None:
    if text == "OK":
        with pytest.raises(BadAnswer, match="said nothing"):
            judge(ModelText(text), language)
    else:
        assert judge(ModelText(text), language).description


@pytest.mark.parametrize(("text", "language"), [(DOG, "ru"), (DOG, "uk"), (DOG, "kk-kz"), (ПЁС, "en"), (ПЁС, "pt-br")])
def test_languages_that_are_wrong(text: str, language: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        judge(ModelText(text), language)
    assert caught.value.kind == "wrong language"


def test_real_captions_are_no_loops() -> None:
    for text in (DOG, ПЁС, f"{DOG} {DOG}", "ha ha ha ha", "no, no, no, no, no", "-" * 60, "|---|---|---|---|", "1 2 3 4 5 " * 3):
        assert not is_looping(text)
    words = " ".join(f"слово{number}" for number in range(500))
    assert not is_looping(words)


def test_looking_for_loops_is_quick() -> None:
    texts = ["a" * 65536, "ab" * 30000, " ".join(map(str, range(12000))), "x y " * 16000, "\n" * 60000]
    started = time.monotonic()
    for text in texts:
        is_looping(text)
        clean_text(text)
    assert time.monotonic() - started < 2


def test_cleaning() -> None:
    dirty = "\x1b[31mred\x1b[0m\x00 \x07bell \u202egnp.exe\u202c\ud800 cafe\u0301\u2028two\u200b lines\ufeff\r\n\U000e0041"
    assert clean_text(dirty) == "[31mred[0m bell gnp.exe\ufffd café two lines"
    assert clean_text("family \U0001f468\u200d\U0001f469\u200d\U0001f467") == "family \U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean_text("<b>html</b> & 'quotes'") == "<b>html</b> & 'quotes'"
    assert clean_lines("a\r\n\n  b\u2029c\x0cd") == "a\nb\nc\nd"
    clean_text(dirty).encode("utf-8")


def test_a_very_long_description_ends_at_a_word() -> None:
    text = " ".join(f"word{number}" for number in range(2000))
    kept = judge(ModelText(text), "en").description
    assert len(kept) <= 4000
    assert kept.endswith("…")
    assert text.startswith(kept[:-1])
    assert text[len(kept) - 1] == " "
