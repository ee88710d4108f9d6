"""Do the pictures hold what they are given, in every format, without touching anything of the user's?"""

import math
import os
import sys

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.data import Dataset
from engine.errors import ArgumentError, DataError, EngineError, ShapeError, UnknownNameError
from engine.history import History

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")


def trained(epochs=3, **columns):
    history = History()
    for epoch in range(epochs):
        history.append({name: function(epoch) for name, function in columns.items()})
    return history


def falling():
    return trained(loss=lambda e: 1 / (e + 1), validation_loss=lambda e: abs(e - 1) + 1.0)


@needs_matplotlib
def test_a_history_has_a_panel_for_each_family():
    history = trained(
        4,
        loss=lambda e: 1 - e / 10,
        accuracy=lambda e: e / 4,
        validation_loss=lambda e: [3.0, 1.5, 2.0, math.nan][e],
        validation_accuracy=lambda e: e / 5,
        mae=lambda e: 1.0,
        learning_rate=lambda e: 0.1,
        seconds=lambda e: 2.0,
    )
    figure = history.plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy", "MAE"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "MAE"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    loss = figure.axes[0]
    training, validation, best = loss.get_lines()
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(training.get_ydata(), history["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), history["validation_loss"])
    assert (best.get_label(), best.get_xdata()[0], best.get_ydata()[0]) == ("best: 1.5, epoch 2", 2, 1.5)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [
        "training",
        "validation",
        "best: 1.5, epoch 2",
    ]
    assert training.get_color() != validation.get_color()
    assert training.get_linestyle() != validation.get_linestyle()
    assert loss.get_yscale() == "linear"
    assert loss.get_xlim()[0] > 0


@needs_matplotlib
def test_a_loss_over_many_decades_is_logarithmic():
    axes = plot.history(trained(8, loss=lambda e: 10.0**-e), title="A run").axes[0]
    assert axes.get_yscale() == "log"
    assert "logarithmic" in axes.get_ylabel()
    assert axes.figure.get_suptitle() == "A run"
    assert plot.history(trained(8, loss=lambda e: 3.0 - e)).axes[0].get_yscale() == "linear"


@needs_matplotlib
def test_histories_of_odd_kinds(tmp_path):
    assert plot.history(trained(1, loss=lambda e: 1.0), tmp_path / "one.png").axes[0].get_xticks().tolist() == [1]
    assert len(plot.history(trained(2, **{f"m{n}": lambda e: 1.0 for n in range(7)})).axes) == 7
    diverged = trained(3, loss=lambda e: [1.0, math.inf, math.nan][e], validation_loss=lambda e: math.nan)
    diverged.plot(tmp_path / "diverged.svg")
    for nothing in (History(), trained(2, seconds=lambda e: 1.0)):
        with pytest.raises(DataError, match="needs one epoch"):
            plot.history(nothing)


@needs_matplotlib
@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("PNG", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_ending_decides_the_format(tmp_path, ending, start):
    path = tmp_path / f"picture.{ending}"
    falling().plot(path)
    assert path.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [path.name]


@needs_matplotlib
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    for name, words in (("a.jpeg", "ends in .jpeg"), ("a", "has no ending")):
        with pytest.raises(ArgumentError, match=f"{words}; allowed are .png, .svg and .pdf"):
            falling().plot(tmp_path / name)
    with pytest.raises(EngineError, match="could not be written"):
        falling().plot(tmp_path / "none" / "a.png")
    assert os.listdir(tmp_path) == []


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r'pip install "chalkgrad\[plots\]"'):
        falling().plot("history.png")


@needs_matplotlib
def test_nothing_global_is_touched(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    falling().plot(tmp_path / "a.png")
    plot.confusion_matrix([[1, 2], [3, 4]])
    assert dict(matplotlib.rcParams) == before


# -- the confusion matrix ------------------------------------------------------------------------------


@needs_matplotlib
def test_a_confusion_matrix_shows_counts_and_shares(tmp_path):
    figure = plot.confusion_matrix([[9, 1], [0, 10]], ("cat", "dog"), tmp_path / "matrix.png")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "Confusion matrix, 95.0% right"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.9, 0.1], [0, 1]])
    assert sorted((text.get_text(), text.get_position()) for text in axes.texts) == [
        ("1", (1, 0)),
        ("10", (1, 1)),
        ("9", (0, 0)),
    ]


@needs_matplotlib
def test_confusion_matrices_of_odd_kinds(tmp_path):
    plot.confusion_matrix(np.zeros((3, 3), int), path=tmp_path / "empty.png")
    assert plot.confusion_matrix(np.eye(3), title="Mine").axes[0].get_title(loc="left") == "Mine"
    names = [f"a long name {number}" for number in range(12)]
    slanted = plot.confusion_matrix(np.eye(12, dtype=int), names).axes[0].get_xticklabels()
    assert {text.get_rotation() for text in slanted} == {40.0}
    many = plot.confusion_matrix(np.eye(100, dtype=int)).axes[0]
    assert not many.texts
    assert len(many.get_xticks()) <= 40


