"""Are data sets checked, split, named and made as they promise?"""

import builtins
import inspect
import subprocess
import sys

import numpy as np
import pytest

import engine.data.dataset
from engine.data import Dataset, Standardize, load, names, split, synthetic
from engine.data.catalog import ENTRIES
from engine.errors import ArgumentError, DataError, UnknownNameError
from engine.tensor import Tensor

BUNDLED = [entry.name for entry in ENTRIES.values() if entry.source == "bundled"]
MADE = [entry.name for entry in ENTRIES.values() if entry.source == "made"]


# -- Dataset -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "task", "classes", "dtype"),
    [
        ([0, 1, 1], "binary", 2, np.int64),
        (np.array([False, True, True]), "binary", 2, np.int64),
        (np.array([0, 4, 2], np.uint8), "multiclass", 5, np.int64),
        ([[0, 1], [1, 1], [0, 0]], "multilabel", 2, np.int64),
        ([0.5, 1.0, 2.0], "regression", 0, np.float32),
        (np.array([[0.5], [1.0], [2.0]]), "regression", 0, np.float64),
    ],
)
def test_the_task_follows_from_the_targets(y, task, classes, dtype):
    data = Dataset(np.zeros((3, 4)), y)
    assert (data.task, data.classes, data.y.dtype, data.features, len(data)) == (task, classes, dtype, 4, 3)
    assert data.class_names == (tuple(str(number) for number in range(classes)) or None)


def test_whole_numbers_may_be_a_regression():
    data = Dataset(np.zeros((3, 1)), [3, 5, 9], task="regression")
    assert data.y.dtype == np.float32
    assert data.class_names is None


def test_a_part_keeps_names_and_classes():
    data = Dataset(np.arange(8.0).reshape(4, 2), [0, 2, 1, 0], "things", ("a", "b"), ("x", "y", "z"))
    for rows in ([0, 3], slice(None, None, 3), np.array([True, False, False, True])):
        part = data[rows]
        np.testing.assert_array_equal(part.x, [[0, 1], [6, 7]])
        np.testing.assert_array_equal(part.y, [0, 0])
        assert (part.classes, part.name, part.feature_names, part.task) == (3, "things", ("a", "b"), "multiclass")
    x, y = data
    assert x is data.x
    assert y is data.y
    assert repr(data) == "Dataset('things', multiclass, x float64(4, 2), y int64(4,))"


def test_images_count_all_their_numbers_and_tensors_are_taken():
    assert Dataset(np.zeros((2, 8, 8, 3), np.uint8), [0, 1]).features == 192
    assert Dataset(Tensor(np.ones((2, 3))), Tensor([0, 1])).x.shape == (2, 3)


def test_astype_leaves_labels_alone():
    labelled = Dataset([[1.0]], [1]).astype("float64")
    assert (labelled.x.dtype, labelled.y.dtype) == (np.float64, np.int64)
    measured = Dataset([[1.0]], [1.0]).astype("float64")
    assert (measured.x.dtype, measured.y.dtype) == (np.float64, np.float64)


