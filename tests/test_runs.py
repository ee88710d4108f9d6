"""Does a run folder keep what it is given, whole or not at all, and say clearly when it cannot?"""

import json
import math
import os
import shutil
import tomllib

import numpy as np
import pytest

import engine as en
from engine import runs
from engine.data.preparation import Standardize
from engine.errors import ArgumentError, DataError, EngineError
from engine.runs import Run
from engine.toml import to_toml

CONFIG = {"data": {"name": "xor", "noise": None}, "model": {"hidden": [4, 3], "dropout": 0.25}}


@pytest.fixture
def data():
    train, _ = en.data.load("sines", samples=20)
    return train


# -- TOML ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -7,
        2**62,
        0.1,
        1e-300,
        1e22,
        -0.0,
        5e-324,
        math.inf,
        -math.inf,
        "",
        "plain",
        'quotes " and \\ backslash',
        "line\nbreak\ttab\r\x00\x1f\x7f",
        "Ünïcödé 数字 🙂",
        [],
        [1, 2],
        [0.5, 1.5],
        ["a", 'b"'],
        [[1, 2], [3]],
        (True, False),
        np.float32(0.5),
        np.int64(3),
        np.bool_(True),
    ],
    ids=repr,
)
def test_toml_reads_back(value):
    back = tomllib.loads(to_toml({"table": {"key": value}}))["table"]["key"]
    assert back == (list(value) if isinstance(value, tuple) else value)
    if isinstance(value, float):
        assert math.copysign(1, back) == math.copysign(1, value)


def test_toml_keeps_nan_and_leaves_none_out():
    back = tomllib.loads(to_toml({"a": {"x": math.nan, "y": None}, "b": {}}))
    assert math.isnan(back["a"]["x"])
    assert list(back["a"]) == ["x"]
    assert back["b"] == {}


def test_toml_names_and_tables_below():
    tables = {"a": {"k.1": 1, "with space": "x", "below": {"inner": [1]}, "after": 2}, "b": {"z": True}}
    assert tomllib.loads(to_toml(tables)) == tables


def test_toml_reads_back_what_chance_writes():
    generator = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(chr(code) for code in generator.integers(0, 0xD800, size=8))
        table = {"text": text, "number": float(generator.normal() * 10.0 ** generator.integers(-300, 300)), text: 1}
        assert tomllib.loads(to_toml({"t": table}))["t"] == table


def test_toml_refuses_other_values():
    with pytest.raises(ArgumentError, match="setting when: a set was given"):
        to_toml({"t": {"when": {1}}})


# -- made and opened ----------------------------------------------------------------------------------


def test_create_and_open(tmp_path, data):
    made = Run.create(tmp_path / "deep" / "run", CONFIG, data)
    opened = Run.open(tmp_path / "deep" / "run")
    assert opened.config == {"run": {"format": 1}, "data": {"name": "xor"}, "model": CONFIG["model"]}
    assert opened.table("model")["hidden"] == [4, 3]
    assert opened.preparation() == ((), None, ("x",))
    assert sorted(os.listdir(made.path)) == [runs.CONFIG, runs.PREPARATION]


def test_preparation_reads_back_exactly(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3)) / 3
    features, target = Standardize.fit(x), Standardize.fit(x[:, :1])
    data = en.data.Dataset(x, x[:, :1], preparation=(features,), target_preparation=target)
    Run.create(tmp_path / "run", {}, data)
    stored = Run.open(tmp_path / "run").preparation()
    assert stored.features == (features,)
    assert stored.target == target
    assert stored.names == ()


def test_existing_folder_is_refused_unless_overwritten(tmp_path, data):
    run = Run.create(tmp_path / "run", CONFIG, data)
    (run.path / "notes.txt").write_text("mine")
    (run.path / runs.HISTORY).write_text("old")
    with pytest.raises(ArgumentError, match=r"exists and is not empty\. Name another folder, or add --overwrite"):
        Run.create(tmp_path / "run", CONFIG, data)
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, data, overwrite=True)
    assert new.waits
    assert Run.open(tmp_path / "run").table("data")["name"] == "xor"  # until the new one has something to show
    new.save_result({"loss": 1.0})
    new.replace_earlier()
    assert not new.waits
    assert new.files == new.path
    assert sorted(os.listdir(new.path)) == [runs.CONFIG, "notes.txt", runs.PREPARATION, runs.RESULT]
    new.replace_earlier()  # nothing is left to do
    assert Run.open(tmp_path / "run").table("data")["name"] == "new"
    assert (run.path / "notes.txt").read_text() == "mine"
    assert not (run.path / runs.HISTORY).exists()


def test_a_run_that_waits_can_be_discarded(tmp_path, data):
    Run.create(tmp_path / "run", CONFIG, data)
    before = (tmp_path / "run" / runs.CONFIG).read_bytes()
    killed = Run.create(tmp_path / "run", {"data": {"name": "killed"}}, data, overwrite=True)
    killed.save_result({"loss": 1.0})
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, data, overwrite=True)
    assert sorted(os.listdir(new.files)) == [runs.CONFIG, runs.PREPARATION]
    new.discard()
    assert sorted(os.listdir(tmp_path / "run")) == [runs.CONFIG, runs.PREPARATION]
    assert (tmp_path / "run" / runs.CONFIG).read_bytes() == before


def test_a_run_that_cannot_be_moved_is_not_lost(tmp_path, data, monkeypatch):
    Run.create(tmp_path / "run", CONFIG, data)
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, data, overwrite=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(EngineError, match="run: could not be written: No space left on device"):
            new.replace_earlier()
    new.discard()
    assert not new.waits
    assert Run.open(tmp_path / "run" / runs.UNFINISHED).table("data")["name"] == "new"
    with pytest.raises(DataError, match=r"has no config\.toml"):
        Run.open(tmp_path / "run")


