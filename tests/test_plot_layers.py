"""Do the pictures of a network's layers show what its units give, and carry the plane through them?"""

import math

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.data import Dataset
from engine.errors import ArgumentError, DataError, ShapeError

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")

CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
PLACES = np.linspace(-1.16, 1.16, 9)  # 8% beyond the samples
FIRST, SECOND = np.meshgrid(PLACES, PLACES)


def linear(weight, bias):
    """A Linear with these weights (inputs, outputs)."""
    layer = en.Linear(len(weight), len(weight[0]))
    layer.load_state_dict({"weight": np.array(weight, float), "bias": np.array(bias, float)})
    return layer


def lecture_xor(last=None):
    """Lecture 001: XOR as AND of OR and NAND, by sigmoids of slope 20; here the inputs are -1 and 1."""
    hidden = linear([[10.0, -10.0], [10.0, -10.0]], [10.0, 10.0])
    return en.Sequential(hidden, en.Sigmoid(), last or linear([[20.0], [20.0]], [-30.0]))


def xor_data(**names):
    return Dataset(CORNERS, [0, 1, 1, 0], "xor", **names)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


OR, NAND = sigmoid(10 * FIRST + 10 * SECOND + 10), sigmoid(-10 * FIRST - 10 * SECOND + 10)


def maps(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def headings(figure):
    return [text.get_text() for text in figure.texts if text is not figure._suptitle]


# -- every neuron's function ---------------------------------------------------------------------------


@needs_matplotlib
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_every_neuron_is_a_map_of_what_it_gives(tmp_path, ending):
    figure = plot.neurons(
        lecture_xor(),
        xor_data(feature_names=("a", "b"), class_names=("same", "other")),
        tmp_path / f"a.{ending}",
        resolution=9,
        title="XOR",
    )
    assert (tmp_path / f"a.{ending}").stat().st_size > 1000
    assert figure.get_suptitle() == "XOR"
    assert headings(figure) == ["inputs", "Sigmoid\n2 units"]
    expected = [FIRST, SECOND, OR, NAND, 20 * OR + 20 * NAND - 30]
    for found, values in zip(maps(figure), expected, strict=True):
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-4)
    inputs, output = figure.axes[:2], figure.axes[-1]
    assert [axes.get_ylabel() for axes in inputs] == ["a", "b"]
    assert (output.get_title(), output.get_xlabel()) == ("output", "a across, b up")
    samples = {marks.get_label(): marks.get_offsets().tolist() for marks in output.collections[:2]}
    assert samples == {"same": [[-1, -1], [1, 1]], "other": [[-1, 1], [1, -1]]}
    assert [text.get_text() for text in output.get_legend().get_texts()] == ["same", "other"]
    for axes in figure.axes:
        np.testing.assert_allclose(axes.images[0].get_extent(), (-1.16, 1.16, -1.16, 1.16), rtol=1e-6)
        low, high = axes.images[0].get_clim()
        assert low == -high  # white is 0
        assert high == pytest.approx(np.abs(axes.images[0].get_array()).max())


@needs_matplotlib
def test_weights_are_lines_between_the_maps():
    figure = plot.neurons(lecture_xor(), xor_data(), resolution=3)
    widths = [line.get_linewidth() for line in figure.artists]
    assert widths == pytest.approx([4.3] * 6)  # each is the largest of its layer
    styles = [line.get_linestyle() for line in figure.artists]
    assert styles == ["-", "--", "-", "--", "-", "-"]  # NAND's are below 0
    first = figure.artists[1]  # from the first input to the second unit
    start, end = (figure.axes[place].get_position() for place in (0, 3))
    ((x0, x1), (y0, y1)) = first.get_data()
    assert start.x1 < x0 < x1 < end.x0
    assert (y0, y1) == pytest.approx(((start.y0 + start.y1) / 2, (end.y0 + end.y1) / 2))
    uneven = linear([[1.0, -0.25], [0.0, 0.5]], [0.0, 0.0])
    several = plot.neurons(en.Sequential(uneven, en.Tanh(), en.Dropout(0.5), en.Linear(2, 2)), xor_data(), resolution=3)
    assert [line.get_linewidth() for line in several.artists] == pytest.approx(
        [4.3, 1.3, 0.3, 2.3]
    )  # not to the classes


@needs_matplotlib
def test_a_probability_is_white_at_its_threshold():
    model = lecture_xor()
    model.append(en.Sigmoid())
    figure = plot.neurons(model, xor_data(), resolution=9, threshold=0.5)
    output = figure.axes[-1]
    np.testing.assert_allclose(output.images[0].get_array(), sigmoid(20 * OR + 20 * NAND - 30), atol=1e-5)
    assert sum(output.images[0].get_clim()) == pytest.approx(1.0)
    assert headings(figure) == ["inputs", "Sigmoid\n2 units"]  # the last Sigmoid is the output
    borders = [one for one in output.collections if hasattr(one, "levels")]
    assert len(borders) == 2


