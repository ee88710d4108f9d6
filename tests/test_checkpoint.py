"""Is what was saved read back exactly, and is an older file still whole when writing fails?"""

import errno
import os
import stat

import numpy as np
import pytest

import engine as en
from engine import checkpoint, files
from engine.checkpoint import load_state, save_state

TENSORS = {
    "w": np.random.default_rng(0).standard_normal((3, 5)),
    "half/precision": np.arange(4, dtype="float16"),
    "single": np.array([1.5, -0.0, np.inf, np.nan], "float32"),
    "labels": np.arange(6).reshape(2, 3)[:, ::2],  # not contiguous
    "mask": np.array([True, False]),
    "number": np.array(7.0),
    "nothing": np.zeros((0, 3)),
}
PLAIN = {"epoch": 3, "rate": 0.1, "names": ["a", "ü"], "inner": {"best": None, "worst": float("inf")}, "done": False}


def test_round_trip(tmp_path):
    path = tmp_path / "run.checkpoint"
    save_state(path, TENSORS, PLAIN)
    tensors, plain = load_state(path)
    assert plain == PLAIN
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert (tensors[name].shape, tensors[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(tensors[name], array)
    assert os.listdir(tmp_path) == ["run.checkpoint"]


def test_a_name_as_text_and_a_file_that_is_there_already(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_state("run.checkpoint", TENSORS, {"n": 1})
    save_state("run.checkpoint", {}, {"n": 2})
    assert load_state("run.checkpoint") == ({}, {"n": 2})


def test_others_may_read_it(tmp_path):
    before = os.umask(0o027)
    try:
        save_state(tmp_path / "a", {}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(where, tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    save_state(path, {"w": np.ones(2)}, {"n": 1})
    before = path.read_bytes()
    monkeypatch.setattr(files.os, where, full_disk)
    with pytest.raises(en.FileError, match=r"run\.checkpoint: could not be written: No space left on device") as caught:
        save_state(path, TENSORS, {"n": 2})
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.checkpoint"]


def test_a_write_that_fails_halfway(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    save_state(path, {"w": np.ones(2)}, {"n": 1})
    before = path.read_bytes()

    class Full:
        """A file on a disk with room for ten bytes."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.file.write(content[:10])
            full_disk()

    opened = open
    monkeypatch.setattr(files, "open", lambda *arguments: Full(opened(*arguments)), raising=False)
    with pytest.raises(en.FileError, match="No space left on device"):
        save_state(path, TENSORS, {"n": 2})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.checkpoint"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions bind ordinary users only")
def test_a_read_only_folder(tmp_path):
    path = tmp_path / "run.checkpoint"
    path.write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(en.FileError, match="Permission denied"):
            save_state(path, TENSORS, {})
    finally:
        tmp_path.chmod(0o700)
    assert path.read_text() == "old"


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    path.write_text("old")

    def refused(name, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr(files, "open", refused, raising=False)
    with pytest.raises(en.FileError, match="Permission denied") as caught:
        save_state(path, TENSORS, {})
    assert str(caught.value).startswith(f"{path}: could not be written")  # what the user named, not a temporary name
    assert path.read_text() == "old"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(en.FileError, match=r"run\.checkpoint: could not be written: No such file or directory"):
        save_state(tmp_path / "nowhere" / "run.checkpoint", TENSORS, {})
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_as_text_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        save_state(tmp_path / "a", {}, {"set": {1, 2}})
    assert os.listdir(tmp_path) == []


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run\.checkpoint: there is no such file"):
        load_state(tmp_path / "run.checkpoint")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_state(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 8, 40, 300, -1])
def test_a_file_that_was_cut_off(keep, tmp_path):
    path = tmp_path / "run.checkpoint"
    save_state(path, TENSORS, PLAIN)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(en.DataError, match=r"run\.checkpoint: not a checkpoint, or damaged") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"epoch,loss\n1,0.5\n", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04"])
def test_another_kind_of_file(content, tmp_path):
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(en.DataError, match=r"history\.csv: not a checkpoint, or damaged"):
        load_state(path)


def test_text_that_is_damaged_and_a_later_format(tmp_path, monkeypatch):
    import safetensors.numpy

    path = tmp_path / "a"
    path.write_bytes(safetensors.numpy.save({}, metadata={"state": "{half"}))
    with pytest.raises(en.DataError, match="not a checkpoint, or damaged"):
        load_state(path)
    monkeypatch.setattr(checkpoint, "FORMAT", "2")
    save_state(path, {}, {})
    monkeypatch.undo()
    with pytest.raises(en.DataError, match="its format is 2, this version reads 1"):
        load_state(path)


def test_plain_weights_can_be_read(tmp_path):
    import safetensors.numpy

    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.ones(2)}))
    tensors, plain = load_state(path)
    assert tensors["w"].tolist() == [1.0, 1.0]
    assert plain == {}
