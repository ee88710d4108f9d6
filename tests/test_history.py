"""Does a History keep every epoch's numbers exactly, in memory, in CSV files and in checkpoints?"""

import json
import math
import os
import re
import sys

import numpy as np
import pytest

from engine.errors import ArgumentError, DataError, FileError, UnknownNameError
from engine.files import write_whole
from engine.history import History


def made(*rows):
    history = History()
    for row in rows:
        history.append(row)
    return history


AWKWARD = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf, math.nan, float(np.float32(0.1))]


def test_columns_hold_one_float_an_epoch():
    history = made({"loss": np.float32(0.5), "accuracy": 1}, {"loss": 0.25, "accuracy": np.float64(0.75)})
    assert history["loss"] == [0.5, 0.25]
    assert all(type(value) is float for column in history for value in history[column])
    assert (history.columns, len(history)) == (("loss", "accuracy"), 2)
    assert history.last == {"loss": 0.25, "accuracy": 0.75}
    assert history.rows() == [{"loss": 0.5, "accuracy": 1.0}, {"loss": 0.25, "accuracy": 0.75}]
    assert "loss" in history
    assert "validation_loss" not in history
    history["loss"].append(9.0)
    assert history["loss"] == [0.5, 0.25]


def test_columns_that_come_and_go_are_filled_with_nan():
    history = made({"loss": 1.0}, {"accuracy": 0.5}, {"loss": 3.0, "accuracy": 0.75})
    np.testing.assert_array_equal(history["loss"], [1.0, math.nan, 3.0])
    np.testing.assert_array_equal(history["accuracy"], [math.nan, 0.5, 0.75])


def test_the_best_is_the_earliest_and_never_nan():
    history = made(*({"loss": value} for value in (math.nan, 2.0, 1.0, 1.0, 4.0, 4.0)))
    assert history.best("loss") == (3, 1.0)
    assert history.best("loss", smallest=False) == (5, 4.0)
    with pytest.raises(DataError, match="all NaN"):
        made({"loss": math.nan}).best("loss")


def test_unknown_columns_are_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean validation_loss"):
        made({"validation_loss": 1.0})["validation_los"]
    with pytest.raises(UnknownNameError, match="no epoch has ended"):
        History()["loss"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no value"),
        ({"epoch": 1.0}, "'epoch'"),
        ({1: 1.0}, "names are texts"),
        ({"loss": "high"}, "loss is 'high'"),
        ({"loss": None}, "loss is None"),
    ],
)
def test_an_epoch_that_is_none_is_refused_and_changes_nothing(values, words):
    history = made({"loss": 1.0})
    with pytest.raises(ArgumentError, match=words):
        history.append(values)
    assert history == made({"loss": 1.0})


def test_equality_and_state():
    history = made(*({"loss": value, "seconds": 1.0} for value in AWKWARD))
    other = History()
    other.load_state(json.loads(json.dumps(history.state())))
    assert other == history
    other.append({"loss": 1.0})
    assert other != history
    assert history != made({"loss": 1.0})
    assert history != "history"
    other.load_state(History().state())
    assert other == History()
    for state in ({}, {"columns": 3}, {"columns": {"loss": [1.0], "accuracy": []}}, None):
        with pytest.raises(DataError):
            other.load_state(state)


def test_shown_as_a_table():
    assert repr(History()) == "History, no epoch yet"
    assert (
        repr(made({"loss": 0.25, "accuracy": 0.5})) == "History, 1 epoch\nepoch  loss  accuracy\n    1  0.25       0.5"
    )
    lines = repr(made(*({"loss": 1 / (1 + epoch)} for epoch in range(100)))).splitlines()
    assert len(lines) == 2 + 11
    assert lines[2].split() == ["1", "1"]
    assert lines[7].split() == ["...", "..."]
    assert lines[-1].split() == ["100", "0.01"]


# -- files ---------------------------------------------------------------------------------------------


