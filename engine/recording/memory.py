"""Whose memory is this array? Known stretches of memory, and whether two recordings did the same to the same arrays."""

import bisect
from types import ModuleType
from typing import Any

import numpy as np

from backends import native
from backends.kernels.pair import Array
from engine.value import Value

PLAIN = (bool, int, float, complex, str, bytes, type(None))
LEAVES = frozenset((*PLAIN, type(None), ModuleType))  # hold no array; asked for an interface, a module looks long
NO_ARRAYS = LEAVES | {tuple, list, dict, slice}

# The same in compiled C, where there is one.
_extent = getattr(native.kernels, "extent", None)
_arrays_within = getattr(native.kernels, "arrays_within", None)


def is_array(value: Any) -> bool:
    """Whether this is an array of the host or of a device."""
    if isinstance(value, np.ndarray):
        return True
    return type(value) not in NO_ARRAYS and hasattr(value, "__cuda_array_interface__")


def address(array: Array) -> int:
    """Where an array's first element lies."""
    interface = array.__array_interface__ if isinstance(array, np.ndarray) else array.__cuda_array_interface__
    return int(interface["data"][0])


def extent(array: Array) -> tuple[int, int]:
    """The first byte of an array's elements, and the one after the last."""
    if _extent is not None and isinstance(array, np.ndarray):
        place: tuple[int, int] = _extent(array)
        return place
    start = end = address(array)
    if array.size == 0:
        return start, end
    for length, stride in zip(array.shape, array.strides, strict=True):
        reach = (length - 1) * stride
        start, end = start + min(reach, 0), end + max(reach, 0)
    return start, end + int(array.dtype.itemsize)


def form(array: Array) -> tuple[Any, ...]:
    """An array's shape, strides and dtype."""
    return array.shape, array.strides, array.dtype


def same_place(a: Array, b: Array) -> bool:
    """Whether two arrays are the same elements in the same form."""
    return form(a) == form(b) and extent(a) == extent(b)


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays lie in the same stretch of memory."""
    (first, last), (start, end) = extent(a), extent(b)
    return start < last and first < end


class Memory:
    """Stretches of memory, numbered in the order in which they came."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._starts: list[int] = []
        self._stretches: list[tuple[int, int, int]] = []
        self._longest = 0
        self._asked: dict[tuple[int, int], tuple[int, int] | None] = {}  # what `holder` has answered
        self._known: dict[int, tuple[int, int]] = {}  # what `find` says of these arrays themselves, by identity

    def add(self, array: Array) -> None:
        """Know an array's memory; what lies within known memory is known already."""
        if array not in self:
            self.add_new(array)

    def add_new(self, array: Array) -> None:
        """The same of an array that has memory of its own."""
        start, end = extent(array)
        place = bisect.bisect(self._starts, start)
        self._starts.insert(place, start)
        self._stretches.insert(place, (start, end, len(self.arrays)))
        self._longest = max(self._longest, end - start)
        self._known[id(array)] = len(self.arrays), 0 if array.flags.c_contiguous else address(array) - start
        self.arrays.append(array)
        self._asked.clear()

    def find(self, array: Array) -> tuple[int, int] | None:
        """Which known array holds this one, and how many bytes after its start; None where none does."""
        known = self._known.get(id(array))
        if known is not None:
            return known
        start, end = extent(array)
        found = self.holder(start, end)
        if found is None:
            return None
        return found[0], (start if array.flags.c_contiguous else address(array)) - found[1]

    def holder(self, start: int, end: int) -> tuple[int, int] | None:
        """Which known array holds the memory from a byte to another, and that array's first byte."""
        try:
            return self._asked[start, end]
        except KeyError:
            answer = self._asked[start, end] = self._holder(start, end)
            return answer

    def _holder(self, start: int, end: int) -> tuple[int, int] | None:
        place = bisect.bisect(self._starts, start) - 1
        # Stretches may overlap (a matrix and one of its columns): an earlier one may reach farther.
        while place >= 0 and self._starts[place] >= start - self._longest:
            first, last, number = self._stretches[place]
            if first <= start and end <= last:
                return number, first
            place -= 1
        return None

    def __contains__(self, array: Array) -> bool:
        return id(array) in self._known or self.holder(*extent(array)) is not None

    def nbytes(self) -> int:
        """How many bytes all of them hold."""
        return sum(int(array.nbytes) for array in self.arrays)


