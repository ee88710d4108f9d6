"""How is an operation called? `apply` checks devices and dtypes, computes, and records a Node where one is wanted."""

from collections.abc import Iterable
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
    _version: autodiff.Version | None = None  # of a leaf's values; a result's is its Node's

    if TYPE_CHECKING:

        @staticmethod
        def wrap(array: Array, backend: Backend) -> "Tensor": ...

    def _shared_version(self) -> autodiff.Version:
        """Where changes in place of these values are noted, by every tensor on the same memory."""
        if self._node is not None:
            return self._node.watched(self.array)
        if self._version is None:
            self._version = autodiff.Version()
        return self._version


def note_changes(values: Iterable[Value]) -> None:
    """Note that all of these were changed in place, at once."""
    number = autodiff.Version.latest = autodiff.next_number()
    for one in values:
        (one._version or one._shared_version()).changed = number


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
    backend: Any = None
    float_dtype: Any = None
    arrays: list[Any] = []
    sources: list[Any] = []  # of each input: the Node that made it, the leaf itself, or the constant
    needed: list[bool] = []
    for one in inputs:
        if not isinstance(one, Value):
            arrays.append(one)
            sources.append(one)
            needed.append(False)
            continue
        array = one.array
        arrays.append(array)
        sources.append(one._node or one)
        needed.append(one.requires_grad)
        if one.backend is not backend:
            if first is not None:
                raise _two_devices(operation, inputs)
            first, backend = one, one.backend
        dtype = array.dtype
        if dtype is not float_dtype and dtype.kind == "f":
            if float_dtype is not None and dtype != float_dtype:
                raise _two_dtypes(operation, inputs)
            float_dtype = dtype
    if first is None:
        raise DtypeError(f"{operation.label}: no input is a Tensor; make one with en.tensor(...).")
    output, saved = (
        operation.forward(backend, *arrays) if operation.takes_backend else _user_forward(operation, backend, arrays)
    )
    result: Tensor = first.wrap(output, backend)
    if True in needed and autodiff.mode.enabled:
        result._node = autodiff.Node(operation, backend, sources, needed, saved, output)
        result.requires_grad = True
    if operation.is_view:
        if result._node is None:
            result._version = first._shared_version()
        else:
            result._node.watched(output, first._shared_version())
    return result


def _user_forward(operation: Operation, backend: Backend, arrays: list[Any]) -> tuple[Array, Any]:
    with autodiff.read_only(arrays):
        answer = operation.forward(*arrays)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise GradientError(
            f"{type(operation).__name__}.forward returned {type(answer).__name__}; return (output, saved)."
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
