"""Do lines and points stand where their numbers say, labelled, each told from the others?"""

import math

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.errors import ArgumentError, DataError, ShapeError, UnknownNameError

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")


def legend_of(owner):
    return [text.get_text() for text in owner.get_legend().get_texts()]


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


@needs_matplotlib
def test_points_lie_over_the_lines(tmp_path):
    x = np.linspace(0, 1, 50)
    noisy, few = ([0.1, 0.5, 0.2], [1.0, -3.0, 2.0]), (np.array([0.3]), [0.4])
    figure = plot.curves(x, {"fit": x}, tmp_path / "a.png", points={"samples": noisy, 7: few})
    axes = figure.axes[0]
    assert legend_of(axes) == ["fit", "samples", "7"]
    first, second = axes.collections
    np.testing.assert_array_equal(first.get_offsets(), np.transpose(noisy))
    np.testing.assert_array_equal(second.get_offsets(), [[0.3, 0.4]])
    line = axes.get_lines()[0]
    assert first.get_zorder() > line.get_zorder()
    from matplotlib.colors import to_hex

    colours = [to_hex(line.get_color()), *(to_hex(marks.get_facecolor()[0]) for marks in (first, second))]
    assert len(set(colours)) == 3
    assert axes.get_ylim()[0] < -3.0  # the points are in the picture


@needs_matplotlib
def test_lines_may_leave_the_limits():
    x = np.linspace(-1, 1, 41)
    figure = plot.curves(x, {"wild": 1e6 * x**15, "tame": x}, limits=(-2, 1.5))
    assert figure.axes[0].get_ylim() == (-2, 1.5)
    assert plot.curves(x, {"wild": np.exp(x)}, limits=(0.1, 9), logarithmic="y").axes[0].get_ylim() == (0.1, 9)


@needs_matplotlib
def test_curves_of_tensors(backend):
    x = en.tensor([1.0, 2.0, 3.0], device=backend)
    figure = plot.curves(x, {"square": x * x, "list": [x[0], x[1], 4.0]}, points={"points": (x, x)})
    square, of_a_list = figure.axes[0].get_lines()
    np.testing.assert_array_equal(square.get_ydata(), [1, 4, 9])
    np.testing.assert_array_equal(of_a_list.get_ydata(), [1, 2, 4])
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), [[1, 1], [2, 2], [3, 3]])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"points": {"p": [1, 2, 3]}}, ShapeError, "points 'p' are not a pair"),
        ({"points": {"p": ([1, 2], [1])}}, ShapeError, r"x of shape \(2,\), y \(1,\)"),
        ({"points": {"p": ([], [])}}, ShapeError, "1 point at least"),
        ({"points": {"p": ("ab", [1])}}, DataError, "points 'p' is not a row of numbers"),
        ({"limits": (1, 1)}, ArgumentError, r"limits \(1, 1\) was given; it is \(low, high\)"),
        ({"limits": 3}, ArgumentError, "limits 3"),
        ({"limits": (0, math.inf)}, ArgumentError, "two finite numbers"),
        ({"limits": (0, 1), "logarithmic": "y"}, ArgumentError, "two finite numbers above 0"),
    ],
)
@pytest.mark.parametrize("draw", ["curves", "panels"])
def test_what_are_no_points_or_limits_is_refused(draw, options, error, words):
    lines = {"a": [1, 2]}
    with pytest.raises(error, match=rf"plot\.{draw}: .*{words}"):
        getattr(plot, draw)([1, 2], lines if draw == "curves" else {"panel": lines}, **options)


# -- panels --------------------------------------------------------------------------------------------


def look(line):
    return line.get_color(), line.get_linestyle()