def test_a_folder_with_nothing_of_a_run_needs_no_waiting(tmp_path, data):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    run = Run.create(tmp_path / "run", CONFIG, data, overwrite=True)
    assert not run.waits
    assert sorted(os.listdir(run.path)) == [runs.CONFIG, "notes.txt", runs.PREPARATION]


def test_empty_folder_is_taken(tmp_path, data):
    (tmp_path / "run").mkdir()
    run = Run.create(tmp_path / "run", CONFIG, data)
    run.discard()
    assert os.listdir(tmp_path / "run") == []


def test_discard_removes_the_folders_that_were_made(tmp_path, data):
    Run.create(tmp_path / "a" / "b" / "c", CONFIG, data).discard()
    assert os.listdir(tmp_path) == []


def test_discard_leaves_what_others_put_there(tmp_path, data):
    run = Run.create(tmp_path / "a" / "b", CONFIG, data)
    (tmp_path / "a" / "other").write_text("mine")
    run.discard()
    assert os.listdir(tmp_path / "a") == ["other"]


def test_unusable_places(tmp_path, data):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for place, words in [
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "run", "below"),
        (tmp_path / "dangling", "is a file"),
        (tmp_path / "a\0b", "cannot be used"),
        (tmp_path / ("n" * 300), "cannot be"),
        ("/proc/run", "cannot be written"),
    ]:
        with pytest.raises(ArgumentError, match=words) as caught:
            Run.create(place, CONFIG, data)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_read_only_place(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # a mode would not stop the superuser
    with pytest.raises(ArgumentError, match="is read-only"):
        runs.check_output(tmp_path / "run")


def test_full_disk_leaves_nothing(tmp_path, data, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match="could not be written: No space left on device"):
        Run.create(tmp_path / "run", CONFIG, data)
    assert os.listdir(tmp_path) == []


def test_opening_what_is_no_run(tmp_path, data):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for place, words in [
        ("nowhere", "does not exist"),
        ("file", "has no config.toml"),
        ("empty", "has no config.toml"),
    ]:
        with pytest.raises(DataError, match=words):
            Run.open(tmp_path / place)
    run = Run.create(tmp_path / "run", CONFIG, data)
    with pytest.raises(DataError, match=r"no table \[loss\]"):
        run.table("loss")
    with pytest.raises(DataError, match=r"config.toml, \[data\] has no seed"):
        run.table("data")["seed"]
    for content, words in [
        (b"[run", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"", "not of format 1"),
        (b"[run]\nformat = 9\n", "not of format 1"),
    ]:
        (run.path / runs.CONFIG).write_bytes(content)
        with pytest.raises(DataError, match=words):
            Run.open(run.path)
    (run.path / runs.CONFIG).unlink()
    (run.path / runs.CONFIG).mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        Run.open(run.path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"features": 1, "target": null, "names": []}', '{"features": [{"kind": "x"}], "target": null}'],
)
def test_damaged_preparation(tmp_path, data, content):
    run = Run.create(tmp_path / "run", CONFIG, data)
    (run.path / runs.PREPARATION).write_text(content)
    with pytest.raises(DataError, match="is damaged"):
        run.preparation()


def test_missing_preparation(tmp_path, data):
    run = Run.create(tmp_path / "run", CONFIG, data)
    (run.path / runs.PREPARATION).unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        run.preparation()


def test_next_free(tmp_path):
    assert runs.next_free(tmp_path / "runs", "xor") == tmp_path / "runs" / "xor-1"
    for name in ("xor-1", "xor-3", "moons-2"):
        (tmp_path / name).mkdir()
    assert runs.next_free(tmp_path, "xor").name == "xor-2"


# -- written and read -----------------------------------------------------------------------------------


def test_weights_move_with_the_folder(tmp_path, data):
    run = Run.create(tmp_path / "run", CONFIG, data)
    model = en.Sequential(en.Linear(2, 3), en.BatchNorm(3))
    run.save_weights(model, epoch=3)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    other = en.Sequential(en.Linear(2, 3), en.BatchNorm(3))
    Run.open(tmp_path / "moved").load_weights(other)
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor.numpy(), other.state_dict()[name].numpy())


def test_weights_are_written_whole_or_not_at_all(tmp_path, data, monkeypatch):
    run = Run.create(tmp_path / "run", CONFIG, data)
    model = en.Linear(2, 3)
    run.save_weights(model)
    before = (run.path / runs.WEIGHTS).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match=r"weights.safetensors: could not be written: No space left on device"):
        run.save_weights(en.Linear(2, 3))
    assert (run.path / runs.WEIGHTS).read_bytes() == before
    assert sorted(os.listdir(run.path)) == [runs.CONFIG, runs.PREPARATION, runs.WEIGHTS]


def test_missing_and_damaged_weights(tmp_path, data):
    run = Run.create(tmp_path / "run", CONFIG, data)
    model = en.Linear(2, 3)
    with pytest.raises(DataError, match="is missing: the run was stopped"):
        run.load_weights(model)
    (run.path / runs.WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        run.load_weights(model)


def test_log_and_result(tmp_path, data):
    run = Run.create(tmp_path / "run", CONFIG, data)
    with run.log() as log:
        log.write("one\n")
        assert (run.path / runs.LOG).read_text() == "one\n"  # at once, not at the end
    with run.log() as log:
        log.write("two\n")
    assert (run.path / runs.LOG).read_text() == "one\ntwo\n"
    run.save_result({"test": {"loss": 0.5}})
    assert json.loads((run.path / runs.RESULT).read_text()) == {"test": {"loss": 0.5}}
