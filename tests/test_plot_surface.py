"""Does the surface of a loss have the heights that it is given, and do the paths go down on it where they should?"""

import math

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.errors import ArgumentError, DataError, ShapeError, UnknownNameError
from engine.plot import landscape

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")

X, Y = np.linspace(-2, 2, 9), np.linspace(-1, 3, 5)
BOWL = X**2 + 3 * Y[:, None] ** 2


def names(legend):
    return [text.get_text() for text in legend.get_texts()]


@needs_matplotlib
def test_a_surface_has_two_views(tmp_path):
    path = [(1.5, 2.0), (0.5, 0.5), (0.0, 0.0)]
    figure = plot.surface(
        X, Y, BOWL, tmp_path / "a.png", paths={"good": path}, title="A bowl", x_label="u", y_label="v", z_label="error"
    )
    relief, contours, bar = figure.axes
    assert figure.get_suptitle() == "A bowl"
    assert (relief.get_xlabel(), relief.get_ylabel(), relief.get_zlabel()) == ("u", "v", "error")
    assert (contours.get_xlabel(), contours.get_ylabel(), bar.get_ylabel()) == ("u", "v", "error")
    assert contours.get_xlim() == relief.get_xlim() == (-2, 2)
    assert contours.get_ylim() == relief.get_ylim() == (-1, 3)
    line, start, end = contours.get_lines()
    np.testing.assert_array_equal(np.transpose(line.get_data()), path)
    assert (start.get_marker(), *start.get_data()) == ("o", [1.5], [2.0])
    assert (end.get_marker(), *end.get_data()) == ("*", [0.0], [0.0])
    assert names(figure.legends[0]) == ["good"]
    along = np.array(relief.get_lines()[0].get_data_3d()).T
    np.testing.assert_allclose(along, [(1.5, 2.0, 14.25), (0.5, 0.5, 1.75), (0, 0, 0)])  # 3 (0 + 3) / 2 at v = 0.5
    assert relief.get_lines()[0].get_zorder() > relief.collections[0].get_zorder()  # never hidden behind the surface
    assert not relief.computed_zorder


@needs_matplotlib
def test_the_contours_are_those_of_the_heights():
    """The colours of a plane rise along x alone, evenly: each band is as wide as its heights say."""
    x, y = np.linspace(0, 10, 11), np.linspace(0, 1, 3)
    figure = plot.surface(x, y, np.tile(x, (3, 1)), view="contours", title="A slope")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "A slope"
    bands = axes.collections[0]
    levels = bands.levels
    assert (levels[0], levels[-1]) == (0, 10)
    assert len(levels) >= 10
    for low, high, band in zip(levels[:-1], levels[1:], bands.get_paths(), strict=True):
        box = band.get_extents()
        np.testing.assert_allclose((box.x0, box.x1, box.y0, box.y1), (low, high, 0, 1), atol=1e-12)


@needs_matplotlib
def test_logarithmic_heights(tmp_path):
    heights = 10.0 ** np.tile([-3.0, 0.0, 3.0], (2, 1))
    path = [(0, 0), (1, 0), (1.5, 0.5)]
    figure = plot.surface([0, 1, 2], [0, 1], heights, tmp_path / "a.svg", logarithmic=True, paths={"up": path})
    relief, contours, bar = figure.axes
    assert (relief.get_zlabel(), bar.get_ylabel()) == ("log10 of loss", "loss (logarithmic)")
    np.testing.assert_allclose(relief.get_lines()[0].get_data_3d()[2], [-3, 0, 1.5])
    np.testing.assert_allclose(np.diff(np.log10(contours.collections[0].levels)), 6 / 19)


