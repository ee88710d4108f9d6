"""How do numbers go along an axis? Lines with points over them, in one picture or in several small ones."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError, ShapeError, unknown_name
from engine.plot.asking import whole_between
from engine.plot.style import (
    TITLE,
    Host,
    Path,
    all_fitted,
    arranged,
    colour_of,
    draw_line,
    dress,
    finished,
    interval,
    legend_below,
    legends,
    marker_of,
    new_figure,
    row,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Marks = dict[str, tuple[Host, Host]]


def curves(
    x: Any,
    lines: Mapping[str, Any],
    path: Path | None = None,
    *,
    title: str = "",
    x_label: str = "x",
    y_label: str = "",
    logarithmic: str = "",
    points: Mapping[str, Any] | None = None,
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """Lines over one axis.

    Args:
        x: numbers (points,), the same for all lines.
        lines: label -> numbers (points,); NaN leaves a gap.
        path: where to write the picture; .png, .svg or .pdf.
        title, x_label, y_label: what is written on it.
        logarithmic: the axes that are so: "", "x", "y" or "xy".
        points: label -> (x, y), each of numbers (points,) of its own: markers over the lines.
        limits: the y axis's (low, high); lines may leave it. None shows everything.

    Raises:
        ShapeError: a line has not as many points as x; points are no pair of equal lengths.
        DataError: no line was given, or something else than numbers.
        UnknownNameError: the axes. ArgumentError: limits that are none.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        curves([1, 2, 3], {"constant": [0.1, 0.1, 0.1], "step": [0.1, 0.1, 0.01]}, "rates.svg", x_label="epoch")
    """
    owner = "plot.curves"
    _check_axes(logarithmic)
    if not lines:
        raise DataError(f"{owner}: no line was given; give {{label: values}}.")
    places = row(owner, "x", x)
    values = _lines(owner, lines, places)
    marks = _points(owner, points)
    shown = _limits(owner, limits, logarithmic)
    figure = new_figure(path, 8.6, 5.2)
    axes = figure.add_subplot()
    dress(axes, title, x_label, y_label or (next(iter(values)) if len(values) == 1 else ""))
    numbers = {label: number for number, label in enumerate([*values, *marks])}
    _draw(axes, places, values, marks, numbers, logarithmic, shown)
    if len(values) + len(marks) > 1 or y_label:
        legends(figure, [axes], outside=len(values) + len(marks) > 4)
    return finished(figure, path)


def panels(
    x: Any,
    groups: Mapping[str, Mapping[str, Any]],
    path: Path | None = None,
    *,
    title: str = "",
    x_label: str = "x",
    y_label: str = "",
    columns: int | None = None,
    logarithmic: str = "",
    points: Mapping[str, Any] | None = None,
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """Lines over one axis, in several small pictures; a label has the same colour and dashes in all of them.

    There is one legend where all panels have the same labels, else one in each that has several lines.

    Args:
        x: numbers (points,), the same for all lines.
        groups: panel title -> label -> numbers (points,); NaN leaves a gap.
        path: where to write the picture; .png, .svg or .pdf.
        title: above all panels.
        x_label, y_label: what is written at the axes.
        columns: panels beside each other; None chooses.
        logarithmic: the axes that are so: "", "x", "y" or "xy".
        points: label -> (x, y), markers over the lines of every panel.
        limits: the (low, high) of every y axis; None shows everything.

    Raises:
        ShapeError: a line has not as many points as x; points are no pair of equal lengths.
        DataError: no line was given, or something else than numbers.
        UnknownNameError: the axes. ArgumentError: limits that are none.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        panels([-1, 0, 1], {"ReLU": {"value": [0, 0, 1]}, "identity": {"value": [-1, 0, 1]}}, "activations.svg")
    """
    owner = "plot.panels"
    _check_axes(logarithmic)
    if not groups or not all(groups.values()):
        raise DataError(f"{owner}: a panel without lines was given; give {{panel title: {{label: values}}}}.")
    places = row(owner, "x", x)
    values = {str(heading): _lines(owner, lines, places) for heading, lines in groups.items()}
    marks = _points(owner, points)
    shown = _limits(owner, limits, logarithmic)
    count = len(values)
    wide, deep = arranged(count)
    if columns is not None:
        wide = min(whole_between(owner, "columns", columns, 1, 100), count)
        deep = math.ceil(count / wide)
    labels = dict.fromkeys(label for lines in values.values() for label in lines)
    numbers: dict[str, int] = {}
    for label in labels:  # the first that no panel of this label has given to another one
        taken = {numbers[other] for lines in values.values() if label in lines for other in lines if other in numbers}
        numbers[label] = next(number for number in range(len(labels)) if number not in taken)
    numbers |= {label: max(numbers.values()) + place for place, label in enumerate(marks, start=1)}
    together = all(set(lines) == set(labels) for lines in values.values())
    width = min(4.6, 15.0 / wide) if wide > 1 else 7.4
    figure = new_figure(path, width * wide, 3.9 * deep + 0.5 * bool(title) + 0.4 * together)
    headings, size = all_fitted(list(values), width - 1.0, TITLE)
    for place, (heading, lines) in enumerate(zip(headings, values.values(), strict=True)):
        axes = figure.add_subplot(deep, wide, place + 1)
        lowest = place + wide >= count
        dress(axes, heading, x_label if lowest else "", y_label if place % wide == 0 else "", size=size)
        _draw(axes, places, lines, marks, numbers, logarithmic, shown)
    if not together:
        legends(figure, [axes for axes in figure.axes if len(axes.get_legend_handles_labels()[1]) > 1], wide)
    elif len(numbers) > 1:
        legend_below(figure, figure.axes[0])
    return finished(figure, path, title)


def _check_axes(logarithmic: str) -> None:
    if logarithmic not in ("", "x", "y", "xy"):
        raise unknown_name("logarithmic axis", logarithmic, ("x", "y", "xy"))


def _lines(owner: str, lines: Mapping[str, Any], places: Host) -> dict[str, Host]:
    values = {str(label): row(owner, str(label), numbers) for label, numbers in lines.items()}
    for label, numbers in values.items():
        if numbers.shape != places.shape:
            raise ShapeError(f"{owner}: {label} has shape {numbers.shape}, x {places.shape}; both must be equal.")
    return values


def _points(owner: str, points: Mapping[str, Any] | None) -> Marks:
    found = {}
    for label, pair in (points or {}).items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ShapeError(f"{owner}: points {str(label)!r} are not a pair; give (x, y).")
        first, second = (row(owner, f"points {str(label)!r}", numbers) for numbers in pair)
        if first.shape != second.shape:
            raise ShapeError(
                f"{owner}: points {str(label)!r} have x of shape {first.shape}, y {second.shape}; both must be equal."
            )
        found[str(label)] = (first, second)
    return found


def _limits(owner: str, limits: Any, logarithmic: str) -> tuple[float, float] | None:
    if limits is None:
        return None
    return interval(owner, "limits", limits, above=0.0 if "y" in logarithmic else -math.inf)


def _draw(
    axes: "Axes",
    places: Host,
    lines: dict[str, Host],
    marks: Marks,
    numbers: dict[str, int],
    logarithmic: str,
    limits: tuple[float, float] | None,
) -> None:
    for label, values in lines.items():
        draw_line(axes, places, values, label, numbers[label])
    for label, (first, second) in marks.items():
        number = numbers[label]
        dots = axes.scatter(first, second, s=55, c=colour_of(number), marker=marker_of(number), zorder=3)
        dots.set(edgecolors="white", linewidths=0.8, label=label)
    if "x" in logarithmic:
        axes.set_xscale("log")
    elif (places == np.round(places)).all():
        axes.locator_params(axis="x", integer=True)  # no half steps, no half epochs
    if "y" in logarithmic:
        axes.set_yscale("log")
    if limits is not None:
        axes.set_ylim(limits)
