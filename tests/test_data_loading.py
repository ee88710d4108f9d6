"""Is what `en.data.load` makes of files right, and can the same be done to further files?"""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import engine as en
from engine.data import Intake, Rows
from engine.data.preparation import Scale


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of small files."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0)
    rows = [f"{number},{number % 7},{'xy'[number % 2]}" for number in range(40)]
    Path("table.csv").write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    np.save("x.npy", drawn.normal(size=(40, 3)))
    np.save("y.npy", np.arange(40) % 3)
    np.savez("both.npz", x=drawn.normal(size=(40, 3)), y=np.arange(40) % 3)
    return tmp_path


# -- arguments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("kind", ("a", "b")),
        (2, ("a", "b")),
        (-1, ("a", "b")),
        (np.int64(2), ("a", "b")),
        (["a", 1], ("kind=x", "kind=y")),
        ((), ("a", "b")),
    ],
)
def test_targets_by_name_and_number(target, names):
    train, test = en.data.load("table.csv", target=target, scaling="none")
    assert train.feature_names == test.feature_names == names


def test_paths_may_be_path_objects(here):
    train, test = en.data.load(
        here / "x.npy", target=here / "y.npy", test=here / "x.npy", test_target=here / "y.npy", scaling="none"
    )
    np.testing.assert_array_equal(train.y, np.arange(40) % 3)
    np.testing.assert_array_equal(test.x[:], np.load("x.npy").astype(np.float32))


ARGUMENTS = [
    ({"target": True}, "target True was given"),
    ({"target": 2.0}, "target 2.0 was given"),
    ({"target": None}, "target None was given"),
    ({"target": [["a"]]}, r"target \[\['a'\]\] was given"),
    ({"target": b"kind"}, "target b'kind' was given"),
    ({"target": {"a": 1}}, "target {'a': 1} was given"),
    ({"target": "size"}, "no column 'size'"),
    ({"target": 9}, "no column '9'"),
    ({"ignore": 2.5}, "ignore 2.5 was given"),
    ({"text": None}, "text None was given"),
    ({"header": "yes"}, "header 'yes' was given"),
    ({"separator": 5}, "separator 5 was given"),
    ({"separator": ""}, "separator '' was given"),
    ({"image_size": 32}, "image_size"),
    ({"impute": "mode"}, "imputation 'mode' is unknown"),
    ({"name": "both.npz", "impute": "mean"}, "impute 'mean' was given; it fills empty cells of tables"),
    ({"scaling": "zscore"}, "scaling 'zscore' is unknown"),
    ({"dtype": "float16"}, "cannot be of float16"),
    ({"task": "classes"}, "task 'classes' is unknown"),
    ({"seed": -1}, "seed -1 was given"),
    ({"seed": 1.5}, "seed 1.5 was given"),
    ({"test_fraction": 1}, "test_fraction 1 was given"),
    ({"test_fraction": True}, "test_fraction True was given"),
    ({"name": None}, "name None was given"),
    ({"name": ["digits"]}, r"name \['digits'\] was given"),
    ({"name": "tabel"}, "data set 'tabel' is unknown"),
    ({"name": "nothing.csv"}, "there is no such file"),
    ({"name": "moons", "target": 0}, "target was given; 'moons' is a set by name"),
    ({"name": "moons", "data_dir": 3}, "data_dir 3 was given"),
    ({"test": 3}, "test 3 was given"),
    ({"test_target": "y.npy"}, "test_target 'y.npy' was given without test"),
    ({"samples": 3}, "'samples' is unknown"),
]


@pytest.mark.parametrize(("given", "message"), ARGUMENTS)
def test_wrong_arguments_are_refused_in_one_line(given, message):
    with pytest.raises((en.ArgumentError, en.DataError, en.DtypeError), match=message) as caught:
        en.data.load(**{"name": "table.csv", **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        (None, {}, "path None was given"),
        ("table.csv", {"header": "yes"}, "header 'yes' was given"),
        ("table.csv", {"text": 2.5}, "text 2.5 was given"),
        ("table.csv", {"separator": 5}, "separator 5 was given"),
    ],
)
def test_wrong_arguments_of_read(path, options, message):
    with pytest.raises(en.ArgumentError, match=message):
        en.data.read(path, **options)


def test_one_text_column_is_one_name():
    assert en.data.read("table.csv", text="kind").is_text("kind")
    assert en.data.read("table.csv", text=0).is_text("a")


