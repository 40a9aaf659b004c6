"""What of a passage's metadata means something here; everything else in it is the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLE_KEYS = ("title", "Title", "document_title")
"""Where loaders of the frameworks put the title of the document that a passage is from; the first one counts."""


def title_of(metadata: Mapping[str, Any]) -> str:
    """The title of the document, on one line; "" where there is none, or none that is text."""
    given = (metadata.get(key) for key in TITLE_KEYS)
    titles = (" ".join(value.replace("_", " ").split()) for value in given if isinstance(value, str))
    return next(filter(None, titles), "")


def understood(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The spans to keep and the title, of metadata that may hold anything else, under those names too."""
    keep, title = metadata.get("keep"), title_of(metadata)
    spans = isinstance(keep, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(type(end) is int for end in pair) for pair in keep
    )
    return ({"keep": keep} if spans else {}) | ({"title": title} if title else {})
