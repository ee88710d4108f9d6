"""What can be written with tensors? The operators and methods of Tensor, each one line over its operation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.backend import Backend
from backends.kernels import activation as kernels
from backends.kernels.arithmetic import Compare
from engine.convert import host_array
from engine.errors import DeviceError, DtypeError, ShapeError
from engine.operations import activation, arithmetic, linear, reduction, shape
from engine.operations.core import KernelOperation, broadcast_shape
from engine.operations.reduction import Axis
from engine.value import Value, apply

if TYPE_CHECKING:
    from engine.tensor import Tensor

Operand = Any
"""A Tensor, a Python number, or an array or nested list of numbers."""


def raw_index(index: Any, backend: Backend) -> Any:
    """An index with its tensors, arrays and lists replaced by arrays of the device."""
    if isinstance(index, tuple):
        return tuple(raw_index(part, backend) for part in index)
    if isinstance(index, Value):
        if index.backend is not backend:
            raise DeviceError(
                f"x[...]: the index is on {index.backend.device}, the tensor on {backend.device}; "
                f'move it with .to("{backend.device}").'
            )
        return backend.copy(index.array)  # backward uses it again: no later change may reach it
    array = index
    if isinstance(index, list):
        array = host_array(index) if index else np.empty(0, np.int64)
    if not isinstance(array, np.ndarray):
        return index
    return backend.copy(array)


class Operators(Value):
    """The arithmetic of tensors. Python numbers take the tensor's dtype; arrays and lists become tensors beside it."""

    def _operand(self, other: Operand) -> Any:
        kind = self.array.dtype.kind
        if isinstance(other, Value):
            other_kind = other.array.dtype.kind
            if kind == "f" and other_kind != "f":
                return apply(shape.Cast(self.array.dtype), other)
            return other
        if isinstance(other, (bool, int, float, np.generic)) or (isinstance(other, np.ndarray) and other.ndim == 0):
            number = other.item() if isinstance(other, (np.generic, np.ndarray)) else other
            if isinstance(number, complex):
                raise DtypeError(f"a tensor meets the complex number {number!r}; operands are real.")
            if kind != "f" and (isinstance(number, float) or (kind == "b" and not isinstance(number, bool))):
                raise DtypeError(
                    f"a tensor of {self.array.dtype} meets the number {number!r}, which it cannot hold; convert it "
                    f'first: .to(dtype="float32").'
                )
            return number
        if isinstance(other, str) or other is None:
            raise DtypeError(f"a tensor meets {other!r}; operands are tensors, numbers, arrays and lists of numbers.")
        return self._operand(self._beside(other))

    def _self_for(self, other: Any) -> Any:
        """This tensor, as floats where the other operand is a tensor of floats."""
        if isinstance(other, Value) and self.array.dtype.kind != "f" and other.array.dtype.kind == "f":
            return apply(shape.Cast(other.array.dtype), self)
        return self

    if TYPE_CHECKING:

        def _beside(self, data: Any) -> "Tensor": ...

    def _binary(self, operation: KernelOperation, other: Operand, swapped: bool = False) -> "Tensor":
        if type(other) is not type(self) or other.array.dtype is not self.array.dtype:
            other = self._operand(other)
            mine = self._self_for(other)
            return apply(operation, other, mine) if swapped else apply(operation, mine, other)
        return apply(operation, other, self) if swapped else apply(operation, self, other)

    def __add__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.ADD, other)

    def __radd__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.ADD, other, swapped=True)

    def __sub__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.SUBTRACT, other)

    def __rsub__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.SUBTRACT, other, swapped=True)

    def __mul__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.MULTIPLY, other)

    def __rmul__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.MULTIPLY, other, swapped=True)

    def __truediv__(self, other: Operand) -> "Tensor":
        self._require_float("/")
        return self._binary(arithmetic.DIVIDE, other)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        self._require_float("/")
        return self._binary(arithmetic.DIVIDE, other, swapped=True)

    def __pow__(self, other: Operand) -> "Tensor":
        operand = self._operand(other)
        if not isinstance(operand, Value):
            return apply(arithmetic.PowerConstant(operand), self)
        return self._binary(arithmetic.POWER, operand)

    def __rpow__(self, other: Operand) -> "Tensor":
        return self._binary(arithmetic.POWER, other, swapped=True)

    def __matmul__(self, other: Operand) -> "Tensor":
        return self._binary(linear.MATRIX_PRODUCT, other)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return self._binary(linear.MATRIX_PRODUCT, other, swapped=True)

    def __neg__(self) -> "Tensor":
        return apply(arithmetic.NEGATIVE, self)

    def __abs__(self) -> "Tensor":
        return self.abs()

    # Comparisons are tensors of bools, without history.

    def _compare(self, name: str, other: Operand) -> "Tensor":
        operand = other if isinstance(other, (Value, bool, int, float, np.number, np.bool)) else self._operand(other)
        if isinstance(operand, Value) and operand.backend is not self.backend:
            operand = self._operand(operand)
            return apply(arithmetic.SUBTRACT, self, operand)  # raises the error that names both devices
        right = operand.array if isinstance(operand, Value) else operand
        backend = self.backend
        y = backend.empty(broadcast_shape(name, self.array, right), "bool")
        backend.kernel(Compare.forward)(backend.xp, self.array, right, y=y, relation=name)
        return self.wrap(y, backend)

    def __lt__(self, other: Operand) -> "Tensor":
        return self._compare("less", other)

    def __le__(self, other: Operand) -> "Tensor":
        return self._compare("less_equal", other)

    def __gt__(self, other: Operand) -> "Tensor":
        return self._compare("greater", other)

    def __ge__(self, other: Operand) -> "Tensor":
        return self._compare("greater_equal", other)

    def __eq__(self, other: object) -> "Tensor":  # type: ignore[override]  # element by element, as NumPy does
        return self._compare("equal", other)

    def __ne__(self, other: object) -> "Tensor":  # type: ignore[override]  # element by element, as NumPy does
        return self._compare("not_equal", other)

    __hash__ = object.__hash__

    # -- element by element ----------------------------------------------------------------------------

    def _require_float(self, name: str) -> None:
        if self.array.dtype.kind != "f":
            raise DtypeError(f'{name}: a tensor of {self.array.dtype} was given; convert it with .to(dtype="float32").')

    def _unary(self, operation: KernelOperation) -> "Tensor":
        if self.array.dtype.kind != "f":
            self._require_float(operation.label)
        return apply(operation, self)

    def exp(self) -> "Tensor":
        """e^x of every element."""
        return self._unary(arithmetic.EXP)

    def log(self) -> "Tensor":
        """The natural logarithm of every element."""
        return self._unary(arithmetic.LOG)

    def sqrt(self) -> "Tensor":
        """The square root of every element."""
        return self._unary(arithmetic.SQRT)

    def abs(self) -> "Tensor":
        """The absolute value of every element; its derivative at 0 is 0."""
        return self._unary(arithmetic.ABSOLUTE)

    def pow(self, exponent: Operand) -> "Tensor":
        """x to the power of a number or a tensor."""
        return self.__pow__(exponent)

    def clip(self, min: float | None = None, max: float | None = None) -> "Tensor":
        """Every element moved between the bounds; the gradient passes where they hold, the bounds included."""
        if min is None and max is None:
            raise ShapeError("clip: no bound was given; give min=, max= or both.")
        return self._unary(arithmetic.Clip(min, max))

    clamp = clip

    def relu(self) -> "Tensor":
        """max(0, x); its derivative at 0 is 0."""
        return self._unary(activation.RELU)

    def sigmoid(self) -> "Tensor":
        """1 / (1 + e^-x)."""
        return self._unary(activation.SIGMOID)

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent."""
        return self._unary(activation.TANH)

    def softmax(self, axis: int = -1) -> "Tensor":
        """e^x over its sum along an axis."""
        return self._unary(activation.along_axis(kernels.Softmax, axis, self.array.shape))

    def log_softmax(self, axis: int = -1) -> "Tensor":
        """The logarithm of softmax along an axis, exact where softmax itself would round to 0."""
        return self._unary(activation.along_axis(kernels.LogSoftmax, axis, self.array.shape))

    # -- along axes ------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The sum over all elements, or along axes."""
        return apply(reduction.Sum(axis, keepdims), self)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean over all elements, or along axes."""
        return self._unary(reduction.Mean(axis, keepdims))

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The largest element; ties share the gradient evenly."""
        return apply(reduction.Max(axis, keepdims), self)

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The smallest element; ties share the gradient evenly."""
        return apply(reduction.Min(axis, keepdims), self)

    def var(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The population variance (divided by n, not n - 1)."""
        return self._unary(reduction.Variance(axis, keepdims))

    # -- shapes ----------------------------------------------------------------------------------------

    @property
    def T(self) -> "Tensor":  # noqa: N802  # NumPy's name for it
        """The tensor with its axes reversed."""
        return apply(shape.Transpose(None), self)

    def mm(self, other: Operand) -> "Tensor":
        """The product of two matrices."""
        other = other if isinstance(other, Value) else self._beside(other)
        if self.array.ndim != 2 or other.array.ndim != 2:
            raise ShapeError(
                f"mm: shapes {self.array.shape} and {other.array.shape} were given; both must be matrices. Use @."
            )
        return self.__matmul__(other)

    def reshape(self, *lengths: int | Sequence[int]) -> "Tensor":
        """The elements in another shape; one length may be -1."""
        return apply(shape.Reshape(_one_tuple(lengths)), self)

    def transpose(self, *axes: int | Sequence[int]) -> "Tensor":
        """The axes in the given order; reversed where none is given."""
        return apply(shape.Transpose(_one_tuple(axes) if axes else None), self)

    def __getitem__(self, index: Any) -> "Tensor":
        return apply(shape.Index(raw_index(index, self.backend)), self)


def _one_tuple(values: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) mean the same."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = tuple(values[0])
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise ShapeError(f"a shape or an order of axes is whole numbers; {value!r} was given.")
    return tuple(int(value) for value in values)