def test_a_data_set_cannot_be_changed():
    data = Dataset([[1.0]], [1])
    with pytest.raises(AttributeError, match=r"Dataset\.x cannot be set"):
        data.x = data.y


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([[1.0], [2.0]], [0, 1, 1], {}, "x has 2 samples, y 3"),
        (np.zeros((0, 2)), np.zeros(0), {}, "at least one sample with a feature"),
        (np.zeros((2, 0)), [0, 1], {}, "at least one sample with a feature"),
        (1.0, 1.0, {}, "the first axis of both is the samples"),
        ([[1.0, 2.0], [3.0, np.nan]], [0, 1], {}, "x is nan at row 1, column 1"),
        ([[1.0], [2.0]], [0.0, -np.inf], {}, "y is -inf at row 1 "),
        ([[1.0], [2.0, 3.0]], [0, 1], {}, "x is ragged"),
        ([["a"], ["b"]], [0, 1], {}, "x is list of <U1; allowed are floats, integers and bools"),
        ([[1.0], [2.0]], [0, -1], {}, "label -1 at row 1"),
        ([[1.0], [2.0]], [0, 1999999], {}, "label 1999999 at row 1"),
        ([[1.0], [2.0]], [0, 2], {"task": "binary"}, "label 2 at row 1 .* are 0 and 1"),
        ([[1.0], [2.0]], [0.0, 1.0], {"task": "multiclass"}, "labels have dtype float32; allowed are integers"),
        ([[1.0], [2.0]], [[0], [2]], {"task": "multiclass"}, "shape \\(samples,\\), not \\(2, 1\\). Use y.reshape"),
        ([[1.0], [2.0]], [0, 1], {"task": "multilabel"}, "shape \\(samples, classes\\), not \\(2,\\)"),
        ([[1.0], [2.0]], [0, 2], {"class_names": ("a", "b")}, "2 class names; y has 3 classes"),
        ([[1.0], [2.0]], [0, 1], {"class_names": ("a", "b", "c")}, "3 class names for a binary task"),
        ([[1.0], [2.0]], [0.5, 1.0], {"class_names": ("a", "b")}, "class names were given for a regression"),
        ([[1.0], [2.0]], [0, 1], {"feature_names": ("a", "b")}, "2 feature names for x of shape \\(2, 1\\)"),
    ],
)
def test_bad_data_is_refused_in_one_line(x, y, options, message):
    with pytest.raises(DataError, match=f"^things: .*{message}") as caught:
        Dataset(x, y, "things", **options)
    assert "\n" not in str(caught.value)


def test_the_first_bad_value_is_found_in_a_later_block(monkeypatch):
    monkeypatch.setattr("engine.data.preparation._BLOCK", 8)
    x = np.zeros((40, 3))
    x[29, 2] = x[33, 0] = np.inf
    with pytest.raises(DataError, match="row 29, column 2"):
        Dataset(x, np.zeros(40, int))


def test_rows_that_are_none():
    data = Dataset([[1.0], [2.0]], [0, 1])
    with pytest.raises(ArgumentError, match=r"Use \[1:2\]"):
        data[1]
    with pytest.raises(DataError, match="no sample was selected"):
        data[5:]
    for rows in ([99999], [-3], ["a"], 0.5, None, [[0], [0, 1]], np.array([True]), slice("a", None), "a"):
        with pytest.raises(
            DataError, match=r"data\[.*\]: rows are a slice, whole numbers from 0 to 1, or True and"
        ) as caught:
            data[rows]
        assert "\n" not in str(caught.value)
    assert data[[-1]].x.tolist() == [[2.0]]
    assert len(data[[True, False]]) == 1
    with pytest.raises(UnknownNameError, match="regression"):
        Dataset([[1.0]], [0], task="regresion")


# -- split ---------------------------------------------------------------------------------------------


def _uneven() -> Dataset:
    y = np.repeat([0, 1, 2], [60, 30, 10])
    return Dataset(np.arange(100.0).reshape(100, 1), y)


def test_a_split_is_whole_and_keeps_the_order():
    for stratify in (None, False):
        train, test = split(_uneven(), 0.25, seed=3, stratify=stratify)
        assert (len(train), len(test)) == (75, 25)
        assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(100))
        assert (np.diff(train.x[:, 0]) > 0).all()
        np.testing.assert_array_equal(test.y, _uneven().y[test.x[:, 0].astype(int)])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.33, 0.5, 0.9])
def test_a_stratified_split_gives_every_class_its_share(fraction):
    _, test = split(_uneven(), fraction, seed=1)
    assert len(test) == np.ceil(round(100 * fraction, 6))
    assert (np.abs(np.bincount(test.y) - fraction * np.array([60, 30, 10])) < 1).all()


def test_splits_follow_the_seed():
    first, same, other = (split(_uneven(), seed=seed)[1].x.tolist() for seed in (0, 0, 1))
    assert first == same
    assert first != other


def test_the_only_sample_of_a_class_is_trained_on():
    data = Dataset(np.arange(7.0).reshape(7, 1), [0, 0, 0, 1, 1, 1, 2])
    for seed in range(5):
        train, _ = split(data, 0.5, seed=seed)
        assert set(train.y) == {0, 1, 2}