def test_csv_holds_the_exact_floats(tmp_path):
    history = made(*({"loss": value, 'odd, "name"\n': -value} for value in AWKWARD))
    history.to_csv(tmp_path / "history.csv")
    assert History.from_csv(tmp_path / "history.csv") == history
    assert [math.copysign(1, value) for value in History.from_csv(tmp_path / "history.csv")["loss"]][4] == -1
    made({"loss": 0.1, "accuracy": 0.5}).to_csv(tmp_path / "short.csv")
    assert (tmp_path / "short.csv").read_bytes() == b"epoch,loss,accuracy\n1,0.1,0.5\n"
    History().to_csv(tmp_path / "empty.csv")
    assert History.from_csv(tmp_path / "empty.csv") == History()
    assert sorted(os.listdir(tmp_path)) == ["empty.csv", "history.csv", "short.csv"]


def test_each_epoch_adds_one_line(tmp_path):
    path = tmp_path / "history.csv"
    history = History()
    history.append_csv(path)
    assert path.read_text() == "epoch\n"
    for epoch in range(5):
        history.append({"loss": 1 / (epoch + 1)})
        history.append_csv(path)
        assert History.from_csv(path) == history
        if epoch == 1:
            same_file = path.stat().st_ino
    assert path.stat().st_ino == same_file  # the lines were added, the file was not replaced
    history.append_csv(path)
    assert path.read_text().count("\n") == 6


def test_a_new_column_another_file_or_a_changed_one_is_written_anew(tmp_path):
    path = tmp_path / "history.csv"
    history = made({"loss": 1.0})
    history.append_csv(path)
    history.append({"loss": 0.5, "accuracy": 0.5})
    history.append_csv(path)
    assert path.read_text() == "epoch,loss,accuracy\n1,1.0,nan\n2,0.5,0.5\n"
    path.write_text("something else")
    history.append_csv(path)
    assert History.from_csv(path) == history
    path.unlink()
    history.append_csv(path)
    assert History.from_csv(path) == history
    history.append_csv(tmp_path / "copy.csv")
    assert (tmp_path / "copy.csv").read_bytes() == path.read_bytes()
    resumed = History.from_csv(path)
    resumed.append({"loss": 0.25})
    resumed.append_csv(path)
    assert History.from_csv(path) == resumed


def test_a_line_without_its_end_is_left_out(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n1,0.5\n2,0.25")  # it may have been 0.2501
    assert History.from_csv(path) == made({"loss": 0.5})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is ''"),
        ("loss\n1\n", "line 1 is 'loss'"),
        ("epoch,loss,loss\n", "every name once"),
        ("epoch,loss\n1,0.5\n3,0.5\n", "line 3 is '3,0.5'; it needs the epoch 2"),
        ("epoch,loss\n1,0.5,7\n", "line 2"),
        ("epoch,loss\n1,high\n", "loss is 'high' in line 2"),
    ],
)
def test_a_file_that_is_no_history_is_refused(tmp_path, text, words):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(words)) as error:
        History.from_csv(path)
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        History.from_csv(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        History.from_csv(tmp_path / "binary.csv")


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"history\.csv: could not be written: No such file"):
        made({"loss": 1.0}).to_csv(tmp_path / "none" / "history.csv")
    path = tmp_path / "history.csv"
    write_whole(path, b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"No space left on device\. Free some space"):
        made({"loss": 1.0}).to_csv(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["history.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files stands in for a full disk")
def test_a_full_disk_takes_back_half_a_line(tmp_path):
    import resource

    path = tmp_path / "history.csv"
    history = made({"loss": 0.5})
    history.append_csv(path)
    before = path.read_bytes()
    history.append({"loss": 1 / 3})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 4, hard))
    try:
        with pytest.raises(FileError, match="could not be written"):
            history.append_csv(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    history.append_csv(path)
    assert History.from_csv(path) == history
