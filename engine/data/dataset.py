"""What is a data set, and how is it split? Features and targets, one sample a row, with names and preparation."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.convert import host_array
from engine.data.preparation import Preparation, Standardize, apply, row_blocks
from engine.data.rows import Rows
from engine.errors import ArgumentError, DataError, DtypeError, ShapeError, unknown_name
from engine.random import as_generator
from engine.settings import instance, number, shown

if TYPE_CHECKING:
    from engine.data.intake import Intake

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "multilabel", "regression")

_HIGHEST_LABEL = 1_000_000  # a larger one is an identifier or a year, not a class number


class Dataset:
    """Samples with their targets.

    The arrays are kept, not copied; features that are `Rows` of a file stay there, through splits and preparations, and
    are read when batches are made; floats in Python lists become float32. Regression targets of an integer dtype
    become float32, labels become int64.

    Args:
        x: features (samples, ...): numbers, finite; an array, or `Rows`.
        y: targets: labels (samples,) from 0 for "binary" and "multiclass"; 0 or 1 in (samples, classes) for
            "multilabel"; finite numbers (samples,) or (samples, outputs) for "regression".
        name: what messages call it.
        feature_names: one for each feature of a two-dimensional x.
        class_names: one for each class; numbered where none are given. None for regression.
        task: "binary", "multiclass", "multilabel" or "regression". None takes it from y: floats are regression, whole
            numbers in two dimensions multilabel, labels 0 and 1 alone binary, other labels multiclass.
        preparation: what was applied to x, in order.
        target_preparation: what was applied to y of a regression; its ``undo`` turns predictions into the original
            unit.

    Attributes:
        intake: what does to further files what was done to this data, where `engine.data.load` made it; else None.

    Raises:
        DataError: nothing in it, different lengths, a NaN or an infinity (first row and column), labels that are not
            class numbers.

    >>> data = Dataset([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0, 1, 0], class_names=("no", "yes"))
    >>> len(data), data.features, data.classes, data.task
    (3, 2, 2, 'binary')
    >>> data[1:].x
    array([[2., 3.],
           [4., 5.]], dtype=float32)
    """

    x: Any  # an array, or Rows, which have of it what batches need
    y: np.ndarray[Any, Any]
    name: str
    feature_names: tuple[str, ...] | None
    class_names: tuple[str, ...] | None
    task: Task
    preparation: tuple[Preparation, ...]
    target_preparation: Standardize | None
    intake: "Intake | None"

    def __init__(
        self,
        x: Any,
        y: Any,
        name: str = "data",
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        task: Task | None = None,
        preparation: Sequence[Preparation] = (),
        target_preparation: Standardize | None = None,
    ) -> None:
        x, y = x if isinstance(x, Rows) else as_numbers(name, "x", x), as_numbers(name, "y", y)
        if not x.ndim or not y.ndim:
            raise DataError(f"{name}: x has shape {x.shape}, y {y.shape}; the first axis of both is the samples.")
        if len(x) != len(y):
            raise DataError(f"{name}: x has {len(x)} samples, y {len(y)}; each sample needs one target.")
        if not x.size or not y.size:
            raise DataError(
                f"{name}: x has shape {x.shape}, y {y.shape}; at least one sample with a feature is needed."
            )
        check_finite(name, "x", x)
        check_finite(name, "y", y)
        task = _task(y) if task is None else task
        if task not in TASKS:
            raise unknown_name("task", str(task), TASKS)
        if task != "regression":
            y = _labels(name, task, y)
        elif y.dtype.kind != "f":
            y = y.astype(np.float32)
        self._set(
            x=x,
            y=y,
            name=name,
            feature_names=None if feature_names is None else _feature_names(name, x, feature_names),
            class_names=_class_names(name, task, y, class_names),
            task=task,
            preparation=tuple(preparation),
            target_preparation=target_preparation,
            intake=None,
        )

    def _set(self, **values: Any) -> None:
        vars(self).update(values)  # while it is being built; afterwards nothing is changed

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Dataset.{name} cannot be set; a data set stays what it is. Build a new one.")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray[Any, Any]) -> "Dataset":
        """The samples at these rows, as a data set with the same names and preparation."""
        if isinstance(rows, (int, np.integer)):
            raise ArgumentError(
                f"{self.name}[{rows}]: rows are a slice, a list or an array. Use [{rows}:{rows + 1}] for one sample."
            )
        try:
            index = rows if isinstance(rows, slice) else host_array(rows)
            x, y = self.x.part(index) if isinstance(self.x, Rows) else self.x[index], self.y[index]
        except (IndexError, TypeError, ShapeError, DtypeError):
            raise DataError(
                f"{self.name}[{shown(rows)}]: rows are a slice, whole numbers from 0 to {len(self) - 1}, or True and "
                f"False for each of the {len(self)} samples."
            ) from None
        if not len(x):
            raise DataError(f"{self.name}: no sample was selected out of {len(self)}; at least one is needed.")
        part = copy.copy(self)  # not built anew: a part of checked arrays needs no second look
        part._set(x=x, y=y)
        return part

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        """x, then y: ``x, y = data``."""
        return iter((self.x, self.y))

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.task}, x {self.x.dtype}{self.x.shape}, y {self.y.dtype}{self.y.shape})"

    @property
    def features(self) -> int:
        """How many numbers a sample has: the product of x's axes after the first."""
        return int(np.prod(self.x.shape[1:]))

    @property
    def classes(self) -> int:
        """How many classes there are, those that no sample here belongs to counted in; 0 for regression."""
        return 0 if self.class_names is None else len(self.class_names)

    def astype(self, dtype: Any) -> "Dataset":
        """The same data with features, and targets of a regression, in this dtype.

        >>> Dataset([[0.5], [1.5]], [0, 1]).astype("float64").x.dtype
        dtype('float64')
        """
        same = copy.copy(self)
        y = self.y.astype(dtype, copy=False) if self.task == "regression" else self.y
        same._set(x=self.x.astype(dtype, copy=False), y=y)
        return same

    def prepared(
        self, preparation: Sequence[Preparation], target_preparation: Standardize | None = None, dtype: Any = np.float32
    ) -> "Dataset":
        """The same data with these applied to x, and to y of a regression, in this dtype; noted after earlier ones.

        >>> from engine.data.preparation import Scale
        >>> Dataset([[0.0], [16.0]], [0, 1]).prepared([Scale(1 / 16)]).x.tolist()
        [[0.0], [1.0]]
        """
        same = copy.copy(self)  # not built anew: names and labels were checked
        x = self.x.prepared(preparation, dtype) if isinstance(self.x, Rows) else apply(preparation, self.x, dtype)
        if self.x.dtype.itemsize > 1:  # bytes are not looked through: whatever a pixel is scaled by leaves it finite
            check_finite(self.name, "x", x)
        same._set(x=x, preparation=(*self.preparation, *preparation), intake=None)
        if target_preparation is not None:
            y = target_preparation(self.y, dtype)
            check_finite(self.name, "y", y)
            same._set(y=y, target_preparation=target_preparation)
        return same


