"""What is a captured function called with, and what does it give back? Arrays are inputs, everything else is frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import backends
from backends.backend import Backend, like
from backends.devices import _backends
from backends.kernels.pair import Array
from engine.layers.layer import Buffer, Layer
from engine.optimizers.optimizer import Optimizer
from engine.recording.memory import PLAIN, is_array
from engine.tensor import Parameter, Tensor

SHAPE_ONLY = frozenset(
    ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags", "base", "view")
)  # what may be asked of an array argument without reading it


class Same:
    """A frozen argument that has no hash: equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def is_input(value: Any) -> bool:
    """Whether an argument is an array whose values may change from call to call."""
    if isinstance(value, Tensor):
        return not isinstance(value, (Parameter, Buffer))  # those are state with a place of its own, not data
    return is_array(value) and value.dtype.kind in "fiub"


def signature(value: Any, inputs: list[Any]) -> Any:
    """What must be equal for a recording to serve again; the arrays are gathered in ``inputs``, each once."""
    if isinstance(value, Tensor) and is_input(value):
        for number, known in enumerate(inputs):
            if known is value:
                return number
        inputs.append(value)
        array = value.array
        grad = value._gradient is not None if value.requires_grad else None
        return (Tensor, array.shape, array.dtype, array.strides, value.backend, value.requires_grad, grad)
    if isinstance(value, PLAIN):
        return (type(value), value)
    if isinstance(value, (tuple, list)):
        return (type(value), *(signature(part, inputs) for part in value))
    if isinstance(value, dict):
        return (type(value), *((key, signature(part, inputs)) for key, part in value.items()))
    if is_input(value):
        for number, known in enumerate(inputs):
            if known is value:
                return number
        inputs.append(value)
        return (type(value), value.shape, value.dtype, value.strides)
    if isinstance(value, Tensor):
        return Same(value)
    try:
        hash(value)
    except TypeError:
        return Same(value)
    return (type(value), value)


class HandedArray(np.ndarray[Any, Any]):
    """A NumPy argument as a recorded function sees it: the engine takes it as an input, anything else reads it.

    The engine's own code knows an argument by its memory. NumPy's functions, operators and methods on it would compute
    where no recorder sees it, so that they end the recording.
    """

    recorder: Any = None

    def __array_finalize__(self, source: Any) -> None:
        self.recorder = getattr(source, "recorder", None)

    def _read(self) -> None:
        recorder = object.__getattribute__(self, "recorder")
        if recorder is not None and recorder.listens():
            recorder.refuse("NumPy computes with an array argument (give a Tensor instead)")

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "recorder" and name not in SHAPE_ONLY:
            object.__getattribute__(self, "_read")()
        return super().__getattribute__(name)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        self._read()
        return getattr(ufunc, method)(*_plain(inputs), **_plain(options))

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        self._read()
        return function(*_plain(inputs), **_plain(options))


def _plain(value: Any) -> Any:
    """The same values without the class that listens."""
    if isinstance(value, HandedArray):
        return value.view(np.ndarray)
    if type(value) in (tuple, list):
        return type(value)(_plain(part) for part in value)
    if type(value) is dict:
        return {name: _plain(part) for name, part in value.items()}
    return value


def _reading(name: str) -> Any:
    def called(self: HandedArray, *inputs: Any) -> Any:
        self._read()
        return getattr(np.ndarray, name)(self.view(np.ndarray), *inputs)

    return called


for _name in (
    *("getitem", "setitem", "iter", "contains", "float", "int", "bool", "index", "complex"),
    *("repr", "str", "copy", "deepcopy"),
):
    setattr(HandedArray, f"__{_name}__", _reading(f"__{_name}__"))


class Input:
    """One array argument: where a replay puts its values, and what the recorded function was handed instead of it.

    Attributes:
        array: the values of the call that runs.
        handed: the stand-in that the function was called with.
        written: whether the function changes it in place.
    """

    def __init__(self, number: int, given: Any, recorder: Any) -> None:
        self.number, self.given = number, given
        self.last_gradient: Array = None
        self.written = False
        self.backend: Backend | None = None
        self.buffer: Array = None
        self.handed: Any
        if isinstance(given, Tensor):
            self.backend, self.array = given.backend, None
            self.buffer = _strided_like(given.backend, given.array)
            self.handed = Tensor.wrap(self.buffer, given.backend)
            self.handed.requires_grad = given.requires_grad
            self.handed._name = given._name
            if given._gradient is not None:
                self.handed._gradient_buffer = like(given.backend, given._gradient)
        elif isinstance(given, np.ndarray):
            self.array = given
            self.handed = given.view(HandedArray)
            self.handed.recorder = recorder
        else:
            self.array = None
            self.backend = _backend_of(given)
            self.handed = self.buffer = like(self.backend, given)

    def described(self) -> int:
        """What two recordings of it have in common: its place among the arguments."""
        return self.number

    def arrays(self) -> list[Array]:
        """Where its values and its gradient lie."""
        gradients = [self.last_gradient, getattr(self.handed, "_gradient_buffer", None)]
        return [one for one in (self.buffer, *gradients) if one is not None]

    def plain(self) -> bool:
        """Whether it is a tensor of values alone: contiguous on the host, without a gradient, not changed in place."""
        return (
            isinstance(self.handed, Tensor)
            and isinstance(self.buffer, np.ndarray)
            and self.buffer.flags.c_contiguous
            and not self.handed.requires_grad
            and self.last_gradient is None
            and not self.written
        )

    def load(self, given: Any) -> None:
        """Take over the values of a new call."""
        self.given = given
        if self.backend is None:  # copied where the function hands it to the engine
            self.array = given
            return
        if not isinstance(given, Tensor):
            self.backend.xp.copyto(self.buffer, given)
            return
        self.backend.xp.copyto(self.buffer, given.array)
        self.handed._gradient = None
        if given.requires_grad and given._gradient is not None:
            self.backend.xp.copyto(self.handed._gradient_buffer, given._gradient)
            self.handed._gradient = self.handed._gradient_buffer

    def ran(self) -> None:
        """Note what the recorded function left: every replay leaves the same."""
        if isinstance(self.handed, Tensor):
            self.last_gradient = self.handed._gradient

    def finish_replay(self) -> None:
        """After a replay the stand-in is as the recorded call left it."""
        if isinstance(self.handed, Tensor):
            self.handed._gradient = self.last_gradient
        self.finish()

    def finish(self, failed: bool = False) -> None:
        """Give the caller's tensor what the function did to its stand-in: a gradient, a change in place."""
        given, handed = self.given, self.handed
        if isinstance(given, Tensor):
            if self.written and self.backend is not None:
                self.backend.xp.copyto(given.array, self.buffer)
                given.touched()
            if given.requires_grad and not failed:
                if handed._gradient is None:
                    given._gradient = None
                elif given._gradient is not None:
                    given.backend.xp.copyto(given._gradient, handed._gradient)
                else:
                    given.accumulate(handed._gradient, owned=False)
        self.given = None  # nothing of a call outlives it
        if self.backend is None:
            self.array = None


