"""What is done to features before a network sees them? Scaling that is fitted, applied, undone and stored."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from engine.errors import ArgumentError, DataError, ShapeError, unknown_name
from engine.settings import number

Numbers = np.ndarray[Any, Any]
Scaling = Literal["none", "scale", "standardize"]
SCALINGS: tuple[Scaling, ...] = ("none", "scale", "standardize")

_BLOCK = 1 << 20  # numbers looked at together: 8 MB of float64, so that a file larger than memory stays on the disk


def row_blocks(array: Any) -> Iterator[tuple[int, Numbers]]:
    """The array, or the rows of a file, in blocks of rows, each with the number of its first row."""
    rows = max(1, _BLOCK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        yield start, np.asarray(array[start : start + rows])


class Preparation:
    """Something done to every sample alike: called on an array (samples, ...), it returns a new one of the same length.

    It can be written down and built again: ``from_dict(preparation.to_dict())``. Fitted numbers are kept in float64, so
    that evaluation and prediction see exactly what training saw.
    """

    kind: str

    def __call__(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        """The prepared samples, in this dtype."""
        raise NotImplementedError  # each kind has its own

    def undo(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        """The samples as they were before, in this dtype."""
        raise NotImplementedError  # each kind has its own

    def to_dict(self) -> dict[str, Any]:
        """Kind and numbers, as what TOML and JSON can hold."""
        raise NotImplementedError  # each kind has its own

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The preparation that ``to_dict`` wrote down."""
        raise NotImplementedError  # each kind has its own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preparation) and self.to_dict() == other.to_dict()

    __hash__ = object.__hash__


