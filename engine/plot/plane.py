"""What lies where in the plane? What a model says there, under the samples; and points by their class."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError, ShapeError
from engine.plot.asking import Model, Samples, around, borders, grid_of, plane_data, scores, whole_between
from engine.plot.style import (
    COLOURS,
    DASHES,
    INK,
    TEXT,
    Host,
    Path,
    beside,
    colour_of,
    dress,
    finished,
    floats,
    host,
    large_marks,
    legend,
    marker_of,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def decision_regions(
    model: Model,
    dataset: Samples,
    path: Path | None = None,
    *,
    resolution: int = 300,
    threshold: float = 0.0,
    title: str | None = None,
    lines: Mapping[str, Any] | None = None,
) -> "Figure":
    """What a model says everywhere in the plane, under the samples of a data set with two features.

    The model is asked in evaluation mode, and left in the mode in which it was. Samples that it gets wrong have a ring.

    Args:
        model: from (batch, 2) to (batch, classes), whose largest output is the class, or to (batch, 1) or (batch,): a
            Layer, or any function of a Tensor, which gets the data's dtype, on the CPU.
        dataset: a Dataset with labels, or (x, y).
        path: where to write the picture; .png, .svg or .pdf.
        resolution: points along each axis.
        threshold: with one output, class 1 is above it: 0 for logits, 0.5 for probabilities.
        title: in place of the data set's name and the share of right answers.
        lines: label -> (b, w1, w2): where b + w1 x1 + w2 x2 = 0.

    Raises:
        ShapeError: the data has not two features, or the model's output fits no class.
        DataError: the data has no classes, or no line has those three numbers.
        EngineError: as for `history`; and the model's own errors.

    Example (it needs matplotlib)::

        decision_regions(lambda x: 1 - (x * x).sum(axis=1), circle, "circle.png", lines={"half": (0.0, 1.0, 0.0)})
    """
    owner = "plot.decision_regions"
    data = plane_data(owner, dataset, ("binary", "multiclass"))
    resolution = whole_between(owner, "resolution", resolution, 2, 4000)
    drawn = {str(label): _line_numbers(owner, str(label), numbers) for label, numbers in (lines or {}).items()}
    sides = around(data.x, resolution)
    figure = new_figure(path, 8.6, 6.4)
    kind = data.x.dtype if data.x.dtype.kind == "f" else np.float32
    found = scores(owner, model, np.concatenate([data.x, grid_of(sides)]).astype(kind), threshold)
    wrong = found[: len(data)].argmax(axis=1) != data.y
    regions = found[len(data) :].reshape(resolution, resolution, -1)
    classes = max(data.classes, found.shape[1])
    names = [*(data.class_names or ()), *map(str, range(data.classes, classes))]

    from matplotlib.colors import ListedColormap

    figure.set_figwidth(max(8.6, 6.4 + beside([*names, *drawn])))
    axes = figure.add_subplot()
    x_name, y_name = data.feature_names or ("x1", "x2")
    heading = f"{data.name}: {1 - wrong.mean():.1%} right" if title is None else title
    dress(axes, heading, x_name, y_name, grid=False)
    colours = [colour_of(number) for number in range(classes)]
    areas = axes.pcolormesh(
        *sides, regions.argmax(axis=2), cmap=ListedColormap(colours), shading="nearest", alpha=0.3, linewidth=0
    )
    areas.set(clim=(-0.5, classes - 0.5), rasterized=True)
    for lead in borders(regions):
        if lead.min() < 0 < lead.max():
            axes.contour(*sides, lead, levels=[0.0], colors=INK, linewidths=1.2)
    size = float(np.clip(16000 / len(data), 8, 55))
    draw_classes(axes, data.x, data.y, names[: data.classes], size)
    if wrong.any():
        first, second = data.x[wrong].T
        rings = axes.scatter(first, second, s=3.5 * size, c="none")
        rings.set(edgecolors=INK, linewidths=1.4, label=f"wrong ({int(wrong.sum())})")
    box = [(side[0], side[-1]) for side in sides]
    for number, (label, numbers) in enumerate(drawn.items()):
        ends = within(numbers, box)
        note = "" if len(ends) else " (outside)"
        line = axes.plot(*ends.T, color=colour_of(classes + number), linewidth=2.6, label=f"{label}{note}")[0]
        line.set(linestyle=DASHES[(number + 1) % len(DASHES)])
    axes.set(xlim=box[0], ylim=box[1])
    lengths = [high - low for low, high in box]
    if max(lengths) < 2 * min(lengths):
        axes.set_aspect("equal", anchor="W")  # a circle is round
    axes.locator_params(nbins=6)
    large_marks(legend(axes, outside=True))
    return finished(figure, path)


def scatter(
    points: Any,
    labels: Any,
    path: Path | None = None,
    *,
    class_names: Sequence[str] | None = None,
    annotated: bool = False,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> "Figure":
    """Points of the plane, coloured and marked by their class: an embedding, two features.

    Args:
        points: (samples, 2).
        labels: class numbers from 0, (samples,).
        path: where to write the picture; .png, .svg or .pdf.
        class_names: one for each class; numbers where None.
        annotated: whether each class's name also stands at its median.
        title, x_label, y_label: what is written on it.

    Raises:
        ShapeError: other shapes, or too few names.
        DataError: a point is not finite, a label no class number.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        scatter([[0.0, 1.0], [2.0, 0.5]], [0, 1], "points.svg", class_names=("cat", "dog"))
    """
    owner = "plot.scatter"
    places = floats(owner, "points", points)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise ShapeError(f"{owner}: points have shape {places.shape}; they must be (samples, 2), 1 sample at least.")
    if not np.isfinite(places).all():
        raise DataError(f"{owner}: a point is not finite; leave it out.")
    numbers = host(labels)
    if numbers.shape != (len(places),):
        raise ShapeError(f"{owner}: labels have shape {numbers.shape}; they must be ({len(places)},), one a point.")
    if numbers.dtype.kind not in "iub" or numbers.min() < 0:
        raise DataError(f"{owner}: labels hold something other than class numbers, whole and from 0.")
    classes = int(numbers.max()) + 1
    names = [str(number) for number in range(classes)] if class_names is None else [str(name) for name in class_names]
    if len(names) < classes:
        raise ShapeError(f"{owner}: {len(names)} class names for {classes} classes; give one for each.")
    figure = new_figure(path, max(8.6, 6.4 + beside(names)), 6.4)
    axes = figure.add_subplot()
    dress(axes, title, x_label, y_label)
    draw_classes(axes, places, numbers, names, float(np.clip(24000 / len(places), 14, 60)))
    large_marks(legend(axes, outside=True))
    if annotated:
        present = np.unique(numbers)
        middles = np.array([np.median(places[numbers == number], axis=0) for number in present])
        _annotate(figure, axes, middles, [names[number] for number in present])
    return finished(figure, path)


def draw_classes(axes: "Axes", points: Host, labels: Host, names: Sequence[str], size: float) -> None:
    """Each class's points in its colour and with its marker; where colours come again, the marks are hollow."""
    for number, name in enumerate(names):
        first, second = points[labels == number].T
        hollow = number // len(COLOURS) % 2 == 1
        marks = axes.scatter(first, second, s=size, marker=marker_of(number), label=name, zorder=2)
        marks.set_facecolor("white" if hollow else colour_of(number))
        marks.set_edgecolor(colour_of(number) if hollow else "white")
        marks.set_linewidth(1.5 if hollow else 0.6)


