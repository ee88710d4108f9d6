"""Which class is taken for which? Counted while a model is tested; told as a table, written as CSV and as a picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import metrics
from engine.commands import task
from engine.commands.report import WIDTH, Output
from engine.data import Dataset
from engine.errors import ArgumentError
from engine.files import write_whole
from engine.metrics.forms import decide
from engine.tensor import Tensor

if TYPE_CHECKING:
    from rich.table import Table

MOST_CLASSES = 1000  # of a matrix: with more of them it is nearly empty, and large
_IN_A_TABLE = 12
_LINES = 10
_WIDEST_NAME = 20  # of a row of the table
_PICTURES = (".png", ".svg", ".pdf")


class Confusion:
    """The confusion matrix of a test: called with each batch's outputs and targets, as `Trainer.evaluate` does it.

    Args:
        names: of the classes.
        threshold: with one output, class 1 is above it.

    >>> confusion = Confusion(["no", "yes"], threshold=0.0)
    >>> confusion(np.array([[2.0], [-1.0], [3.0]]), np.array([[1.0], [0.0], [0.0]]))
    >>> confusion.matrix.tolist()
    [[1, 1], [0, 1]]
    """

    def __init__(self, names: Sequence[str], threshold: float) -> None:
        self.names, self._threshold = tuple(names), threshold
        self._predicted: list[Any] = []
        self._actual: list[Any] = []

    @classmethod
    def of(cls, loss: str, part: Dataset) -> "Confusion | None":
        """For a part of the data and the loss that was trained with; None where a sample has not one class."""
        if part.task not in ("binary", "multiclass"):
            return None
        return cls(part.class_names or (), task.threshold(loss))

    def __call__(self, output: Any, target: Any) -> None:
        outputs, targets = (one.numpy() if isinstance(one, Tensor) else np.asarray(one) for one in (output, target))
        predicted, actual, _ = decide("confusion matrix", np, outputs, targets, self._threshold, False)
        self._predicted.append(predicted.astype(np.int64))
        self._actual.append(actual.astype(np.int64))

    @property
    def matrix(self) -> "np.ndarray[Any, Any] | None":
        """True class by row, predicted class by column; None where there are more than `MOST_CLASSES`."""
        if len(self.names) > MOST_CLASSES:
            return None
        return metrics.confusion_matrix(*self._pairs(), classes=len(self.names))

    def _pairs(self) -> tuple[Any, Any]:
        return np.concatenate(self._predicted), np.concatenate(self._actual)

    def to_dict(self) -> dict[str, Any] | None:
        """For JSON."""
        matrix = self.matrix
        return None if matrix is None else {"classes": list(self.names), "matrix": matrix.tolist()}

    def most_frequent(self) -> list[str]:
        """The most frequent confusions, a line each: true -> predicted: count."""
        predicted, actual = self._pairs()
        wrong = predicted != actual
        pairs, counts = np.unique(np.stack([actual[wrong], predicted[wrong]]), axis=1, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_LINES]
        return [
            f"{self.names[true]} -> {self.names[taken]}: {count}"
            for (true, taken), count in zip(pairs.T[order].tolist(), counts[order].tolist(), strict=True)
        ]

    def show(self, output: Output) -> None:
        """A table of few classes, the most frequent confusions of many."""
        table = self._table(min(output.console.width, WIDTH)) if len(self.names) <= _IN_A_TABLE else None
        if table is not None:
            output.print("confusion matrix: true class by row, predicted class by column")
            output.print(table)
            return
        lines = self.most_frequent()
        output.print("most frequent confusions, true -> predicted:" if lines else "no class is taken for another")
        for line in lines:
            output.print(f"  {line}")

    def _table(self, width: int) -> "Table | None":
        """None where the counts need more room than there is."""
        from rich import box
        from rich.table import Table

        matrix = self.matrix
        assert matrix is not None
        rows = [_short(name, _WIDEST_NAME) for name in self.names]
        least = max(len(str(matrix.max())), 3)
        wanted = max(least, *map(len, self.names))
        left = width - max(map(len, rows)) - len("100.0%") - 2
        # Between two columns: the padding, and one place that rich leaves.
        padding = next((one for one in (2, 1, 0) if left >= (len(rows) + 1) * (one + 1) + len(rows) * least), None)
        if padding is None:
            return None
        room = min(wanted, (left - (len(rows) + 1) * (padding + 1)) // len(rows))
        table = Table(box=box.SIMPLE_HEAVY, pad_edge=False, padding=(0, 0, 0, padding))
        table.add_column("", no_wrap=True)
        for name in self.names:
            table.add_column(_short(name, room), justify="right", no_wrap=True)
        table.add_column("right", justify="right", no_wrap=True)
        for number, (name, counts) in enumerate(zip(rows, matrix, strict=True)):
            total = counts.sum()
            share = f"{counts[number] / total:.1%}" if total else "-"
            table.add_row(name, *(str(count) if count else "." for count in counts), share)
        return table

    def write(self, path: Path) -> None:
        """To a file: as CSV (a line a true class, a column a predicted one), or as a picture, by the path's ending.

        Raises:
            FileError: it cannot be written.
        """
        if path.suffix.lower() in _PICTURES:
            from engine import plot

            plot.confusion_matrix(self.matrix, self.names, path)
            return
        matrix = self.matrix
        assert matrix is not None
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["true class", *self.names])
        writer.writerows([name, *counts] for name, counts in zip(self.names, matrix.tolist(), strict=True))
        write_whole(path, text.getvalue().encode())


def _short(name: str, room: int) -> str:
    return name if len(name) <= room else name[: room - 1] + "."


def check_output(path: Path, task_name: str, classes: int) -> None:
    """Refuse a file that no confusion matrix can be written to, before any work is done.

    Raises:
        ArgumentError: its ending, its folder, matplotlib that is missing, or a run without so many classes.
    """
    from engine import plot

    ending = path.suffix.lower()
    if ending not in (".csv", *_PICTURES):
        raise ArgumentError(
            f"--confusion: {str(path)!r} was given; allowed are files that end in .csv, .png, .svg, .pdf."
        )
    if path.is_dir():
        raise ArgumentError(f"--confusion: {str(path)!r} is a folder; the matrix goes to a file. Name one.")
    if not path.absolute().parent.is_dir():
        raise ArgumentError(f"--confusion: {str(path)!r}: its folder does not exist. Make it, or name another place.")
    if ending in _PICTURES and not plot.available():
        raise ArgumentError(
            f"--confusion: {str(path)!r} needs matplotlib, which is not installed. "
            'Use pip install "chalkgrad[plots]", or name a .csv file.'
        )
    if task_name not in ("binary", "multiclass") or classes > MOST_CLASSES:
        has = f"{classes} classes" if classes > MOST_CLASSES else f"a {task_name} target"
        raise ArgumentError(
            f"--confusion: the run has {has}; a matrix needs one class a sample, of {MOST_CLASSES} at most. "
            "Leave it out."
        )
