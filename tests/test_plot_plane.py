"""Do regions, lines and points of the plane lie where the model and the data say?"""

import math

import numpy as np
import pytest

import engine as en
from engine import plot
from engine.data import Dataset
from engine.errors import ArgumentError, DataError, ShapeError

needs_matplotlib = pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")


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


def inside(x):
    """Above 0 inside the circle of radius 1."""
    return 1 - (x * x).sum(axis=1)


@needs_matplotlib
@pytest.mark.parametrize(
    "model",
    [
        inside,
        lambda x: inside(x).numpy(),
        lambda x: inside(x).reshape(-1, 1),
        lambda x: en.stack([0 * inside(x), inside(x)], 1),
    ],
    ids=["tensor", "array", "column", "two classes"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_may_be_any_function_of_a_tensor(model, dtype):
    x = np.array([[-2, -2], [2, 2], [0, 0.5], [0.9, 0.9]], dtype)
    seen = []
    figure = plot.decision_regions(lambda t: seen.append(t.dtype) or model(t), (x, [0, 0, 1, 1]), resolution=41)
    axes = figure.axes[0]
    assert set(seen) == {np.dtype(dtype)}
    assert axes.get_title(loc="left") == "data: 75.0% right"
    first, second = np.meshgrid(*[np.linspace(-2.32, 2.32, 41)] * 2)
    np.testing.assert_array_equal(
        np.asarray(axes.collections[0].get_array()).reshape(41, 41), (first**2 + second**2 < 1).astype(int)
    )
    assert axes.get_aspect() == 1.0  # the circle is round


@needs_matplotlib
def test_features_on_other_scales_fill_the_picture():
    x = np.array([[0, 0], [1, 1000]], float)
    assert plot.decision_regions(inside, (x, [0, 1]), resolution=3).axes[0].get_aspect() == "auto"


@needs_matplotlib
def test_lines_are_clipped_to_the_picture(tmp_path):
    x = np.array([[-1, -1], [1, 1]], float)  # the picture goes from -1.16 to 1.16
    lines = {
        "diagonal": (0.0, 1.0, -1.0),
        "upright": en.tensor([-0.5, 1.0, 0.0]),
        "level": (1.0, 0, 4),
        "slanted": [0.58, 1.0, 0.5],
        "far": (9.0, 1.0, 1.0),
    }
    figure = plot.decision_regions(inside, (x, [0, 1]), tmp_path / "a.png", resolution=5, lines=lines)
    axes = figure.axes[0]
    drawn = {line.get_label(): np.array(line.get_data()).T for line in axes.get_lines()}
    assert list(drawn) == ["diagonal", "upright", "level", "slanted", "far (outside)"]
    assert [text.get_text() for text in axes.get_legend().get_texts()][-5:] == list(drawn)
    for name, ends in {
        "diagonal": [[-1.16, -1.16], [1.16, 1.16]],
        "upright": [[0.5, -1.16], [0.5, 1.16]],
        "level": [[-1.16, -0.25], [1.16, -0.25]],
        "slanted": [[-1.16, 1.16], [0.0, -1.16]],  # 0.58 - 1.16 + 0.58 = 0 and 0.58 + 0 - 0.58 = 0: a corner
        "far (outside)": np.empty((0, 2)),
    }.items():
        np.testing.assert_allclose(sorted(drawn[name].tolist()), ends if len(ends) else [], atol=1e-12)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 5
    assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-1.16, 1.16))


@needs_matplotlib
@pytest.mark.parametrize(
    "line", [(1.0, 0.0, 0.0), (1.0, 2.0), (math.nan, 1.0, 1.0), "abc", None, [[1.0, 2.0, 3.0, 4.0]]]
)
def test_what_is_no_line_is_refused(line):
    with pytest.raises(DataError, match=r"plot\.decision_regions: line 'mine' is (no line|not three numbers)"):
        plot.decision_regions(inside, four_points(), lines={"mine": line})


