"""What does a loss look like over two weights? Its contours, the surface itself, and how descents go down on it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError, ShapeError, unknown_name
from engine.plot.style import (
    DASHES,
    INK,
    TEXT,
    Host,
    Path,
    dress,
    finished,
    finite,
    floats,
    legend_below,
    new_figure,
    row,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = 20  # of the contours
_STEPS = (1, 2, 2.5, 5, 10)  # between nice numbers
_PATHS = ("#D55E00", "#000000", "#CC79A7", "#009E73", "#E69F00", "#0072B2")  # those far from the map's colours first
_VIEWS = ("both", "contours")


def surface(
    x: Any,
    y: Any,
    heights: Any,
    path: Path | None = None,
    *,
    paths: Mapping[str, Any] | None = None,
    title: str = "",
    x_label: str = "w1",
    y_label: str = "w2",
    z_label: str = "loss",
    logarithmic: bool = False,
    view: str = "both",
) -> "Figure":
    """A function of two numbers: the surface, and its contours with the paths of descents on it.

    Args:
        x, y: the grid's places (x points,), (y points,), rising, 2 at least.
        heights: the function there (y points, x points); what is not finite is left out.
        path: where to write the picture; .png, .svg or .pdf.
        paths: label -> (steps, 2), places one after the other; a ring is where one starts, a star where it ends.
        title: above the picture.
        x_label, y_label, z_label: what is written at the axes.
        logarithmic: whether heights are shown by their logarithm; they must be above 0 then.
        view: "both" is the surface beside its contours, "contours" these alone.

    Raises:
        ShapeError: heights that do not fit x and y, a path that is not (steps, 2).
        DataError: x or y do not rise, no height is finite, or one is 0 or below where it is logarithmic.
        UnknownNameError: the view.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        w = numpy.linspace(-2, 2, 50)
        surface(w, w, w**2 + 3 * w[:, None] ** 2, "bowl.png", paths={"descent": [(2, 1), (1, 0.2), (0.5, 0)]})
    """
    owner = "plot.surface"
    if view not in _VIEWS:
        raise unknown_name(f"{owner}: view", str(view), _VIEWS)
    sides = [_rising(owner, name, places) for name, places in (("x", x), ("y", y))]
    shape = (len(sides[1]), len(sides[0]))
    raw = floats(owner, "heights", heights)
    if raw.shape != shape:
        raise ShapeError(f"{owner}: heights have shape {raw.shape}; they must be (y points, x points), {shape} here.")
    field = finite(raw)
    if np.isnan(field).all():
        raise DataError(f"{owner}: no height is finite; there is nothing to draw.")
    if logarithmic and np.nanmin(field) <= 0:
        raise DataError(
            f"{owner}: the least height is {np.nanmin(field):g}, which has no logarithm. Use logarithmic=False."
        )
    routes = {str(label): _route(owner, str(label), steps) for label, steps in (paths or {}).items()}
    both = view == "both"
    figure = new_figure(path, 13.4 if both else 8.6, (5.6 if both else 6.2) + 0.5 * bool(routes))
    if both:
        relief = figure.add_subplot(1, 2, 1, projection="3d", computed_zorder=False)  # the paths are in front
        _relief(relief, sides, field, routes, logarithmic)
        named: dict[str, Any] = {"fontsize": TEXT, "color": INK, "labelpad": 12}
        relief.set_xlabel(x_label, **named)
        relief.set_ylabel(y_label, **named)
        relief.set_zlabel(f"log10 of {z_label}" if logarithmic else z_label, **named)
    axes = figure.add_subplot(1, 1 + both, 1 + both)
    dress(axes, "" if both else title, x_label, y_label, grid=False)
    _contours(axes, sides, field, routes, logarithmic, z_label)
    if routes:
        legend_below(figure, axes)
    return finished(figure, path, title if both else None)


def _rising(owner: str, name: str, values: Any) -> Host:
    places = row(owner, name, values)
    if len(places) < 2 or not (np.diff(places) > 0).all():
        raise DataError(f"{owner}: {name} does not rise from point to point; give 2 or more places in order.")
    return places


def _route(owner: str, label: str, values: Any) -> Host:
    steps = floats(owner, f"path {label!r}", values)
    if steps.ndim != 2 or steps.shape[1] != 2 or not len(steps):
        raise ShapeError(f"{owner}: path {label!r} has shape {steps.shape}; it must be (steps, 2), 1 step at least.")
    return finite(steps)


def _levels(field: Host, logarithmic: bool) -> Host:
    from matplotlib.ticker import MaxNLocator

    low, high = float(np.nanmin(field)), float(np.nanmax(field))
    if not low < high:
        return np.array([low - 0.5 * abs(low), low + 0.5 * abs(low)]) if low else np.array([-0.5, 0.5])
    if logarithmic:
        return np.geomspace(low, high, _LEVELS)
    return np.asarray(MaxNLocator(_LEVELS, steps=_STEPS).tick_values(low, high))


def _contours(
    axes: "Axes", sides: list[Host], field: Host, routes: dict[str, Host], logarithmic: bool, z_label: str
) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    levels, known = _levels(field, logarithmic), np.ma.masked_invalid(field)
    norm = LogNorm(levels[0], levels[-1]) if logarithmic else None
    areas = axes.contourf(*sides, known, levels=levels, cmap="Blues", norm=norm)
    areas.set(rasterized=True)
    axes.contour(*sides, known, levels=levels[1:-1], colors=INK, linewidths=0.5, alpha=0.5)
    bar = axes.figure.colorbar(areas, ax=axes, fraction=0.05, pad=0.03)
    if logarithmic and levels[-1] >= 100 * levels[0]:
        bar.ax.yaxis.set_major_locator(LogLocator())
    else:
        nice = MaxNLocator(6).tick_values(levels[0], levels[-1])
        bar.set_ticks(nice[(levels[0] <= nice) & (nice <= levels[-1])])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label(z_label + " (logarithmic)" * logarithmic, fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=TEXT, colors=INK)
    bar.outline.set_visible(False)
    for number, (label, steps) in enumerate(routes.items()):
        colour = _PATHS[number % len(_PATHS)]
        line = axes.plot(*steps.T, color=colour, linewidth=2.4, label=label)[0]
        line.set(linestyle=DASHES[number % len(DASHES)], marker="." if len(steps) <= 60 else "", markersize=7)
        _ends(axes, steps.T, colour)
    axes.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    axes.locator_params(nbins=5)
    axes.tick_params(pad=6)


def _ends(axes: Any, places: Host, colour: str) -> None:
    """A ring where a path (2 or 3, steps) starts, a star where it ends."""
    start = axes.plot(*places[:, :1], "o", markersize=11, markerfacecolor="white", markeredgecolor=colour, zorder=6)[0]
    start.set_markeredgewidth(2.2)
    axes.plot(*places[:, -1:], "*", markersize=17, markerfacecolor=colour, markeredgecolor="white", zorder=6)


def _relief(axes: Any, sides: list[Host], field: Host, routes: dict[str, Host], logarithmic: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    shown = np.log10(field) if logarithmic else field
    across, along = np.meshgrid(*sides)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    span = {"vmin": low, "vmax": high} if low < high else {"vmin": low - 1, "vmax": low + 1}
    axes.plot_surface(across, along, shown, cmap="Blues", rcount=60, ccount=60, linewidth=0, alpha=0.9, **span)
    for number, steps in enumerate(routes.values()):
        height = _height(sides, shown, steps)
        places = np.where(np.isfinite(height), np.vstack([steps.T, height]), np.nan)
        colour = _PATHS[number % len(_PATHS)]
        axes.plot(*places, color=colour, linewidth=2.4, linestyle=DASHES[number % len(DASHES)], zorder=5)
        _ends(axes, places, colour)
    axes.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    axes.set_box_aspect((1.0, 1.0, 0.75), zoom=1.1)
    axes.tick_params(labelsize=TEXT - 2, colors=INK)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):  # pruned, since the outermost numbers would meet at the corners
        axis.set_major_locator(MaxNLocator(5, steps=_STEPS, prune="both"))
    axes.zaxis.get_major_formatter().set_powerlimits((-3, 4))  # longer numbers would reach the label


def _height(sides: list[Host], field: Host, steps: Host) -> Host:
    """The surface at places between the grid's, by the four around each; NaN outside."""
    columns, rows = (
        np.interp(steps[:, axis], sides[axis], np.arange(len(sides[axis])), left=np.nan, right=np.nan)
        for axis in (0, 1)
    )
    inside = np.isfinite(columns) & np.isfinite(rows)
    column, line = (np.where(inside, one, 0.0) for one in (columns, rows))
    left, low = (
        np.minimum(one.astype(int), length - 2) for one, length in ((column, field.shape[1]), (line, field.shape[0]))
    )
    u, v = column - left, line - low
    below = field[low, left] * (1 - u) + field[low, left + 1] * u
    above = field[low + 1, left] * (1 - u) + field[low + 1, left + 1] * u
    return np.where(inside, below * (1 - v) + above * v, np.nan)
