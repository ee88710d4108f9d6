"""Where do a program's temporary arrays lie? In one piece of memory, each only from its first use to its last."""

from collections.abc import Sequence

import numpy as np

from backends.kernels.pair import Array
from engine.recording.joining import Call
from engine.recording.memory import Memory, address, extent

ALIGNMENT = 64


def share(calls: Sequence[Call], buffers: Memory, pinned: Memory) -> tuple[list[Call], Memory]:
    """The calls on arrays that share memory where they are not needed at the same time, and the memory that is left.

    A buffer holds nothing before its first use, since it was made empty. What is pinned (an output, an argument, what
    a function of Python's touches) stays where it is.
    """
    uses = _uses(calls, buffers)
    movable = {
        number: (first, last)
        for number, (first, last, plain) in uses.items()
        if plain and isinstance(buffers.arrays[number], np.ndarray) and buffers.arrays[number] not in pinned
    }
    places, size = _packed(movable, buffers)
    arena = np.empty(size + ALIGNMENT, np.uint8)
    arena = arena[-address(arena) % ALIGNMENT :][:size]
    left = Memory()
    for number, array in enumerate(buffers.arrays):
        if (number in uses and number not in places) or array in pinned:
            left.add(array)
    if size:
        left.add(arena)
    moves = _Moves(buffers, places, arena)
    return [moves.call(call) for call in calls], left


def _uses(calls: Sequence[Call], buffers: Memory) -> dict[int, tuple[int, int, bool]]:
    """For each buffer that is used: the first call, the last, and whether only kernels touch it."""
    uses: dict[int, tuple[int, int, bool]] = {}
    for place, call in enumerate(calls):
        for start, end in call.extents:
            found = buffers.holder(start, end)
            if found is None:
                continue
            first, _, plain = uses.get(found[0], (place, place, True))
            uses[found[0]] = first, place, plain and call.kernel is not None
    return uses


def _packed(movable: dict[int, tuple[int, int]], buffers: Memory) -> tuple[dict[int, int], int]:
    """Where each buffer begins, the largest laid out first, each in the lowest gap that is free all its life."""
    places: dict[int, int] = {}
    sizes = {number: _span(buffers.arrays[number]) for number in movable}
    for number in sorted(movable, key=lambda one: (-sizes[one], movable[one])):
        first, last = movable[number]
        taken = sorted(
            (places[other], places[other] + sizes[other])
            for other in places
            if movable[other][0] <= last and first <= movable[other][1]
        )
        start = 0
        for low, high in taken:
            if start + sizes[number] <= low:
                break
            start = max(start, high)
        places[number] = start
    return places, max((places[number] + sizes[number] for number in places), default=0)


def _span(array: Array) -> int:
    low, high = extent(array)
    return -(-(high - low) // ALIGNMENT) * ALIGNMENT


class _Moves:
    """Arrays that share memory, in the place of those that had their own.

    Args:
        buffers: which these are.
        places: where each begins that moves, by its number.
        arena: the memory that they share.
    """

    def __init__(self, buffers: Memory, places: dict[int, int], arena: Array) -> None:
        self.buffers, self.places, self.memory = buffers, places, arena.data
        self._made: dict[int, tuple[Array, Array]] = {}  # by identity: the array, and what takes its place

    def call(self, call: Call) -> Call:
        """A call on the moved arrays."""
        for start, end in call.extents:
            found = self.buffers.holder(start, end)
            if found is not None and found[0] in self.places:
                break
        else:
            return call
        options = {name: self._replaced(one) for name, one in call.options.items()}
        return Call(call.number, call.function, tuple([self._replaced(one) for one in call.inputs]), options)

    def _replaced(self, value: object) -> object:
        if isinstance(value, np.ndarray):
            known = self._made.get(id(value))
            if known is None:
                known = self._made[id(value)] = value, self._moved(value)
            return known[1]
        if isinstance(value, tuple):
            return tuple([self._replaced(one) for one in value])
        if isinstance(value, list):
            return [self._replaced(one) for one in value]
        if isinstance(value, slice):
            return slice(*(self._replaced(one) for one in (value.start, value.stop, value.step)))
        return value

    def _moved(self, array: Array) -> Array:
        found = self.buffers.find(array)
        if found is None or found[0] not in self.places:
            return array
        start = self.places[found[0]] + found[1]
        return np.ndarray(array.shape, array.dtype, self.memory, start, array.strides)