@needs_matplotlib
def test_the_regions_of_several_classes():
    model = en.Sequential(linear([[1.0, -1.0, 0.0], [0.0, 0.0, 2.0]], [0.0, 0.0, -0.1]))
    figure = plot.neurons(model, Dataset(CORNERS, [0, 1, 2, 0]), resolution=9)
    expected = np.stack([FIRST, -FIRST, 2 * SECOND - 0.1]).argmax(axis=0)
    assert headings(figure) == ["inputs"]
    np.testing.assert_array_equal(maps(figure)[-1], expected)
    assert len(figure.axes[-1].get_legend().get_texts()) == 3


@needs_matplotlib
def test_the_output_of_a_regression_has_the_targets_colours():
    model = en.Sequential(linear([[1.0], [0.5]], [0.0]))
    targets = np.array([[-1.5], [-0.5], [0.5], [6.0]], np.float32)
    figure = plot.neurons(model, (CORNERS, targets), resolution=9)
    output = figure.axes[-1]
    (marks,) = output.collections
    np.testing.assert_array_equal(marks.get_array(), targets[:, 0])
    assert output.images[0].get_clim() == marks.get_clim() == (-6.0, 6.0)
    assert output.get_legend() is None


@needs_matplotlib
def test_wide_deep_and_odd_networks(tmp_path):
    model = en.Sequential(
        en.Sequential(en.Linear(2, 12), en.BatchNorm(12), en.ReLU()),
        en.Dropout(0.5),
        en.Maxout(12, 1, pieces=3),
        en.Residual(en.Linear(1, 1)),
        en.Linear(1, 2),
    )
    before = model.state_dict()["0.1.running_mean"].numpy()
    figure = plot.neurons(model, xor_data(), tmp_path / "wide.png", resolution=4)
    assert headings(figure) == ["inputs", "ReLU\n8 of 12 units", "Maxout\n1 unit"]
    assert len(maps(figure)) == 2 + 8 + 1 + 1
    assert model.training
    np.testing.assert_array_equal(model.state_dict()["0.1.running_mean"].numpy(), before)
    dead = en.Sequential(linear([[0.0], [0.0]], [-1.0]), en.ReLU(), linear([[0.0]], [math.nan]))
    assert plot.neurons(dead, xor_data(), tmp_path / "dead.png", resolution=4).axes[2].images[0].get_clim() == (-1, 1)
    plot.neurons(en.Sequential(en.ReLU()), (CORNERS, [0, 1, 1, 0]), tmp_path / "alone.png", resolution=4)


@needs_matplotlib
def test_layers_of_any_device_and_precision(backend):
    model = lecture_xor().to(backend, dtype="float64")
    figure = plot.neurons(model, xor_data(), resolution=9)
    for found, values in zip(maps(figure)[2:], [OR, NAND, 20 * OR + 20 * NAND - 30], strict=True):
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)
    assert len(plot.folding(model, xor_data(), lines=3).axes) == 2
    assert model.device == backend.device


# -- the folded plane ----------------------------------------------------------------------------------


def threads(axes, count):
    """The grid's lines, level ones first: (lines, points, 2)."""
    lines = np.array([line.get_xydata() for line in axes.get_lines()])
    assert len(lines) == 2 * count
    return lines


@needs_matplotlib
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_grid_and_the_samples_go_through_the_layers(tmp_path, ending):
    data = xor_data(feature_names=("a", "b"), class_names=("same", "other"))
    figure = plot.folding(lecture_xor(), data, tmp_path / f"a.{ending}", lines=5, title="Folded")
    assert (tmp_path / f"a.{ending}").stat().st_size > 1000
    assert figure.get_suptitle() == "Folded"
    inputs, folded = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["inputs", "1: Sigmoid"]
    assert (inputs.get_xlabel(), inputs.get_ylabel()) == ("a", "b")
    assert (folded.get_xlabel(), folded.get_ylabel()) == ("unit 1", "unit 2")
    plain, bent = threads(inputs, 5), threads(folded, 5)
    np.testing.assert_allclose(plain[0, [0, -1]], [[-1.16, -1.16], [1.16, -1.16]], rtol=1e-6)  # the lowest level one
    np.testing.assert_allclose(plain[-1, [0, -1]], [[1.16, -1.16], [1.16, 1.16]], rtol=1e-6)  # the rightmost one
    total = 10 * plain.sum(axis=2) + 10
    np.testing.assert_allclose(bent, sigmoid(np.stack([total, 20 - total], axis=2)), atol=1e-5)
    samples = {marks.get_label(): marks.get_offsets() for marks in folded.collections[:2]}
    ends = sigmoid(np.array([[-10.0, 30.0], [30.0, -10.0]]))
    np.testing.assert_allclose(samples["same"], ends, atol=1e-5)
    np.testing.assert_allclose(samples["other"], sigmoid(np.full((2, 2), 10.0)), atol=1e-5)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["same", "other"]


