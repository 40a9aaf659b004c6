from __future__ import annotations

import json

import numpy as np
import pytest

from gist_core.checkpoint import Manifest, read_manifest, read_tensors, to_int8, write_checkpoint
from gist_core.errors import CheckpointError
from gist_core.loading import load_compressor
from tests.helpers.tiny import save_tiny

MANIFEST = Manifest("selective", "m", "3", {"a": 1})


def test_round_trip(tmp_path):
    tensors = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y.scale": np.ones(2, np.float32)}
    write_checkpoint(tmp_path / "c", MANIFEST, tensors, "{}")
    assert read_manifest(tmp_path / "c") == MANIFEST
    read = read_tensors(tmp_path / "c")
    assert read.keys() == tensors.keys()
    assert all((read[k] == tensors[k]).all() for k in tensors)


def test_int8_errs_by_half_a_step_of_the_row_at_most():
    matrix = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    stored = to_int8({"m": matrix, "v": matrix[0]})
    assert stored["m"].dtype == np.int8
    assert stored["v"].dtype == np.float32
    restored = stored["m"] * stored["m.int8_scale"][:, None]
    assert (np.abs(restored - matrix) <= np.abs(matrix).max(axis=1, keepdims=True) / 254 + 1e-7).all()


def test_writing_replaces_a_checkpoint_but_no_other_folder(tmp_path):
    write_checkpoint(tmp_path / "c", MANIFEST, {}, "{}")
    write_checkpoint(tmp_path / "c", Manifest("selective", "m", "4", {}), {}, "{}")
    assert read_manifest(tmp_path / "c").version == "4"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="other files"):
        write_checkpoint(tmp_path / "other", MANIFEST, {}, "{}")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no gist.json"),
        ("{", "not valid JSON"),
        ("[]", "format version None"),
        ('{"format_version": 99}', "format version 99"),
        ('{"format_version": 1, "kind": "selective"}', "lacks 'name'"),
        ('{"format_version": 1, "kind": "odd", "name": "n", "version": "1", "config": {}}', "kind 'odd'"),
    ],
)
def test_a_damaged_manifest_is_named_at_once(tmp_path, content, message):
    if content is not None:
        (tmp_path / "gist.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_compressor(str(tmp_path))


def test_damaged_weights_are_named_at_first_use(tmp_path):
    from gist_core import Budget, Passage

    folder = save_tiny(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"nonsense")
    compressor = load_compressor(str(folder))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        compressor.compress([Passage("a", "The cat sat.")], budget=Budget(tokens=2))


def test_weights_that_do_not_fit_the_config_are_named(tmp_path):
    from gist_core import Budget, Passage

    folder = save_tiny(tmp_path / "tiny")
    manifest = json.loads((folder / "gist.json").read_text())
    manifest["config"]["intermediate_size"] = 128
    (folder / "gist.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="does not fit together"):
        load_compressor(str(folder)).compress([Passage("a", "The cat sat.")], budget=Budget(tokens=2))


def test_a_name_that_is_no_folder_and_no_hub_id_is_refused():
    with pytest.raises(CheckpointError, match="no such thing"):
        load_compressor("no such thing")


def test_a_hub_id_that_cannot_be_fetched_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="nobody/nothing"):
        load_compressor("nobody/nothing")


def test_a_hub_checkpoint_loads_from_the_cache(tmp_path, monkeypatch):
    import huggingface_hub

    from gist_core import Budget, Passage

    folder = save_tiny(tmp_path / "tiny")
    asked = []

    def snapshot(name, revision=None, allow_patterns=None):
        asked.append((name, revision, tuple(allow_patterns)))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    compressor = load_compressor("owner/model@v2")
    assert asked == [("owner/model", "v2", ("gist.json",))]
    assert compressor.compress([Passage("a", "The cat sat.")], budget=Budget(tokens=50))[0].text == "The cat sat."
    names = ("gist.json", "tokenizer.json", "model.safetensors")
    assert asked[1] == ("owner/model", "v2", (*names, *(f"extractor/{name}" for name in names)))
