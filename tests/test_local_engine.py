"""The engine without a server: the real code path of transformers, with a tiny model that the test teaches four colours."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from image_catalog import vision_model
from image_catalog.engine import ModelClosed
from image_catalog.errors import CannotGoOn, ImageError
from image_catalog.vision_model import Listener, VisionModel

pytestmark = pytest.mark.heavy

COLOURS = {"red": (210, 30, 30), "blue": (40, 60, 200), "green": (40, 150, 50), "yellow": (245, 225, 50)}
SENTENCE = "A wide picture of one colour , {} , with nothing else in it ."
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}"
    "<ask>{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}"
)


def picture(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 48), COLOURS[colour]).save(data, "JPEG")
    return data.getvalue()


def make_processor():  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<ask>", "<answer>"]
    words = dict.fromkeys([*SENTENCE.format("red").split(), *COLOURS])
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate([*special, *words])}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", "<ask>", "<answer>"],
    )
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=fast,
        patch_size=16,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    )


def make_network(words: int):  # type: ignore[no-untyped-def]
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    eyes = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
    )
    tongue = LlamaConfig(
        vocab_size=words,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = LlavaConfig(vision_config=eyes, text_config=tongue, image_token_index=4, vision_feature_layer=-1)
    return LlavaForConditionalGeneration(config)


def teach(network, processor) -> None:  # type: ignore[no-untyped-def]
    """Show each colour with its sentence until it says them by itself."""
    import torch

    questions, answers = [], []
    for colour in COLOURS:
        image = Image.open(io.BytesIO(picture(colour)))
        content = [{"type": "image", "image": image}, {"type": "text", "text": ""}]
        questions.append(
            processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        )
        answers.append(processor.tokenizer(SENTENCE.format(colour) + " </s>", return_tensors="pt")["input_ids"])
    asked = torch.cat([question["input_ids"] for question in questions])
    said = torch.cat(answers)
    ids = torch.cat([asked, said], 1)
    labels = torch.cat([torch.full_like(asked, -100), said], 1)
    pixels = torch.cat([question["pixel_values"] for question in questions])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    network.train()
    for _ in range(300):
        loss = network(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the taught model, as transformers saves one."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small is slower on more
    processor = make_processor()
    network = make_network(len(processor.tokenizer))
    teach(network, processor)
    torch.set_num_threads(threads)
    path = tmp_path_factory.mktemp("models") / "colours"
    network.save_pretrained(path)
    processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> VisionModel:
    return vision_model.connect("local", model=str(folder), language="en", timeout=60)


@pytest.mark.parametrize("colour", COLOURS)
def test_says_what_it_sees(model: VisionModel, colour: str) -> None:
    description = model.describe(picture(colour), f"{colour}.jpg")
    assert description.description == SENTENCE.format(colour)
    assert (description.engine, description.language, description.prompt_version) == ("local", "en", "1")
    assert description.model.endswith("/colours")
    assert len(description.model_digest) == 32
    assert description.seconds > 0


def test_words_are_heard_one_by_one(model: VisionModel) -> None:
    pieces: list[str] = []
    model.describe(picture("red"), "red.jpg", listener=Listener(on_text=pieces.append))
    assert len(pieces) > 5
    assert "".join(pieces).strip() == SENTENCE.format("red")


def test_a_deadline_ends_it_at_the_next_word(folder: Path) -> None:
    with vision_model.connect("local", model=str(folder), language="en", timeout=60) as model:
        model.describe(picture("red"), "warm up")
    with vision_model.connect("local", model=str(folder), language="en", timeout=0.3) as model:
        started = time.monotonic()
        with pytest.raises(ImageError) as caught:
            model.describe(picture("red"), "red.jpg", listener=Listener(on_text=lambda text: time.sleep(0.1)))
        assert caught.value.kind == "timeout"
        assert time.monotonic() - started < 5


def test_close_ends_it_at_the_next_word(folder: Path) -> None:
    errors: list[BaseException] = []
    with vision_model.connect("local", model=str(folder), language="en", timeout=60) as model:
        begun = threading.Event()

        def slowly(text: str) -> None:
            begun.set()
            time.sleep(0.1)

        def describe() -> None:
            try:
                model.describe(picture("red"), "red.jpg", listener=Listener(on_text=slowly))
            except CannotGoOn as error:
                errors.append(error)

        thread = threading.Thread(target=describe, daemon=True)
        thread.start()
        assert begun.wait(60)
        started = time.monotonic()
        model.close()
        thread.join(5)
        assert time.monotonic() - started < 1
    assert [type(error) for error in errors] == [ModelClosed]


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CannotGoOn, match="no such folder"):
        vision_model.connect("local", model=str(tmp_path / "nosuch"), language="en")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with vision_model.connect("local", model=str(tmp_path), language="en") as model, pytest.raises(CannotGoOn) as caught:
        model.describe(picture("red"), "red.jpg")
    assert "cannot be loaded" in caught.value.subject
    assert "\n" not in str(caught.value)


def test_a_pickled_model_is_not_opened(folder: Path, tmp_path: Path) -> None:
    """Pickle runs code: weights come as safetensors or not at all."""
    import shutil

    import torch

    shutil.copytree(folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    with (
        vision_model.connect("local", model=str(tmp_path / "pickled"), language="en") as model,
        pytest.raises(CannotGoOn, match="cannot be loaded"),
    ):
        model.describe(picture("red"), "red.jpg")
