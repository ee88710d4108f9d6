"""What must a device offer? The one contract that layers, losses and the trainer compute through."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backends.errors import OutOfMemoryError
from backends.kernels.pair import Array, Namespace
from backends.lane import Lane

Kernel = Callable[..., None]


class _Table(dict[Kernel, Kernel]):
    """Definition -> the function that computes it: itself, where there is no other."""

    def __missing__(self, definition: Kernel) -> Kernel:
        return definition


class Backend:
    """One device: its arrays, its way to the host, and its table of kernels.

    Attributes:
        name: "numpy" or "cupy".
        device: "cpu", "cuda:0", ...
        xp: the array namespace (the module ``numpy`` or ``cupy``).
        overrides: kernels that this device computes by a function of its own: definition -> replacement.
        graphs: whether `graph` can make one launch of many.
    """

    name: str
    device: str
    xp: Namespace
    overrides: dict[Kernel, Kernel]
    graphs: bool = False

    def __init__(self, name: str, device: str, xp: Namespace, overrides: dict[Kernel, Kernel] | None = None) -> None:
        self.name = name
        self.device = device
        self.xp = xp
        self.overrides = _Table({} if overrides is None else overrides)
        if type(self).kernel is Backend.kernel:
            # The hot path looks it up without a frame.
            self.kernel = self.overrides.__getitem__  # type: ignore[method-assign, assignment]  # does the same

    def __deepcopy__(self, memo: dict[int, Any]) -> "Backend":
        return self  # a device is one thing, however many copies of a model refer to it

    def kernel(self, definition: Kernel) -> Kernel:
        """The function that computes ``definition`` on this device."""
        return self.overrides[definition]

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array whose values are whatever the memory held."""
        return self.xp.empty(shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array of zeros."""
        return self.xp.zeros(shape, dtype)

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        """The values as an array of this device, copied from the host or converted where needed."""
        return self.xp.asarray(values, dtype)

    def copy(self, values: Any, dtype: Any = None) -> Array:
        """A new array with these values: no later change of theirs can reach it."""
        return self.xp.array(self.asarray(values), dtype=dtype, copy=True)

    def reshape(self, array: Array, shape: Sequence[int]) -> Array:
        """The elements in another shape: a view, or a copy where their order in memory does not allow one."""
        return array.reshape(shape)

    def rounded_type(self, precision: str) -> str:
        """The type in which this device's kernels keep numbers that were rounded to ``precision`` for a product."""
        return "float32"

    def to_host(self, array: Array) -> "np.ndarray[Any, Any]":
        """The array as a NumPy array: the only way out of the device. Not a copy where the array is NumPy's already."""
        raise NotImplementedError  # every device has its own way; a Backend without one is not usable

    def owns(self, array: Any) -> bool:
        """Whether this is an array of this device."""
        raise NotImplementedError  # as to_host: every device has its own arrays

    def synchronize(self) -> None:
        """Wait until everything asked of the device is done."""

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        """All that ``run`` asks of the device as one launch, which is not made yet; None where it cannot be kept so."""
        return None

    def definition(self, function: Kernel) -> Kernel:
        """What a function of this device computes: the other way round than `kernel`."""
        return next((one for one, other in self.overrides.items() if other == function), function)

    def biased(
        self,
        linear: tuple[Array, Array, Array],
        total: Array,
        definition: Kernel,
        options: dict[str, Any],
        precision: str | None = None,
    ) -> Kernel | None:
        """What computes an activation of x w + b where total is x w: called with (xp, total, b), and its options.

        total becomes x w + b, and may be the result y. None where the device adds the bias by other ways. A precision
        is what x and w were rounded to.
        """
        return None

    def summed(
        self,
        product: tuple[Array, Array] | None,
        dx: Array,
        db: Array,
        definition: Kernel,
        options: dict[str, Any],
    ) -> Kernel | None:
        """What computes an activation's gradient dx, and its sum over the rows into the further option db.

        None where the device sums it up by other ways; a product of x and dw, dw = x^T dx, may be one of them.
        """
        return None

    def lane(self) -> Lane | None:
        """A way for data to come beside what the device computes; None where there is no such way."""
        return None

    def memory(self) -> dict[str, int]:
        """Bytes of memory, as far as the device tells.

        "held" by the allocator, "used" of those by arrays, and "free" beside them for anyone.
        """
        return {}

    def give_back(self) -> None:
        """Let others have the memory that the allocator holds and no array uses."""

    def shortage(self, error: BaseException) -> str | None:
        """What was asked, held and free, where an error says that the device has no room for an array; else None."""
        if isinstance(error, OutOfMemoryError):
            return error.facts
        return f"{self.device} is out of memory: {error}." if isinstance(error, MemoryError) else None

    def describe(self) -> dict[str, str]:
        """What a person wants to know of the device: name, versions, memory."""
        return {"device": self.device, "arrays": self.name}

    def __repr__(self) -> str:
        return f"<{self.name} backend on {self.device}>"


def like(backend: Backend, array: Array, dtype: Any = None) -> Array:
    """A new array of the same shape, its axes in the same order in memory: what NumPy's copies are like.

    The order decides which loops a kernel runs, so that it decides the last bits.
    """
    kind = array.dtype if dtype is None else dtype
    if array.ndim < 2 or array.flags.c_contiguous:
        return backend.empty(array.shape, kind)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    made = backend.empty([array.shape[axis] for axis in order], kind)
    return made.transpose([order.index(axis) for axis in range(array.ndim)])
