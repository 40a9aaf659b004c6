"""Nodes to passages and back. Nothing given is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, NodeWithScore, TextNode

from gist_core.errors import InvalidInputError
from gist_core.passage import Compressed, Passage
from gist_core.settings import CompressionSettings

METADATA_KEY = "gist"


def is_text(node: BaseNode) -> bool:
    """Whether the node holds text and nothing else; all others pass through."""
    if isinstance(node, Node):
        media = (node.image_resource, node.audio_resource, node.video_resource)
        return node.text_resource is not None and not any(media)
    return isinstance(node, TextNode) and not isinstance(node, ImageNode)


def checked(nodes: Sequence[NodeWithScore]) -> Sequence[NodeWithScore]:
    """The nodes.

    Raises:
        InvalidInputError: One of them is none, or comes without its NodeWithScore.
    """
    for at, item in enumerate(nodes):
        if not isinstance(item, NodeWithScore):
            raise InvalidInputError(f"nodes[{at}] is a {type(item).__name__}.", hint="Pass NodeWithScore(node=...).")
    return nodes


def to_passages(nodes: Sequence[NodeWithScore], settings: CompressionSettings) -> list[Passage]:
    """One passage per text node, without the metadata's text."""
    return [
        settings.passage(item.node.node_id, item.node.get_content(metadata_mode=MetadataMode.NONE), item.node.metadata)
        for item in nodes
        if is_text(item.node)
    ]


def to_nodes(nodes: Sequence[NodeWithScore], results: Sequence[Compressed], *, drop_empty: bool) -> list[NodeWithScore]:
    """Copies of the text nodes with the compressed text, in place, the other nodes between them as they were."""
    return list(_answers(nodes, results, drop_empty=drop_empty))


def _answers(
    nodes: Sequence[NodeWithScore], results: Sequence[Compressed], *, drop_empty: bool
) -> Iterator[NodeWithScore]:
    remaining = iter(results)
    for rank, item in enumerate(nodes):
        if not is_text(item.node):
            yield item
            continue
        result = next(remaining)
        if result.text.strip() or not drop_empty:
            yield item.model_copy(update={"node": _copy(item.node, result, rank)})


def _copy(node: BaseNode, result: Compressed, rank: int) -> BaseNode:
    copy = node.model_copy(
        update={
            "metadata": {**node.metadata, METADATA_KEY: _account(result, rank)},
            "excluded_llm_metadata_keys": _with_key(node.excluded_llm_metadata_keys),
            "excluded_embed_metadata_keys": _with_key(node.excluded_embed_metadata_keys),
        }
    )
    copy.set_content(result.text)
    return copy


def _with_key(keys: Sequence[str]) -> list[str]:
    return [*keys] if METADATA_KEY in keys else [*keys, METADATA_KEY]


def _account(result: Compressed, rank: int) -> dict[str, Any]:
    """What was done to one node, as JSON: ``kept`` are character offsets of its own text."""
    return {
        "rank": rank,
        "score": float(result.score),
        "tokens_in": result.usage.tokens_in,
        "tokens_out": result.usage.tokens_out,
        "kept": None if result.kept is None else [[start, end] for start, end in result.kept],
        "source_hash": result.source_hash,
        "model": result.model,
    }