@pytest.mark.parametrize(
    ("matrix", "names", "error"),
    [
        ([[1, 2, 3], [4, 5, 6]], None, ShapeError),
        ([1, 2], None, ShapeError),
        (np.zeros((0, 0)), None, ShapeError),
        ([[1, 2], [3, 4]], ("one",), ShapeError),
        ([[1, -2], [3, 4]], None, DataError),
        ([[1, math.nan], [3, 4]], None, DataError),
        ([["a", "b"], ["c", "d"]], None, DataError),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(matrix, names, error):
    with pytest.raises(error, match=r"plot\.confusion_matrix"):
        plot.confusion_matrix(matrix, names)


# -- decision regions ----------------------------------------------------------------------------------


def half_plane(outputs=2):
    """The class is 1 where x1 > 0."""
    weight = np.array([[-1.0, 1.0], [0.0, 0.0]]) if outputs == 2 else np.array([[1.0], [0.0]])
    layer = en.Linear(2, outputs)
    layer.load_state_dict({"weight": weight, "bias": np.zeros(outputs)})
    return layer


def four_points(dtype=np.float32):
    x = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype)
    return Dataset(x, [0, 0, 1, 0], "points", ("width", "height"), ("no", "yes"))


@needs_matplotlib
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_regions_are_what_the_model_says(tmp_path, outputs, dtype):
    figure = plot.decision_regions(half_plane(outputs), four_points(dtype), tmp_path / "regions.png", resolution=20)
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "points: 75.0% right"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "height")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["no", "yes", "wrong (1)"]
    areas = np.asarray(axes.collections[0].get_array()).reshape(20, 20)
    assert (areas == np.repeat([0, 1], 10)).all()  # the left half is class 0, in every row
    ring = next(one for one in axes.collections if one.get_label() == "wrong (1)")
    np.testing.assert_array_equal(ring.get_offsets(), [[1.0, 1.0]])


@needs_matplotlib
def test_regions_leave_the_model_alone(backend):
    model = en.Sequential(en.Linear(2, 3), en.BatchNorm(3), en.Dropout(0.5)).to(backend)
    model[1].eval()
    before = model[1].running_mean.numpy()
    plot.decision_regions(model, (four_points().x, [0, 1, 2, 0]), resolution=5, title="")
    assert [layer.training for _, layer in model.named_layers()] == [True, True, False, True]
    np.testing.assert_array_equal(model[1].running_mean.numpy(), before)
    assert model[2].drawn == 0


@needs_matplotlib
def test_regions_of_odd_models():
    class Blind(en.Layer):
        def forward(self, x):
            return x[:, 0] * math.nan

    class Fixed(en.Layer):
        def forward(self, x):
            return x * 0 + math.inf

    for model in (Blind(), Fixed()):
        plot.decision_regions(model, four_points(), resolution=4)
    three = plot.decision_regions(en.Linear(2, 3), four_points(), resolution=4)  # one class more than the data has
    assert len(three.axes[0].get_legend().get_texts()) >= 2


@needs_matplotlib
def test_what_has_no_regions_is_refused():
    wide = Dataset(np.zeros((3, 3)), [0, 1, 0])
    for data, error, words in (
        (wide, ShapeError, r"\(samples, 2\)"),
        ((np.zeros((3, 2)), [0.5, 1.0, 2.0]), DataError, "regression"),
    ):
        with pytest.raises(error, match=words):
            plot.decision_regions(half_plane(), data)
    with pytest.raises(ShapeError, match="one output a sample"):
        plot.decision_regions(en.Sequential(en.Linear(2, 4), Fold()), four_points(), resolution=4)
    for resolution in (1, 2.5, True, 10**6):
        with pytest.raises(ArgumentError, match="resolution"):
            plot.decision_regions(half_plane(), four_points(), resolution=resolution)


class Fold(en.Layer):
    def forward(self, x):
        return x.reshape(-1, 2, 2)


# -- curves --------------------------------------------------------------------------------------------


@needs_matplotlib
def test_curves_are_labelled(tmp_path):
    lines = {f"line {n}": np.arange(3.0) + n for n in range(6)}
    figure = plot.curves(
        [1, 2, 3], lines, tmp_path / "a.pdf", title="Six", x_label="step", y_label="rate", logarithmic="xy"
    )
    axes = figure.axes[0]
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()) == ("Six", "step", "rate")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [line.get_label() for line in axes.get_lines()] == list(lines)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 6
    single = plot.curves([1, 2], {"rate": [1.0, math.nan]}).axes[0]
    assert (single.get_ylabel(), single.get_legend()) == ("rate", None)


@pytest.mark.parametrize(
    ("x", "lines", "options", "error"),
    [
        ([1, 2], {}, {}, DataError),
        ([1, 2], {"a": [1]}, {}, ShapeError),
        ([[1, 2]], {"a": [1, 2]}, {}, ShapeError),
        ([], {"a": []}, {}, ShapeError),
        ([1, 2], {"a": ["x", "y"]}, {}, DataError),
        ([1, 2], {"a": [1, 2]}, {"logarithmic": "z"}, UnknownNameError),
    ],
)
def test_what_are_no_curves_is_refused(x, lines, options, error):
    with pytest.raises(error):
        plot.curves(x, lines, **options)
