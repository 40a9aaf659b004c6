"""Types of settings that pydantic has to be told how to check, describe and write."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, SkipValidation, WithJsonSchema

from gist_core.compressor import TextCompressor
from gist_core.memory.archive import Archive
from gist_core.settings import not_bool, pattern_texts, saved_model


def model_name(model: object) -> str:
    """What a setting ``model`` is called in events."""
    return model.model_id if isinstance(model, TextCompressor) else str(model)


Model = Annotated[
    str | os.PathLike[str] | TextCompressor,
    SkipValidation,
    WithJsonSchema({"type": "string"}),
    PlainSerializer(saved_model),
]
Tokenizer = Annotated[
    Any,
    WithJsonSchema({"type": "string"}),
    PlainSerializer(lambda spec: spec if isinstance(spec, str) else None),
]
Whole = Annotated[int, BeforeValidator(not_bool)]
Number = Annotated[float, BeforeValidator(not_bool)]
Patterns = Annotated[Sequence[str | re.Pattern[str]], BeforeValidator(pattern_texts)]
Originals = Annotated[Archive | None, WithJsonSchema({"type": "null"})]
