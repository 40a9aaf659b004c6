"""A generative checkpoint in both frameworks, in chat memory, and what importing it costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from gist_core import load_compressor
from gist_core.errors import CheckpointError
from gist_core.memory import ConversationCompactor, MemoryPolicy, Turn
from langchain_gist import GistCompressor
from llamaindex_gist import GistNodePostprocessor
from tests.generative.tiny_lms import FAMILIES, saved

STORY = (
    "He liked cheese and long walks. The weather was fine that year. His brother kept bees. Nobody expected it. " * 2
)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("lms"), request.param)


def test_langchain(folder):
    compressor = GistCompressor(model=folder, ratio=0.5, device="cpu")
    documents = [Document(STORY, id="a", metadata={"page": 1}), Document("Bees make honey. " + STORY, id="b")]
    results = compressor.compress_documents(documents, "Who kept bees?")
    assert [d.id for d in results] == ["a", "b"]
    assert results[0].metadata["page"] == 1
    assert results[0].metadata["gist"]["kept"] is None
    assert results[0].metadata["gist"]["tokens_out"] <= results[0].metadata["gist"]["tokens_in"] / 2
    assert asyncio.run(compressor.acompress_documents(documents, "Who kept bees?")) == results


def test_llamaindex(folder):
    postprocessor = GistNodePostprocessor(model=folder, ratio=0.5, device="cpu")
    nodes = [NodeWithScore(node=TextNode(text=STORY, id_="a"), score=0.4), NodeWithScore(node=TextNode(text="Bees."))]
    results = postprocessor.postprocess_nodes(nodes, query_str="Who kept bees?")
    assert results[0].node.node_id == "a"
    assert results[0].score == 0.4
    assert results[0].node.metadata["gist"]["kept"] is None
    assert 0 < len(results[0].node.get_content()) < len(STORY)


def test_chat_memory_is_kept_small_by_what_the_backup_rates(folder):
    policy = MemoryPolicy(high_water=120, low_water=60, keep_last=1)
    memory = ConversationCompactor(policy, compressor=load_compressor(str(folder), device="cpu"))
    view = memory.compact([Turn("user", f"Note {i}: {STORY}") for i in range(6)])
    assert view.error is None
    assert len(view.turns) < 6
    assert any("bees" in turn.content for turn in view.turns)


def test_a_damaged_checkpoint_is_named(folder, tmp_path):
    for name in ("gist.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    compressor = GistCompressor(model=tmp_path, ratio=0.5)
    with pytest.raises(CheckpointError, match="safetensors"):
        compressor.compress_documents([Document(STORY)], "bees")


def test_opening_a_checkpoint_does_not_import_torch(folder):
    code = (
        f"import sys; sys.path[:0] = ['core', '.']; from gist_core import load_compressor; "
        f"load_compressor({str(folder)!r}); print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