# -- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table.csv", "both.npz", "x.npy"])
def test_double_precision_is_not_rounded_to_single(name):
    options = {"target": "y.npy"} if name == "x.npy" else {"target": "b", "ignore": "kind", "task": "regression"}
    train, _ = en.data.load(name, dtype="float64", **(options if name != "both.npz" else {}))
    raw, _ = en.data.load(name, dtype="float64", scaling="none", **(options if name != "both.npz" else {}))
    x = raw.x[:]
    np.testing.assert_allclose(train.x[:], (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-12, atol=1e-14)
    assert train.x.dtype == np.float64
    assert train.task != "regression" or train.y.dtype == np.float64
    assert train.intake.samples(name).dtype == np.float64
    assert Intake.from_dict(train.intake.to_dict()).samples(name).dtype == np.float64


@pytest.mark.parametrize("name", ["digits", "table.csv", "both.npz", "x.npy"])
def test_features_are_single_precision_unscaled_too(name):
    pytest.importorskip("sklearn")
    train, test = en.data.load(name, scaling="none", **({"target": "y.npy"} if name == "x.npy" else {}))
    assert train.x[:].dtype == test.x[:].dtype == np.float32


def test_the_lowest_byte_is_the_largest_number():
    np.savez("bytes.npz", x=np.array([[-128, 64]] * 10, np.int8), y=np.arange(10) % 2)
    train, _ = en.data.load("bytes.npz", scaling="scale")
    assert train.x[0].tolist() == [-1.0, 0.5]


def test_sparse_columns_are_counted_as_in_the_training():
    Path("from0.libsvm").write_text("".join(f"{row % 2} 0:{row} 1:1 2:{row + 5}\n" for row in range(20)))
    Path("later.libsvm").write_text("1 1:1 2:7\n0 2:8\n")  # that index 0 is zero everywhere does not make it another
    _, test = en.data.load("from0.libsvm", test="later.libsvm", scaling="none")
    assert test.x.tolist() == [[0, 1, 7], [0, 0, 8]]
    Path("from1.libsvm").write_text("".join(f"{row % 2} 1:{row} 3:{row + 5}\n" for row in range(20)))
    _, test = en.data.load("from1.libsvm", test="later.libsvm", scaling="none")
    assert test.x.tolist() == [[1, 7, 0], [0, 8, 0]]
    with pytest.raises(en.DataError, match="index 0; those of the training begin with 1"):
        en.data.load("from1.libsvm", test="from0.libsvm")


def test_integer_labels_in_one_column_are_classes_as_in_none():
    x, labels = np.ones((60, 2)), np.arange(60) % 30
    for y in (labels, labels[:, None]):
        np.savez("labels.npz", x=x, y=y)
        train, _ = en.data.load("labels.npz")
        assert (train.task, train.classes) == ("multiclass", 30)


def test_labels_that_floats_cannot_tell_apart_are_refused():
    np.savez("ids.npz", x=np.ones((60, 2)), y=(1 << 53) + np.arange(60) % 2)
    with pytest.raises(en.DataError, match="whole numbers up to 2"):
        en.data.load("ids.npz")


def test_a_missing_target_of_an_array_names_its_row():
    np.savez("holes.npz", x=np.ones((3, 2)), y=[0.5, np.nan, 1.5])
    with pytest.raises(en.DataError, match=r"y is nan at row 1 \(counted from 0\)"):
        en.data.load("holes.npz")


# -- several files -------------------------------------------------------------------------------------


def test_the_column_of_a_file_of_targets_may_have_any_name():
    Path("train.csv").write_text("label\n" + "2\n4\n" * 20)
    Path("test.csv").write_text("class\n" + "4\n" * 10 + "2\n" * 30)
    train, test = en.data.load("x.npy", target="train.csv", test="x.npy", test_target="test.csv")
    assert train.class_names == test.class_names == ("2", "4")
    assert test.y.tolist() == [1] * 10 + [0] * 30
    np.save("test.npy", np.array([4] * 10 + [2] * 30))
    assert train.intake.labelled("x.npy", "test.npy").y.tolist() == test.y.tolist()


@pytest.mark.parametrize("content", ["table.csv", "x.npy"])
def test_targets_in_a_file_of_their_own(content):
    np.save("y2.npy", 2 - np.arange(40) % 3)
    train, test = en.data.load(content, target="y.npy", test=content, test_target="y2.npy", scaling="none")
    np.testing.assert_array_equal(train.y, np.arange(40) % 3)
    np.testing.assert_array_equal(test.y, 2 - np.arange(40) % 3)
    assert train.x.shape == (40, 4 if content == "table.csv" else 3)  # the last column is none of the targets
    with pytest.raises(en.DataError, match="it has no targets; give a file of them"):
        en.data.load(content, target="y.npy", test=content)


def test_a_column_is_meant_before_a_file_of_the_same_name():
    Path("kind").write_text("1\n2\n")
    train, _ = en.data.load("table.csv", target="kind")
    assert train.class_names == ("x", "y")


def test_texts_of_the_training_are_texts_in_every_file():
    rows = [f"{('007', 'x', 'y')[row % 3]},{row},{('01', 'no')[row % 2]}\n" for row in range(30)]
    Path("train.csv").write_text("code,b,kind\n" + "".join(rows))
    Path("test.csv").write_text("code,b,kind\n007,1,01\n007,2,01\n")  # alone, these are numbers
    Path("new.csv").write_text("b,code\n1,007\n2,007\n")
    train, test = en.data.load("train.csv", test="test.csv", scaling="none")
    expected = [[1, 0, 0, 1], [1, 0, 0, 2]]
    assert train.class_names == ("01", "no")
    assert (test.x.tolist(), test.y.tolist()) == (expected, [0, 0])
    assert train.intake.samples("new.csv").tolist() == expected
    Path("unnamed.csv").write_text("007,1,01\n007,2,01\n")
    assert train.intake.samples("unnamed.csv").tolist() == expected


# -- further files -------------------------------------------------------------------------------------


def test_the_intake_does_to_new_files_what_was_done_to_the_training():
    train, test = en.data.load("table.csv", target="b", ignore="a", task="regression", seed=3)
    Path("new.csv").write_text("c,kind\n0,y\n0,x\n")
    assert train.intake is test.intake
    assert train.intake.samples("new.csv").tolist() == [[0, 1], [1, 0]]
    again = train.intake.labelled("table.csv")
    b = np.arange(40.0) % 7
    np.testing.assert_allclose(again.target_preparation.undo(again.y)[:, 0], b, atol=1e-6)
    np.testing.assert_allclose(again.y[:, 0].std(), b.std() / train.target_preparation.scale[0], rtol=1e-6)
    stored = Intake.from_dict(json.loads(json.dumps(train.intake.to_dict())))
    assert stored.samples("new.csv").tolist() == [[0, 1], [1, 0]]
    assert train[:5].intake is train.intake
    assert en.data.Dataset([[1.0]], [0]).intake is None
    assert train.prepared([Scale(2.0)]).intake is None  # which knows nothing of that


@pytest.mark.parametrize("kept", [[0, 1, 2, 3], [0, 2, 3], [0, 2]])
def test_columns_without_names_go_by_their_places(kept):
    rows = [[row, row % 2, 100 + row, 200 + row] for row in range(40)]
    Path("train.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    Path("new.csv").write_text("".join(",".join(str(row[column]) for column in kept) + "\n" for row in rows[:3]))
    train, _ = en.data.load("train.csv", target=1, ignore=3, scaling="none")
    assert train.intake.samples("new.csv").tolist() == [[0, 100], [1, 101], [2, 102]]


def test_the_intake_of_a_set_by_name():
    train, _ = en.data.load("moons", samples=20)
    np.save("new.npy", np.array([[0.25, 0.5]]))
    assert train.intake.samples("new.npy")[:].tolist() == [[0.25, 0.5]]
    with pytest.raises(en.DataError, match="trained on a set by name"):
        train.intake.labelled("new.npy")


def test_images_of_another_order_of_axes_are_refused():
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8)).astype(np.uint8)
    np.savez("images.npz", x=images, y=np.arange(20) % 2)
    train, _ = en.data.load("images.npz")
    expected = (images[:4] / 255).astype(np.float32)
    np.savez("last.npz", x=images[:4].transpose(0, 2, 3, 1))
    with pytest.raises(en.DataError, match=r"shape \(4, 8, 8, 3\); the model was trained on \(samples, 3, 8, 8\)"):
        train.intake.samples("last.npz")
    np.savez("flat.npz", x=images[:4].reshape(4, -1))
    np.save("flat.npy", images[:4].reshape(4, -1))
    for name in ("flat.npz", "flat.npy"):
        np.testing.assert_array_equal(train.intake.samples(name)[:], expected)
    np.savez("grey.npz", x=images[:, 0], y=np.arange(20) % 2)
    np.savez("one.npz", x=images[:4, :1])
    grey, _ = en.data.load("grey.npz")
    np.testing.assert_array_equal(grey.intake.samples("one.npz"), expected[:, 0])


def test_a_memory_mapped_file_stays_on_the_disk():
    train, test = en.data.load("x.npy", target="y.npy")
    new = train.intake.samples("x.npy")
    for rows in (train.x, test.x, new):
        assert isinstance(rows, Rows)
        base = rows.source
        while not isinstance(base, np.memmap):
            base = base.base
    x = np.load("x.npy")
    apart = train.x.index
    expected = (x - x[apart].mean(axis=0)) / x[apart].std(axis=0)
    np.testing.assert_allclose(new[:], expected, rtol=1e-5, atol=1e-6)


def test_a_data_set_of_a_table_can_be_sent_to_another_process(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,kind\n" + "".join(f"{row},{'xy'[row % 2]}\n" for row in range(20)))
    train, _ = en.data.load(path)
    again = pickle.loads(pickle.dumps(train))
    np.testing.assert_array_equal(again.x, train.x)
    np.testing.assert_array_equal(again.intake.labelled(path).x, train.intake.labelled(path).x)