def test_what_is_no_model_is_refused():
    with pytest.raises(ArgumentError, match=r"plot\.decision_regions: model 3 was given; it is a Layer or a function"):
        plot.decision_regions(3, four_points())


# -- scatter -------------------------------------------------------------------------------------------


@needs_matplotlib
def test_a_scatter_shows_every_class_where_it_is(tmp_path, backend):
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    figure = plot.scatter(
        en.tensor(points, device=backend),
        en.tensor([2, 0, 2, 0], device=backend),
        tmp_path / "a.svg",
        class_names=("cat", "dog", "owl"),
        title="Pets",
        x_label="width",
        y_label="height",
    )
    axes = figure.axes[0]
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()) == ("Pets", "width", "height")
    found = {marks.get_label(): marks.get_offsets().tolist() for marks in axes.collections}
    assert found == {"cat": [[2, 3], [6, 7]], "dog": [], "owl": [[0, 1], [4, 5]]}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "dog", "owl"]


@needs_matplotlib
def test_twenty_classes_are_told_apart():
    labels = np.arange(20)
    axes = plot.scatter(np.random.default_rng(0).normal(size=(20, 2)), labels).axes[0]
    looks = {
        (*marks.get_facecolor()[0], *marks.get_edgecolor()[0], marks.get_paths()[0].vertices.tobytes())
        for marks in axes.collections
    }
    assert len(looks) == 20
    filled = {(*marks.get_facecolor()[0],) for marks in axes.collections[:8]}
    assert len(filled) == 8
    assert {(*marks.get_facecolor()[0],) for marks in axes.collections[8:16]} == {(1.0, 1.0, 1.0, 1.0)}  # hollow


@needs_matplotlib
def test_names_at_the_medians_do_not_lie_over_each_other():
    points = np.array([[0, 0], [1, 1], [10, 2], [0, 0], [1, 1], [9, 2], [0, 9], [5.0, 5]])
    labels = [0, 0, 0, 1, 1, 1, 3, 3]
    figure = plot.scatter(points, labels, class_names=["airplane", "automobile", "unseen", "bird"], annotated=True)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["airplane", "automobile", "bird"]
    np.testing.assert_allclose(axes.texts[2].get_position(), (2.5, 7.0))  # alone: at its median
    figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in axes.texts[:2])  # both medians are (1, 1)
    assert not first.overlaps(second)
    places = [text.get_position() for text in axes.texts[:2]]
    assert [place[0] for place in places] == pytest.approx([1.0, 1.0])
    assert (places[0][1] + places[1][1]) / 2 == pytest.approx(1.0)
    assert not plot.scatter(points, labels).axes[0].texts


@needs_matplotlib
def test_a_single_point_is_a_picture(tmp_path):
    plot.scatter([[1.0, 2.0]], [0], tmp_path / "one.pdf", annotated=True)
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("points", "labels", "options", "error", "words"),
    [
        ([[1, 2, 3]], [0], {}, ShapeError, r"points have shape \(1, 3\); they must be \(samples, 2\)"),
        (np.zeros((0, 2)), [], {}, ShapeError, "1 sample at least"),
        ([[1, math.inf]], [0], {}, DataError, "a point is not finite"),
        ([["a", "b"]], [0], {}, DataError, "points is not an array of numbers"),
        ([[1, 2]], [0, 1], {}, ShapeError, r"labels have shape \(2,\)"),
        ([[1, 2]], [-1], {}, DataError, "class numbers"),
        ([[1, 2]], [0.5], {}, DataError, "class numbers"),
        ([[1, 2]], [1], {"class_names": ("one",)}, ShapeError, "1 class names for 2 classes"),
    ],
)
def test_what_is_no_scatter_is_refused(points, labels, options, error, words):
    with pytest.raises(error, match=rf"plot\.scatter: .*{words}"):
        plot.scatter(points, labels, **options)
