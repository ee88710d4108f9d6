"""Which functions take tensors? The methods of Tensor as functions, and those that take several tensors."""

from collections.abc import Sequence
from typing import Any

from engine.errors import ArgumentError, DeviceError, ShapeError
from engine.operations import arithmetic, shape
from engine.operations.reduction import Axis
from engine.tensor import Tensor, as_tensor
from engine.value import apply

__all__ = [
    "abs",
    "clamp",
    "clip",
    "concatenate",
    "exp",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "pow",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "sqrt",
    "stack",
    "sum",
    "tanh",
    "transpose",
    "var",
    "where",
]


def exp(x: Any) -> Tensor:
    """e^x of every element.

    >>> exp([0.0]).tolist()
    [1.0]
    """
    return as_tensor(x).exp()


def log(x: Any) -> Tensor:
    """The natural logarithm of every element."""
    return as_tensor(x).log()


def sqrt(x: Any) -> Tensor:
    """The square root of every element."""
    return as_tensor(x).sqrt()


def abs(x: Any) -> Tensor:
    """The absolute value of every element; its derivative at 0 is 0."""
    return as_tensor(x).abs()


def pow(x: Any, exponent: Any) -> Tensor:
    """x to the power of a number or a tensor."""
    return as_tensor(x).pow(exponent)


def clip(x: Any, min: float | None = None, max: float | None = None) -> Tensor:
    """Every element moved between the bounds."""
    return as_tensor(x).clip(min=min, max=max)


clamp = clip


def relu(x: Any) -> Tensor:
    """max(0, x); its derivative at 0 is 0."""
    return as_tensor(x).relu()


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + e^-x)."""
    return as_tensor(x).sigmoid()


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return as_tensor(x).tanh()


def softmax(x: Any, axis: int = -1) -> Tensor:
    """e^x over its sum along an axis."""
    return as_tensor(x).softmax(axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis."""
    return as_tensor(x).log_softmax(axis)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over all elements, or along axes."""
    return as_tensor(x).sum(axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over all elements, or along axes."""
    return as_tensor(x).mean(axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element; ties share the gradient evenly."""
    return as_tensor(x).max(axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element; ties share the gradient evenly."""
    return as_tensor(x).min(axis, keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The population variance (divided by n, not n - 1)."""
    return as_tensor(x).var(axis, keepdims)


def reshape(x: Any, *lengths: int | Sequence[int]) -> Tensor:
    """The elements in another shape; one length may be -1."""
    return as_tensor(x).reshape(*lengths)


def transpose(x: Any, *axes: int | Sequence[int]) -> Tensor:
    """The axes in the given order; reversed where none is given."""
    return as_tensor(x).transpose(*axes)


def mm(a: Any, b: Any) -> Tensor:
    """The product of two matrices."""
    return as_tensor(a).mm(as_tensor(b))


def matmul(a: Any, b: Any) -> Tensor:
    """The product of matrices, stacks of matrices and vectors: a @ b."""
    return as_tensor(a).__matmul__(b)


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands, at least one of them a Tensor, brought to one dtype as the operators do."""
    left = a if isinstance(a, Tensor) or isinstance(b, Tensor) else as_tensor(a)
    if isinstance(left, Tensor):
        right = left._operand(b)
        return left._self_for(right), right
    left = b._operand(a)
    return left, b._self_for(left)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two, element by element; ties share the gradient evenly.

    >>> maximum([1.0, 4.0], 2.0).tolist()
    [2.0, 4.0]
    """
    return apply(arithmetic.MAXIMUM, *_pair(a, b))


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of two, element by element; ties share the gradient evenly."""
    return apply(arithmetic.MINIMUM, *_pair(a, b))


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b.

    >>> where(as_tensor([True, False]), 1.0, 2.0).tolist()
    [1.0, 2.0]
    """
    left, right = _pair(a, b)
    holder = left if isinstance(left, Tensor) else right
    test = as_tensor(condition, device=holder.backend)
    if test.dtype.kind != "b":
        raise ShapeError(f"where: the condition is of {test.dtype}; it must be of bools, such as x > 0.")
    return apply(arithmetic.WHERE, test, left, right)


def _tensors(name: str, values: Sequence[Any]) -> list[Tensor]:
    if not isinstance(values, (list, tuple)) or not values:
        raise ArgumentError(f"{name}: {type(values).__name__} was given; give a list of one tensor or more.")
    tensors = [as_tensor(value) for value in values]
    if any(one.backend is not tensors[0].backend for one in tensors):
        places = ", ".join(one.device for one in tensors)
        raise DeviceError(f"{name}: the tensors are on {places}; move them to one device.")
    floats = [one for one in tensors if one.dtype.kind == "f"]
    return [one if one.dtype.kind == "f" else one.to(dtype=floats[0].dtype) for one in tensors] if floats else tensors


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after the other along an axis.

    >>> concatenate([as_tensor([1.0]), as_tensor([2.0, 3.0])]).tolist()
    [1.0, 2.0, 3.0]
    """
    return apply(shape.Concatenate(axis), *_tensors("concatenate", tensors))


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors side by side along a new axis.

    >>> stack([as_tensor([1.0]), as_tensor([2.0])]).shape
    (2, 1)
    """
    return apply(shape.Stack(axis), *_tensors("stack", tensors))
