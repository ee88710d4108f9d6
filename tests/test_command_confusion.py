"""Which class is taken for which: is it counted right, and told on the terminal, in files and in JSON?"""

import csv
import json
import tomllib

import numpy as np
import pytest

import engine as en
from engine import runs
from engine.commands import report, task
from engine.commands.confusion import MOST_CLASSES, Confusion
from engine.runs import Run
from engine.toml import to_toml

TRAIN = ("train", "--data", "blobs", "--samples", "60", "--noise", "1.5", "--hidden", "4", "--epochs", "3")


def shown(confusion, width=100):
    """What a person sees, line by line."""
    output = report.Output(quiet=False)
    output.console.width = width
    with output.console.capture() as captured:
        confusion.show(output)
    return [line.rstrip() for line in captured.get().splitlines()]


def counted(names, true, taken):
    confusion = Confusion(names, 0.5)
    confusion(np.eye(len(names))[taken], np.array(true))
    return confusion


# -- counted -------------------------------------------------------------------------------------------------

TRUE, TAKEN = [0, 0, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0]
BY_HAND = [[2, 1], [1, 2]]


@pytest.mark.parametrize("loss", ["cross-entropy", "hinge", "binary-cross-entropy", "logistic", "mean-squared-error"])
def test_every_form_of_outputs_and_targets(loss, backend):
    data = en.data.Dataset(np.zeros((6, 1)), TRUE, class_names=("no", "yes"))
    confusion = Confusion.of(loss, data)
    targets = task.targets(loss, data, "float32")
    sign = np.where(np.array(TAKEN) == 1, 1.0, -1.0)
    one = task.outputs(loss, data) == 1
    output = task.threshold(loss) + 0.1 * sign[:, None] if one else np.stack([-sign, sign], axis=1)
    for part in (slice(0, 4), slice(4, 6)):  # batch by batch
        confusion(en.tensor(output[part].astype(np.float32), device=backend), en.tensor(targets[part], device=backend))
    assert confusion.matrix.tolist() == BY_HAND
    assert confusion.to_dict() == {"classes": ["no", "yes"], "matrix": BY_HAND}


def test_one_of_several_classes_as_numbers():
    data = en.data.Dataset(np.zeros((4, 1)), [0, 2, 1, 2])
    confusion = Confusion.of("logistic", data)
    confusion(np.eye(3)[[0, 1, 1, 2]] - 0.5, task.targets("logistic", data, "float64"))
    assert confusion.matrix.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_nothing_to_confuse():
    assert Confusion.of("huber", en.data.Dataset(np.zeros((2, 1)), [0.5, 1.5])) is None
    assert Confusion.of("logistic", en.data.Dataset(np.zeros((2, 1)), [[0, 1], [1, 1]])) is None


def test_told_of_every_batch_once():
    """`Trainer.evaluate` shows what it computes anyway, and its result stays the same."""
    line = en.Linear(1, 2)
    trainer = en.Trainer(line, loss=en.CrossEntropy(), optimizer=en.SGD(line.parameters()), device="cpu")
    x, y = np.arange(5.0, dtype=np.float32).reshape(5, 1), np.array([0, 1, 0, 1, 0])
    seen = []
    result = trainer.evaluate((x, y), 2, watch=lambda output, target: seen.append((output.shape, target.tolist())))
    assert seen == [((2, 2), [0, 1]), ((2, 2), [0, 1]), ((1, 2), [0])]
    assert result == trainer.evaluate((x, y), 2)


# -- told ----------------------------------------------------------------------------------------------------


def test_table():
    lines = shown(counted(("cat", "dog", "owl"), [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]))
    assert lines[0] == "confusion matrix: true class by row, predicted class by column"
    assert [line.split() for line in lines if line.strip() and "━" not in line][1:] == [
        ["cat", "dog", "owl", "right"],
        ["cat", "2", "1", ".", "66.7%"],
        ["dog", ".", "2", ".", "100.0%"],
        ["owl", ".", ".", ".", "-"],
    ]


@pytest.mark.parametrize("width", [100, 80, 72])
def test_no_count_is_cut_off(width):
    names = [f"a long name of class {number}" for number in range(10)]
    lines = shown(counted(names, [0] * 123 + [9], [9] * 123 + [9]), width)
    assert max(map(len, lines)) <= width
    (row,) = [line for line in lines if " 123 " in line]
    assert row.endswith("0.0%")
    assert row.startswith(" a long name of clas.")
    assert all("…" not in line for line in lines)


def test_many_classes_are_told_by_their_most_frequent_confusions():
    names = [f"class {number}" for number in range(13)]
    true = [5] * 3 + [4] * 2 + list(range(11)) + [12]
    taken = [6] * 3 + [2] * 2 + [number + 1 for number in range(11)] + [12]
    lines = shown(counted(names, true, taken))
    assert lines[:3] == [
        "most frequent confusions, true -> predicted:",
        "  class 5 -> class 6: 4",
        "  class 4 -> class 2: 2",
    ]
    assert len(lines) == 11
    assert shown(counted(names, [3, 4], [3, 4])) == ["no class is taken for another"]
    few = counted(names[:12], [0] * 10**4 + [1], [1] * 10**4 + [0])
    assert shown(few, 60)[1] == "  class 0 -> class 1: 10000"  # a table of them needs more room than that


def test_more_classes_than_a_matrix_has():
    confusion = Confusion([str(number) for number in range(MOST_CLASSES + 1)], 0.5)
    confusion(np.eye(MOST_CLASSES + 1)[[7, 8]], np.array([8, 8]))
    assert confusion.matrix is None
    assert confusion.to_dict() is None
    assert shown(confusion)[1] == "  8 -> 7: 1"


