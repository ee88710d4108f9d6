"""Does a run folder keep what it is given, whole or not at all, and say clearly when it cannot?"""

import json
import math
import os
import shutil
import tomllib

import numpy as np
import pytest

import engine as en
from engine import locking, runs
from engine.data.intake import Intake
from engine.data.preparation import Standardize
from engine.errors import ArgumentError, DataError, EngineError, FileError
from engine.locking import Lock
from engine.runs import Run
from engine.toml import to_toml

CONFIG = {"data": {"name": "xor", "noise": None}, "model": {"hidden": [4, 3], "dropout": 0.25}}


@pytest.fixture
def intake():
    return Intake((1,), "regression", None, ("x",))


@pytest.fixture(autouse=True)
def written(monkeypatch):
    """Every run that is written is let go at the end, as at the end of its process."""
    made = []

    def lock(folder):
        made.append(Lock(folder))
        return made[-1]

    monkeypatch.setattr(runs, "Lock", lock)
    yield made
    for one in made:
        one.release()


def listed(folder):
    return sorted(name for name in os.listdir(folder) if name != locking.NAME)


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


def test_create_and_open(tmp_path, intake):
    made = Run.create(tmp_path / "deep" / "run", CONFIG, intake)
    opened = Run.open(tmp_path / "deep" / "run")
    assert opened.config == {"run": {"format": 1}, "data": {"name": "xor"}, "model": CONFIG["model"]}
    assert opened.table("model")["hidden"] == [4, 3]
    assert opened.intake().to_dict() == intake.to_dict()
    assert listed(made.path) == [runs.CONFIG, runs.PREPARATION]


def test_preparation_reads_back_exactly(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3)) / 3
    features, target = Standardize.fit(x), Standardize.fit(x[:, :1])
    Run.create(tmp_path / "run", {}, Intake((3,), "regression", None, (), (features,), target))
    stored = Run.open(tmp_path / "run").intake()
    assert stored.steps == (features,)
    assert stored.unit == target
    assert (stored.shape, stored.names) == ((3,), ())


def test_existing_folder_is_refused_unless_overwritten(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    (run.path / "notes.txt").write_text("mine")
    (run.path / runs.HISTORY).write_text("old")
    run.release()
    with pytest.raises(ArgumentError, match=r"exists and is not empty\. Name another folder, or add --overwrite"):
        Run.create(tmp_path / "run", CONFIG, intake)
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, intake, overwrite=True)
    assert new.waits
    assert Run.open(tmp_path / "run").table("data")["name"] == "xor"  # until the new one has something to show
    new.save_result({"loss": 1.0})
    new.replace_earlier()
    assert not new.waits
    assert new.files == new.path
    assert listed(new.path) == [runs.CONFIG, "notes.txt", runs.PREPARATION, runs.RESULT]
    new.replace_earlier()  # nothing is left to do
    assert Run.open(tmp_path / "run").table("data")["name"] == "new"
    assert (run.path / "notes.txt").read_text() == "mine"
    assert not (run.path / runs.HISTORY).exists()


def test_a_run_that_waits_can_be_discarded(tmp_path, intake):
    Run.create(tmp_path / "run", CONFIG, intake).release()
    before = (tmp_path / "run" / runs.CONFIG).read_bytes()
    killed = Run.create(tmp_path / "run", {"data": {"name": "killed"}}, intake, overwrite=True)
    killed.save_result({"loss": 1.0})
    (killed.files / f".{runs.WEIGHTS}.01234567.partial").write_bytes(b"half")
    killed.release()
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, intake, overwrite=True)
    assert sorted(os.listdir(new.files)) == [runs.CONFIG, runs.PREPARATION]
    new.discard()
    assert sorted(os.listdir(tmp_path / "run")) == [runs.CONFIG, runs.PREPARATION]
    assert (tmp_path / "run" / runs.CONFIG).read_bytes() == before


def test_a_run_that_cannot_be_moved_is_not_lost(tmp_path, intake, monkeypatch):
    Run.create(tmp_path / "run", CONFIG, intake).release()
    new = Run.create(tmp_path / "run", {"data": {"name": "new"}}, intake, overwrite=True)

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


def test_a_folder_with_nothing_of_a_run_needs_no_waiting(tmp_path, intake):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    run = Run.create(tmp_path / "run", CONFIG, intake, overwrite=True)
    assert not run.waits
    assert listed(run.path) == [runs.CONFIG, "notes.txt", runs.PREPARATION]


def test_empty_folder_is_taken(tmp_path, intake):
    (tmp_path / "run").mkdir()
    run = Run.create(tmp_path / "run", CONFIG, intake)
    run.discard()
    assert os.listdir(tmp_path / "run") == []