def as_numbers(name: str, part: str, values: Any) -> np.ndarray[Any, Any]:
    """The values as an array of numbers; Python floats become float32, arrays keep their dtype."""
    try:
        if hasattr(values, "__cuda_array_interface__"):
            return host_array(values.get())
        return host_array(values.numpy() if hasattr(values, "numpy") else values)
    except ShapeError:
        raise DataError(f"{name}: {part} is ragged; every row needs the same length.") from None
    except DtypeError:
        kind = f"{type(values).__name__} of {np.asarray(values).dtype}"
        raise DataError(
            f"{name}: {part} is {kind}; allowed are floats, integers and bools. Turn it into numbers first."
        ) from None


def check_finite(name: str, part: str, array: Any) -> None:
    """Refuse NaN and infinities, naming the first row and column; in blocks, so that large files stay on the disk.

    `Rows` are looked through once: they, their parts and what they are prepared to are then known to be finite.
    """
    if array.dtype.kind != "f" or (isinstance(array, Rows) and array.checked):
        return
    for start, block in row_blocks(array):
        finite = np.isfinite(block)
        if not finite.all():
            place = [int(axis[0]) for axis in np.nonzero(~finite)]
            value = block[tuple(place)]
            row, column = place[0] + start, f", column {', '.join(map(str, place[1:]))}" if place[1:] else ""
            raise DataError(
                f"{name}: {part} is {value} at row {row}{column} (counted from 0); values must be finite. "
                "Remove or fill them."
            )
    if isinstance(array, Rows):
        array.checked = True


def _task(y: np.ndarray[Any, Any]) -> Task:
    if y.dtype.kind == "f":
        return "regression"
    if y.ndim > 1:
        return "multilabel"
    return "binary" if y.max() <= 1 else "multiclass"


def _feature_names(name: str, x: np.ndarray[Any, Any], given: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(feature) for feature in given)
    if x.ndim != 2 or len(names) != x.shape[1]:
        raise DataError(f"{name}: {len(names)} feature names for x of shape {x.shape}; one is needed for each column.")
    return names