class Scale(Preparation):
    """x * factor: pixels from 0..255 into 0..1 with factor 1/255.

    >>> Scale(1 / 16)(np.array([[0, 4, 16]]))
    array([[0.  , 0.25, 1.  ]], dtype=float32)
    """

    kind = "scale"

    def __init__(self, factor: float) -> None:
        self.factor = number("Scale", "factor", factor, "a finite number other than 0", lambda given: given != 0)

    def __call__(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        return _compute(np.multiply, x, self.factor, dtype)

    def undo(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        return _compute(np.divide, x, self.factor, dtype)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "factor": self.factor}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(stored["factor"])

    def __repr__(self) -> str:
        return f"Scale({self.factor!r})"


class Standardize(Preparation):
    """(x - mean) / scale, column by column: mean 0 and standard deviation 1 over the samples that it was fitted on.

    mean, scale (features, ...); scale is the population standard deviation, and 1 for a column that is constant (which
    becomes 0).

    >>> standardize = Standardize.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> standardize(np.array([[1.0, 7.0], [5.0, 8.0]]))
    array([[-1.,  0.],
           [ 3.,  1.]], dtype=float32)
    """

    kind = "standardize"

    def __init__(self, mean: Any, scale: Any) -> None:
        self.mean = np.asarray(mean, dtype=np.float64)
        self.scale = np.asarray(scale, dtype=np.float64)
        if self.mean.shape != self.scale.shape:
            raise ShapeError(
                f"Standardize: mean has shape {self.mean.shape}, scale {self.scale.shape}; both have a sample's shape."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ArgumentError(
                "Standardize: a mean or scale is not finite, or a scale is 0 or below; scales are above 0."
            )

    @classmethod
    def fit(cls, x: Any, only: Any = None) -> Self:
        """Mean and scale of each column of x (samples, ...), summed in float64; x is read once, in blocks of rows.

        Args:
            x: an array, or `Rows` of a file.
            only: True for each feature to standardise, in the shape of a sample; the others keep their values. None for
                all of them.

        >>> Standardize.fit(np.array([[1.0, 0.0], [3.0, 1.0]]), only=[True, False])(np.array([[5.0, 1.0]])).tolist()
        [[3.0, 1.0]]
        """
        x = x if hasattr(x, "shape") else np.asarray(x)
        if not x.ndim or not len(x):
            raise DataError(f"Standardize.fit: x has shape {x.shape}; at least one sample is needed.")
        chosen = np.ones(x.shape[1:], bool) if only is None else np.asarray(only)
        if chosen.dtype != bool or chosen.shape != x.shape[1:]:
            raise ShapeError(
                f"Standardize.fit: only is {chosen.dtype} of shape {chosen.shape}; it is True or False for each "
                f"feature of a sample, of shape {x.shape[1:]}."
            )
        first = np.asarray(x[:1])[0]
        mean, squares, constant = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), np.ones(x.shape[1:], bool)
        for start, block in row_blocks(x):
            # Two passes over a block while it is in the cache; then the rows so far and the block are one sample.
            # Source: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
            constant &= (block == first).all(axis=0)
            rows = len(block)
            block_mean = block.sum(axis=0, dtype=np.float64) / rows
            apart = block_mean - mean
            squares += np.square(block - block_mean).sum(axis=0) + np.square(apart) * (start * rows / (start + rows))
            mean += apart * (rows / (start + rows))
        scale = np.sqrt(squares / len(x))
        # a constant column's mean is rounded: take the value itself, so that the column becomes exactly 0
        mean = np.where(chosen, np.where(constant, first, mean), 0.0)
        return cls(mean, np.where(constant | (scale == 0) | ~chosen, 1.0, scale))

    def __call__(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        out = _compute(np.subtract, self._checked(x), self.mean, dtype)
        return np.divide(out, self.scale, out=out, dtype=np.float64, casting="same_kind")

    def undo(self, x: Numbers, dtype: Any = np.float32) -> Numbers:
        out = _compute(np.multiply, self._checked(x), self.scale, dtype)
        return np.add(out, self.mean, out=out, dtype=np.float64, casting="same_kind")

    def _checked(self, x: Numbers) -> Numbers:
        x = np.asarray(x)
        if x.shape[1:] != self.mean.shape:
            raise ShapeError(
                f"Standardize: samples have shape {x.shape[1:]}; it was fitted on samples of shape {self.mean.shape}."
            )
        return x

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(stored["mean"], stored["scale"])

    def __repr__(self) -> str:
        return f"Standardize(of shape {self.mean.shape})"


_KINDS: dict[str, type[Preparation]] = {cls.kind: cls for cls in (Scale, Standardize)}


def from_dict(stored: Mapping[str, Any]) -> Preparation:
    """The preparation of whatever kind that ``to_dict`` wrote down.

    >>> from_dict({"kind": "scale", "factor": 0.5})
    Scale(0.5)
    """
    kind = stored.get("kind")
    if kind not in _KINDS:
        raise unknown_name("preparation", str(kind), _KINDS)
    try:
        return _KINDS[kind].from_dict(stored)
    except KeyError as missing:
        raise ArgumentError(f"preparation {kind!r}: {missing} is missing in {', '.join(stored)}.") from None


def fit(scaling: Scaling, x: Any, factor: float | None = None, only: Any = None) -> tuple[Preparation, ...]:
    """What prepares features as x (samples, ...) shows: nothing, a factor (1/255 where none is given), mean and scale.

    >>> fit("standardize", np.array([[1.0], [3.0]]))[0](np.array([[5.0]])).tolist(), fit("none", np.ones((1, 1)))
    ([[3.0]], ())
    """
    if scaling not in SCALINGS:
        raise unknown_name("scaling", scaling, SCALINGS)
    if scaling == "scale":
        return (Scale(1 / 255 if factor is None else factor),)
    return (Standardize.fit(x, only),) if scaling == "standardize" else ()


def apply(preparations: Sequence[Preparation], x: Numbers, dtype: Any = np.float32) -> Numbers:
    """x with every preparation applied in order, in this dtype.

    >>> apply((Scale(2.0), Scale(0.25)), np.array([[4]]))
    array([[2.]], dtype=float32)
    """
    for preparation in preparations[:-1]:
        x = preparation(x, np.float64)  # rounded once, at the end
    return preparations[-1](x, dtype) if preparations else x.astype(dtype, copy=False)


def _compute(function: Any, x: Numbers, constant: Any, dtype: Any) -> Numbers:
    # In float64, rounded once into the result; NumPy casts a few thousand numbers at a time: no temporary of x's size.
    x = np.asarray(x)
    out: Numbers = function(x, constant, out=np.empty(x.shape, dtype), dtype=np.float64, casting="same_kind")
    return out
