"""What do all pictures share? Colours, markers and text, an empty figure, axes, legends, and the file at the end."""

import importlib.util
import io
import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ArgumentError, DataError, ShapeError
from engine.files import write_whole
from engine.settings import shown
from engine.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

Path = str | os.PathLike[str]
Host = np.ndarray[Any, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
FORMATS = ("png", "svg", "pdf")

INK, FAINT = "#222222", "#D9D9D9"
TEXT, TITLE = 14.0, 18.0  # points: read from the back row
POINTS = 72  # an inch
DOTS = 150  # an inch, in PNG
LETTER, BOLD = 0.55, 0.62  # how wide a letter is, for its height
FEW = 30  # points of a line that still have a marker each
LARGEST = 1e250  # number that is drawn: the ends of an axis beyond it overflow


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


# -- what is given -------------------------------------------------------------------------------------


def host(values: Any) -> Host:
    """Lists, arrays and Tensors of any device, as a NumPy array."""
    if isinstance(values, Tensor):
        return values.numpy()
    if hasattr(values, "__cuda_array_interface__"):
        return np.asarray(values.get())
    return np.asarray(values)


def floats(owner: str, name: str, values: Any, form: str = "an array of numbers") -> Host:
    """The values as floats.

    Raises:
        DataError: they are no numbers.
    """
    try:
        return host(values).astype(float)
    except (TypeError, ValueError):
        raise DataError(f"{owner}: {name} is not {form}.") from None


def row(owner: str, name: str, values: Any) -> Host:
    """Numbers (points,), one at least.

    Raises:
        DataError: they are no numbers. ShapeError: another shape.
    """
    numbers = floats(owner, name, values, "a row of numbers")
    if numbers.ndim != 1 or not numbers.size:
        raise ShapeError(f"{owner}: {name} has shape {numbers.shape}; it must be (points,), 1 point at least.")
    return numbers


def interval(owner: str, name: str, given: Any, *, above: float = -math.inf) -> tuple[float, float]:
    """(low, high): two finite numbers, the lower one first.

    Raises:
        ArgumentError: anything else.
    """
    try:
        low, high = (float(one) for one in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and above < low < high):
        limit = f" above {above:g}" if math.isfinite(above) else ""
        raise ArgumentError(
            f"{owner}: {name} {shown(given)} was given; it is (low, high), two finite numbers{limit}, such as (0.1, 2)."
        )
    return low, high


def finite(values: Host) -> Host:
    """The values, with gaps where they are none, or so large that an axis' ends would overflow."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < LARGEST, values, np.nan)


def spans(lines: Iterable[Host]) -> bool:
    """Whether the values, all above 0, span more than two decades."""
    known = np.concatenate([line[np.isfinite(line)] for line in lines])
    return bool(known.size and known.min() > 0 and known.max() > 100 * known.min())


# -- colours -------------------------------------------------------------------------------------------


def colour_of(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def marker_of(number: int) -> str:
    """With `colour_of`, 64 pairs that differ: each further eight have the markers moved on by one."""
    return MARKERS[(number + number // len(MARKERS)) % len(MARKERS)]


def around_zero() -> "Colormap":
    """Blue below 0, white at 0, orange above: the colours of class 0 and class 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("around zero", ["#003F66", COLOURS[0], "#FFFFFF", COLOURS[1], "#8F3F00"])


# -- figures and axes ----------------------------------------------------------------------------------


def format_of(path: Path) -> str:
    """The format by a path's ending.

    Raises:
        ArgumentError: it is none of FORMATS.
    """
    ending = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if ending not in FORMATS:
        given = f"ends in .{ending}" if ending else "has no ending"
        raise ArgumentError(f"picture {os.fspath(path)!r} {given}; allowed are .png, .svg and .pdf.")
    return ending


def new_figure(path: Path | None, width: float, height: float) -> "Figure":
    """An empty Figure, once it is known that it can be drawn and written; width and height in inches."""
    if path is not None:
        format_of(path)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ArgumentError(
            'a picture needs matplotlib, which is not installed. Use pip install "chalkgrad[plots]".'
        ) from None
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14, wspace=0.03, hspace=0.05)
    return Figure(figsize=(width, height), dpi=DOTS, layout=room, facecolor="white")


def dress(axes: "Axes", title: str, x_label: str, y_label: str, grid: bool = True, *, size: float = TITLE) -> None:
    """Title, in this size, labels, ticks and grid."""
    axes.set_title(title, fontsize=size, color=INK, pad=12, loc="left", fontweight="bold")
    axes.set_xlabel(x_label, fontsize=TEXT, color=INK)
    axes.set_ylabel(y_label, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=TEXT, colors=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set(fontsize=TEXT - 2, color=INK)  # the power of ten beside an axis
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=FAINT, linewidth=0.8)


def fitted(text: str, width: float, size: float, least: float = 11.0) -> tuple[str, float]:
    """A text and its size in points, so that it is no wider than so many inches: smaller first, then in lines."""
    longest = max(map(len, text.split("\n")))
    room = math.inf if not longest else width * POINTS / (BOLD * longest)
    if room >= least:
        return text, min(size, room)
    letters = max(8, int(width * POINTS / (BOLD * least)))
    return "\n".join(textwrap.wrap(text, letters)), least


