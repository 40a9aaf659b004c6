"""A generative checkpoint in memory: language model, tokenizer and frame."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from gist_core.batching import BatchWorker
from gist_core.checkpoint import TOKENIZER, Manifest, read_manifest, read_tensors, to_int8, write_checkpoint
from gist_core.device import resolve_device, resolve_dtype
from gist_core.errors import CheckpointError, CompressionError
from gist_core.generative.config import GenerativeConfig
from gist_core.generative.framing import Framing
from gist_core.generative.verbatim import WordStarts
from gist_core.generative.writing import BATCH_TOKENS, Draft, WriteItem, Writer

KIND = "generative"
_SPECIAL = ("bos_token", "eos_token", "pad_token")
# Where a config was made, and what follows from the checkpoint itself.
_LEFT_OUT = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})


@dataclass(frozen=True, slots=True)
class Parts:
    """What a generative checkpoint holds.

    ``model`` is a causal language model of transformers; ``tokenizer`` has an end token, and a begin token if prompts
    are to open with one.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    config: GenerativeConfig


@dataclass(frozen=True, slots=True)
class Engine:
    """Ready to write: ``worker`` runs the prompts of all callers on one device; the rest as in the config."""

    framing: Framing
    config: GenerativeConfig
    worker: BatchWorker[WriteItem, Draft]


def load_parts(folder: Path) -> Parts:
    """Read a checkpoint from a folder.

    Raises:
        CheckpointError: It is missing, damaged, of another kind, or its parts do not fit together.
    """
    manifest = read_manifest(folder)
    manifest.require(KIND)
    tensors = read_tensors(folder)
    try:
        settings = dict(manifest.config)
        names = settings.pop("special_tokens")
        config = GenerativeConfig(**settings)
        backend = Tokenizer.from_file(str(folder / TOKENIZER))
        build: Any = PreTrainedTokenizerFast
        tokenizer = build(tokenizer_object=backend, **{n: names.get(n) for n in _SPECIAL})
        model = _model(config.lm, tensors)
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(f"{folder} does not fit together: {error}", hint="Copy the checkpoint again.") from error
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{folder} does not fit together: the tokenizer has more tokens than the model.",
            hint="Save the model with the tokenizer it was trained with.",
        )
    return Parts(model, tokenizer, config)


def save_parts(folder: Path, parts: Parts, name: str, version: str, *, int8: bool = False) -> None:
    """Write a checkpoint; a tensor that has two names is stored once, ``int8`` stores matrices a byte a number."""
    stored, seen = dict[str, NDArray[Any]](), set[tuple[int, torch.Size]]()
    for key, tensor in parts.model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape)
        if place not in seen:
            seen.add(place)
            stored[key] = tensor.detach().float().cpu().numpy()
    found = json.loads(parts.model.config.to_json_string(use_diff=False))
    lm = {key: value for key, value in found.items() if key not in _LEFT_OUT}
    special = {key: getattr(parts.tokenizer, key) for key in _SPECIAL}
    config = asdict(replace(parts.config, lm=lm)) | {"special_tokens": special}
    tensors = to_int8(stored) if int8 else stored
    write_checkpoint(folder, Manifest(KIND, name, version, config), tensors, parts.tokenizer.backend_tokenizer.to_str())


def start_engine(parts: Parts, device: str) -> Engine:
    """Put the model on its device.

    Raises:
        DeviceError: The device is unknown or absent.
        CheckpointError: The tokenizer has no end token.
    """
    place, model = resolve_device(device), cast("Any", parts.model)
    framing = Framing(parts.tokenizer, parts.config)
    lock = threading.Lock()

    @cache
    def started() -> Writer:
        ready = model.eval().to(device=place, dtype=resolve_dtype(place))
        known = parts.tokenizer.backend_tokenizer
        starts = WordStarts(known, ready.config.vocab_size, framing.end) if parts.config.verbatim else None
        return Writer(ready, framing.end, starts)

    def run(items: list[WriteItem]) -> Sequence[Draft]:
        with lock, _model_errors(place):
            return started()(items)

    worker = BatchWorker(run, max_items=4_096, cost=lambda item: float(item.size), max_cost=float(BATCH_TOKENS))
    return Engine(framing, parts.config, worker)


def _model(lm: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> PreTrainedModel:
    """The model of a config with these weights; only classes that transformers itself carries."""
    config = AutoConfig.for_model(**lm)
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    with _no_progress_bar():
        model, told = kind.from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
        )
    if wrong := sorted({*told["missing_keys"], *told["unexpected_keys"]}):
        raise CheckpointError(
            f"The weights do not fit together with the config: {', '.join(wrong[:3])}.",
            hint="Copy the checkpoint again.",
        )
    found: PreTrainedModel = model
    return found


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@contextmanager
def _model_errors(place: torch.device) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise CompressionError(f"The model failed on {place}: {error}", hint="Try device='cpu'.") from error
