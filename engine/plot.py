"""How do data, training and errors look? Pictures of them, with matplotlib (the extra ``plots``).

    history             loss and metrics, epoch by epoch    History.plot, the command line's run folders
    confusion_matrix    which class is taken for which      after `engine.metrics.confusion_matrix`
    decision_regions    what a model says over the plane    data sets with two features: xor, spirals, moons, ...
    curves              any lines over one axis             schedules, benchmarks, your own

Every function returns a matplotlib Figure, and writes it where a path ending in .png, .svg or .pdf is given: as a
whole, or not at all. matplotlib is imported when the first picture is made. Neither pyplot nor a global setting is
used, so nothing opens a window and your own plots stay as they are. The colours are those of Okabe and Ito (2008),
which people with any colour vision can tell apart; lines and points differ in form too.
"""

import importlib.util
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.autodiff import no_grad
from engine.data.dataset import Dataset
from engine.errors import ArgumentError, DataError, ShapeError, unknown_name
from engine.files import write_whole
from engine.layers.layer import Layer
from engine.model_summary import evaluation
from engine.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engine.history import History

__all__ = ["available", "confusion_matrix", "curves", "decision_regions", "history"]

Path = str | os.PathLike[str]
Host = np.ndarray[Any, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
FORMATS = ("png", "svg", "pdf")

_INK, _FAINT = "#222222", "#D9D9D9"
_TEXT, _TITLE = 14.0, 18.0  # points: read from the back row
_POINTS = 72  # an inch
_DOTS = 150  # an inch, in PNG
_WITHOUT_PANEL = ("learning_rate", "seconds")
_ROWS_AT_ONCE = 65536  # grid points that a model is shown at a time


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def history(history: "History", path: Path | None = None, *, title: str | None = None) -> "Figure":
    """The curves of a training: a panel for the loss and one for each metric, training beside validation.

    Learning rate and seconds have no panel; `curves` draws them. A loss that falls to less than a hundredth is drawn on
    a logarithmic axis. The best epoch of the validation loss is marked.

    Args:
        history: of one epoch at least.
        path: where to write the picture; .png, .svg or .pdf.
        title: above all panels.

    Raises:
        DataError: there is nothing to draw.
        EngineError: matplotlib is missing, the path's ending is unknown, the file cannot be written.
    """
    families: dict[str, list[str]] = {}
    for column in history.columns:
        if column not in _WITHOUT_PANEL:
            families.setdefault(column.removeprefix("validation_"), []).append(column)
    if not len(history) or not families:
        raise DataError(
            f"plot.history: a history of {len(history)} epochs; it needs one epoch with a loss or a metric."
        )
    columns = len(families) if len(families) < 4 else math.ceil(len(families) / math.ceil(len(families) / 3))
    lines = math.ceil(len(families) / columns)
    figure = _figure(path, 6.4 * columns + 0.6 * (columns == 1), 4.6 * lines + 0.4 * bool(title))
    epochs = np.arange(1, len(history) + 1)
    for place, (family, members) in enumerate(families.items(), start=1):
        axes = figure.add_subplot(lines, columns, place)
        values = {_label(column): np.array(history[column]) for column in members}
        logarithmic = family == "loss" and _spans(values.values())
        words = family.upper() if len(family) <= 3 else family.replace("_", " ")  # MAE, F1
        _dress(axes, words[:1].upper() + words[1:], "epoch", words + " (logarithmic)" * logarithmic)
        for label, numbers in values.items():
            _line(axes, epochs, numbers, label, int(label == "validation"))
        if logarithmic:
            axes.set_yscale("log")
        axes.locator_params(axis="x", integer=True, nbins=8)
        last = len(history)
        axes.set_xlim(max(0.1, 1 - 0.03 * last), last + 0.03 * last)  # no epoch 0
        if last == 1:
            axes.set(xlim=(0, 2), xticks=[1])
        if family == "loss" and "validation" in values and np.isfinite(values["validation"]).any():
            epoch = int(np.nanargmin(_finite(values["validation"])))
            best = values["validation"][epoch]
            ring = axes.plot(epoch + 1, best, "o", markersize=13, markerfacecolor="none", markeredgecolor=_INK)[0]
            ring.set(markeredgewidth=1.8, label=f"best: {best:.3g}, epoch {epoch + 1}")
        _legend(axes)
    return _finished(figure, path, title)


def confusion_matrix(
    matrix: Any, class_names: Sequence[str] | None = None, path: Path | None = None, *, title: str | None = None
) -> "Figure":
    """Which class is taken for which: colour is the share of the true class, the number is how many samples.

    Args:
        matrix: counts (classes, classes), true class by row, predicted class by column.
        class_names: one for each class; numbers where None.
        path: where to write the picture; .png, .svg or .pdf.
        title: in place of the share of right answers.

    Raises:
        ShapeError: the matrix is not square, or the names are not as many as the classes.
        DataError: a count is negative or not finite.
        EngineError: as for `history`.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError(f"plot.confusion_matrix: the matrix has shape {counts.shape}; it must be (classes, classes).")
    if counts.dtype.kind not in "iuf" or not np.isfinite(counts).all() or counts.min() < 0:
        raise DataError("plot.confusion_matrix: the matrix holds something other than counts, which are 0 or above.")
    classes = len(counts)
    names = [str(number) for number in range(classes)] if class_names is None else [str(name) for name in class_names]
    if len(names) != classes:
        raise ShapeError(f"plot.confusion_matrix: {len(names)} class names for {classes} classes; give one for each.")
    total = counts.sum()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = max(map(len, names))
    side = min(max(5.0, 0.62 * classes + 2.0), 14.0)
    cell = 0.8 * side * _POINTS / classes
    name_size = min(_TEXT, max(7.0, 0.5 * cell))
    slanted = 0.6 * name_size * longest > 0.95 * cell
    figure = _figure(path, side + 1.6 + (longest > 3), side + 0.4 + slanted)
    axes = figure.add_subplot()
    right = f", {np.trace(counts) / total:.1%} right" if total else ""
    _dress(axes, f"Confusion matrix{right}" if title is None else title, "predicted class", "true class", grid=False)
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    size = min(22.0, 0.45 * cell, cell / len(f"{counts.max():g}"))
    ticks = range(0, classes, max(1, math.ceil(classes / 40)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(list(ticks), [names[tick] for tick in ticks])
    axes.tick_params(length=0, labelsize=name_size)
    if slanted:
        for text in axes.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor")
    if classes <= 30:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if share[row, column] > 0.55 else _INK
            axes.text(column, row, f"{counts[row, column]:g}", ha="center", va="center", color=colour, fontsize=size)
        axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03, ticks=[0, 0.5, 1])
    bar.set_label("share of the true class", fontsize=_TEXT, color=_INK)
    bar.ax.set_yticklabels(["0%", "50%", "100%"], fontsize=_TEXT, color=_INK)
    bar.outline.set_visible(False)
    return _finished(figure, path)


def decision_regions(
    model: Layer,
    dataset: Dataset | tuple[Any, Any],
    path: Path | None = None,
    *,
    resolution: int = 300,
    threshold: float = 0.0,
    title: str | None = None,
) -> "Figure":
    """What a model says everywhere in the plane, under the samples of a data set with two features.

    The model is asked in evaluation mode, and left in the mode in which it was. Samples that it gets wrong have a ring.

    Args:
        model: from (batch, 2) to (batch, classes), whose largest output is the class, or to (batch, 1) or (batch,).
        dataset: a Dataset with labels, or (x, y).
        path: where to write the picture; .png, .svg or .pdf.
        resolution: points along each axis.
        threshold: with one output, class 1 is above it: 0 for logits, 0.5 for probabilities.
        title: in place of the data set's name and the share of right answers.

    Raises:
        ShapeError: the data has not two features, or the model's output fits no class.
        DataError: the data has no classes.
        EngineError: as for `history`; and the model's own errors.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset(*dataset)
    if data.x.ndim != 2 or data.features != 2:
        raise ShapeError(f"plot.decision_regions: {data.name} has x of shape {data.x.shape}; it must be (samples, 2).")
    if data.task not in ("binary", "multiclass"):
        raise DataError(f"plot.decision_regions: {data.name} is a {data.task} task; allowed are binary and multiclass.")
    if isinstance(resolution, bool) or not isinstance(resolution, (int, np.integer)) or not 2 <= resolution <= 4000:
        raise ArgumentError(
            f"plot.decision_regions: resolution {resolution!r} was given; it is a number from 2 to 4000."
        )
    lowest, highest = data.x.min(axis=0).astype(float), data.x.max(axis=0).astype(float)
    margin = 0.08 * np.where(highest > lowest, highest - lowest, 1.0)
    sides = [np.linspace(lowest[axis] - margin[axis], highest[axis] + margin[axis], resolution) for axis in (0, 1)]
    figure = _figure(path, 8.6, 6.4)
    grid = np.stack([one.ravel() for one in np.meshgrid(*sides)], axis=1)
    kind = data.x.dtype if data.x.dtype.kind == "f" else np.float32
    scores = _scores(model, np.concatenate([data.x, grid]).astype(kind), threshold)
    wrong = scores[: len(data)].argmax(axis=1) != data.y
    regions = scores[len(data) :].reshape(resolution, resolution, -1)
    classes = max(data.classes, scores.shape[1])
    names = [*(data.class_names or ()), *map(str, range(data.classes, classes))]

    from matplotlib.colors import ListedColormap

    axes = figure.add_subplot()
    x_name, y_name = data.feature_names or ("x1", "x2")
    heading = f"{data.name}: {1 - wrong.mean():.1%} right" if title is None else title
    _dress(axes, heading, x_name, y_name, grid=False)
    colours = [COLOURS[number % len(COLOURS)] for number in range(classes)]
    areas = axes.pcolormesh(
        *sides, regions.argmax(axis=2), cmap=ListedColormap(colours), shading="nearest", alpha=0.3, linewidth=0
    )
    areas.set(clim=(-0.5, classes - 0.5), rasterized=True)
    for number in range(scores.shape[1]):  # the border of a class: where its score is that of the best other class
        with np.errstate(invalid="ignore"):  # two infinite scores have no difference
            lead = regions[:, :, number] - np.delete(regions, number, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            axes.contour(*sides, lead, levels=[0.0], colors=_INK, linewidths=1.2)
    size = float(np.clip(16000 / len(data), 8, 55))
    for number in range(data.classes):
        first, second = data.x[data.y == number].T
        points = axes.scatter(first, second, s=size, c=colours[number], marker=MARKERS[number % len(MARKERS)])
        points.set(edgecolors="white", linewidths=0.6, label=names[number])
    if wrong.any():
        first, second = data.x[wrong].T
        rings = axes.scatter(first, second, s=3.5 * size, c="none")
        rings.set(edgecolors=_INK, linewidths=1.4, label=f"wrong ({int(wrong.sum())})")
    axes.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    axes.locator_params(nbins=6)
    legend = _legend(axes, outside=True)
    for handle in legend.legend_handles:
        handle.set_sizes([70.0])
    return _finished(figure, path)


def curves(
    x: Any,
    lines: Mapping[str, Any],
    path: Path | None = None,
    *,
    title: str = "",
    x_label: str = "x",
    y_label: str = "",
    logarithmic: str = "",
) -> "Figure":
    """Lines over one axis.

    Args:
        x: numbers (points,), the same for all lines.
        lines: label -> numbers (points,); NaN leaves a gap.
        path: where to write the picture; .png, .svg or .pdf.
        title, x_label, y_label: what is written on it.
        logarithmic: the axes that are so: "", "x", "y" or "xy".

    Raises:
        ShapeError: a line has not as many points as x.
        UnknownNameError: the axes.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        curves([1, 2, 3], {"constant": [0.1, 0.1, 0.1], "step": [0.1, 0.1, 0.01]}, "rates.svg", x_label="epoch")
    """
    if logarithmic not in ("", "x", "y", "xy"):
        raise unknown_name("logarithmic axis", logarithmic, ("x", "y", "xy"))
    if not lines:
        raise DataError("plot.curves: no line was given; give {label: values}.")
    places = _numbers("x", x)
    values = {str(label): _numbers(str(label), numbers) for label, numbers in lines.items()}
    for label, numbers in values.items():
        if numbers.shape != places.shape:
            raise ShapeError(f"plot.curves: {label} has shape {numbers.shape}, x {places.shape}; both must be equal.")
    figure = _figure(path, 8.6, 5.2)
    axes = figure.add_subplot()
    _dress(axes, title, x_label, y_label or (next(iter(values)) if len(values) == 1 else ""))
    for number, (label, numbers) in enumerate(values.items()):
        _line(axes, places, numbers, label, number)
    if "x" in logarithmic:
        axes.set_xscale("log")
    if "y" in logarithmic:
        axes.set_yscale("log")
    if len(values) > 1 or y_label:
        _legend(axes, outside=len(values) > 4)
    return _finished(figure, path)


# -- what the pictures share ---------------------------------------------------------------------------


def _numbers(name: str, values: Any) -> Host:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"plot.curves: {name} is not a row of numbers.") from None
    if numbers.ndim != 1 or not numbers.size:
        raise ShapeError(f"plot.curves: {name} has shape {numbers.shape}; it must be (points,), 1 point at least.")
    return numbers


def _scores(model: Layer, points: Host, threshold: float) -> Host:
    """A score for every point and class, the largest that of the answer, by the model in evaluation mode."""
    floats = [member.dtype for _, member in model.named_members() if member.dtype.kind == "f"]
    parts = []
    with evaluation(model), no_grad():
        for start in range(0, len(points), _ROWS_AT_ONCE):
            some = Tensor(
                points[start : start + _ROWS_AT_ONCE], dtype=floats[0] if floats else None, device=model.device
            )
            output = model(some).numpy()
            if output.size == len(some):
                parts.append(np.stack([np.full(len(some), threshold), output.reshape(-1)], axis=1))
            elif output.ndim == 2 and len(output) == len(some):
                parts.append(output)
            else:
                raise ShapeError(
                    f"plot.decision_regions: the model turns {some.shape} into {output.shape}; "
                    "it must give (batch, classes) or one output a sample."
                )
    return np.concatenate(parts)


def _label(column: str) -> str:
    return "validation" if column.startswith("validation_") else "training"


def _finite(values: Host) -> Host:
    return np.where(np.isfinite(values), values, np.nan)


def _spans(lines: Iterable[Host]) -> bool:
    """Whether the values, all above 0, span more than two decades."""
    finite = np.concatenate([line[np.isfinite(line)] for line in lines])
    return bool(finite.size and finite.min() > 0 and finite.max() > 100 * finite.min())


def _figure(path: Path | None, width: float, height: float) -> "Figure":
    """An empty Figure, once it is known that it can be drawn and written."""
    if path is not None:
        _format(path)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ArgumentError(
            'a picture needs matplotlib, which is not installed. Use pip install "chalkgrad[plots]".'
        ) from None
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14, wspace=0.03, hspace=0.05)
    return Figure(figsize=(width, height), dpi=_DOTS, layout=room, facecolor="white")