@needs_matplotlib
def test_paths_may_leave_the_picture_or_blow_up(tmp_path):
    paths = {
        "out": [(0, 0), (50, 1), (1, 1)],
        "inf": [(1.0, 1.0), (math.inf, 0.0), (math.nan, 1e300)],
        "still": [(1, 1)],
    }
    figure = plot.surface(X, Y, BOWL, tmp_path / "a.png", paths=paths)
    relief, contours = figure.axes[:2]
    assert (contours.get_xlim(), contours.get_ylim()) == ((-2, 2), (-1, 3))
    assert (relief.get_xlim(), relief.get_ylim()) == ((-2, 2), (-1, 3))
    out = np.array(relief.get_lines()[0].get_data_3d()).T
    np.testing.assert_allclose(out, [(0, 0, 0), (math.nan,) * 3, (1, 1, 4)])
    looks = {(line.get_color(), line.get_linestyle()) for line in contours.get_lines()[::3]}
    assert len(looks) == 3
    assert names(figure.legends[0]) == list(paths)


@needs_matplotlib
@pytest.mark.parametrize("view", ["both", "contours"])
@pytest.mark.parametrize(
    "heights", [np.zeros((2, 2)), np.full((2, 2), 7.0), np.full((2, 2), -1e9), [[1.0, math.nan], [math.inf, 2.0]]]
)
def test_odd_heights_are_drawn(tmp_path, heights, view):
    figure = plot.surface([0, 1], [0, 1], heights, tmp_path / "odd.png", view=view)
    assert len(figure.axes) == {"both": 3, "contours": 2}[view]
    lowest, highest = figure.axes[-1].get_ylim()
    assert lowest < highest


@needs_matplotlib
def test_surfaces_of_tensors(backend):
    u, v = en.tensor(X, device=backend), en.tensor(Y, device=backend)
    heights = u * u + 3 * (v * v).reshape(-1, 1)
    steps = en.tensor([[1.0, 1.0], [0.0, 0.0]], device=backend)
    figure = plot.surface(u, v, heights, paths={"down": steps})
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_data_3d()[2], [4, 0])


def test_heights_between_the_grid_are_those_of_a_bilinear_function():
    x, y = np.array([0.0, 1.0, 4.0]), np.array([-1.0, 2.0])
    field = 2 + 3 * x - y[:, None] + 0.5 * x * y[:, None]
    places = np.array([[0, -1], [4, 2], [0.25, 0.5], [3.0, -1.0], [2.5, 1.9], [4.01, 0], [1, -1.01], [math.nan, 0]])
    expected = [2 + 3 * u - v + 0.5 * u * v for u, v in places[:5]] + [math.nan] * 3
    np.testing.assert_allclose(landscape._height([x, y], field, places), expected)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"heights": BOWL.T},
            ShapeError,
            r"heights have shape \(9, 5\); they must be \(y points, x points\), \(5, 9\)",
        ),
        ({"heights": [["a"]]}, DataError, "heights is not an array of numbers"),
        ({"heights": BOWL * math.nan}, DataError, "no height is finite"),
        ({"logarithmic": True}, DataError, "the least height is 0, which has no logarithm. Use logarithmic=False"),
        ({"x": X[::-1]}, DataError, "x does not rise"),
        ({"y": [1.0]}, DataError, "y does not rise"),
        ({"y": [[1.0]]}, ShapeError, "y has shape"),
        ({"paths": {"p": [1, 2]}}, ShapeError, r"path 'p' has shape \(2,\); it must be \(steps, 2\)"),
        ({"paths": {"p": np.zeros((0, 2))}}, ShapeError, r"path 'p' has shape .* 1 step at least"),
        ({"view": "front"}, UnknownNameError, "view 'front' is unknown; .*both, contours"),
        ({"path": "a.jpeg"}, ArgumentError, "ends in .jpeg"),
    ],
)
def test_what_is_no_surface_is_refused(change, error, words):
    given = {"x": X, "y": Y, "heights": BOWL} | change
    with pytest.raises(error, match=words if "path" in change else rf"plot\.surface: {words}"):
        plot.surface(**given)
