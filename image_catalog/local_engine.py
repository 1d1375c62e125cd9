"""The engine `local`: a small vision model in this process, through transformers; no server at all.

Knows transformers and torch, and imports them only when it is connected; neither retries nor judges an answer (vision_model
does). Only weights in the safetensors format are loaded, and no code that comes with a model is run.
"""

from __future__ import annotations

import base64
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from image_catalog import model_folder
from image_catalog.answer import ModelText
from image_catalog.engine import EngineOptions, HostTrouble, ModelClosed, Question, Say, TextCollector, TimeRanOut
from image_catalog.errors import CannotGoOn

# English only, 1 GB; needs neither torchvision nor num2words, as SmolVLM2 does.
DEFAULT_MODEL = "HuggingFaceTB/SmolVLM-500M-Instruct"
_ENGLISH_ONLY = re.compile(r"(?i)smolvlm|moondream|florence")
# Above this temperature the answer is drawn by lot; below it the likeliest words are taken, the same ones every time.
_SAMPLE_FROM = 0.3


class LocalModel:
    """One model in this process. Calls wait for each other: a second one at the same time would only slow both down."""

    name = "local"
    takes_schema = False  # nothing constrains its words, and models this small seldom write JSON

    def __init__(self, name: str, folder: str, on_note: Say) -> None:
        self.url = "this process"
        self.model = name
        self.model_digest = model_folder.digest(folder)
        self._folder = folder
        self._on_note = on_note
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._processor: Any = None
        self._network: Any = None

    def close(self) -> None:
        """End the call that is under way, at its next word."""
        self._closed.set()

    def is_reachable(self) -> bool:
        """It is this very process."""
        return True

    def load(self) -> None:
        """Read the weights. Raises CannotGoOn."""
        with self._lock:
            if self._network is not None:
                return
            self._on_note(f"loading model {self.model} into this process")
            import transformers as untyped

            transformers: Any = untyped
            transformers.utils.logging.disable_progress_bar()
            transformers.utils.logging.set_verbosity_error()
            try:
                self._processor = transformers.AutoProcessor.from_pretrained(self._folder, local_files_only=True)
                self._network = transformers.AutoModelForImageTextToText.from_pretrained(
                    self._folder, local_files_only=True, use_safetensors=True, dtype=_number_type()
                )
            except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
                reason = str(error).strip().partition("\n")[0][:200]
                raise CannotGoOn(
                    f"model {self.model} cannot be loaded", reason, f"use another one, for example --model {DEFAULT_MODEL}"
                ) from error
            if not getattr(self._processor, "chat_template", None):
                raise CannotGoOn(f"model {self.model}", "has no chat template", f"use one like {DEFAULT_MODEL}")
            self._network.eval().to(_device())

    def ask(self, question: Question, jpeg: bytes, seconds: float, say: Say) -> ModelText:
        """See engine.Engine. The deadline is looked at after each word."""
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise TimeRanOut("another picture took all the time")
        try:
            return self._generate(question, jpeg, deadline, say)
        finally:
            self._lock.release()

    def _generate(self, question: Question, jpeg: bytes, deadline: float, say: Say) -> ModelText:
        import torch

        inputs = self._inputs(question.prompt, jpeg).to(self._network.device)
        collector = TextCollector(say)
        streamer = _streamer(self._processor.tokenizer, collector)
        torch.manual_seed(question.seed)
        choice: dict[str, Any] = {"do_sample": False}
        if question.temperature >= _SAMPLE_FROM:
            choice = {"do_sample": True, "temperature": question.temperature}
        try:
            with torch.inference_mode():
                output = self._network.generate(
                    **inputs,
                    **choice,
                    max_new_tokens=question.max_tokens,
                    repetition_penalty=question.repeat_penalty,
                    streamer=streamer,
                    stopping_criteria=[self._stop(deadline)],
                )
        except RuntimeError as error:  # torch's word for out of memory
            raise HostTrouble(str(error).partition("\n")[0][:200]) from error
        if self._closed.is_set():
            raise ModelClosed(self.model, "the request was ended")
        if time.monotonic() >= deadline:
            raise TimeRanOut("no whole answer in time")
        made = int(output.shape[1]) - int(inputs["input_ids"].shape[1])
        return collector.model_text("length" if made >= question.max_tokens else "stop")

    def _inputs(self, prompt: str, jpeg: bytes) -> Any:
        picture = {"type": "image", "base64": base64.b64encode(jpeg).decode("ascii")}
        messages = [{"role": "user", "content": [picture, {"type": "text", "text": prompt}]}]
        return self._processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )

    def _stop(self, deadline: float) -> Callable[..., Any]:
        """Asked after each word whether to stop."""
        import torch

        def stop(input_ids: Any, scores: Any, **_: Any) -> Any:
            now = self._closed.is_set() or time.monotonic() >= deadline
            return torch.full((input_ids.shape[0],), now, dtype=torch.bool, device=input_ids.device)

        return stop


def _streamer(tokenizer: Any, collector: TextCollector) -> Any:
    """transformers' streamer whose text goes to `collector`, which may raise and so end the generation."""
    from transformers import TextStreamer

    class Collecting(TextStreamer):  # type: ignore[misc, unused-ignore]
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            collector.add(text)

    return Collecting(tokenizer, skip_prompt=True, skip_special_tokens=True)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _number_type() -> Any:
    """As the weights are stored on a GPU; in float32 on a processor, which computes bfloat16 many times slower."""
    import torch

    return torch.float32 if _device() == "cpu" else "auto"


def connect(model: str | None, language: str, options: EngineOptions) -> list[LocalModel]:
    """The model `model` (a folder or a hub name; None: DEFAULT_MODEL), downloaded once if it must be. Raises CannotGoOn."""
    # A tokenizer that is used before a fork complains on stderr otherwise.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found = model_folder.find(model or DEFAULT_MODEL, options.on_note)
    if language.partition("-")[0] != "en" and _ENGLISH_ONLY.search(found.name):
        options.on_warning(f"model {found.name} answers in English only, descriptions in {language} will mostly fail")
    return [LocalModel(found.name, found.path, options.on_note)]
