"""What does a lesson have to show? A page: rows that compare the slide with the engine, tables, pictures, words."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data import Dataset, load
from engine.data.catalog import ENTRIES, Progress
from engine.data.official import at_hand
from engine.errors import ArgumentError, DataError
from engine.tensor import Tensor

SHOWN = 12  # numbers of an array that a table prints; of a larger one, its shape


class NotAtHandError(DataError):
    """A lesson's data set is not here, and nothing may be downloaded."""


@dataclass(frozen=True)
class Row:
    """One quantity: what the slide says of it, what the engine computes, and whether the two agree.

    Attributes:
        quantity: what is compared.
        slide: what the slide has: a number, nested lists of numbers, or words.
        engine: what the engine has, in the same form.
        difference: the largest distance of two numbers, relative where `relative`; None between words.
        tolerance: how large the difference may be; 0 asks for equal numbers, None is for words.
        agrees: whether it does: the engine with the slide, or, where the slide is wrong, with `right`.
        right: where the slide is wrong, what is right.
        reason: where the slide is wrong, why.
        relative: whether difference and tolerance are shares of the slide's largest number.
    """

    quantity: str
    slide: Any
    engine: Any
    difference: float | None
    tolerance: float | None
    agrees: bool
    right: Any = None
    reason: str = ""
    relative: bool = False

    @property
    def verdict(self) -> str:
        """yes, no, or slide error."""
        return "no" if not self.agrees else "slide error" if self.reason else "yes"


