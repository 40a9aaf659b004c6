"""LLMLingua and LLMLingua-2 through Microsoft's package ``llmlingua``, as near its defaults as a budget lets it.

``pip install llmlingua`` adds ``nltk`` and leaves a torch that is installed alone. Its version 0.2.2 runs with
transformers 5 by what stands here: OpenAI's tokenizer is the shipped one, which needs no network; no remote code is
trusted; LLMLingua's cache is handed over as the tuples it was written for. All on the CPU.

Each passage is compressed to the same rate by itself, so that it is known what came from where; the package's own
filter of whole contexts, which loses that, is off. The query is not looked at. The rate asked for is missed, so it is
asked again for less while the output is over the budget, and cut in the end.

No download unless it is asked for: without a name, a model is used that is in the hub's cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from inspect import signature
from types import SimpleNamespace
from typing import Any

from gist_core.errors import CheckpointError, MissingExtraError
from gist_core.evaluation.systems.rates import AtRate, RateCompressor
from gist_core.ranks import shipped_encoding

LARGE = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"
SMALL = "microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank"


def llmlingua(model: str = "") -> RateCompressor:
    """LLMLingua: drops the tokens that a causal language model finds likely.

    Args:
        model: Folder or hub id of any causal language model; if not given, GIST_LLMLINGUA of the environment. Without
            both there is none: the package's own default, Llama-2-7B, has 13 GB.

    Raises:
        CheckpointError: No model is named, or it cannot be loaded.
        MissingExtraError: The package is not installed.
    """
    name = model or os.environ.get("GIST_LLMLINGUA", "")
    if not name:
        raise CheckpointError(
            "LLMLingua needs a causal language model.",
            hint="Name its folder or hub id in the environment: GIST_LLMLINGUA=NousResearch/Llama-2-7b-hf.",
        )
    package = _load(name, "GIST_LLMLINGUA")
    package.model = _TupleCache(package.model)

    def compress(texts: list[str], rate: float) -> list[str]:
        return [package.compress_prompt([text], rate=rate)["compressed_prompt"] for text in texts]

    return RateCompressor(f"llmlingua ({name})", compress)


def llmlingua2(model: str = "") -> RateCompressor:
    """LLMLingua-2, large: drops the words that a classifier of tokens, trained for it, would drop.

    Args:
        model: Folder or hub id; if not given, GIST_LLMLINGUA2 of the environment, else the published one if the hub's
            cache has it.

    Raises:
        CheckpointError: It cannot be loaded.
        MissingExtraError: The package is not installed.
    """
    return _llmlingua2(model, "GIST_LLMLINGUA2", LARGE)


def llmlingua2_small(model: str = "") -> RateCompressor:
    """LLMLingua-2, small: as ``llmlingua2``; GIST_LLMLINGUA2_SMALL of the environment."""
    return _llmlingua2(model, "GIST_LLMLINGUA2_SMALL", SMALL)


def _llmlingua2(model: str, variable: str, published: str) -> RateCompressor:
    name = model or os.environ.get(variable, "")
    compress = at_rate(name, published, variable)
    return RateCompressor(f"llmlingua-2 ({name or published})", compress)


def at_rate(model: str, published: str, variable: str = "") -> AtRate:
    """LLMLingua-2 as a function of a rate: one call of the package, which pads every text to 512 tokens.

    Args:
        model: Folder or hub id; ``published`` from the cache if empty.
        published: Hub id by which the package knows what kind of tokenizer it has.
        variable: Of the environment, for the hint of an error.

    Raises:
        CheckpointError: It cannot be loaded.
        MissingExtraError: The package is not installed.
    """
    cached = {} if model else {"local_files_only": True}
    package = _load(model or published, variable, cached, use_llmlingua2=True)
    package.model_name = published

    def compress(texts: list[str], rate: float) -> list[str]:
        found: list[str] = package.compress_prompt_llmlingua2(texts, rate=rate)["compressed_prompt_list"]
        return found

    return compress


def _load(model: str, variable: str, cached: Mapping[str, bool] | None = None, **settings: Any) -> Any:
    try:
        import tiktoken.registry
        from llmlingua import PromptCompressor
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed.", hint="pip install llmlingua") from error
    tiktoken.registry.ENCODINGS.setdefault("cl100k_base", shipped_encoding("cl100k_base"))
    options = {"trust_remote_code": False, **(cached or {})}
    try:
        return PromptCompressor(model, device_map="cpu", model_config=options, **settings)
    except Exception as error:  # transformers, the hub client and the package raise their own
        raise CheckpointError(
            f"{model!r} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"Name a folder, or a hub id to download, in the environment: {variable}={model}.",
        ) from error


class _TupleCache:
    """A causal language model that takes and gives its cache as keys and values a layer, as transformers once did."""

    def __init__(self, model: Any) -> None:
        self._model = model
        renamed = "cache" in signature(model.forward).parameters  # since transformers 5.24
        self._name = "cache" if renamed else "past_key_values"

    def __call__(self, ids: Any, past_key_values: Any = None, **settings: Any) -> Any:
        from transformers import DynamicCache

        cache = None if past_key_values is None else DynamicCache([tuple(layer) for layer in past_key_values])
        found = self._model(ids, **{self._name: cache}, **settings)
        layers = [[layer.keys, layer.values] for layer in found[self._name].layers]
        return SimpleNamespace(logits=found.logits, past_key_values=layers)