@needs_matplotlib
def test_panels_with_the_same_labels_have_one_legend(tmp_path):
    x = np.array([-1.0, 0.0, 2.0])
    groups = {
        "ReLU": {"value": np.maximum(x, 0), "derivative": [0, 0, 1]},
        "square": {"value": x**2, "derivative": 2 * x},
    }
    figure = plot.panels(x, groups, tmp_path / "a.svg", title="Two", x_label="z", y_label="y", logarithmic="")
    assert figure.get_suptitle() == "Two"
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(groups)
    assert [axes.get_xlabel() for axes in figure.axes] == ["z", "z"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["y", ""]
    for axes, lines in zip(figure.axes, groups.values(), strict=True):
        assert axes.get_legend() is None
        for line, (label, values) in zip(axes.get_lines(), lines.items(), strict=True):
            assert line.get_label() == label
            np.testing.assert_array_equal(line.get_xdata(), x)
            np.testing.assert_array_equal(line.get_ydata(), values)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["value", "derivative"]
    left, right = figure.axes
    assert [look(line) for line in left.get_lines()] == [look(line) for line in right.get_lines()]
    assert look(left.get_lines()[0]) != look(left.get_lines()[1])


@needs_matplotlib
def test_panels_with_other_labels_have_a_legend_each():
    x = np.linspace(-3, 3, 40)
    groups = {"a": {"x": x, "low": x - 1}, "b": {"high": x + 1, "x": x}, "c": {"alone": x, "too": -x}}
    figure = plot.panels(x, groups)
    assert not figure.legends
    assert [legend_of(axes) for axes in figure.axes] == [["x", "low"], ["high", "x"], ["alone", "too"]]
    looks = {}
    for axes in figure.axes:
        lines = axes.get_lines()
        assert len({look(line) for line in lines}) == len(lines)
        for line in lines:
            assert looks.setdefault(line.get_label(), look(line)) == look(line)  # the same in every panel
    assert looks["alone"] == looks["x"]  # they never meet: the first colours come first
    few = plot.panels(x, {"both": {"a": x, "b": -x}, "single": {"a": x}})
    assert [axes.get_legend() is None for axes in few.axes] == [False, True]


@needs_matplotlib
def test_whole_numbers_have_whole_ticks():
    for x, whole in (([0, 1, 2], True), ([0.0, 0.5, 2.0], False)):
        figure = plot.curves(x, {"line": [1, 2, 3]})
        ticks = np.asarray(figure.axes[0].get_xticks())
        assert (ticks == np.round(ticks)).all() == whole


@needs_matplotlib
def test_points_and_limits_are_those_of_every_panel():
    x = np.arange(4.0)
    figure = plot.panels(
        x,
        {"one": {"fit": x}, "two": {"fit": -x}},
        points={"samples": ([1, 2], [3, 4])},
        limits=(-5, 5),
        logarithmic="x",
    )
    for axes in figure.axes:
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[1, 3], [2, 4]])
        assert (axes.get_ylim(), axes.get_xscale(), axes.get_yscale()) == ((-5, 5), "log", "linear")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fit", "samples"]


@needs_matplotlib
@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (3, None, (1, 3)), (5, None, (2, 3)), (9, None, (3, 3)), (4, 2, (2, 2)), (2, 7, (1, 2))],
)
def test_panels_are_arranged(count, columns, shape):
    figure = plot.panels([1, 2], {f"panel {n}": {"line": [n, n]} for n in range(count)}, columns=columns)
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert sum(bool(axes.get_xlabel()) for axes in figure.axes) == min(shape[1], count)  # the lowest of each column


@needs_matplotlib
def test_long_titles_of_panels_do_not_reach_the_next_one():
    titles = [f"A title of a panel that is much too long for a single line, number {n}" for n in range(3)]
    figure = plot.panels([1, 2], {title: {"line": [1, 2]} for title in titles}, title=" ".join(titles))
    figure.draw_without_rendering()
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes]
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[1].x1 < boxes[2].x0
    above = figure._suptitle.get_window_extent()
    assert above.x0 >= 0
    assert above.x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("groups", "options", "error", "words"),
    [
        ({}, {}, DataError, "a panel without lines"),
        ({"a": {}}, {}, DataError, "a panel without lines"),
        ({"a": {"l": [1]}}, {}, ShapeError, r"l has shape \(1,\), x \(2,\)"),
        ({"a": {"l": ["x", "y"]}}, {}, DataError, "l is not a row of numbers"),
        ({"a": {"l": [1, 2]}}, {"columns": 0}, ArgumentError, "columns 0 was given"),
        ({"a": {"l": [1, 2]}}, {"columns": 1.5}, ArgumentError, "columns 1.5 was given"),
    ],
)
def test_what_are_no_panels_is_refused(groups, options, error, words):
    with pytest.raises(error, match=rf"plot\.panels: {words}"):
        plot.panels([1, 2], groups, **options)
    with pytest.raises(UnknownNameError, match="logarithmic axis 'both'"):
        plot.panels([1, 2], {"a": {"l": [1, 2]}}, logarithmic="both")


@needs_matplotlib
@pytest.mark.parametrize("top", [1e260, 1e290, 1.7e308, np.inf])
def test_a_line_that_leaves_the_range_of_numbers_is_drawn_up_to_there(top, tmp_path):
    figure = plot.curves([0, 1, 2], {"diverged": [1.0, 1e5, top]}, tmp_path / "line.png", logarithmic="y")
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), [1.0, 1e5, np.nan])
