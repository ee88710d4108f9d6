"""What is an operation? A stateless pair of forward and backward on arrays; saved values belong to the call."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array, Pair
from backends.kernels.reduction import SumTo
from engine.errors import ShapeError

Shape = tuple[int, ...]


class Operation:
    """A differentiable function of arrays: the lecture's forward_pass and backward_pass. Subclass it to add your own.

    ``forward(*arrays)`` returns the output array and whatever backward needs (one array, a tuple, or anything else).
    ``backward(saved, incoming_gradient, needed)`` returns one gradient an input, each in its input's shape; ``needed``
    tells which are wanted, and None stands for one that is not. Arrays are NumPy's or CuPy's, as the device says.

    Example::

        >>> import engine as en
        >>> class Square(en.Operation):
        ...     def forward(self, x):
        ...         return x * x, x
        ...     def backward(self, saved, incoming_gradient, needed):
        ...         return (2 * saved * incoming_gradient,)
        >>> x = en.tensor(3.0, requires_grad=True)
        >>> en.apply(Square(), x).backward()
        >>> x.grad.item()
        6.0

    Source: lecture 000, "Forward and backward pass of a node".
    """

    takes_backend = False  # the engine's own operations are handed the backend as their first argument
    is_view = False  # whether the output shares its memory with the first input

    @property
    def label(self) -> str:
        """What a drawn graph calls the node."""
        return type(self).__name__.lower()

    if TYPE_CHECKING:  # each operation has inputs of its own number
        forward: Callable[..., tuple[Any, Any]]
        backward: Callable[..., Sequence[Any]]
    else:

        def forward(self, *arrays):
            raise NotImplementedError(
                f"{type(self).__name__}: define forward(self, *arrays), returning (output, saved)."
            )

        def backward(self, saved, incoming_gradient, needed):
            raise NotImplementedError(
                f"{type(self).__name__}: define backward(self, saved, incoming_gradient, needed), a gradient an input."
            )


class KernelOperation(Operation):
    """An operation of the engine's own: it allocates by the backend and computes by kernels with explicit outputs.

    ``forward(backend, *arrays)`` and ``backward(backend, saved, dy, needed)``: the backend comes first.
    """

    takes_backend = True


class Unary(KernelOperation):
    """y = f(x), element by element: one pair whose backward reads x, y or both, as its ``saves`` says.

    ``constants`` are the pair's own (a slope, an axis). Temporaries that the pair asks for are allocated for the call.
    """

    def __init__(self, pair: Any, **constants: Any) -> None:
        self.pair: type[Pair] = pair
        self._forward = pair.forward
        self._backward = pair.backward
        self._saves_x = "x" in pair.saves
        self._saves_y = "y" in pair.saves
        self._forward_work = getattr(pair, "forward_work", 0)
        self._backward_work = getattr(pair, "backward_work", 0)
        self.constants = constants

    @property
    def label(self) -> str:
        return self.pair.__name__.lower()

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y = backend.empty(x.shape, x.dtype)
        if self._forward_work:
            work = tuple(backend.empty(x.shape, x.dtype) for _ in range(self._forward_work))
            backend.kernel(self._forward)(backend.xp, x, y=y, work=work, **self.constants)
        else:
            backend.kernel(self._forward)(backend.xp, x, y=y, **self.constants)
        if self._saves_x:
            return y, ((x, y) if self._saves_y else (x,))
        return y, (y,)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx = backend.empty(dy.shape, dy.dtype)
        if self._backward_work:
            work = tuple(backend.empty(dy.shape, dy.dtype) for _ in range(self._backward_work))
            backend.kernel(self._backward)(backend.xp, dy, *saved, dx=dx, work=work, **self.constants)
        else:
            backend.kernel(self._backward)(backend.xp, dy, *saved, dx=dx, **self.constants)
        return (dx,)


def broadcast_shape(name: str, a: Any, b: Any) -> Shape:
    """The shape of an element-wise result of two arrays or numbers, by NumPy's rules of broadcasting."""
    first: Shape = getattr(a, "shape", ())
    second: Shape = getattr(b, "shape", ())
    if first == second or not second:
        return first
    if not first:
        return second
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {first} and {second} do not fit; each pair of lengths, from the right, must be equal or 1."
            f" Use reshape or transpose on one of them."
        ) from None


def result_dtype(a: Any, b: Any) -> Any:
    """The dtype of a result of two arrays or numbers; a Python number takes the array's."""
    first, second = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if first is second or second is None:
        return first
    return second if first is None else np.result_type(first, second)


def sum_to(backend: Backend, gradient: Array, shape: Shape) -> Array:
    """The gradient of an input that broadcasting had repeated: summed over the repeated axes, in the input's shape."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + axis for axis, length in enumerate(shape) if length == 1 and gradient.shape[extra + axis] != 1
    )
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(gradient.shape))
    total = backend.empty(kept, gradient.dtype)
    backend.kernel(SumTo.forward)(backend.xp, gradient, dx=total, axis=axes)
    return total.reshape(shape)
