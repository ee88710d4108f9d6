"""Do the pictures hold what they are given, in every format, without touching anything of the user's?"""

import math
import os
import sys

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.errors import ArgumentError, DataError, EngineError, GradientError, ShapeError, UnknownNameError
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


@needs_matplotlib
def test_a_confusion_matrix_may_be_a_tensor(backend):
    axes = plot.confusion_matrix(en.tensor([[3, 1], [0, 4]], device=backend)).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])


# -- legends -------------------------------------------------------------------------------------------


@needs_matplotlib
def test_a_legend_that_would_cover_a_line_stands_outside():
    free = plot.history(trained(8, loss=lambda e: 1 / (e + 1), validation_loss=lambda e: 2 / (e + 1)))
    full = plot.curves(np.arange(300), {"zigzag": np.arange(300) % 2, "line": np.linspace(0, 1, 300)}, y_label="y")
    everywhere = np.random.default_rng(0).random((2, 400))
    dotted = plot.curves([0, 1], {"line": [0, 1]}, points={"points": tuple(everywhere)})
    for figure, outside in ((free, False), (full, True), (dotted, True)):
        figure.draw_without_rendering()
        axes = figure.axes[0]
        box = axes.get_legend().get_window_extent()
        assert (box.x0 >= axes.get_window_extent().x1) == outside
        assert box.x1 <= figure.bbox.x1
    assert full.get_figwidth() > plot.curves([1, 2], {"line": [1, 2]}).get_figwidth()  # room for it


# -- the computation graph -----------------------------------------------------------------------------


def lecture_graph():
    a, b = en.tensor(4.0, requires_grad=True, name="a"), en.tensor(3.0, requires_grad=True, name="b")
    return a * (a + b)


def test_a_graph_is_the_text_that_it_draws_of_itself(tmp_path):
    d = lecture_graph()
    drawn = en.graph(d)
    assert plot.graph(d) == plot.graph(drawn) == drawn.to_svg()
    assert plot.graph(d, labels="derivatives") == drawn.to_svg("derivatives") != drawn.to_svg()
    for ending, text in (("svg", drawn.to_svg()), ("dot", drawn.to_dot()), ("mmd", drawn.to_mermaid())):
        assert plot.graph(d, tmp_path / f"d.{ending}") == drawn.to_svg()
        assert (tmp_path / f"d.{ending}").read_text() == text


def test_what_is_no_graph_is_refused(tmp_path):
    for given, options, error in (
        (3.0, {}, ArgumentError),
        (en.tensor(3.0), {}, GradientError),
        (lecture_graph(), {"labels": "colours"}, UnknownNameError),
        (lecture_graph(), {"path": tmp_path / "d.png"}, UnknownNameError),
    ):
        with pytest.raises(error):
            plot.graph(given, **options)
    assert os.listdir(tmp_path) == []
