"""What do a network's layers do with the plane? Each unit's function over it, and how each layer bends it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.dataset import Dataset
from engine.errors import ArgumentError, DataError, ShapeError
from engine.layers.activation import Activation
from engine.layers.container import Sequential
from engine.layers.layer import Layer
from engine.layers.linear import Linear, Maxout
from engine.plot.asking import Samples, around, as_scores, borders, grid_of, plane_data, stages, whole_between
from engine.plot.plane import draw_classes
from engine.plot.style import (
    COLOURS,
    INK,
    TEXT,
    Host,
    Path,
    around_zero,
    arranged,
    colour_of,
    dress,
    finished,
    fitted,
    large_marks,
    legend_below,
    new_figure,
)
from engine.settings import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_UNITS = 8  # of a layer, that are drawn
_TASKS = ("binary", "multiclass", "regression")
_MAP, _GAP, _BETWEEN, _OUTPUT = 1.15, 0.12, 0.95, 4.2  # inches: a map, below it, beside it, the output's map
_FINE = 10  # points of a grid's line from crossing to crossing
_LEVEL, _UPRIGHT = "#B8B8B8", "#7A7A7A"  # a grid's lines
_BORDER = 200  # points each way, between which the model's border is found


def neurons(
    model: Sequential,
    data: Samples,
    path: Path | None = None,
    *,
    resolution: int = 80,
    title: str = "",
    threshold: float = 0.0,
) -> "Figure":
    """The function of every unit, as a little map of the plane: what it gives for each (x1, x2).

    A column for the inputs, one for each activation layer (Maxout counts), and the output with the samples on it. Blue
    is below 0, white 0, orange above; each map has its own largest value as its scale. Where a Linear alone leads from
    a column to the next one, lines show its weights: the wider, the larger; blue and dashed ones are below 0.

    Args:
        model: from (batch, 2); asked in evaluation mode, and left in the mode in which it was.
        data: a Dataset with two features, or (x, y).
        path: where to write the picture; .png, .svg or .pdf.
        resolution: points along each axis of a map.
        title: above the picture.
        threshold: with one output and two classes, class 1 is above it: 0 for logits, 0.5 for probabilities.

    Raises:
        ArgumentError: the model is no Sequential.
        ShapeError: the data has not two features; the model gives neither one output nor one for each class.
        DataError: several labels a sample.
        EngineError: as for `history`; and the model's own errors.

    Example (it needs matplotlib)::

        neurons(Sequential(Linear(2, 4), Tanh(), Linear(4, 1)), spirals, "neurons.png")
    """
    owner = "plot.neurons"
    parts = _chain(owner, model)
    samples = plane_data(owner, data, _TASKS)
    resolution = whole_between(owner, "resolution", resolution, 2, 1000)
    sides = around(samples.x, resolution)
    grid = grid_of(sides)
    outputs = stages(model, parts, grid.astype(_kind(samples)))
    if not _answers(outputs[-1], samples):
        raise ShapeError(
            f"{owner}: the model turns {grid.shape} into {outputs[-1].shape}; it must give one output a sample, or "
            "one for each class."
        )
    stops = [place for place in _activations(parts) if place < len(parts) - 1]
    columns = [("inputs", grid.T)]
    for place in stops:
        units = _flat(outputs[place]).T
        count = f"{_MOST_UNITS} of {len(units)}" if len(units) > _MOST_UNITS else str(len(units))
        heading = f"{type(parts[place]).__name__}\n{count} unit{'s' * (len(units) != 1)}"
        columns.append((heading, units[:_MOST_UNITS]))
    step = _MAP + _GAP  # inches, as all of these
    half = step * max(len(maps) for _, maps in columns) / 2
    middle = max(half + 0.1, _OUTPUT / 2 + 0.95)
    height = middle + max(half + 0.65, _OUTPUT / 2 + 0.4) + 0.5 * bool(title)
    left = [0.5 + (_MAP + _BETWEEN) * number for number in range(len(columns) + 1)]
    beside = max([1.2, *(0.7 + 0.11 * len(name) for name in samples.class_names or ())])
    figure = new_figure(path, left[-1] + _OUTPUT + beside, height)
    figure.set_layout_engine("none")  # every place is known
    rows: list[list[float]] = []  # the middles of a column's maps
    for start, (heading, maps) in zip(left, columns, strict=False):
        top = middle + step * len(maps) / 2
        rows.append([top - step * place - _MAP / 2 for place in range(len(maps))])
        text = figure.text(*_share(figure, start + _MAP / 2, top + 0.08), heading, fontsize=TEXT, color=INK)
        text.set(ha="center", va="bottom")
        for row, values in zip(rows[-1], maps, strict=True):
            axes = figure.add_axes((*_share(figure, start, row - _MAP / 2), *_share(figure, _MAP, _MAP)))
            _map(axes, values.reshape(resolution, resolution), sides)
    names = samples.feature_names or ("x1", "x2")
    for axes, name in zip(figure.axes, names, strict=False):
        words, size = fitted(name, _MAP, TEXT, 10.0)
        axes.set_ylabel(words, fontsize=size, color=INK)
    for number, (first, last) in enumerate(zip([-1, *stops], [*stops, len(parts)], strict=True)):
        links = [layer for layer in parts[first + 1 : last] if not isinstance(layer, Activation)]
        ends = [middle] if last == len(parts) else rows[number + 1]
        if len(links) == 1 and isinstance(links[0], Linear) and (last < len(parts) or links[0].out_features == 1):
            across = (left[number] + _MAP + 0.05, left[number + 1] - 0.05)
            _weights(figure, links[0].weight.numpy(), across, rows[number], ends)
    axes = figure.add_axes((*_share(figure, left[-1], middle - _OUTPUT / 2), *_share(figure, _OUTPUT, _OUTPUT)))
    _output(axes, outputs[-1], sides, samples, threshold)
    axes.set_title("output", fontsize=TEXT, color=INK, pad=8)
    words, size = fitted(f"{names[0]} across, {names[1]} up", _OUTPUT + 0.8, TEXT)
    axes.set_xlabel(words, fontsize=size, color=INK)
    return finished(figure, path, title)


def folding(
    model: Sequential,
    data: Samples,
    path: Path | None = None,
    *,
    lines: int = 21,
    title: str = "",
    threshold: float = 0.0,
) -> "Figure":
    """How a network folds the plane: a grid and the samples, carried through its layers.

    A panel shows the inputs, and one what comes after each activation layer (Maxout counts). A layer of 2 units is
    shown as it is, with a black line where what follows changes its answer; one of more units in the first two
    principal directions of its samples; one of a single unit along its axis, the classes above each other.

    Args:
        model: from (batch, 2); asked in evaluation mode, and left in the mode in which it was.
        data: a Dataset with two features, or (x, y).
        path: where to write the picture; .png, .svg or .pdf.
        lines: the grid's, each way.
        title: above the picture.
        threshold: with one output and two classes, class 1 is above it: 0 for logits, 0.5 for probabilities.

    Raises:
        ArgumentError: the model is no Sequential, or has no activation layer.
        ShapeError: the data has not two features.
        DataError: several labels a sample; a layer's output is not finite.
        EngineError: as for `history`; and the model's own errors.

    Example (it needs matplotlib)::

        folding(Sequential(Linear(2, 2), Tanh(), Linear(2, 1)), moons, "folding.png")
    """
    owner = "plot.folding"
    parts = _chain(owner, model)
    samples = plane_data(owner, data, _TASKS)
    lines = whole_between(owner, "lines", lines, 2, 200)
    stops = _activations(parts)
    if not stops:
        raise ArgumentError(f"{owner}: the model has no activation layer, so that nothing is folded; add one.")
    sides = around(samples.x, _FINE * (lines - 1) + 1)
    mesh = np.stack(np.meshgrid(*sides), axis=2)  # (rows, columns, 2)
    threads = np.stack([mesh[::_FINE], mesh[:, ::_FINE].transpose(1, 0, 2)])  # (2 ways, lines, points, 2)
    points = np.concatenate([samples.x, threads.reshape(-1, 2)]).astype(_kind(samples))
    outputs = stages(model, parts, points)
    labelled = samples.task != "regression"
    asked = labelled and _answers(outputs[-1], samples)
    columns, rows = arranged(len(stops) + 1)
    figure = new_figure(path, 4.8 * columns, 4.4 * rows + 0.8 + 0.5 * bool(title))
    for number, place in enumerate([-1, *stops]):
        name = f"{number}: {type(parts[place]).__name__}" if number else "inputs"
        flat = _flat(outputs[place]) if number else points.astype(float)
        if not np.isfinite(flat).all():
            raise DataError(f"{owner}: a value after layer {name} is not finite. Train the model in smaller steps.")
        axes = figure.add_subplot(rows, columns, number + 1)
        marks = _fold(axes, flat, samples, threads.shape[:3], name, first=not number)
        rest = parts[place + 1 :]
        if flat.shape[1] == 2 and rest and asked:
            corners = [np.linspace(*limits, _BORDER) for limits in (axes.get_xlim(), axes.get_ylim())]
            plane = grid_of(corners).astype(points.dtype)
            answers = as_scores(owner, stages(model, rest, plane)[-1], plane, threshold)
            _draw_borders(axes, answers.reshape(_BORDER, _BORDER, -1), corners)
    if labelled:
        legend_below(figure, figure.axes[0])
    else:
        bar = figure.colorbar(marks, ax=figure.axes, fraction=0.02, pad=0.01)
        bar.set_label("target", fontsize=TEXT, color=INK)
        bar.ax.tick_params(labelsize=TEXT, colors=INK)
    return finished(figure, path, title)


# -- what both need ------------------------------------------------------------------------------------


def _chain(owner: str, model: Any) -> list[Layer]:
    """The layers in their order, those of a Sequential in a Sequential too."""
    if not isinstance(model, Sequential) or not len(model):
        raise ArgumentError(f"{owner}: model {shown(model)} was given; it is a Sequential of layers.")
    return list(_links(model))


def _links(chain: Sequential) -> Iterator[Layer]:
    for layer in chain:
        if isinstance(layer, Sequential):
            yield from _links(layer)
        else:
            yield layer


def _activations(parts: Sequence[Layer]) -> list[int]:
    return [place for place, layer in enumerate(parts) if isinstance(layer, (Activation, Maxout))]


def _kind(data: Dataset) -> Any:
    return data.x.dtype if data.x.dtype.kind == "f" else np.float32


def _flat(output: Host) -> Host:
    return output.reshape(len(output), -1).astype(float)


def _answers(output: Host, samples: Dataset) -> bool:
    """Whether it is one output a sample, or one at least for each class."""
    if output.size == len(output):
        return True
    return samples.task != "regression" and output.ndim == 2 and output.shape[1] >= samples.classes


def _draw_borders(axes: "Axes", answers: Host, sides: Sequence[Host]) -> None:
    """Lines where the answer changes, of scores (rows, columns, classes)."""
    for lead in borders(answers):
        if lead.min() < 0 < lead.max():
            axes.contour(*sides, lead, levels=[0.0], colors=INK, linewidths=1.8)


def _draw_samples(axes: "Axes", places: Host, samples: Dataset, scale: float = 0.0) -> Any:
    """Each sample in its class's colour and form; where it has none, in its target's colour: these marks come back."""
    size = float(np.clip(9000 / len(samples), 8, 40))
    if samples.task != "regression":
        draw_classes(axes, places, samples.y, list(samples.class_names or ()), size)
        return None
    targets = _flat(samples.y)[:, 0]
    scale = scale or float(np.abs(targets).max()) or 1.0
    first, second = places.T
    marks = axes.scatter(first, second, s=size, c=targets, cmap=around_zero(), vmin=-scale, vmax=scale, zorder=2)
    marks.set(edgecolors=INK, linewidths=0.6)
    return marks


# -- every neuron's function ---------------------------------------------------------------------------


def _share(figure: "Figure", across: float, up: float) -> tuple[float, float]:
    """Inches as shares of the figure's width and height."""
    return across / figure.get_figwidth(), up / figure.get_figheight()


