"""What do images look like, side by side? Grey, in colours, or around 0, each under its name."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ArgumentError, DataError, ShapeError
from engine.plot.asking import whole_between
from engine.plot.style import (
    INK,
    TEXT,
    Host,
    Path,
    all_fitted,
    around_zero,
    finished,
    floats,
    host,
    interval,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 1.7  # of an image, in inches


def images(
    stack: Any,
    names: Sequence[Any] | None = None,
    path: Path | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    diverging: bool = False,
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """Images side by side, all on one scale.

    Args:
        stack: (images, height, width) in grey, or in red, green and blue (images, height, width, 3) or
            (images, 3, height, width).
        names: one above each image.
        path: where to write the picture; .png, .svg or .pdf.
        columns: images beside each other; None chooses.
        title: above all images.
        diverging: whether grey images are shown around 0: blue below, white at 0, orange above, with a colour bar.
        limits: the (low, high) that are black and white. None takes (0, 255) for bytes, (0, 1) for colours in it, else
            the least and the largest of all images; around 0, the largest absolute value.

    Raises:
        ShapeError: another shape, or not as many names as images.
        DataError: a value is not finite.
        ArgumentError: images in colours around 0, or limits that are none.
        EngineError: as for `history`.

    Example (it needs matplotlib)::

        images(weight.T.reshape(10, 8, 8), range(10), "templates.png", diverging=True)
    """
    owner = "plot.images"
    is_bytes = host(stack).dtype == np.uint8
    values = floats(owner, "stack", stack)
    if values.ndim == 4 and values.shape[3] != 3 and values.shape[1] == 3:
        values = values.transpose(0, 2, 3, 1)
    coloured = values.ndim == 4 and values.shape[3] == 3
    if not values.size or not (values.ndim == 3 or coloured):
        raise ShapeError(
            f"{owner}: the stack has shape {values.shape}; it must be (images, height, width), "
            "with an axis of 3 colours last or second."
        )
    if not np.isfinite(values).all():
        raise DataError(f"{owner}: an image holds a value that is not finite; replace it.")
    if coloured and diverging:
        raise ArgumentError(f"{owner}: diverging=True was given for images in colours; it is for grey ones.")
    count = len(values)
    captions = [] if names is None else [str(name) for name in names]
    if names is not None and len(captions) != count:
        raise ShapeError(f"{owner}: {len(captions)} names for {count} images; give one for each.")
    low, high = _limits(values, is_bytes, coloured, diverging) if limits is None else interval(owner, "limits", limits)
    wide = min(count, whole_between(owner, "columns", columns, 1, 100)) if columns is not None else _columns(count)
    deep = math.ceil(count / wide)
    height, width = values.shape[1:3]
    tall = _SIDE * min(max(height / width, 0.3), 3.0)
    figure = new_figure(
        path,
        max(4.0, (_SIDE + 0.15) * wide + 0.4 + 1.3 * diverging),
        max(2.0, (tall + 0.15 + 0.4 * bool(captions)) * deep + 0.4 + 0.5 * bool(title)),
    )
    colours = around_zero() if diverging else "gray"
    shown: Host = np.clip((values - low) / (high - low), 0.0, 1.0) if coloured else values
    for place in range(count):
        axes = figure.add_subplot(deep, wide, place + 1)
        drawn = axes.imshow(shown[place], cmap=None if coloured else colours, vmin=low, vmax=high)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=diverging, color=INK, linewidth=0.5)
    if captions:
        words, size = all_fitted(captions, _SIDE, TEXT)
        for axes, caption in zip(figure.axes, words, strict=True):
            axes.set_title(caption, fontsize=size, color=INK, pad=4)
    if diverging:
        bar = figure.colorbar(drawn, ax=figure.axes, fraction=0.05, pad=0.02, aspect=25)
        bar.ax.tick_params(labelsize=TEXT, colors=INK)
        bar.outline.set_visible(False)
    return finished(figure, path, title)


def _limits(values: Host, is_bytes: bool, coloured: bool, diverging: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if diverging:
        largest = max(-low, high) or 1.0
        return -largest, largest
    if is_bytes:
        return 0.0, 255.0
    if coloured and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _columns(count: int) -> int:
    """Up to 6 in a row; more in rows as full as can be, up to 10 in each."""
    if count <= 6:
        return count
    rows = max(math.ceil(count / 10), round(math.sqrt(count / 2)))
    return math.ceil(count / rows)