@needs_matplotlib
@pytest.mark.parametrize("classes", [1, 2])
def test_the_border_is_where_the_rest_of_the_model_changes_its_answer(classes):
    """AND of two units: 20 z1 + 20 z2 = 30, a straight line in the folded plane."""
    last = linear([[20.0], [20.0]], [-30.0]) if classes == 1 else linear([[0.0, 20.0], [0.0, 20.0]], [0.0, -30.0])
    folded = plot.folding(lecture_xor(last), xor_data(), lines=3).axes[1]
    borders = [one for one in folded.collections if hasattr(one, "levels")]
    for border in borders:
        places = np.concatenate([path.vertices for path in border.get_paths()])
        np.testing.assert_allclose(places.sum(axis=1), 1.5, atol=1e-5)
    assert len(borders) == 2  # of class 0 and of class 1
    probability = lecture_xor()
    probability.append(en.Sigmoid())
    by_threshold = plot.folding(probability, xor_data(), lines=3, threshold=sigmoid(10.0)).axes[1]
    border = next(one for one in by_threshold.collections if hasattr(one, "levels"))
    places = np.concatenate([path.vertices for path in border.get_paths()])
    assert abs(places.sum(axis=1) - 2.0).max() < 0.01  # 20 z1 + 20 z2 - 30 = 10, to a step of the picture