def within(line: Host, box: Sequence[tuple[float, float]]) -> Host:
    """The part of b + w1 x1 + w2 x2 = 0 inside a box: its two ends, (2, 2), or none, (0, 2)."""
    bias, *weights = line
    ends = []
    for axis in (0, 1):  # where the line passes the two sides on which this coordinate is fixed
        other = 1 - axis
        if weights[other]:
            for fixed in box[axis]:
                crossing = -(bias + weights[axis] * fixed) / weights[other]
                if box[other][0] <= crossing <= box[other][1]:
                    ends.append((fixed, crossing) if axis == 0 else (crossing, fixed))
    if not ends:
        return np.empty((0, 2))
    crossings = np.array(ends)
    far = np.square(crossings - crossings[0]).sum(axis=1).argmax()  # a line through a corner passes it twice
    return crossings[[0, far]]


def _line_numbers(owner: str, label: str, given: Any) -> Host:
    numbers = floats(owner, f"line {label!r}", given, "three numbers (b, w1, w2)")
    if numbers.size != 3 or not np.isfinite(numbers).all() or not numbers.reshape(3)[1:].any():
        raise DataError(
            f"{owner}: line {label!r} is no line; give (b, w1, w2), three finite numbers, w1 and w2 not both 0."
        )
    return numbers.reshape(3)


def _annotate(figure: "Figure", axes: "Axes", places: Host, names: Sequence[str]) -> None:
    """Names at these places, moved apart, up and down, where one would lie over another."""
    texts = [
        axes.text(x, y, name, fontsize=TEXT + 1, ha="center", va="center", color=INK, fontweight="bold", zorder=4)
        for (x, y), name in zip(places, names, strict=True)
    ]
    figure.draw_without_rendering()  # only then are the sizes known
    boxes = [text.get_window_extent() for text in texts]
    centres = axes.transData.transform(places)
    reach = np.array([[box.width, box.height] for box in boxes]) / 2 + 4.0
    for _ in range(200):
        still = True
        for one, other in combinations(np.argsort(centres[:, 1], kind="stable"), 2):
            apart = np.abs(centres[other] - centres[one])
            wanted = reach[one] + reach[other]
            if (apart < wanted).all():
                push = (wanted[1] - apart[1]) / 2 + 0.5
                centres[one, 1] -= push
                centres[other, 1] += push
                still = False
        if still:
            break
    for text, centre in zip(texts, axes.transData.inverted().transform(centres), strict=True):
        text.set_position(centre)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5})
