"""What do launches leave in a device's memory? Copies of its arrays, to be put back or compared, bit for bit."""

from collections.abc import Iterable

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from engine.recording.memory import Memory


class Kept:
    """Arrays of a device, and as many copies, which stay there too.

    Attributes:
        arrays: each stretch of memory once.
    """

    def __init__(self, backend: Backend, arrays: Iterable[Array]) -> None:
        self.backend = backend
        self.arrays = once(arrays)
        self.copies = [backend.empty(one.shape, one.dtype) for one in self.arrays]

    def take(self) -> None:
        """Copy the arrays as they are."""
        for array, copy in zip(self.arrays, self.copies, strict=True):
            self.backend.xp.copyto(copy, array)

    def put_back(self) -> None:
        """Make the arrays what they were."""
        for array, copy in zip(self.arrays, self.copies, strict=True):
            self.backend.xp.copyto(array, copy)

    def differing(self) -> list[Array]:
        """The arrays that are not what they were, any bit of them."""
        xp = self.backend.xp
        if not self.arrays:
            return []
        flags = [xp.not_equal(bits(a), bits(b)).any() for a, b in zip(self.arrays, self.copies, strict=True)]
        differs = self.backend.to_host(xp.stack(flags))
        return [array for array, differ in zip(self.arrays, differs, strict=True) if differ]


def once(arrays: Iterable[Array]) -> list[Array]:
    """The arrays without those that lie in others."""
    known = Memory()
    for array in sorted(arrays, key=lambda one: -int(one.nbytes)):
        known.add(array)
    return known.arrays


def bits(array: Array) -> Array:
    """The same memory as whole numbers: NaN is itself, and 0 is not -0."""
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def spoil(arrays: Iterable[Array]) -> None:
    """Overwrite what is to be computed anew; floats become NaN."""
    for array in arrays:
        memory = bits(array)
        memory.fill(memory.dtype.type(np.iinfo(memory.dtype).max))
