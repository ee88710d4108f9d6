"""How is an operation called? `apply` checks devices and dtypes, computes, and records a Node where a gradient is wanted."""

from typing import TYPE_CHECKING, Any

from backends.backend import Backend
from backends.kernels.pair import Array
from engine import autodiff
from engine.errors import DeviceError, DtypeError, GradientError
from engine.operations.core import Operation

if TYPE_CHECKING:
    from engine.tensor import Tensor


class Value:
    """What flows through the graph, as far as `apply` needs to know: Tensor is the class that people use."""

    # Defaults of the class, so that making a result is two assignments.
    array: Array
    backend: Backend
    requires_grad: bool = False
    _node: autodiff.Node | None = None
    _name: str | None = None
    _version: list[int] | None = None  # counts changes in place, once a pending backward cares

    if TYPE_CHECKING:

        @staticmethod
        def wrap(array: Array, backend: Backend) -> "Tensor": ...

    def _counter(self) -> list[int]:
        if self._version is None:
            self._version = [0]
        return self._version


def apply(operation: Operation, *inputs: Any) -> "Tensor":
    """Call an operation on tensors (and numbers); the result remembers the call where an input requires a gradient.

    Args:
        operation: one of the engine's, or your own subclass of `Operation`.
        inputs: Tensors on one device, those of float dtypes all of the same; anything else is handed on as it is and
            gets no gradient.

    Raises:
        DeviceError, DtypeError: the inputs are of two devices or two float dtypes; the message says how to convert.

    >>> import engine as en
    >>> class Twice(en.Operation):
    ...     def forward(self, x):
    ...         return 2 * x, None
    ...     def backward(self, saved, incoming_gradient, needed):
    ...         return (2 * incoming_gradient,)
    >>> en.apply(Twice(), en.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    first: Any = None
    float_dtype: Any = None
    needs = False
    arrays = []
    for one in inputs:
        if not isinstance(one, Value):
            arrays.append(one)
            continue
        array = one.array
        arrays.append(array)
        if first is None:
            first = one
        elif one.backend is not first.backend:
            raise _two_devices(operation, inputs)
        dtype = array.dtype
        if dtype is not float_dtype and dtype.kind == "f":
            if float_dtype is not None and dtype != float_dtype:
                raise _two_dtypes(operation, inputs)
            float_dtype = dtype
        needs = needs or one.requires_grad
    if first is None:
        raise DtypeError(f"{operation.label}: no input is a Tensor; make one with en.tensor(...).")
    backend = first.backend
    output, saved = operation.forward(backend, *arrays) if operation.takes_backend else _user_forward(operation, backend, arrays)
    result: Tensor = first.wrap(output, backend)
    if operation.is_view:
        result._version = first._counter()
    if needs and autodiff.mode.enabled:
        result.requires_grad = True
        result._node = _record(operation, backend, inputs, arrays, saved, result)
    return result


def _record(
    operation: Operation, backend: Backend, inputs: tuple[Any, ...], arrays: list[Any], saved: Any, result: Value
) -> autodiff.Node:
    sources = []
    needed = []
    versions = []
    kept = saved if type(saved) is tuple else (saved,)
    for one, array in zip(inputs, arrays, strict=True):
        if not isinstance(one, Value):
            sources.append(one)
            needed.append(False)
            continue
        sources.append(one if one._node is None else one._node)
        needed.append(one.requires_grad)
        for held in kept:
            if held is array:
                counter = one._counter()
                versions.append((counter, counter[0]))
                break
    for held in kept:
        if held is result.array:
            versions.append((result._counter(), result._counter()[0]))
    return autodiff.Node(operation, backend, tuple(sources), tuple(needed), saved, versions, result.array)


def _user_forward(operation: Operation, backend: Backend, arrays: list[Any]) -> tuple[Array, Any]:
    answer = operation.forward(*arrays)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise GradientError(
            f"{type(operation).__name__}.forward returned {type(answer).__name__}; return (output, what backward needs)."
        )
    output, saved = answer
    array = backend.asarray(output)
    if array.base is not None or any(array is one for one in arrays):
        array = array.copy()  # it may be an input's memory, and a change of that in place would be this result's too
    return array, saved


def _named(one: Value) -> str:
    return f"{one._name!r} " if one._name else ""


def _two_devices(operation: Operation, inputs: tuple[Any, ...]) -> DeviceError:
    tensors = [one for one in inputs if isinstance(one, Value)]
    listed = " and ".join(f"a tensor {_named(one)}{one.array.shape} on {one.backend.device}" for one in tensors)
    return DeviceError(f'{operation.label}: {listed} meet; move one with .to("{tensors[0].backend.device}").')


def _two_dtypes(operation: Operation, inputs: tuple[Any, ...]) -> DtypeError:
    tensors = [one for one in inputs if isinstance(one, Value) and one.array.dtype.kind == "f"]
    listed = " and ".join(f"a tensor {_named(one)}{one.array.shape} of {one.array.dtype}" for one in tensors)
    return DtypeError(f'{operation.label}: {listed} meet; convert one with .to(dtype="{tensors[0].array.dtype}").')