def _format(path: Path) -> str:
    ending = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if ending not in FORMATS:
        given = f"ends in .{ending}" if ending else "has no ending"
        raise ArgumentError(f"picture {os.fspath(path)!r} {given}; allowed are .png, .svg and .pdf.")
    return ending


def _dress(axes: "Axes", title: str, x_label: str, y_label: str, grid: bool = True) -> None:
    axes.set_title(title, fontsize=_TITLE, color=_INK, pad=12, loc="left", fontweight="bold")
    axes.set_xlabel(x_label, fontsize=_TEXT, color=_INK)
    axes.set_ylabel(y_label, fontsize=_TEXT, color=_INK)
    axes.tick_params(labelsize=_TEXT, colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=_FAINT, linewidth=0.8)


def _line(axes: "Axes", x: Host, y: Host, label: str, number: int) -> None:
    few = np.isfinite(y).sum() <= 30
    line = axes.plot(x, _finite(y), color=COLOURS[number % len(COLOURS)], linewidth=2.4, label=label)[0]
    line.set(linestyle=DASHES[number % len(DASHES)], marker=MARKERS[number % len(MARKERS)] if few else "", markersize=6)


def _legend(axes: "Axes", outside: bool = False) -> Any:
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if outside else {"loc": "best"}
    return axes.legend(fontsize=_TEXT, labelcolor=_INK, frameon=not outside, framealpha=0.85, edgecolor="none", **place)


def _finished(figure: "Figure", path: Path | None, title: str | None = None) -> "Figure":
    if title:
        figure.suptitle(title, fontsize=_TITLE, color=_INK, fontweight="bold")
    if path is not None:
        content = io.BytesIO()
        figure.savefig(content, format=_format(path), dpi=_DOTS)
        write_whole(path, content.getvalue())
    return figure
