"""What flows through the graph? Tensors: an array, the device that holds it, and the call that made it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import backends
from backends.backend import Backend
from backends.kernels.arithmetic import Add
from backends.kernels.pair import Array
from backends.kernels.shape import Assign, Copy, Fill
from engine import autodiff
from engine.convert import host_array, is_dtype_name, normal_dtype
from engine.errors import DeviceError, DtypeError, GradientError, ShapeError
from engine.operations import arithmetic, shape
from engine.operations.core import Operation
from engine.operators import Operators, raw_index
from engine.value import apply


class Tensor(Operators):
    """An array on a device, which can remember how it was computed.

    Args:
        data: numbers, nested lists, a NumPy or CuPy array, or a Tensor; copied. Arrays keep their dtype; Python floats
            become float32, ints int64, bools bool.
        requires_grad: whether `backward` computes a gradient for it (float dtypes only).
        dtype: "float32", "float64", ... to convert to.
        device: "cpu", "cuda", "cuda:1", "auto"; by default where the data is.
        name: what a drawn graph and error messages call it.

    >>> a = Tensor([1.0, 2.0], requires_grad=True)
    >>> (a * a).sum().backward()
    >>> a.grad
    Tensor([2. 4.], dtype=float32)
    """

    _gradient: Array = None
    _gradient_buffer: Array = None  # where an optimizer wants the gradient to be
    _is_copy: bool = False  # of a gradient: a change in place would reach nobody

    __array_ufunc__ = None  # NumPy arrays leave `array * tensor` to the tensor

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: Any = None,
        device: str | Backend | None = None,
        name: str | None = None,
    ) -> None:
        wanted = None if dtype is None else normal_dtype(dtype)
        if isinstance(data, Tensor):
            backend = data.backend if device is None else backends.get(device)
            array = data.array if data.backend is backend else data.backend.to_host(data.array)
        elif hasattr(data, "__cuda_array_interface__"):
            backend = backends.get(f"cuda:{data.device.id}" if device is None else device)
            array = data if backend.owns(data) else data.get()
        else:
            backend = backends.get("cpu" if device is None else device)
            array = host_array(data, np.float32 if wanted is None or wanted.kind != "f" else wanted)
        self.backend = backend
        self.array = backend.copy(array, wanted)
        self._name = name
        if requires_grad:
            self.requires_grad_()

    @staticmethod
    def wrap(array: Array, backend: Backend) -> "Tensor":
        """A Tensor without history on an array that is already on the backend's device, without a copy."""
        tensor = Tensor.__new__(Tensor)
        tensor.array = array
        tensor.backend = backend
        return tensor

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        result: tuple[int, ...] = self.array.shape
        return result

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of the elements; equal to its name: ``x.dtype == "float32"``."""
        result: np.dtype[Any] = self.array.dtype
        return result

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements."""
        return int(self.array.size)

    @property
    def device(self) -> str:
        """Where the elements are: "cpu", "cuda:0", ..."""
        return self.backend.device

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self._node is None

    @property
    def name(self) -> str | None:
        """What a drawn graph calls it."""
        return self._name if self._node is None else self._node.name

    @name.setter
    def name(self, name: str | None) -> None:
        if self._node is None:
            self._name = name
        else:
            self._node.name = name

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Say whether `backward` computes a gradient for this leaf; returns the tensor itself."""
        if requires_grad and self.array.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad: a tensor of {self.dtype} has no gradient; give floats or dtype='float32'."
            )
        if self._node is not None and not requires_grad:
            raise GradientError("requires_grad: the result of an operation cannot be frozen; use detach().")
        self.requires_grad = requires_grad
        return self

    # -- its values ------------------------------------------------------------------------------------

    def numpy(self) -> "np.ndarray[Any, Any]":
        """A copy of the values as a NumPy array, from whatever device."""
        return np.array(self.backend.to_host(self.array))

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number."""
        if self.array.size != 1:
            raise ShapeError(
                f"item: shape {self.shape} has {self.size} elements; item() reads one. Use numpy() or tolist()."
            )
        return self.backend.to_host(self.array).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.backend.to_host(self.array).tolist()

    def detach(self) -> "Tensor":
        """The same values without history; a change in place of one is a change of the other."""
        tensor = Tensor.wrap(self.array, self.backend)
        tensor._version = self._shared_version()
        return tensor

    def clone(self) -> "Tensor":
        """A copy that gradients pass through."""
        return apply(shape.Cast(self.dtype), self)

    def to(self, device: str | Backend | None = None, dtype: Any = None) -> "Tensor":
        """The values on another device or in another dtype; the tensor itself where nothing changes.

        A change of dtype passes gradients; a change of device starts a new graph.
        """
        if device is not None and is_dtype_name(device):
            raise DeviceError(f"device {device!r} is a dtype; write .to(dtype={device!r}).")
        result = self
        if dtype is not None and normal_dtype(dtype) != self.dtype:
            result = apply(shape.Cast(normal_dtype(dtype)), result)
        if device is not None and backends.get(device) is not self.backend:
            moved = backends.get(device)
            result = Tensor.wrap(moved.asarray(result.backend.to_host(result.array)), moved)
            result._name = self.name
            result.requires_grad = self.requires_grad and self._node is None
        return result

    def __getstate__(self) -> dict[str, Any]:
        """What `copy.deepcopy` and `pickle` keep of a leaf: values and gradient, apart from any optimizer's buffers."""
        if self._node is not None:
            raise GradientError(
                "copy: the result of an operation cannot be copied with its history; copy its detach()."
            )
        return {key: value for key, value in vars(self).items() if key not in ("_version", "_gradient_buffer")}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ShapeError(f"bool: shape {self.shape} has {self.size} truth values; reduce them to one first.")
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len: a tensor without axes has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(self.backend.to_host(self.array), prefix="Tensor(", threshold=100)
        details = [f"dtype={self.dtype}"]
        if self.device != "cpu":
            details.append(f"device={self.device}")
        if self.name:
            details.append(f"name={self.name!r}")
        if self.requires_grad:
            details.append("requires_grad=True")
        return f"{type(self).__name__}({text}, {', '.join(details)})"

    # -- gradients -------------------------------------------------------------------------------------

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward` computed, a Tensor without history; None before the first.

        Of a parameter that an optimizer holds it is a copy (the optimizer's buffer is used again by the next step): set
        it to change it, ``w.grad = w.grad / 2`` or ``w.grad /= 2``.
        """
        if self._node is not None:
            return None if self._node.gradient is None else Tensor.wrap(self._node.gradient, self.backend)
        if self._gradient is None:
            return None
        held = self._gradient
        if self._gradient_buffer is not None:
            held = self.backend.empty(held.shape, held.dtype)
            self.backend.kernel(Copy.forward)(self.backend.xp, self._gradient, y=held)
        gradient = Tensor.wrap(held, self.backend)
        gradient._is_copy = self._gradient_buffer is not None
        return gradient

    @grad.setter
    def grad(self, value: "Tensor | Array | None") -> None:
        if self._node is not None:
            raise GradientError("grad: only a leaf's gradient can be set; this tensor is the result of an operation.")
        self.zero_grad()
        if value is not None:
            own = isinstance(value, Tensor) or self.backend.owns(value)
            array = getattr(value, "array", value) if own else self.backend.asarray(host_array(value, self.dtype))
            if array.shape != self.shape or array.dtype != self.dtype:
                raise ShapeError(
                    f"grad: {array.shape} {array.dtype} was given for {self.shape} {self.dtype}; they must be equal."
                )
            self.accumulate(array, owned=False)

    def retain_grad(self) -> None:
        """Keep this intermediate result's gradient too, at the next `backward`."""
        if not self.requires_grad:
            raise GradientError("retain_grad: no gradient reaches a tensor that does not require one.")
        if self._node is not None:
            self._node.retains = True

    def zero_grad(self) -> None:
        """Forget the gradient."""
        if self._node is not None:
            self._node.gradient = None
        self._gradient = None

    def backward(self, gradient: "Tensor | Array | float | None" = None, *, create_graph: bool = False) -> None:
        """Compute the gradient of every leaf that this was computed from, and add it to the leaf's `grad`.

        Args:
            gradient: the incoming gradient, in this tensor's shape; 1 for a tensor with one element.
            create_graph: second derivatives, which this engine does not compute: True is an error.

        Raises:
            GradientError: nothing here requires a gradient, the incoming one is missing, or a tensor that is needed was
                changed in place.
        """
        if create_graph:
            raise GradientError(
                "backward: second derivatives are not supported; gradients have no history of their own."
            )
        if not self.requires_grad:
            raise GradientError(
                "backward: this tensor has no history that requires a gradient (gradients themselves have none: second "
                "derivatives are not supported). Make the inputs with requires_grad=True, outside no_grad()."
            )
        if gradient is None:
            if self.array.size != 1:
                raise GradientError(
                    f"backward: shape {self.shape} has {self.size} elements; pass the incoming gradient of that shape, "
                    f"or reduce with sum() or mean() first."
                )
            incoming = self.backend.empty(self.shape, self.dtype)
            self.backend.kernel(Fill.forward)(self.backend.xp, y=incoming, value=1)
        else:
            incoming = self._incoming(gradient)
        if self._node is None:
            self.accumulate(incoming, owned=gradient is None)
        else:
            autodiff.sweep(self._node, incoming)

    def _incoming(self, gradient: Any) -> Array:
        if isinstance(gradient, Tensor):
            if gradient.backend is not self.backend:
                raise DeviceError(
                    f"backward: the incoming gradient is on {gradient.device}, the tensor on {self.device}; "
                    f'move it with .to("{self.device}").'
                )
            array = gradient.array
        else:
            array = self.backend.asarray(gradient)
        if array.shape != self.shape:
            raise ShapeError(f"backward: the incoming gradient has shape {array.shape}; it must be {self.shape}.")
        if array.dtype == self.dtype:
            return array
        incoming = self.backend.empty(self.shape, self.dtype)
        self.backend.kernel(Copy.forward)(self.backend.xp, array, y=incoming)
        return incoming

    def _beside(self, data: Any) -> "Tensor":
        if isinstance(data, (list, tuple)) and self.dtype.kind == "f":
            data = host_array(data, self.dtype)  # Python floats take the tensor's dtype, alone or in a list
        return Tensor(data, device=self.backend)

    def accumulate(self, gradient: Array, owned: bool) -> None:
        """Add an array to this leaf's gradient; an owned one may be kept, another is copied."""
        backend = self.backend
        if self._gradient is not None:
            backend.kernel(Add.forward)(backend.xp, self._gradient, gradient, y=self._gradient)
        elif self._gradient_buffer is not None:
            backend.kernel(Copy.forward)(backend.xp, gradient, y=self._gradient_buffer)
            self._gradient = self._gradient_buffer
        else:
            self._gradient = gradient if owned else backend.copy(gradient)

    # -- changes in place ------------------------------------------------------------------------------

    def touched(self) -> None:
        """Note that the values were changed in place."""
        (self._version or self._shared_version()).change()

    def moved(self) -> None:
        """Note that the values are in another array now."""
        self._shared_version().move()

    def _in_place(self, operation: Operation, other: Any) -> "Tensor":
        if autodiff.mode.enabled:
            if self.requires_grad and self._node is None:
                raise GradientError(
                    f"{operation.label}=: a leaf that requires a gradient cannot be changed in place while operations "
                    f"are recorded. Put the update into `with en.no_grad():`."
                )
            return apply(operation, self, self._operand(other))  # `total += loss` makes a new tensor
        self._refuse_result(f"{operation.label}=")
        with autodiff.no_grad():
            result = apply(operation, self, self._operand(other))
        if result.shape != self.shape or result.dtype != self.dtype:
            raise ShapeError(
                f"{operation.label}=: the result is {result.shape} {result.dtype}, which does not fit into "
                f"{self.shape} {self.dtype}."
            )
        if self._is_copy:
            return result  # `w.grad /= 2` sets it
        self.backend.kernel(Copy.forward)(self.backend.xp, result.array, y=self.array)
        self.touched()
        return self

    def _refuse_result(self, what: str) -> None:
        if self._node is not None:
            raise GradientError(
                f"{what}: the result of an operation cannot be changed in place; make a new tensor instead."
            )

    def __setitem__(self, index: Any, value: Any) -> None:
        self._refuse_result("x[...] = value")
        if self._is_copy:
            raise GradientError(
                "w.grad[...] = value: this is a copy of the optimizer's gradient; set w.grad as a whole."
            )
        if self.requires_grad and autodiff.mode.enabled:
            raise GradientError(
                "x[...] = value: a leaf that requires a gradient is changed in `with en.no_grad():` only."
            )
        operand = self._operand(value)
        if isinstance(operand, Tensor):
            self._refuse_value(operand)
            operand = operand.array
        try:
            self.backend.kernel(Assign.forward)(
                self.backend.xp, operand, x=self.array, index=raw_index(index, self.backend)
            )
        except (IndexError, ValueError) as error:
            raise ShapeError(f"x[...] = value: {error} (the tensor has shape {self.shape}).") from None
        self.touched()

    def _refuse_value(self, value: "Tensor") -> None:
        if value.backend is not self.backend:
            raise DeviceError(
                f"x[...] = value: the value is on {value.device}, the tensor on {self.device}; "
                f'move it with .to("{self.device}").'
            )
        if value.dtype.kind == "f" and self.dtype.kind != "f":
            raise DtypeError(
                f'x[...] = value: floats were given for a tensor of {self.dtype}; convert it: .to(dtype="float32").'
            )
        if value.requires_grad and autodiff.mode.enabled:
            raise GradientError(
                "x[...] = value: the value's gradient would be lost; use where or concatenate, or value.detach()."
            )

    def __iadd__(self, other: Any) -> "Tensor":
        return self._in_place(arithmetic.ADD, other)

    def __isub__(self, other: Any) -> "Tensor":
        return self._in_place(arithmetic.SUBTRACT, other)

    def __imul__(self, other: Any) -> "Tensor":
        return self._in_place(arithmetic.MULTIPLY, other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return self._in_place(arithmetic.DIVIDE, other)


class Parameter(Tensor):
    """A leaf that an optimizer adapts: a weight or a bias of a layer.

    Args:
        data: its first values; arrays keep their dtype.
        requires_grad: False freezes it.
        name: what errors and graphs call it.
        regularized: whether a penalty (L1, L2, ...) counts it; by default where it has two axes or more, so matrices of
            weights are counted, and biases and normalisation gains are not.

    >>> Parameter([[1.0, 2.0]]).regularized
    True
    """

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        dtype: Any = None,
        device: str | Backend | None = None,
        name: str | None = None,
        regularized: bool | None = None,
    ) -> None:
        super().__init__(data, requires_grad=requires_grad, dtype=dtype, device=device, name=name)
        self.regularized = self.ndim >= 2 if regularized is None else regularized


def tensor(
    data: Any,
    requires_grad: bool = False,
    dtype: Any = None,
    device: str | Backend | None = None,
    name: str | None = None,
) -> Tensor:
    """A Tensor of numbers, nested lists or an array; see `Tensor`.

    >>> tensor([[1.0, 2.0]]).shape
    (1, 2)
    """
    return Tensor(data, requires_grad=requires_grad, dtype=dtype, device=device, name=name)


def as_tensor(data: Any, device: str | Backend | None = None) -> Tensor:
    """The Tensor itself, or a new one of numbers, lists or an array."""
    return data if isinstance(data, Tensor) else Tensor(data, device=device)