def _class_names(name: str, task: Task, y: np.ndarray[Any, Any], given: Sequence[str] | None) -> tuple[str, ...] | None:
    if task == "regression":
        if given is not None:
            raise DataError(f"{name}: class names were given for a regression. Leave them out, or name another task.")
        return None
    needed = y.shape[1] if task == "multilabel" else max(int(y.max()) + 1, 2)
    names = tuple(str(label) for label in (range(needed) if given is None else given))
    if len(names) < needed or (task == "multilabel" and len(names) > needed):
        raise DataError(f"{name}: {len(names)} class names; y has {needed} classes (the highest label counts).")
    if task == "binary" and len(names) != 2:
        raise DataError(f"{name}: {len(names)} class names for a binary task; allowed are 2.")
    return names


def _labels(name: str, task: Task, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if y.dtype.kind == "f":
        raise DataError(
            f"{name}: labels have dtype {y.dtype}; allowed are integers. Use y.astype(int), or the task regression."
        )
    wanted, form = (2, "(samples, classes)") if task == "multilabel" else (1, "(samples,)")
    if y.ndim != wanted:
        fix = " Use y.reshape(-1)." if wanted == 1 and y.size == len(y) else ""
        raise DataError(f"{name}: labels of a {task} task have shape {form}, not {y.shape}.{fix}")
    lowest, highest = int(y.min()), int(y.max())
    limit = _HIGHEST_LABEL if task == "multiclass" else 1
    if lowest < 0 or highest > limit:
        wrong = lowest if lowest < 0 else highest
        row = int(np.nonzero(y == wrong)[0][0])
        allowed = "class numbers from 0" if task == "multiclass" else "0 and 1"
        raise DataError(f"{name}: label {wrong} at row {row} (counted from 0); labels of a {task} task are {allowed}.")
    return y.astype(np.int64, copy=False)


def split(
    dataset: Dataset, fraction: float = 0.2, *, seed: "int | np.random.Generator" = 0, stratify: bool | None = None
) -> tuple[Dataset, Dataset]:
    """The data set in two: (rest, held-out fraction), drawn by seed; in each, the samples keep their order.

    The held-out part has ceil(fraction * samples) samples, at least 1, at most all but 1.

    Args:
        dataset: what is split.
        fraction: of the samples, to hold out: between 0 and 1.
        seed: the same seed gives the same split.
        stratify: True holds out the same share of every class (to within one sample; a class of one sample stays in the
            rest), False draws from all samples alike, None stratifies binary and multiclass sets.

    >>> from engine.data.synthetic import moons
    >>> train, test = split(moons(samples=50), 0.2, seed=0)
    >>> len(train), len(test), int(test.y.sum())
    (40, 10, 5)
    """
    instance("split", "data set", dataset, Dataset, "a Dataset, such as Dataset(x, y)")
    fraction = number(
        "split", "fraction", fraction, "a number between 0 and 1, both excluded", lambda given: 0 < given < 1
    )
    total = len(dataset)
    if total < 2:
        raise DataError(f"{dataset.name}: {total} sample cannot be split in two; at least 2 are needed.")
    labelled = dataset.task in ("binary", "multiclass")
    if stratify and not labelled:
        raise ArgumentError(
            f"split: stratify=True for a {dataset.task} task; it needs one label a sample. Use stratify=False."
        )
    held_out = min(max(math.ceil(fraction * total - 1e-9), 1), total - 1)  # 0.1 * 30 is a little above 3
    order = as_generator(seed).permutation(total)
    if labelled and stratify is not False:
        # Deal every class its share, in the order drawn.
        of_class = dataset.y[order]
        shares = _shares(np.bincount(dataset.y, minlength=dataset.classes), held_out)
        if not sum(shares):
            raise DataError(
                f"{dataset.name}: every class has one sample, so none can be held out of each. Use stratify=False."
            )
        by_class = np.argsort(of_class, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_class, minlength=dataset.classes))])
        chosen = order[
            np.concatenate([by_class[start : start + share] for start, share in zip(starts, shares, strict=False)])
        ]
    else:
        chosen = order[:held_out]
    apart = np.zeros(total, dtype=bool)
    apart[chosen] = True
    return dataset[np.nonzero(~apart)[0]], dataset[np.nonzero(apart)[0]]


def _shares(counts: np.ndarray[Any, Any], total: int) -> list[int]:
    # Largest remainder: each class its whole part, what is left to the largest fractions.
    exact = counts * (total / counts.sum())
    shares = np.floor(exact).astype(np.int64)
    left = total - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:left]] += 1
    return [int(share) for share in np.minimum(shares, np.maximum(counts - 1, 0))]