def _map(axes: "Axes", values: Host, sides: Sequence[Host], centre: float = 0.0, least: float = 0.0) -> Any:
    """Values in colours, which reach so far at least from the one at the centre."""
    known = np.abs(values[np.isfinite(values)] - centre)
    scale = max(least, float(known.max(initial=0.0))) or 1.0
    drawn = _image(axes, values, sides, around_zero(), (centre - scale, centre + scale))
    drawn.set_interpolation("bilinear")
    return drawn


def _image(axes: "Axes", values: Host, sides: Sequence[Host], colours: Any, limits: tuple[float, float]) -> Any:
    low, high = limits
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=high, extent=extent, origin="lower", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=INK, linewidth=0.6)
    return drawn


def _weights(
    figure: "Figure", weight: Host, across: tuple[float, float], starts: Sequence[float], ends: Sequence[float]
) -> None:
    """A line for each weight (inputs, outputs) between units that are drawn; places in inches."""
    from matplotlib.lines import Line2D

    largest = float(np.abs(weight).max()) or 1.0
    for start, row in zip(starts, weight, strict=False):
        for end, value in zip(ends, row, strict=False):
            places = zip(_share(figure, across[0], start), _share(figure, across[1], end), strict=True)
            line = Line2D(*places, color=COLOURS[int(value > 0)], linestyle="-" if value > 0 else "--", alpha=0.75)
            line.set(linewidth=0.3 + 4.0 * abs(float(value)) / largest, transform=figure.transFigure)
            figure.add_artist(line)


