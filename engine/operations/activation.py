"""Which activations does the graph know? One Unary operation a kernel pair; softmax along an axis; maxout."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import activation as kernels
from backends.kernels.pair import Array
from engine.operations.core import KernelOperation, Shape, Unary
from engine.operations.reduction import normal_axes


class Maxout(KernelOperation):
    """y = the largest of the pieces: x (batch, pieces, features) to y (batch, features)."""

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y = backend.empty((x.shape[0], x.shape[2]), x.dtype)
        backend.kernel(kernels.Maxout.forward)(backend.xp, x, y=y)
        return y, (x, y)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        x, y = saved
        dx = backend.empty(x.shape, dy.dtype)
        backend.kernel(kernels.Maxout.backward)(backend.xp, dy, x, y, dx=dx)
        return (dx,)


def along_axis(pair: Any, axis: int, shape: Shape) -> Unary:
    """Softmax or LogSoftmax along one axis of an array of this shape."""
    (normal,) = normal_axes(pair.__name__.lower(), axis, shape)
    return Unary(pair, axis=normal)


RELU, SIGMOID, TANH = Unary(kernels.ReLU), Unary(kernels.Sigmoid), Unary(kernels.Tanh)
GELU, SILU, SOFTPLUS = Unary(kernels.GELU), Unary(kernels.SiLU), Unary(kernels.Softplus)
MAXOUT = Maxout()
