"""Do images show their pixels, in grey, in colours and around 0, each under its name?"""

import math

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.errors import ArgumentError, DataError, ShapeError

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")


def drawn(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


@needs_matplotlib
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_grey_images_share_one_scale(tmp_path, ending):
    stack = np.arange(24.0).reshape(4, 2, 3)
    figure = plot.images(stack, ["a", "b", 3, "d"], tmp_path / f"a.{ending}", columns=3, title="Four")
    np.testing.assert_array_equal(drawn(figure), stack)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "3", "d"]
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0.0, 23.0)}
    assert figure.get_suptitle() == "Four"
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)
    assert (tmp_path / f"a.{ending}").stat().st_size > 1000


@needs_matplotlib
def test_colours_may_be_the_last_or_the_second_axis():
    last = np.random.default_rng(0).random((2, 4, 5, 3))
    for stack in (last, last.transpose(0, 3, 1, 2)):
        np.testing.assert_allclose(drawn(plot.images(stack)), last)
    both = np.random.default_rng(1).random((2, 3, 5, 3))  # could be either: the last axis it is
    np.testing.assert_allclose(drawn(plot.images(both)), both)


@needs_matplotlib
@pytest.mark.parametrize(
    ("stack", "options", "expected"),
    [
        (np.array([[[[0, 51, 255]]]], np.uint8), {}, [0.0, 0.2, 1.0]),
        (np.array([[[[0.25, 0.5, 0.75]]]]), {}, [0.25, 0.5, 0.75]),
        (np.array([[[[-2.0, 0.0, 2.0]]]]), {}, [0.0, 0.5, 1.0]),
        (np.array([[[[-2.0, 0.0, 2.0]]]]), {"limits": (0, 4)}, [0.0, 0.0, 0.5]),
        (np.array([[[[7.0, 7.0, 7.0]]]]), {}, [0.5, 0.5, 0.5]),
    ],
)
def test_the_limits_of_colours(stack, options, expected):
    np.testing.assert_allclose(drawn(plot.images(stack, **options))[0], [[expected]])


@needs_matplotlib
@pytest.mark.parametrize(
    ("stack", "options", "limits"),
    [
        (np.array([[[3, 200]]], np.uint8), {}, (0, 255)),
        ([[[3, 200]]], {}, (3, 200)),
        ([[[0.5, 0.5]]], {}, (0, 1)),
        ([[[1.0, 2.0]]], {"limits": (0, 16)}, (0, 16)),
        ([[[-1.0, 3.0]], [[-4.0, 0.0]]], {"diverging": True}, (-4, 4)),
        ([[[0.0, 0.0]]], {"diverging": True}, (-1, 1)),
        ([[[-1.0, 3.0]]], {"diverging": True, "limits": (-2, 2)}, (-2, 2)),
    ],
)
def test_the_limits_of_grey(stack, options, limits):
    assert plot.images(stack, **options).axes[0].images[0].get_clim() == limits


@needs_matplotlib
def test_images_around_zero_are_white_there():
    figure = plot.images([[[-2.0, 0.0, 2.0]], [[1.0, 1.0, 1.0]]], diverging=True)
    assert len(figure.axes) == 3  # two images, one bar
    image = figure.axes[0].images[0]
    below, zero, above = image.to_rgba(image.get_array())[0]
    np.testing.assert_allclose(zero, 1.0, atol=0.01)
    assert below[2] > below[0]  # blue
    assert above[0] > above[2]  # orange


@needs_matplotlib
@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (6, (1, 6)), (10, (2, 5)), (25, (4, 7)), (100, (10, 10))])
def test_images_are_arranged(count, shape):
    grid = plot.images(np.zeros((count, 2, 2))).axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape


@needs_matplotlib
def test_long_names_do_not_meet():
    figure = plot.images(
        np.zeros((3, 4, 4)), ["a name that is much too long for an image"] * 3, title="A long title " * 9
    )
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert boxes[0].x1 < boxes[1].x0 < boxes[1].x1 < boxes[2].x0
    above = figure._suptitle.get_window_extent()
    assert 0 <= above.x0 < above.x1 <= figure.bbox.x1
    assert above.y0 > boxes[0].y1


@needs_matplotlib
def test_images_of_tensors(backend):
    stack = en.tensor([[[1, 2], [3, 4]]], device=backend)
    np.testing.assert_array_equal(drawn(plot.images(stack)), stack.numpy())


@pytest.mark.parametrize(
    ("stack", "options", "error", "words"),
    [
        (np.zeros((2, 3)), {}, ShapeError, r"the stack has shape \(2, 3\); it must be \(images, height, width\)"),
        (np.zeros((2, 4, 4, 4)), {}, ShapeError, "3 colours last or second"),
        (np.zeros((0, 3, 3)), {}, ShapeError, r"shape \(0, 3, 3\)"),
        ([[["a"]]], {}, DataError, "stack is not an array of numbers"),
        ([[[math.nan]]], {}, DataError, "not finite"),
        (np.zeros((2, 3, 3)), {"names": ["one"]}, ShapeError, "1 names for 2 images"),
        (np.zeros((2, 3, 3, 3)), {"diverging": True}, ArgumentError, "diverging=True was given for images in colours"),
        (np.zeros((2, 3, 3)), {"limits": (1, 0)}, ArgumentError, r"limits \(1, 0\)"),
        (np.zeros((2, 3, 3)), {"columns": 0}, ArgumentError, "columns 0 was given"),
    ],
)
def test_what_are_no_images_is_refused(stack, options, error, words):
    with pytest.raises(error, match=rf"plot\.images: .*{words}"):
        plot.images(stack, **options)