def _output(axes: "Axes", output: Host, sides: Sequence[Host], samples: Dataset, threshold: float) -> None:
    """What the model gives, under the samples: one output as a map, several as the regions of their classes."""
    from matplotlib.colors import ListedColormap

    shape = (len(sides[1]), len(sides[0]))
    single, labelled = output.size == len(output), samples.task != "regression"
    scale = 0.0
    if single:
        reach = 0.0 if labelled else float(np.abs(samples.y).max())
        drawn = _map(axes, output.reshape(shape).astype(float), sides, threshold if labelled else 0.0, reach)
        drawn.set_alpha(0.7 if labelled else 1.0)  # classes have the colours at the map's ends
        scale = float(drawn.norm.vmax)
        bar = axes.figure.colorbar(drawn, cax=axes.inset_axes((1.04, 0.0, 0.06, 1.0)))
        bar.ax.tick_params(labelsize=TEXT, colors=INK)
        bar.ax.locator_params(axis="y", nbins=6)
    answers = as_scores("plot.neurons", output, output, threshold).reshape(*shape, -1) if labelled else None
    if answers is not None and not single:
        count = answers.shape[2]
        colours = ListedColormap([colour_of(number) for number in range(count)])
        _image(axes, answers.argmax(axis=2), sides, colours, (-0.5, count - 0.5)).set_alpha(0.3)
    _draw_samples(axes, samples.x, samples, scale)
    if answers is not None:
        _draw_borders(axes, answers, sides)
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.09), "ncols": 3}
        place = below if single else {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        large_marks(axes.legend(fontsize=TEXT, labelcolor=INK, frameon=False, handletextpad=0.2, **place))


# -- the folded plane ----------------------------------------------------------------------------------


def _fold(axes: "Axes", flat: Host, samples: Dataset, shape: tuple[int, ...], heading: str, first: bool) -> Any:
    """The samples, then the points of the grid's lines, (points, units), as a panel shows them; the samples' marks."""
    count, units = len(samples), flat.shape[1]
    labels: tuple[str, ...] = ("unit 1", "unit 2")
    if first:
        labels = samples.feature_names or ("x1", "x2")
    elif units == 1:
        heading += ", 1 unit"
        labels = ("unit 1", "class" if samples.task != "regression" else "target")
        beside = _flat(samples.y)[:, :1]
        places = np.concatenate([flat[:count], beside], axis=1)
    elif units > 2:
        plane, share = _principal(flat[:count])
        flat = (flat - flat[:count].mean(axis=0)) @ plane
        heading += f", {units} units\nin 2 principal directions ({share:.0%})"
        labels = ("direction 1", "direction 2")
    dress(axes, heading, labels[0], labels[1], grid=False, size=15.0)
    if flat.shape[1] == 2:
        places = flat[:count]
        for lines, colour in zip(flat[count:].reshape(*shape, 2), (_LEVEL, _UPRIGHT), strict=True):
            for line in lines:
                axes.plot(*line.T, color=colour, linewidth=0.9, zorder=1)
    marks = _draw_samples(axes, places, samples)
    axes.locator_params(nbins=5)
    if units == 1 and samples.task != "regression":
        axes.set_yticks(range(samples.classes), list(samples.class_names or ()))
        axes.set_ylim(-0.5, samples.classes - 0.5)
    return marks


def _principal(points: Host) -> tuple[Host, float]:
    """The two directions (units, 2) in which points vary most, and their share in all that they vary.

    A direction's sign is that in which its largest component is above 0.
    """
    _, spread, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    plane = np.zeros((points.shape[1], 2))
    plane[:, : len(directions[:2])] = directions[:2].T  # a single sample has one direction
    largest = np.abs(plane).argmax(axis=0)
    plane *= np.where(plane[largest, [0, 1]] < 0, -1.0, 1.0)
    variances = np.square(spread)
    return plane, float(variances[:2].sum() / variances.sum()) if variances.any() else 1.0
