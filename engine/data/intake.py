"""How does new data become what a trained model has seen? All that was learnt from the training part, kept with it."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from engine.data.columns import Columns
from engine.data.dataset import Dataset, Task, check_finite
from engine.data.formats import read
from engine.data.preparation import Preparation, Standardize, apply, from_dict
from engine.data.reader import Content, Part, Reader, numbers_of
from engine.data.rows import Rows
from engine.data.table import Table, listed
from engine.errors import DataError
from engine.settings import model_dtype, path_of

Numbers = np.ndarray[Any, Any]


class Intake:
    """What turns data into samples: of a file the columns and their words, then scaling.

    A data set that `engine.data.load` made has it as ``train.intake``. It can be written down and built again:
    ``Intake.from_dict(intake.to_dict())``.

    Attributes:
        shape: of a prepared sample.
        task: what the targets are.
        class_names: one for each class; None for regression.
        names: of the features, empty where they have none.
        steps: what is applied to features, in order.
        unit: what is applied to the targets of a regression; its ``undo`` gives predictions in the original unit.
        reader: what is what in a file; None for a set by name.
        columns: how a table's columns become numbers; None where the features are no table.
        dtype: of what is prepared: "float32" or "float64", to which it is rounded once, at the end.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        task: Task,
        class_names: tuple[str, ...] | None,
        names: tuple[str, ...] = (),
        steps: tuple[Preparation, ...] = (),
        unit: Standardize | None = None,
        reader: Reader | None = None,
        columns: Columns | None = None,
        dtype: str = "float32",
    ) -> None:
        self.shape, self.task, self.class_names, self.names = shape, task, class_names, names
        self.steps, self.unit, self.reader, self.columns, self.dtype = steps, unit, reader, columns, dtype

    # -- used --------------------------------------------------------------------------------------------

    def dataset(self, part: Part) -> Dataset:
        """Raw samples as the model sees them.

        Raises:
            DataError: they are of another task, shape or number of classes; a cell is missing.
        """
        data = part.data
        if part.table is not None and self.columns is not None:
            x = part.features(self.columns)
            data = Dataset(x, data.y, data.name, self.columns.feature_names, data.class_names, data.task)
        own = (self.task, self.shape, len(self.class_names or ()))
        if (data.task, data.x.shape[1:], data.classes) != own:
            given, needed = _kind(data.task, data.x.shape[1:], data.classes), _kind(*own)
            raise DataError(f"data {data.name}: it has {given}; the model was trained on {needed}.")
        made = data.prepared(self.steps, self.unit, self.dtype)
        if part.table is not None:
            x = made.x.loaded()
            check_finite(data.name, "x", x)  # also numbers that only float64 can hold
            made._set(x=x)
        made._set(intake=self)
        return made

    def labelled(self, path: str | os.PathLike[str], target_file: str | os.PathLike[str] | None = None) -> Dataset:
        """What a further file holds, samples with targets, as the model sees them: all of it, to test on.

        Args:
            path: of a file of the training's kind.
            target_file: of its targets, where they are in a file of their own.

        Raises:
            DataError: it cannot be read, is of another task, shape or number of classes, or has no targets.
        """
        name = Path(path_of("labelled", "path", path)).name
        if self.reader is None:
            raise DataError(
                f"{name}: the model was trained on a set by name; give the name of a set, to know the classes by."
            )
        targets = None if target_file is None else path_of("labelled", "target_file", target_file)
        return self.dataset(self.reader.part(self.reader.read(os.fspath(path)), name, targets))

    def samples(self, path: str | os.PathLike[str]) -> Any:
        """What a further file holds, samples with targets or without, as the model sees them: (samples, *shape).

        `Rows` where the file is memory-mapped, else an array.

        Raises:
            DataError: it cannot be read, or does not hold such samples.
        """
        name = Path(path_of("samples", "path", path)).name
        content: Content = read(path) if self.reader is None else self.reader.read(os.fspath(path))
        if isinstance(content, Table) and self.columns is not None and self.reader is not None:
            x: Any = self.columns(self.reader.aligned(content))
        else:
            arrays = numbers_of(self._chosen(content) if isinstance(content, Table) else content)
            x = Rows(arrays.x) if isinstance(arrays.x, np.memmap) else arrays.x
            if self.reader is not None and self.columns is None:
                x = self.reader.samples(arrays, name)
        x = self._shaped(x, name)
        x = x.prepared(self.steps, self.dtype) if isinstance(x, Rows) else apply(self.steps, x, self.dtype)
        check_finite(name, "x", x)  # also numbers that only float64 can hold
        return x

    def _chosen(self, table: Table) -> Table:
        """The columns that are features: by their names where the table has them all, else all of them."""
        if not self.names or not table.has_header:
            return table
        if set(self.names) <= set(table.names):
            return table.chosen(self.names)
        missing = [name for name in self.names if name not in table.names]
        raise DataError(f"{table.name}: it has no column {listed(missing)}; name them so, or leave the header out.")

    def _shaped(self, x: Any, name: str) -> Any:
        """The samples in the shape of the training's, where they are the same numbers in the same order."""
        shape, wanted = x.shape[1:], self.shape
        if shape == wanted:
            return x
        flat = min(len(shape), len(wanted)) < 2
        # Of two shapes with the same axes in another order, one is not the other reshaped.
        alike = math.prod(shape) == math.prod(wanted) if flat else _long(shape) == _long(wanted)
        if not alike:
            needed = ", ".join(map(str, ("samples", *wanted)))
            raise DataError(f"{name}: it has shape {x.shape}; the model was trained on ({needed}).")
        array = (x.source if isinstance(x, Rows) else x).reshape(len(x), *wanted)
        return Rows(array) if isinstance(x, Rows) else array

    # -- kept with the run -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` builds it again."""
        return {
            "shape": list(self.shape),
            "task": self.task,
            "classes": None if self.class_names is None else list(self.class_names),
            "names": list(self.names),
            "features": [step.to_dict() for step in self.steps],
            "target": None if self.unit is None else self.unit.to_dict(),
            "reader": None if self.reader is None else self.reader.to_dict(),
            "columns": None if self.columns is None else self.columns.to_dict(),
            "dtype": self.dtype,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote down.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        classes = stored["classes"]
        return cls(
            tuple(int(length) for length in stored["shape"]),
            stored["task"],
            None if classes is None else tuple(str(name) for name in classes),
            tuple(str(name) for name in stored["names"]),
            tuple(from_dict(step) for step in stored["features"]),
            None if stored["target"] is None else Standardize.from_dict(stored["target"]),
            None if stored["reader"] is None else Reader.from_dict(stored["reader"]),
            None if stored["columns"] is None else Columns.from_dict(stored["columns"]),
            model_dtype("preparation", stored["dtype"]).name,
        )


def _long(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length > 1]


def _kind(task: str, shape: tuple[int, ...], classes: int) -> str:
    target = f"{classes} {'labels' if task == 'multilabel' else 'classes'}" if classes else f"a {task} target"
    return f"{'x'.join(map(str, shape))} features and {target}"