@needs_matplotlib
def test_more_than_two_units_are_seen_in_their_principal_directions():
    """Three units that are 3 x1, x1 and x2: the samples vary most along (3, 1, 0), then along (0, 0, 1)."""
    model = en.Sequential(linear([[3.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [50.0, 60.0, 70.0]), en.ReLU(), en.Linear(3, 2))
    folded = plot.folding(model, xor_data(), lines=3).axes[1]
    assert folded.get_title(loc="left") == "1: ReLU, 3 units\nin 2 principal directions (100%)"
    assert (folded.get_xlabel(), folded.get_ylabel()) == ("direction 1", "direction 2")
    offsets = np.concatenate([marks.get_offsets() for marks in folded.collections])
    samples = CORNERS[[0, 3, 1, 2]]  # class by class
    np.testing.assert_allclose(offsets, samples * [math.sqrt(10), 1.0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        threads(folded, 3)[0, [0, -1]], [[-1.16 * math.sqrt(10), -1.16], [1.16 * math.sqrt(10), -1.16]], rtol=1e-5
    )
    uneven = en.Sequential(linear([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [9.0, 9.0, 9.0]), en.ReLU(), en.Linear(3, 2))
    assert "(100%)" in plot.folding(uneven, xor_data(), lines=2).axes[1].get_title(loc="left")


@needs_matplotlib
def test_the_share_of_the_principal_directions():
    """Units x1, x2 and 2 x1 x2 by way of a layer of one's own: of the variances 1, 1, 4 the largest two are 5 / 6."""

    class Product(en.Layer):
        def forward(self, x):
            return en.concatenate([x, (2 * x[:, 0] * x[:, 1]).reshape(-1, 1)], axis=1)

    model = en.Sequential(Product(), en.LeakyReLU(1.0), en.Linear(3, 1))
    folded = plot.folding(model, xor_data(), lines=2).axes[1]
    assert folded.get_title(loc="left") == "1: LeakyReLU, 3 units\nin 2 principal directions (83%)"


@needs_matplotlib
def test_a_single_unit_has_its_classes_above_each_other(tmp_path):
    model = en.Sequential(linear([[1.0], [2.0]], [0.0]), en.Tanh())
    figure = plot.folding(model, xor_data(class_names=("same", "other")), tmp_path / "a.png", lines=3)
    folded = figure.axes[1]
    assert folded.get_title(loc="left") == "1: Tanh, 1 unit"
    assert (folded.get_xlabel(), folded.get_ylabel()) == ("unit 1", "class")
    assert [text.get_text() for text in folded.get_yticklabels()] == ["same", "other"]
    assert not folded.get_lines()
    same, other = (marks.get_offsets() for marks in folded.collections)
    np.testing.assert_allclose(same, [[math.tanh(-3), 0], [math.tanh(3), 0]], rtol=1e-6)
    np.testing.assert_allclose(other, [[math.tanh(1), 1], [math.tanh(-1), 1]], rtol=1e-6)


@needs_matplotlib
def test_foldings_of_odd_kinds(tmp_path):
    targets = np.array([-1.0, 0.0, 0.5, 3.0], np.float32)
    model = en.Sequential(en.Linear(2, 2), en.Tanh(), en.Linear(2, 1), en.ReLU(), en.Linear(1, 1))
    regression = plot.folding(model, (CORNERS, targets), tmp_path / "a.png", lines=3)
    for axes in regression.axes[:3]:
        np.testing.assert_array_equal(axes.collections[0].get_array(), targets)
        assert axes.collections[0].get_clim() == (-3, 3)
    assert regression.axes[2].get_ylabel() == "target"
    np.testing.assert_array_equal(regression.axes[2].collections[0].get_offsets()[:, 1], targets)
    assert regression.axes[3].get_ylabel() == "target"  # the colours' bar
    dead = en.Sequential(linear([[0.0] * 4] * 2, [-1.0] * 4), en.ReLU(), en.Linear(4, 2))
    assert "(100%)" in plot.folding(dead, xor_data(), tmp_path / "dead.png").axes[1].get_title(loc="left")
    one = plot.folding(dead, Dataset(CORNERS[:1], [0]), tmp_path / "one.png")
    assert len(one.axes) == 2
    embedding = en.Sequential(en.Linear(2, 2), en.Tanh(), en.Linear(2, 3), en.Tanh())
    three = plot.folding(embedding, Dataset(CORNERS, [0, 1, 2, 3]), lines=3)  # 3 outputs are no answers for 4 classes
    assert not [one for axes in three.axes for one in axes.collections if hasattr(one, "levels")]


# -- what cannot be drawn ------------------------------------------------------------------------------


class Fold(en.Layer):
    def forward(self, x):
        return x.reshape(-1, 2, 2)


TWO = en.Sequential(en.Linear(2, 2), en.Tanh(), en.Linear(2, 2))


@pytest.mark.parametrize("draw", ["neurons", "folding"])
@pytest.mark.parametrize(
    ("model", "data", "options", "error", "words"),
    [
        (en.Linear(2, 1), xor_data(), {}, ArgumentError, "it is a Sequential of layers"),
        (en.Sequential(), xor_data(), {}, ArgumentError, "it is a Sequential of layers"),
        (len, xor_data(), {}, ArgumentError, "it is a Sequential of layers"),
        (TWO, (np.zeros((4, 3)), [0, 1, 0, 1]), {}, ShapeError, r"x of shape \(4, 3\); it must be \(samples, 2\)"),
        (
            TWO,
            (CORNERS, np.eye(4, dtype=int)),
            {},
            DataError,
            "multilabel task; allowed are binary, multiclass and reg",
        ),
    ],
)
def test_what_has_no_picture_is_refused(draw, model, data, options, error, words):
    with pytest.raises(error, match=rf"plot\.{draw}: .*{words}"):
        getattr(plot, draw)(model, data, **options)


def test_what_else_is_refused():
    for resolution in (1, True, 2.5, 10**5):
        with pytest.raises(ArgumentError, match=r"plot\.neurons: resolution .* a number from 2 to 1000"):
            plot.neurons(TWO, xor_data(), resolution=resolution)
    for lines in (1, 201, "7"):
        with pytest.raises(ArgumentError, match=r"plot\.folding: lines .* a number from 2 to 200"):
            plot.folding(TWO, xor_data(), lines=lines)
    with pytest.raises(ShapeError, match=r"plot\.neurons: the model turns \(6400, 2\) into \(6400, 2\)"):
        plot.neurons(TWO, Dataset(CORNERS, [0, 1, 2, 0]))
    with pytest.raises(ShapeError, match=r"plot\.neurons: .*one output a sample, or one for each class"):
        plot.neurons(en.Sequential(en.Linear(2, 4), Fold()), xor_data())
    with pytest.raises(ArgumentError, match=r"plot\.folding: the model has no activation layer"):
        plot.folding(en.Sequential(en.Linear(2, 1)), xor_data())


@needs_matplotlib
def test_a_folding_that_is_not_finite_is_refused():
    broken = en.Sequential(linear([[1.0, math.inf], [0.0, 0.0]], [0.0, 0.0]), en.Tanh(), en.Linear(2, 1))
    with pytest.raises(DataError, match=r"plot\.folding: a value after layer 1: Tanh is not finite"):
        plot.folding(broken, Dataset(CORNERS * 0, [0, 1, 1, 0]))