def all_fitted(texts: Sequence[str], width: float, size: float) -> tuple[list[str], float]:
    """`fitted` for texts that stand beside each other: all in the size of the smallest."""
    size = min(fitted(text, width, size)[1] for text in texts)
    return [fitted(text, width, size)[0] for text in texts], size


def draw_line(axes: "Axes", x: Host, y: Host, label: str, number: int) -> None:
    """A line whose colour, dashes and, where it has few points, markers are those of its number."""
    few = np.isfinite(y).sum() <= FEW
    line = axes.plot(x, finite(y), color=colour_of(number), linewidth=2.4, label=label)[0]
    line.set(linestyle=DASHES[number % len(DASHES)], marker=marker_of(number) if few else "", markersize=6)


def legend(axes: "Axes", outside: bool = False) -> Any:
    """What the lines and points are: where there is room, or outside, to the right."""
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if outside else {"loc": "best"}
    return axes.legend(fontsize=TEXT, labelcolor=INK, frameon=not outside, framealpha=0.85, edgecolor="none", **place)


def arranged(count: int) -> tuple[int, int]:
    """How many panels go side by side, at most three so that they stay legible on a page, and in how many rows.

    >>> [arranged(count) for count in (1, 3, 4, 5, 7)]
    [(1, 1), (3, 1), (2, 2), (3, 2), (3, 3)]
    """
    rows = math.ceil(count / 3)
    return math.ceil(count / rows), rows


def legends(figure: "Figure", panels: Sequence["Axes"], columns: int = 1, outside: bool = False) -> None:
    """A legend for each of these panels, in so many columns: inside, or outside if one lay over lines or points.

    The figure gets wider by what stands outside unasked.
    """
    inside = [legend(axes, outside) for axes in panels]
    if outside or not _covers(figure, panels, inside):
        return
    for axes in panels:
        legend(axes, outside=True)
    width = beside(text.get_text() for one in inside for text in one.get_texts())
    figure.set_figwidth(figure.get_figwidth() + columns * width)


def _covers(figure: "Figure", panels: Sequence["Axes"], inside: Sequence[Any]) -> bool:
    """Whether a legend lies over lines or points of its panel."""
    figure.draw_without_rendering()  # only then are the places known
    for axes, one in zip(panels, inside, strict=True):
        box = one.get_window_extent()
        for line in axes.get_lines():
            if line.get_transform().transform_path(line.get_path()).intersects_bbox(box, filled=False):
                return True
        for marks in axes.collections:
            places = marks.get_offset_transform().transform(marks.get_offsets())
            if box.count_contains(places):
                return True
    return False


def legend_below(figure: "Figure", axes: "Axes") -> None:
    """One legend for all panels, those of these axes, under them, in as many columns as there is room for."""
    handles, names = axes.get_legend_handles_labels()
    room = int(figure.get_figwidth() * POINTS / ((LETTER * max(map(len, names)) + 4.0) * TEXT))
    style: dict[str, Any] = {"fontsize": TEXT, "labelcolor": INK, "frameon": False}
    drawn = figure.legend(handles, names, loc="outside lower center", ncols=max(1, min(len(names), room)), **style)
    large_marks(drawn)


def large_marks(drawn: "Legend") -> None:
    """A legend's marks large enough to be told apart, however small those of the picture are."""
    from matplotlib.collections import PathCollection

    for handle in drawn.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([70.0])


def beside(labels: Iterable[str]) -> float:
    """How many inches a legend of these labels takes."""
    return (LETTER * max(map(len, labels)) + 3.5) * TEXT / POINTS


def _fit_title(figure: "Figure", axes: "Axes") -> None:
    """Fit a title, which begins where its axes do, into what the figure has to the right of that."""
    heading = axes.get_title(loc="left")
    if fitted(heading, figure.get_figwidth() / 2, TITLE)[1] < TITLE:  # else it is short enough wherever it begins
        figure.draw_without_rendering()  # only then is the place known
        room = (figure.bbox.x1 - axes.get_window_extent().x0) / figure.dpi
        words, size = fitted(heading, room - 0.15, TITLE)
        axes.set_title(words, fontsize=size, color=INK, pad=12, loc="left", fontweight="bold")


def finished(figure: "Figure", path: Path | None, title: str | None = None) -> "Figure":
    """The figure, with its title above all panels, written where there is a path."""
    alone = [axes for axes in figure.axes if axes.get_title(loc="left")]
    if len(alone) == 1:
        _fit_title(figure, alone[0])
    if title:
        words, size = fitted(title, figure.get_figwidth() - 0.4, TITLE)
        figure.suptitle(words, fontsize=size, color=INK, fontweight="bold")
    if path is not None:
        content = io.BytesIO()
        figure.savefig(content, format=format_of(path), dpi=DOTS)
        write_whole(path, content.getvalue())
    return figure