def arrays_in(value: Any) -> list[Array]:
    """Every array among the arguments of a call."""
    if _arrays_within is None:
        found: list[Array] = []
        _gather(value, found)
        return found
    found, others = _arrays_within(np.ndarray, value)
    for one in others:
        if type(one) is not ModuleType:
            _gather(one, found)
    return found


def _gather(value: Any, found: list[Array]) -> None:
    kind = type(value)  # looked at first: a recording asks this of a thousand values
    if kind is np.ndarray:
        found.append(value)
    elif kind in LEAVES:
        pass
    elif isinstance(value, (tuple, list)):
        for part in value:
            _gather(part, found)
    elif isinstance(value, dict):
        for part in value.values():
            _gather(part, found)
    elif kind is slice:
        _gather((value.start, value.stop, value.step), found)
    elif is_array(value):
        found.append(value)


class Comparison:
    """Whether two recordings of one signature are the same program.

    Buffers must be alike by number and place. An array from outside must be the same memory in both, or a constant that
    was copied from the host with the same values. Everything else must be equal.
    """

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def difference(self) -> str | None:
        """What differs, in words; None where nothing does."""
        if len(self.first.calls) != len(self.second.calls):
            return f"one call ran {len(self.first.calls)} kernels, the next {len(self.second.calls)}"
        for number, (one, other) in enumerate(zip(self.first.calls, self.second.calls, strict=True)):
            name = getattr(one.function, "__qualname__", type(one.function).__name__)
            if not self._function(one.function, other.function):
                return f"kernel {number} was {name}, then {getattr(other.function, '__qualname__', other.function)}"
            if not self._same((one.inputs, one.options), (other.inputs, other.options)):
                return f"kernel {number}, {name}, got other arrays or numbers the next time"
        return None

    def _function(self, a: Any, b: Any) -> bool:
        if a == b:
            return True
        mine: Any = getattr(a, "__self__", None)
        other: Any = getattr(b, "__self__", None)
        if isinstance(mine, Value) and isinstance(other, Value):
            return a.__name__ == b.__name__ and self._same_array(mine.array, other.array)
        if mine is None or type(mine) is not type(other) or a.__name__ != b.__name__ or not hasattr(mine, "described"):
            return False
        return self._same(mine.described(), other.described())

    def _same(self, a: Any, b: Any) -> bool:
        if a is b:
            return True
        if is_array(a) and is_array(b):
            return self._same_array(a, b)
        if isinstance(a, Value) and isinstance(b, Value):
            return self._same_array(a.array, b.array)
        if type(a) is not type(b):
            return False
        if isinstance(a, (tuple, list)):
            return len(a) == len(b) and all(self._same(one, other) for one, other in zip(a, b, strict=True))
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(self._same(value, b[key]) for key, value in a.items())
        if isinstance(a, slice):
            return self._same((a.start, a.stop, a.step), (b.start, b.stop, b.step))
        if isinstance(a, (*PLAIN, np.generic)):
            return bool(a == b or (a != a and b != b))
        if hasattr(a, "described"):
            return self._same(a.described(), b.described())
        return isinstance(a, np.dtype) and bool(a == b)

    def _same_array(self, a: Array, b: Array) -> bool:
        places = self.first.buffers.find(a), self.second.buffers.find(b)
        if places[0] is not None or places[1] is not None:
            return places[0] == places[1] and form(a) == form(b)
        if same_place(a, b):
            return True
        if a not in self.first.constants or b not in self.second.constants or type(a) is not np.ndarray:
            return False
        return form(a) == form(b) and a.tobytes() == b.tobytes()