def test_discard_removes_the_folders_that_were_made(tmp_path, intake):
    Run.create(tmp_path / "a" / "b" / "c", CONFIG, intake).discard()
    assert os.listdir(tmp_path) == []


def test_discard_leaves_what_others_put_there(tmp_path, intake):
    run = Run.create(tmp_path / "a" / "b", CONFIG, intake)
    (tmp_path / "a" / "other").write_text("mine")
    run.discard()
    assert os.listdir(tmp_path / "a") == ["other"]


def test_unusable_places(tmp_path, intake):
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
            Run.create(place, CONFIG, intake)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_read_only_place(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # a mode would not stop the superuser
    with pytest.raises(ArgumentError, match="is read-only"):
        runs.check_output(tmp_path / "run")


def test_full_disk_leaves_nothing(tmp_path, intake, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match="could not be written: No space left on device"):
        Run.create(tmp_path / "run", CONFIG, intake)
    assert os.listdir(tmp_path) == []


def test_opening_what_is_no_run(tmp_path, intake):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for place, words in [
        ("nowhere", "does not exist"),
        ("file", "has no config.toml"),
        ("empty", "has no config.toml"),
    ]:
        with pytest.raises(DataError, match=words):
            Run.open(tmp_path / place)
    run = Run.create(tmp_path / "run", CONFIG, intake)
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
def test_damaged_preparation(tmp_path, intake, content):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    (run.path / runs.PREPARATION).write_text(content)
    with pytest.raises(DataError, match="is damaged"):
        run.intake()


def test_missing_preparation(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    (run.path / runs.PREPARATION).unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        run.intake()


def test_next_free(tmp_path):
    assert runs.next_free(tmp_path / "runs", "xor") == tmp_path / "runs" / "xor-1"
    for name in ("xor-1", "xor-3", "moons-2"):
        (tmp_path / name).mkdir()
    assert runs.next_free(tmp_path, "xor").name == "xor-2"


# -- written and read -----------------------------------------------------------------------------------


def test_weights_move_with_the_folder(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    model = en.Sequential(en.Linear(2, 3), en.BatchNorm(3))
    run.save_weights(model, epoch=3)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    other = en.Sequential(en.Linear(2, 3), en.BatchNorm(3))
    Run.open(tmp_path / "moved").load_weights(other)
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor.numpy(), other.state_dict()[name].numpy())


def test_weights_are_written_whole_or_not_at_all(tmp_path, intake, monkeypatch):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    model = en.Linear(2, 3)
    run.save_weights(model)
    before = (run.path / runs.WEIGHTS).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match=r"weights.safetensors: could not be written: No space left on device"):
        run.save_weights(en.Linear(2, 3))
    assert (run.path / runs.WEIGHTS).read_bytes() == before
    assert listed(run.path) == [runs.CONFIG, runs.PREPARATION, runs.WEIGHTS]


def test_missing_and_damaged_weights(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    model = en.Linear(2, 3)
    with pytest.raises(DataError, match="is missing: the run was stopped"):
        run.load_weights(model)
    (run.path / runs.WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        run.load_weights(model)


def test_log_and_result(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    with run.log() as log:
        log.write("one\n")
        assert (run.path / runs.LOG).read_text() == "one\n"  # at once, not at the end
    with run.log() as log:
        log.write("two\n")
    assert (run.path / runs.LOG).read_text() == "one\ntwo\n"
    run.save_result({"test": {"loss": 0.5}})
    assert json.loads((run.path / runs.RESULT).read_text()) == {"test": {"loss": 0.5}}


# -- taken up again, and one writer at a time -------------------------------------------------------------


def test_a_run_is_taken_up_and_rid_of_what_was_half_written(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    (run.path / f".{runs.CHECKPOINT}.89abcdef.partial").write_bytes(b"half")
    run.release()
    assert locking.NAME not in os.listdir(run.path)
    again = Run.take_up(tmp_path / "run")
    assert again.config == Run.open(tmp_path / "run").config
    assert sorted(os.listdir(run.path)) == [locking.NAME, runs.CONFIG, runs.PREPARATION]
    again.discard()  # it was not made here: it stays
    assert sorted(os.listdir(run.path)) == [runs.CONFIG, runs.PREPARATION]


def test_only_one_process_writes(tmp_path, intake):
    run = Run.create(tmp_path / "run", CONFIG, intake)
    before = (run.path / runs.CONFIG).read_bytes()
    me = rf"run' is being written by process {os.getpid()}, a training\. Wait until it is over, or stop it"
    with pytest.raises(DataError, match=me):
        Run.take_up(tmp_path / "run")
    for overwrite in (True, False):
        with pytest.raises(ArgumentError, match=me):
            Run.create(tmp_path / "run", {}, intake, overwrite=overwrite)
        with pytest.raises(ArgumentError, match=me):
            runs.check_output(tmp_path / "run", overwrite=overwrite)
    assert (run.path / runs.CONFIG).read_bytes() == before
    run.release()
    run.release()  # twice does no harm
    (run.path / locking.NAME).write_text("12345\n")  # of a process that was killed
    runs.check_output(tmp_path / "run", overwrite=True)
    Run.take_up(tmp_path / "run").release()
    (run.path / locking.NAME).write_text("")
    descriptor = os.open(run.path / locking.NAME, os.O_RDWR)
    locking._lock(descriptor)
    with pytest.raises(DataError, match="is being written by another process, a training"):
        Run.take_up(tmp_path / "run")
    os.close(descriptor)


def test_a_lock_that_another_one_takes_away_meanwhile(tmp_path, monkeypatch):
    usual, taken = locking._lock, []

    def slow(descriptor):
        usual(descriptor)
        if not taken:  # who held it before takes the file away before we look
            taken.append(descriptor)
            os.unlink(tmp_path / locking.NAME)

    monkeypatch.setattr(locking, "_lock", slow)
    lock = Lock(tmp_path)
    assert locking.holder(tmp_path) == f"process {os.getpid()}"
    lock.release()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_no_lock_behind(tmp_path, intake, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "fsync", full)
        with pytest.raises(FileError, match=r"run/config.toml: could not be written: No space left on device"):
            Run.create(tmp_path / "run", CONFIG, intake)
    assert os.listdir(tmp_path) == []


def test_file_systems_without_locks_and_read_only_ones(tmp_path, intake, monkeypatch):
    def without(*_):
        raise OSError(95, "Operation not supported")

    Run.create(tmp_path / "run", CONFIG, intake).release()
    with monkeypatch.context() as patch:
        patch.setattr(locking, "_lock", without)
        Run.take_up(tmp_path / "run").release()
        assert locking.holder(tmp_path / "run") is None
        assert locking.NAME not in os.listdir(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(locking.os, "open", without)
        with pytest.raises(DataError, match="run' cannot be written: Operation not supported"):
            Run.take_up(tmp_path / "run")
        (tmp_path / "run" / locking.NAME).write_text("1")
        assert locking.holder(tmp_path / "run") is None


@pytest.mark.parametrize("operation", ["unlink", "replace"])
@pytest.mark.parametrize("number", range(5))
def test_a_replacement_that_was_killed_is_brought_to_its_end(operation, number, tmp_path, intake, monkeypatch):
    names = {runs.CONFIG, runs.PREPARATION, runs.WEIGHTS, runs.CHECKPOINT, runs.LOG}

    def made(name, **options):
        run = Run.create(tmp_path / "run", {"data": {"name": name}}, intake, **options)
        for file in names - {runs.CONFIG, runs.PREPARATION} | ({runs.RESULT} if name == "old" else set()):
            (run.files / file).write_text(name)
        return run

    made("old").release()
    new = made("new", overwrite=True)
    owner = os if operation == "replace" else type(new.path)
    usual, calls = getattr(owner, operation), []

    def killed(*given, **options):
        if len(calls) == number:
            raise KeyboardInterrupt
        calls.append(given)
        usual(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, operation, killed)
        with pytest.raises(KeyboardInterrupt):
            new.replace_earlier()
    new.release()
    again = Run.take_up(tmp_path / "run" / (runs.UNFINISHED if (operation, number) == ("unlink", 0) else ""))
    again.replace_earlier()
    assert again.table("data")["name"] == "new"
    assert set(listed(tmp_path / "run")) == names
    assert all((tmp_path / "run" / name).read_text() == "new" for name in (runs.WEIGHTS, runs.CHECKPOINT, runs.LOG))


def test_a_run_that_waits_is_taken_up_by_its_own_path(tmp_path, intake):
    Run.create(tmp_path / "run", CONFIG, intake).release()
    Run.create(tmp_path / "run", {"data": {"name": "new"}}, intake, overwrite=True).release()
    again = Run.take_up(tmp_path / "run" / runs.UNFINISHED)
    assert again.waits
    assert again.path == tmp_path / "run"
    assert again.intake().names == ("x",)
    again.discard()
    assert Run.open(tmp_path / "run" / runs.UNFINISHED).table("data")["name"] == "new"


def test_taking_up_what_is_no_run(tmp_path):
    for place, words in [("nowhere", "does not exist"), ("", r"has no config\.toml")]:
        with pytest.raises(DataError, match=words):
            Run.take_up(tmp_path / place)
    assert os.listdir(tmp_path) == []