def _strided_like(backend: Backend, array: Array) -> Array:
    """A new array with the same strides where that can be, so that a replay runs the same loops as an eager call."""
    if array.flags.c_contiguous or not isinstance(array, np.ndarray):
        return like(backend, array)
    size = array.dtype.itemsize
    if any(stride <= 0 or stride % size for stride in array.strides):
        return like(backend, array)
    reach = sum((length - 1) * stride // size for length, stride in zip(array.shape, array.strides, strict=True))
    return np.lib.stride_tricks.as_strided(backend.empty((reach + 1,), array.dtype), array.shape, array.strides)


def _backend_of(array: Array) -> Backend:
    for backend in _backends.values():
        if backend.owns(array):
            return backend
    return backends.get(f"cuda:{array.device.id}")


def handed(value: Any, inputs: Sequence[Input], given: Sequence[Any]) -> Any:
    """An argument with its arrays replaced by their stand-ins."""
    if is_input(value):
        return next(one.handed for one, array in zip(inputs, given, strict=True) if array is value)
    if isinstance(value, (tuple, list)):
        parts = [handed(part, inputs, given) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return type(value)({key: handed(part, inputs, given) for key, part in value.items()})
    return value


class UnreturnableError(Exception):
    """A return value in which tensors cannot be found."""


class Output:
    """What a function returned, as a plan to build it again after each replay."""

    def __init__(self, value: Any, inputs: Sequence[Input]) -> None:
        self.kind, self.parts, self.value = "same", [], value
        position = next((number for number, one in enumerate(inputs) if one.handed is value), None)
        if position is not None:
            self.kind, self.value = "input", position
        elif isinstance(value, (Parameter, Buffer)):
            pass
        elif isinstance(value, Tensor):
            self.kind, self.value, self.backend = "copy", value.array, value.backend
        elif is_array(value):
            self.kind, self.value = "array", value
        elif isinstance(value, (tuple, list)):
            self.kind, self.value = "sequence", type(value)
            self.parts = [Output(part, inputs) for part in value]
        elif isinstance(value, Mapping):
            if type(value) is not dict:
                raise UnreturnableError(type(value).__name__)
            self.kind, self.value = "dict", list(value)
            self.parts = [Output(part, inputs) for part in value.values()]
        elif not isinstance(value, (*PLAIN, np.generic, np.dtype, type, Layer, Optimizer)):
            raise UnreturnableError(type(value).__name__)

    def kinds(self) -> set[str]:
        """The kinds of its parts, and its own."""
        return {self.kind}.union(*(part.kinds() for part in self.parts))

    def arrays(self) -> list[Array]:
        """The arrays that are copied into it."""
        own = [self.value] if self.kind in ("copy", "array") else []
        return own + [array for part in self.parts for array in part.arrays()]

    def build(self, given: Sequence[Any]) -> Any:
        """The return value of this call; tensors are copies."""
        if self.kind == "copy":
            return Tensor.wrap(self.backend.xp.array(self.value, copy=True), self.backend)
        if self.kind == "same":
            return self.value
        if self.kind == "input":
            return given[self.value]
        if self.kind == "array":
            return self.value.copy()
        parts = [part.build(given) for part in self.parts]
        if self.kind == "dict":
            return dict(zip(self.value, parts, strict=True))
        return self.value(*parts) if hasattr(self.value, "_fields") else self.value(parts)


def stacked(outputs: Sequence[Any], rest: Array | None = None) -> Any:
    """Outputs of one form as one of that form: Tensors with a new first axis, anything else in lists.

    ``rest``: the arrays of further outputs, stacked already, where each is one Tensor.
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        backend = first.backend
        arrays = backend.xp.stack([one.array for one in outputs])
        both = arrays if rest is None else backend.xp.concatenate([arrays, backend.asarray(rest)])
        return Tensor.wrap(both, backend)
    if isinstance(first, (tuple, list)):
        parts = [stacked(part) for part in zip(*outputs, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if isinstance(first, dict):
        return {key: stacked([one[key] for one in outputs]) for key in first}
    return list(outputs)