# -- in a run ------------------------------------------------------------------------------------------------


def test_train_and_evaluate_agree(engine, tmp_path):
    code, printed, said = engine(*TRAIN, "--output", "run")
    assert (code, said) == (0, "")
    lines = printed.splitlines()
    assert "confusion matrix: true class by row, predicted class by column" in lines
    assert lines[-1].startswith("test accuracy 0.")
    assert (tmp_path / "run" / runs.LOG).read_text() == "\n".join(lines[:-1]) + "\n"
    with open(tmp_path / "run" / runs.CONFUSION, newline="") as file:
        rows = list(csv.reader(file))
    names = tomllib.loads((tmp_path / "run" / runs.CONFIG).read_text())["data"]["classes"]
    assert rows[0] == ["true class", *names]
    assert [row[0] for row in rows[1:]] == names
    matrix = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
    result = json.loads((tmp_path / "run" / runs.RESULT).read_text())
    assert result["confusion"] == {"classes": names, "matrix": matrix.tolist()}
    assert matrix.sum() == 12
    assert np.trace(matrix) / 12 == pytest.approx(result["test"]["accuracy"])
    assert 0 < np.trace(matrix) < 12

    code, again, _ = engine("evaluate", "run", "--confusion", "matrix.csv")
    assert code == 0
    assert (tmp_path / "matrix.csv").read_bytes() == (tmp_path / "run" / runs.CONFUSION).read_bytes()
    table = [line for line in lines if line.startswith(tuple(f" {name} " for name in names))]
    assert len(table) == 3
    assert set(table) <= set(again.splitlines())
    assert again.splitlines()[-1] == lines[-1]
    assert json.loads(engine("evaluate", "run", "--json")[1])["confusion"] == result["confusion"]
    assert len(engine("evaluate", "run", "--quiet")[1].splitlines()) == 1


def test_quiet_and_json(engine):
    assert len(engine(*TRAIN, "--quiet")[1].splitlines()) == 1
    assert json.loads(engine(*TRAIN, "--json")[1])["confusion"]["classes"]
    code, printed, _ = engine("train", "--data", "sines", "--samples", "50", "--epochs", "2", "--output", "run")
    assert code == 0
    assert "confusion" not in printed
    assert not (Run.open("run").path / runs.CONFUSION).exists()
    assert "confusion" not in json.loads(engine("evaluate", "run", "--json")[1])


def test_a_run_that_replaces_another_leaves_no_matrix_of_it(engine, tmp_path):
    assert engine(*TRAIN, "--output", "run")[0] == 0
    line = ("train", "--data", "sines", "--samples", "50", "--epochs", "2", "--output", "run", "--overwrite")
    assert engine(*line)[0] == 0
    assert not (tmp_path / "run" / runs.CONFUSION).exists()


def test_each_part_is_told_by_its_name(engine):
    assert engine(*TRAIN, "--validation", "0.2", "--output", "run", "--quiet")[0] == 0
    for part, name in (("test", "test"), ("train", "training"), ("validation", "validation")):
        _, printed, _ = engine("evaluate", "run", "--part", part)
        result = json.loads(engine("evaluate", "run", "--part", part, "--json")[1])
        assert printed.splitlines()[1] == f"data    blobs: {result['samples']} {name} samples, multiclass"
        assert printed.splitlines()[-1] == f"{name} accuracy {result[name]['accuracy']:.4f}"


def test_pictures(engine, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert engine(*TRAIN, "--quiet", "--output", "run")[0] == 0
    assert (tmp_path / "run" / runs.CONFUSION_PICTURE).read_bytes().startswith(b"\x89PNG")
    assert engine("evaluate", "run", "--quiet", "--confusion", "matrix.svg")[0] == 0
    assert "<svg" in (tmp_path / "matrix.svg").read_text()

    def broken(*_):
        raise ImportError("matplotlib is broken")

    monkeypatch.setattr("engine.plot.confusion_matrix", broken)
    _, printed, _ = engine(*TRAIN, "--output", "other")
    assert "confusion.png was not drawn: matplotlib is broken" in printed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["run", "--confusion", "m.txt"], "--confusion: 'm.txt' was given; allowed are files that end in .csv, .png"),
        (["run", "--confusion", "run.csv"], "--confusion: 'run.csv' is a folder; the matrix goes to a file. Name one."),
        (["run", "--confusion", "no/m.csv"], "its folder does not exist. Make it, or name another place."),
        (["run", "--confusion", "m.png"], "needs matplotlib, which is not installed."),
        (["sines", "--confusion", "m.csv"], "--confusion: the run has a regression target; a matrix needs one class a"),
        (
            ["many", "--confusion", "m.csv"],
            "--confusion: the run has 1001 classes; a matrix needs one class a sample, of",
        ),
    ],
)
def test_refused_before_any_work(engine, tmp_path, line, words):
    for name, kind, classes in (("run", "binary", 2), ("sines", "regression", 0), ("many", "multiclass", 1001)):
        config = {
            "run": {"format": runs.FORMAT},
            "data": {"task": kind, "classes": [str(one) for one in range(classes)]},
        }
        (tmp_path / name).mkdir()
        (tmp_path / name / runs.CONFIG).write_text(to_toml(config))  # no weights: they are not asked for
    (tmp_path / "run.csv").mkdir()
    code, printed, said = engine("evaluate", *line)
    assert (code, printed) == (2, "")
    assert said.startswith("engine evaluate: --confusion: ")
    assert words in said
    assert said.count("\n") == 1
