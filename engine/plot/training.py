"""How did a training go, and what does the model get wrong? Curves by epoch, and which class is taken for which."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError, ShapeError
from engine.plot.style import (
    INK,
    POINTS,
    TEXT,
    Path,
    arranged,
    draw_line,
    dress,
    finished,
    finite,
    host,
    legends,
    new_figure,
    spans,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from engine.history import History

_WITHOUT_PANEL = ("learning_rate", "seconds")


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
    columns, lines = arranged(len(families))
    figure = new_figure(path, 6.4 * columns + 0.6 * (columns == 1), 4.6 * lines + 0.4 * bool(title))
    epochs = np.arange(1, len(history) + 1)
    for place, (family, members) in enumerate(families.items(), start=1):
        axes = figure.add_subplot(lines, columns, place)
        values = {_label(column): np.array(history[column]) for column in members}
        logarithmic = family == "loss" and spans(values.values())
        words = family.upper() if len(family) <= 3 else family.replace("_", " ")  # MAE, F1
        dress(axes, words[:1].upper() + words[1:], "epoch", words + " (logarithmic)" * logarithmic)
        for label, numbers in values.items():
            draw_line(axes, epochs, numbers, label, int(label == "validation"))
        if logarithmic:
            axes.set_yscale("log")
        axes.locator_params(axis="x", integer=True, nbins=8)
        last = len(history)
        axes.set_xlim(max(0.1, 1 - 0.03 * last), last + 0.03 * last)  # no epoch 0
        if last == 1:
            axes.set(xlim=(0, 2), xticks=[1])
        if family == "loss" and "validation" in values and np.isfinite(values["validation"]).any():
            epoch = int(np.nanargmin(finite(values["validation"])))
            best = values["validation"][epoch]
            ring = axes.plot(epoch + 1, best, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK)[0]
            ring.set(markeredgewidth=1.8, label=f"best: {best:.3g}, epoch {epoch + 1}")
    legends(figure, figure.axes, columns)
    return finished(figure, path, title)


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
    counts = host(matrix)
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
    cell = 0.8 * side * POINTS / classes
    name_size = min(TEXT, max(7.0, 0.5 * cell))
    slanted = 0.6 * name_size * longest > 0.95 * cell
    figure = new_figure(path, side + 1.6 + (longest > 3), side + 0.4 + slanted)
    axes = figure.add_subplot()
    right = f", {np.trace(counts) / total:.1%} right" if total else ""
    dress(axes, f"Confusion matrix{right}" if title is None else title, "predicted class", "true class", grid=False)
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
            colour = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, f"{counts[row, column]:g}", ha="center", va="center", color=colour, fontsize=size)
        axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03, ticks=[0, 0.5, 1])
    bar.set_label("share of the true class", fontsize=TEXT, color=INK)
    bar.ax.set_yticklabels(["0%", "50%", "100%"], fontsize=TEXT, color=INK)
    bar.outline.set_visible(False)
    return finished(figure, path)


def _label(column: str) -> str:
    return "validation" if column.startswith("validation_") else "training"
