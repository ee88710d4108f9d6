"""What is to be learnt from a table? Its target columns: classes by their names, labels or numbers, and the task."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from engine.data.dataset import TASKS, Task
from engine.data.table import Table, as_text, cell_error, codes, listed, written
from engine.errors import ArgumentError, DataError, unknown_name

Numbers = np.ndarray[Any, Any]

_MOST_CLASSES = 20  # that numbers can be without being told: more different ones are measurements
_LEAST_ROWS_A_CLASS = 2
_SEVERAL = "several targets are numbers (a regression), or all 0 or 1"
_ANOTHER = ("correct it", "choose another target or task")


class Target:
    """A table's target columns as what a loss compares with.

    One column of texts is classes, in sorted order. One column of numbers is classes where they are whole, at most 20
    different ones, and at least two rows a class on average (they are called by their numbers: "2", "4"), else a
    regression. Several columns are labels ("multilabel") where all are 0 or 1, else a regression of all.

    Attributes:
        task: "binary", "multiclass", "multilabel" or "regression".
        names: of the columns.
        class_names: one for each class or label; None for a regression.

    >>> kinds, ages = ["dog", "cat", "dog"], [3.5, 5.0, 4.0]
    >>> pets = Table("pets.csv", ["kind", "age"], {"kind": kinds, "age": ages}, range(2, 5), True)
    >>> target = Target.fit(pets, ["kind"])
    >>> target.task, target.class_names, target(pets)
    ('binary', ('cat', 'dog'), array([1, 0, 1]))
    >>> Target.fit(pets, ["age"])(pets)
    array([[3.5],
           [5. ],
           [4. ]])
    """

    def __init__(self, names: Sequence[str], task: Task, class_names: Sequence[str] | None) -> None:
        self.names, self.task = tuple(names), task
        self.class_names = None if class_names is None else tuple(class_names)

    @classmethod
    def fit(cls, table: Table, wanted: Sequence[str | int], task: Task | None = None) -> Self:
        """The task that these columns show, and its classes.

        Args:
            table: the rows to learn from.
            wanted: columns, by name or number.
            task: in place of the one that they show.

        Raises:
            DataError: a cell is missing, there is one class only, or the columns cannot be of this task.
        """
        if task is not None and task not in TASKS:
            raise unknown_name("task", task, TASKS)
        names = [table.column(column) for column in wanted]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"target {names!r} was given; it is one column or several different ones.")
        if not len(table):
            raise DataError(f"{table.name}: it has no rows; at least one is needed.")
        _refuse_missing_target(table, names)
        if task is None:
            task = _shown(table, names)
        if task == "regression":
            _refuse_texts(table, names, 'the task "regression" needs numbers' if len(names) == 1 else _SEVERAL)
            return cls(names, task, None)
        if task == "multilabel":
            for name in names:
                _refuse_others(table, name, table.columns[name], 'labels of the task "multilabel" are 0 or 1', _is_bit)
            return cls(names, task, names)
        classes = _classes(table, names, task)
        if len(classes) < 2:
            raise DataError(
                f"{table.name}: {table.called(names[0])} is {classes[0]!r} in all rows; at least 2 classes are needed. "
                "Choose another target, or more rows."
            )
        two = "binary" if len(classes) == 2 else "multiclass"
        if task == "binary" != two:
            raise DataError(
                f"{table.name}: {table.called(names[0])} has {len(classes)} classes ({listed(classes)}); the task "
                '"binary" has 2. Use task="multiclass".'
            )
        return cls(names, task, classes)

    def __call__(self, table: Table) -> Numbers:
        """The targets: labels (rows,) int64; 0 and 1 (rows, labels) int64; or numbers (rows, outputs) float64.

        Raises:
            DataError: a column is not there, a cell is missing, or says what was not there when this was fitted.
        """
        table.has(self.names)
        _refuse_missing_target(table, self.names)
        if self.task in ("regression", "multilabel"):
            _refuse_texts(table, self.names, "the training had numbers here")
            if self.task == "multilabel":
                for name in self.names:
                    _refuse_others(table, name, table.columns[name], "the training had 0 and 1 here", _is_bit)
            dtype = np.float64 if self.task == "regression" else np.int64
            return np.stack([table.columns[name] for name in self.names], axis=1).astype(dtype)
        assert self.class_names is not None
        (name,) = self.names
        texts = [str(text) for text in table.texts(name)]
        labels, unknown = codes(texts, self.class_names)
        if unknown:
            row = int((labels < 0).argmax())
            raise cell_error(
                table.place(row, name),
                f"the class {texts[row]!r} is none of the training's",
                f"they are {listed(self.class_names)}",
                "correct it",
                "train with such rows",
            )
        return labels

    def __repr__(self) -> str:
        return f"Target({', '.join(map(repr, self.names))}, {self.task})"

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` builds it again."""
        classes = {} if self.class_names is None else {"classes": list(self.class_names)}
        return {"names": list(self.names), "task": self.task, **classes}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The target that `to_dict` wrote down."""
        return cls(stored["names"], stored["task"], stored.get("classes"))


def _shown(table: Table, names: Sequence[str]) -> Task:
    """The task that columns show."""
    if len(names) > 1:
        bits = all(not table.is_text(name) and _is_bit(table.columns[name]).all() for name in names)
        return "multilabel" if bits else "regression"
    values = table.columns[names[0]]
    different = set(values) if table.is_text(names[0]) else np.unique(values)
    if not table.is_text(names[0]):
        few = len(different) <= min(_MOST_CLASSES, len(values) / _LEAST_ROWS_A_CLASS)
        if not few or not _is_whole(values).all():
            return "regression"
    return "binary" if len(different) == 2 else "multiclass"


def _classes(table: Table, names: Sequence[str], task: Task) -> list[str]:
    """The names of the classes in one column, in order."""
    if len(names) > 1:
        raise DataError(
            f"{table.name}: {len(names)} target columns ({listed(names)}); the task {task!r} has one, of class names. "
            "Name one column as the target."
        )
    (name,) = names
    values = table.columns[name]
    if table.is_text(name):
        return sorted(set(values))
    fixes = (as_text(name),) if table.in_lines else _ANOTHER
    _refuse_others(table, name, values, "classes are whole numbers or texts", _is_whole, *fixes)
    return [written(value) for value in np.unique(values)]


def _is_bit(values: Numbers) -> Numbers:
    return np.isin(values, (0, 1))


def _is_whole(values: Numbers) -> Numbers:
    return np.equal(values, np.rint(values))


def _refuse_missing_target(table: Table, names: Sequence[str]) -> None:
    for name in names:
        missing = table.missing(name)
        if missing.any():
            place = table.place(int(missing.argmax()), name)
            raise cell_error(place, "the cell is empty", "every row needs its target", "fill it", "remove the row")


def _refuse_texts(table: Table, names: Sequence[str], allowed: str) -> None:
    for name in names:
        if table.is_text(name):
            raise cell_error(table.place(0, name), f"the cell is {table.columns[name][0]!r}", allowed, *_ANOTHER)


def _refuse_others(
    table: Table, name: str, values: Numbers, allowed: str, fits: Callable[[Numbers], Numbers], *fixes: str
) -> None:
    """Refuse the first number of a column that does not fit."""
    _refuse_texts(table, [name], allowed)
    others = ~fits(values)
    if others.any():
        row = int(others.argmax())
        cell = f"the cell is {written(values[row])}"
        raise cell_error(table.place(row, name), cell, allowed, *(fixes or _ANOTHER))