@dataclass(frozen=True)
class Table:
    """Values that a slide lists: the title, the names of the columns, and the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Picture:
    """What is to be drawn, when somebody looks: a function that returns a Figure or the text of an SVG."""

    caption: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def draw(self) -> Any:
        """The Figure, or the text of an SVG."""
        return self.function(*self.arguments, **self.options)


class Page:
    """What a lesson fills, in the order in which it is shown.

    Attributes:
        device: what the lesson's tensors and models are made on.
        options: what the lesson was run with, by name.
        rows: the comparisons.
        parts: words, tables and pictures in their order.
        seconds: how long the lesson ran; None while it runs.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        data_dir: str | os.PathLike[str] | None = None,
        download: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.device = device
        self.options: dict[str, Any] = {}
        self.rows: list[Row] = []
        self.parts: list[str | Table | Picture] = []
        self.seconds: float | None = None
        self._data_dir, self._download, self._progress = data_dir, download, progress

    # -- rows ------------------------------------------------------------------------------------------

    def compare(self, quantity: str, slide: Any, engine: Any, *, tolerance: float, relative: bool = False) -> None:
        """The slide's numbers beside the engine's; they agree where none differs by more than the tolerance.

        Args:
            quantity: what is compared.
            slide: a number or an array, by the slide or by its formula in plain NumPy.
            engine: a number, an array or a Tensor of the same shape.
            tolerance: half a unit of the slide's last digit, for instance; 0 for equal numbers.
            relative: whether the tolerance is a share of the slide's largest number.
        """
        difference = _difference(slide, engine, relative)
        self._add(quantity, slide, engine, difference, tolerance, difference <= tolerance, relative=relative)

    def correct(
        self, quantity: str, slide: Any, right: Any, engine: Any, *, tolerance: float | None = None, reason: str
    ) -> None:
        """Where the slide is wrong: its value, the right one, the engine's, which agrees with the right one, and why.

        Without a tolerance right and engine are words, such as formulas, which must be equal.
        """
        if tolerance is None:
            difference, agrees = None, right == engine != slide
        else:
            difference = _difference(right, engine, False)
            agrees = difference <= tolerance < _difference(slide, right, False)
        self._add(quantity, slide, engine, difference, tolerance, agrees, right=_plain(right), reason=reason)

    def check(self, quantity: str, slide: str, engine: Any, holds: bool) -> None:
        """What the slide says in words ("falls at every step"), what the engine does, and whether it does so."""
        self._add(quantity, slide, engine, None, None, bool(holds))

    def _add(
        self,
        quantity: str,
        slide: Any,
        engine: Any,
        difference: float | None,
        tolerance: float | None,
        agrees: bool,
        **more: Any,
    ) -> None:
        row = Row(quantity, _plain(slide), _plain(engine), difference, tolerance, bool(agrees), **more)
        self.rows.append(row)

    @property
    def agrees(self) -> bool:
        """Whether every row does."""
        return bool(self.rows) and all(row.agrees for row in self.rows)

    # -- what else there is to see ---------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A paragraph."""
        self.parts.append(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Values that the slide lists."""
        self.parts.append(Table(title, tuple(columns), tuple(tuple(_plain(cell) for cell in row) for row in rows)))

    def draw(self, caption: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """A picture: ``function(*arguments, **options)`` is called when the page is written, else never."""
        self.parts.append(Picture(caption, function, arguments, options))

    @property
    def pictures(self) -> list[Picture]:
        """Those among the parts."""
        return [part for part in self.parts if isinstance(part, Picture)]

    # -- data ------------------------------------------------------------------------------------------

    def data(
        self, name: str, *, labelled: bool = False, plane: bool = False, **options: Any
    ) -> tuple[Dataset, Dataset]:
        """(training part, test part) of a set by name, as `engine.data.load`.

        Args:
            name: of the set.
            labelled: whether the lesson needs classes.
            plane: whether it needs samples of two features.
            options: of `load`.

        Raises:
            ArgumentError: the set has no classes, or more features.
            NotAtHandError: it would have to be downloaded or installed, and this run does not.
        """
        train, test = self._loaded(name, options)
        if labelled and train.task not in ("binary", "multiclass"):
            raise ArgumentError(f"data {name} is a {train.task} set; give one with classes, such as digits.")
        if plane and train.features != 2:
            raise ArgumentError(f"data {name} has {train.features} features; give one with 2, such as moons.")
        return train, test

    def _loaded(self, name: str, options: dict[str, Any]) -> tuple[Dataset, Dataset]:
        files = name in ENTRIES and ENTRIES[name].source == "files"
        if files and not self._download and not at_hand(name, self._data_dir):
            raise NotAtHandError(f"{name} is not at hand; --data-dir names the folder that has it in {name}/.")
        try:
            return load(name, data_dir=self._data_dir, progress=self._progress, **options)
        except DataError as error:
            if not self._download and isinstance(error.__context__, ImportError):  # a package is not installed
                raise NotAtHandError(str(error)) from None
            raise

    def to_dict(self) -> dict[str, Any]:
        """Rows, tables and words as plain data."""
        return {
            "device": self.device,
            "options": self.options,
            "seconds": self.seconds,
            "agrees": self.agrees,
            "rows": [{**vars(row), "verdict": row.verdict} for row in self.rows],
            "tables": [vars(part) for part in self.parts if isinstance(part, Table)],
            "words": [part for part in self.parts if isinstance(part, str)],
            "pictures": [picture.caption for picture in self.pictures],
        }


def shown(value: Any) -> str:
    """A value as tables print it.

    >>> shown(0.731058), shown([0.25, -3.0]), shown([[1, 0], [0, 1]]), shown("falls"), shown(None)
    ('0.731058', '(0.25, -3)', '((1, 0), (0, 1))', 'falls', '')
    """
    if isinstance(value, list):
        size = np.shape(value)
        if int(np.prod(size)) > SHOWN:
            return " x ".join(map(str, size)) + " numbers"
        return "(" + ", ".join(shown(one) for one in value) + ")"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    """A number, a string, or nested lists of them."""
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _difference(slide: Any, engine: Any, relative: bool) -> float:
    """The largest distance of two numbers at the same place; NaN, which agrees with nothing, where one is none."""
    left, right = np.asarray(_plain(slide), dtype=float), np.asarray(_plain(engine), dtype=float)
    if left.shape != right.shape:
        raise ArgumentError(f"lesson: the slide's numbers have shape {left.shape}, the engine's {right.shape}.")
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(right - left).max()) if left.size else 0.0
    return largest / float(np.abs(left).max()) if relative else largest