def test_sizes_are_rounded_up_and_leave_one():
    data = Dataset(np.zeros((30, 1)), np.zeros(30))
    assert [len(split(data, fraction)[1]) for fraction in (0.1, 0.01, 0.999)] == [3, 1, 29]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "a", None, True])
def test_fractions_that_are_none(fraction):
    with pytest.raises(ArgumentError, match=r"split: fraction .* was given; it is a number between 0 and 1, both excl"):
        split(_uneven(), fraction)


def test_splits_that_cannot_be():
    with pytest.raises(
        ArgumentError, match=r"split: data set \(.* was given; it is a Dataset, such as Dataset\(x, y\)"
    ):
        split((np.zeros((3, 1)), [0, 1, 2]))
    with pytest.raises(DataError, match="1 sample cannot be split"):
        split(_uneven()[:1])
    with pytest.raises(DataError, match="every class has one sample"):
        split(Dataset(np.zeros((3, 1)), [0, 1, 2]))
    with pytest.raises(ArgumentError, match="stratify=True for a regression"):
        split(Dataset([[1.0], [2.0]], [0.5, 1.0]), stratify=True)


# -- catalog -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "samples", "features", "classes", "task"),
    [
        ("digits", 1797, 64, 10, "multiclass"),
        ("iris", 150, 4, 3, "multiclass"),
        ("wine", 178, 13, 3, "multiclass"),
        ("breast-cancer", 569, 30, 2, "binary"),
        ("diabetes", 442, 10, 0, "regression"),
    ],
)
def test_bundled_sets(name, samples, features, classes, task):
    pytest.importorskip("sklearn")
    train, test = load(name)
    assert len(train) + len(test) == samples
    assert len(test) == np.ceil(samples / 5)
    for part in (train, test):
        assert (part.features, part.classes, part.task, part.name) == (features, classes, task, name)
        assert part.x.dtype == np.float32
        assert len(part.feature_names) == features
        assert part.y.dtype == (np.int64 if classes else np.float32)
        assert part.y.shape == ((len(part),) if classes else (len(part), 1))
    assert ENTRIES[name].task == task


@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "diabetes"])
def test_bundled_sets_are_standardised_by_their_training_part(name):
    pytest.importorskip("sklearn")
    train, test = load(name, seed=4)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-5)
    assert np.abs(test.x.mean(axis=0)).max() > 1e-3
    assert train.preparation == test.preparation
    if name == "diabetes":
        np.testing.assert_allclose(train.y.std(), 1, atol=1e-5)
        raw = np.concatenate([part.target_preparation.undo(part.y) for part in (train, test)])
        assert (round(raw.min()), round(raw.max()), len(raw)) == (25, 346, 442)


def test_digits_are_scaled_and_stratified():
    datasets = pytest.importorskip("sklearn.datasets")
    train, test = load("digits", seed=0)
    assert (train.x.min(), train.x.max()) == (0, 1)
    raw = np.concatenate([train.preparation[0].undo(part.x) for part in (train, test)])
    np.testing.assert_array_equal(np.sort(raw.sum(axis=1)), np.sort(datasets.load_digits().data.sum(axis=1)))
    counts = np.bincount(datasets.load_digits().target)
    assert (np.abs(np.bincount(test.y) - counts / 5) < 1.01).all()


def test_loads_follow_the_seed():
    pytest.importorskip("sklearn")
    for name in ("iris", "moons"):
        first, same, other = (load(name, seed=seed)[0].x.tolist() for seed in (0, 0, 1))
        assert first == same
        assert first != other


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r'data set .iris. .*not installed.*extra sklearn: pip install "chalkgrad\[sk'):
        load("iris")
    assert len(load("xor", samples=40)[0]) == 32


