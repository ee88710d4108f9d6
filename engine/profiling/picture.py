"""How does a profile look? Bars of the time by operation and by layer, side by side."""

from typing import TYPE_CHECKING, Any

from engine.plot.style import COLOURS, INK, TEXT, Path, dress, finished, new_figure
from engine.profiling.table import _TIMES, PYTHON, Unit, headline, share, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engine.profiling.result import Profile

_MOST = 15  # bars of operations, or of layers: the shorter ones become one
_ROW = 0.42  # inches
_LETTERS = 28  # of a label
_BLUE, _ORANGE, _GREEN = COLOURS[:3]
_GREY = "#8C8C8C"

# The hatching tells them apart without colours, too.
_STYLES = {
    "matrix products": (_BLUE, ""),
    "other operations": (_ORANGE, "//"),
    "forward": (_BLUE, ""),
    "backward": (_ORANGE, "//"),
    "no layer": (_GREEN, ".."),
    PYTHON: (_GREY, "xx"),
}

Bar = tuple[str, list[tuple[str, float]]]
"""A label, and how long each stretch of the bar is, by style."""


def check(path: Path) -> None:
    """Refuse a picture that could not be drawn, before there is anything to draw.

    Raises:
        ArgumentError: the ending is unknown, or matplotlib is missing.
    """
    new_figure(path, 1.0, 1.0)


def picture(profile: "Profile", path: Path | None = None, title: str | None = None) -> "Figure":
    """The picture that `Profile.plot` gives."""
    python: Bar = (PYTHON, [(PYTHON, profile.python_seconds)])
    operations: list[Bar] = [
        (one.name, [("matrix products" if one.is_product else "other operations", one.seconds)])
        for one in profile.operations
    ]
    layers: list[Bar] = [
        (_label(one.name, one.kind), [("forward", one.forward_seconds), ("backward", one.backward_seconds)])
        for one in profile.parts
        if one.kind
    ]
    outside: list[Bar] = [(one.name, [("no layer", one.seconds)]) for one in profile.parts if not one.kind]
    panels = [("By operation", [*_few(operations), python]), ("By layer", [*_few(layers), *outside, python])]
    tallest = max(6, *(len(bars) for _, bars in panels))
    longest = max(_length(bar) for _, bars in panels for bar in bars)
    figure = new_figure(path, 16.0, 2.6 + _ROW * tallest)
    unit = Unit(_TIMES, [longest])
    for place, (heading, bars) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 2, place)
        dress(axes, heading, f"time of a step ({unit.name})", "")
        _draw(axes, bars, unit, profile.seconds)
        axes.set_ylim(tallest - 0.4, -0.6)  # the first bar on top; rows and scale of both panels are alike
        axes.set_xlim(0, 1.34 * longest * unit.factor or 1.0)  # room for the numbers
        _key(axes, bars, -0.75 / (_ROW * tallest))
    return finished(figure, path, headline(profile, shortened(profile.step) if title is None else title))


def _label(name: str, kind: str) -> str:
    """A layer's name, with its class where there is room."""
    return f"{name} {kind}" if len(name) + 1 + len(kind) <= _LETTERS else name


def _length(bar: Bar) -> float:
    return sum(seconds for _, seconds in bar[1])


def _few(bars: list[Bar]) -> list[Bar]:
    """The longest bars, in their order, and one for all others."""
    if len(bars) <= _MOST:
        return bars
    order = sorted(range(len(bars)), key=lambda number: -_length(bars[number]))
    kept, left = sorted(order[: _MOST - 1]), order[_MOST - 1 :]
    rest = dict.fromkeys((style for number in left for style, _ in bars[number][1]), 0.0)
    for number in left:
        for style, seconds in bars[number][1]:
            rest[style] += seconds
    return [*(bars[number] for number in kept), (f"{len(left)} others", list(rest.items()))]


def _draw(axes: "Axes", bars: list[Bar], unit: Unit, whole: float) -> None:
    for row, bar in enumerate(bars):
        start = 0.0
        for style, seconds in bar[1]:
            colour, hatch = _STYLES[style]
            length = seconds * unit.factor
            axes.barh(row, length, left=start, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            start += length
        axes.annotate(
            f"{unit.show(_length(bar))}  ({share(_length(bar), whole)})",
            (start, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT - 1,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # no line of the grid through it
        )
    axes.set_yticks(range(len(bars)), [shortened(label, _LETTERS) for label, _ in bars])
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)


def _key(axes: "Axes", bars: list[Bar], below: float) -> None:
    """What the colours stand for, so far under the axis; Python's bar says it itself."""
    from matplotlib.patches import Patch

    used = {style for _, stretches in bars for style, seconds in stretches if seconds} - {PYTHON}
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
        for label, (colour, hatch) in _STYLES.items()
        if label in used
    ]
    if handles:
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.45, below), "ncols": len(handles)}
        axes.legend(handles=handles, fontsize=TEXT - 1, labelcolor=INK, frameon=False, **place)
