from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gist_core.checkpoint import Manifest, read_manifest, read_tensors, to_int8, write_checkpoint
from gist_core.errors import CheckpointError
from gist_core.loading import load_compressor
from gist_core.selective.engine import load_parts
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


def test_a_new_checkpoint_is_there_in_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", _fails)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path / "c", MANIFEST, {}, "{}")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_is_cut_short_leaves_nothing_that_can_be_read(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    write_checkpoint(folder, MANIFEST, {"x": np.zeros(2, np.float32)}, "{}")
    (folder / "notes.txt").write_text("dear")
    write_checkpoint(folder, MANIFEST, {"x": np.ones(2, np.float32)}, "{}")
    assert (folder / "notes.txt").exists()
    (folder / "notes.txt").unlink()
    move = shutil.move

    def moves_weights_only(source, target):
        return move(source, target) if target.name == "model.safetensors" else _fails()

    monkeypatch.setattr(shutil, "move", moves_weights_only)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(folder, Manifest("selective", "m", "4", {}), {"x": np.ones(3, np.float32)}, "{}")
    with pytest.raises(CheckpointError, match=r"holds no gist\.json"):
        read_manifest(folder)
    monkeypatch.undo()
    write_checkpoint(folder, MANIFEST, {}, "{}")
    assert read_manifest(folder) == MANIFEST


def _fails(*_):
    raise OSError("disk full")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.pop("length_exponent"), "length_exponent"),
        (lambda config: config.update(length_exponent=3), "TypeError"),
        (lambda config: config.update(length_exponent={}), "'query'"),
        (lambda config: config.update(layers_of_tomorrow=2), "layers_of_tomorrow"),
        (lambda config: config.update(hidden_size="wide"), "TypeError"),
        (lambda config: config.update(calibration={"query": {"curve": 2}}), "curve"),
        (lambda config: config.update(calibration=7), "TypeError"),
        (lambda config: config.update(caution={"query": {"slope": 0.0}}), "not above 0"),
    ],
)
def test_a_config_that_this_version_does_not_know_is_named(tmp_path, change, named):
    folder = save_tiny(tmp_path / "tiny")
    manifest = json.loads((folder / "gist.json").read_text())
    change(manifest["config"])
    (folder / "gist.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=named) as caught:
        load_parts(folder)
    assert "gist.json" in str(caught.value)


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