def test_scikit_learn_is_imported_by_its_own_sets_only():
    code = "import sys, engine.data as data; data.load('moons'); print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_unknown_names_and_options():
    with pytest.raises(UnknownNameError, match="data set 'digit' is unknown; did you mean digits"):
        load("digit")
    with pytest.raises(UnknownNameError, match="option of data set 'moons' 'noize' is unknown; did you mean noise"):
        load("moons", noize=1)
    with pytest.raises(UnknownNameError, match="option of data set 'iris' 'noise'"):
        load("iris", noise=1)
    with pytest.raises(ArgumentError, match="test_fraction 1 was given"):
        load("moons", test_fraction=1)
    with pytest.raises(ArgumentError, match="seed -1 was given"):
        load("moons", seed=-1)
    assert {*BUNDLED, *MADE, "mnist", "fashion-mnist", "cifar-10"} == set(names())


# -- made sets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_made_sets(name):
    make = getattr(synthetic, name)
    assert {*ENTRIES[name].options, "seed"} == set(inspect.signature(make).parameters)
    data = make(samples=120, seed=5)
    assert len(data) == 120
    assert data.name == name
    assert data.task == ENTRIES[name].task
    assert data.x.dtype == np.float32
    assert data.y.dtype == (np.float32 if name == "sines" else np.int64)
    np.testing.assert_array_equal(data.x, make(samples=120, seed=5).x)
    assert (data.x != make(samples=120, seed=6).x).any()
    train, test = load(name, samples=120, seed=5, test_fraction=0.25)
    assert (len(train), len(test)) == (90, 30)
    np.testing.assert_array_equal(np.sort(np.concatenate([train.x, test.x]), axis=0), np.sort(data.x, axis=0))
    if data.classes:
        assert np.bincount(data.y).min() > 120 / data.classes / 2


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    "options", [{"samples": 0}, {"samples": 2.5}, {"noise": -1}, {"noise": float("nan")}, {"noise": "a"}]
)
def test_made_sets_refuse(name, options):
    with pytest.raises(ArgumentError, match=f"{name}: {next(iter(options))}"):
        load(name, **options)


def test_the_shapes_are_what_they_say():
    circle = synthetic.circle(500, centre=(1.0, -2.0), radius=0.5)
    distance = np.hypot(circle.x[:, 0] - 1.0, circle.x[:, 1] + 2.0)
    np.testing.assert_array_equal(circle.y == 1, distance > 0.5)
    assert abs(circle.y.mean() - 0.5) < 0.1
    moons = synthetic.moons(100, noise=0)
    np.testing.assert_allclose(np.hypot(*moons.x[moons.y == 0].T), 1, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*(moons.x[moons.y == 1] - [1.0, 0.5]).T), 1, atol=1e-6)
    blobs = synthetic.blobs(40, noise=0, classes=4)
    np.testing.assert_allclose(blobs.x[:4], [[2, 0], [0, 2], [-2, 0], [0, -2]], atol=1e-6)
    spirals = synthetic.spirals(100, noise=0, arms=2)
    assert np.hypot(*spirals.x.T).max() <= 1.0 + 1e-6
    np.testing.assert_array_equal(np.bincount(spirals.y), [50, 50])


def test_the_triangle_is_three_half_planes():
    corners = np.array([[-0.9, -0.8], [0.9, -0.8], [0.0, 0.9]])
    data = synthetic.triangle(2000)
    # barycentric coordinates, found by solving for them, are all positive inside
    system = np.vstack([corners.T, np.ones(3)])
    weights = np.linalg.solve(system, np.vstack([data.x.T.astype(float), np.ones(2000)]))
    np.testing.assert_array_equal(data.y == 1, (weights > 0).all(axis=0))
    turned = synthetic.triangle(2000, corners=corners[::-1])
    np.testing.assert_array_equal(turned.y, data.y)


@pytest.mark.parametrize(
    ("name", "options"),
    [("circle", {"radius": 0}), ("circle", {"radius": "a"}), ("spirals", {"arms": 1}), ("blobs", {"classes": 1})],
)
def test_shapes_that_cannot_be(name, options):
    with pytest.raises(ArgumentError, match=f"{name}: {next(iter(options))}"):
        load(name, **options)


def test_a_bundled_set_is_prepared_with_what_is_stored():
    pytest.importorskip("sklearn")
    train, _ = load("wine")
    (standardize,) = train.preparation
    assert isinstance(standardize, Standardize)
    assert engine.data.preparation.from_dict(standardize.to_dict()) == standardize
