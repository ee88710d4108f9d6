"""What does a kernel ask of NumPy? Calls, in order, with their arrays: without compiled C a replay makes these.

A kernel is run once on stand-ins for its arrays, which note what it asks and compute nothing into its outputs. Since a
kernel never looks at a value, the notes are all that it does; one that does anything else is called as it stands.
Each call then takes NumPy's shortest way to the same bits: numbers as arrays, shapes that need no broadcasting.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from backends.kernels.pair import Array
from engine.recording.joining import Call
from engine.recording.memory import arrays_in, overlap

Entry = tuple[Callable[..., Any], tuple[Any, ...]]

MOST_TEMPORARY = 1 << 16
"""Bytes of arrays of its own that an unrolled kernel may hold on to."""

MOST_ENTRIES = 20_000
"""Calls of NumPy's that are kept for one kernel."""

# Beside ufuncs, what is as it is whatever the arrays hold.
_FUNCTIONS = frozenset(("concatenate", "copyto", "dot", "stack", "sum", "max", "min", "take", "clip", "where"))
_POSITIONAL = (np.maximum, np.minimum)  # two-argument functions whose output must be given by name


class _UnknownError(Exception):
    """A kernel does what its calls of NumPy do not tell."""


def unrolled(call: Call) -> list[Entry]:
    """What a replay runs for a call: NumPy's own functions where that is all that it does."""
    if call.inputs and call.inputs[0] is np and _known(call):
        tape = _Tape()
        try:
            call.function(tape, *tape.shadowed(call.inputs[1:]), **tape.shadowed(call.options))
        except Exception:  # whatever a stand-in cannot do: then the kernel itself serves
            pass
        else:
            return tape.entries
    function = functools.partial(call.function, **call.options) if call.options else call.function
    return [(function, call.inputs)]


def _known(call: Call) -> bool:
    """Whether it is a kernel of the engine's, computed by NumPy: what a user wrote may hold Python's state."""
    module = getattr(call.kernel, "__module__", "")
    return module.startswith("backends.") and not hasattr(call.function, "compiled")


class _Tape:
    """Stands in for NumPy while a kernel runs on stand-ins."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._errors = np.geterr()
        self._held = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, np.ufunc) or name in _FUNCTIONS:
            return functools.partial(self.call, found)
        if isinstance(found, (type, float)) or name in ("newaxis",):
            return found
        raise _UnknownError(name)

    # -- between the kernel's values and NumPy's -----------------------------------------------------------

    def shadowed(self, value: Any) -> Any:
        """The value with a stand-in for each array."""
        return _mapped(value, np.ndarray, lambda array: _Shadow(array, self))

    def plain(self, value: Any) -> Any:
        """The value with the arrays themselves."""
        return _mapped(value, _Shadow, lambda shadow: shadow._array)

    def view(self, source: Array, result: Any) -> "_Shadow":
        """A stand-in for a view."""
        if not isinstance(result, np.ndarray) or not (np.may_share_memory(source, result) or source.size == 0):
            raise _UnknownError("a copy")
        return _Shadow(result, self)

    # -- notes -----------------------------------------------------------------------------------------------

    def note(self, *entries: Entry) -> None:
        """Take down calls."""
        if np.geterr() != self._errors or len(self.entries) > MOST_ENTRIES:
            raise _UnknownError("errors are treated otherwise, or there are too many calls")
        self.entries += entries

    def call(self, function: Any, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Note a function of NumPy's; what it returns."""
        inputs, out, options = self.plain(inputs), self.plain(out), self.plain(options)
        if isinstance(function, np.ufunc) and function.nout == 1:
            if len(inputs) == function.nin + 1:
                inputs, out = inputs[:-1], inputs[-1]
            if not options and len(inputs) == function.nin:
                target = self._made(lambda: function(*inputs)) if out is None else out
                self.note(*_shortest(function, inputs, target))
                return _Shadow(target, self)
        if function is np.dot:
            return self.shadowed(inputs[0]).dot(inputs[1], out)
        if function is np.copyto:
            self.note((functools.partial(function, **options) if options else function, inputs))
            return None
        if out is not None:
            self.note((functools.partial(function, out=out, **options), inputs))
            return _Shadow(out, self)
        return self.computed(functools.partial(function, **options), inputs)

    def computed(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> "_Shadow":
        """Note a function that makes an array, whose values go into one that is kept."""
        target = self._made(lambda: function(*inputs))
        self.note((functools.partial(_put, target, function), inputs))
        return _Shadow(target, self)

    def picked(self, source: Array, index: Any) -> "_Shadow":
        """Note the elements at places that are known by their numbers; a mask picks as many as its values say."""
        if any(array.dtype.kind not in "iu" for array in arrays_in(index)):
            raise _UnknownError("a mask")
        form = source[_mapped(index, np.ndarray, np.zeros_like)]  # the numbers are not there yet
        target = self._kept(form)
        self.note((functools.partial(_put, target, source.__getitem__), (index,)))
        return _Shadow(target, self)

    def filled(self, out: Any, entry: Callable[[Array | None], Entry]) -> "_Shadow":
        """Note the call that fills an array, a new one where none is given."""
        function, inputs = entry(None)
        target = self._made(lambda: function(*inputs)) if out is None else self.plain(out)
        self.note(entry(target))
        return _Shadow(target, self)

    def _made(self, compute: Callable[[], Any]) -> Array:
        """An array for the result of a function, which is computed to see its form."""
        with np.errstate(all="ignore"):
            return self._kept(np.asarray(compute()))

    def _kept(self, result: Array) -> Array:
        """An array like this one, that is nobody else's memory."""
        self._held += result.nbytes
        if self._held > MOST_TEMPORARY:
            raise _UnknownError("large temporary arrays")
        return np.array(result, copy=True, order="K")


class _Shadow:
    """Stands in for an array while a kernel runs. Whatever is not defined here, a kernel cannot ask of it."""

    __slots__ = ("_array", "_tape")
    __array_ufunc__ = None  # NumPy's own functions refuse it
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Array, tape: _Tape) -> None:
        self._array, self._tape = array, tape

    def __array__(self, *_: Any) -> Any:
        raise _UnknownError("its values")

    def __bool__(self) -> bool:
        raise _UnknownError("its truth")

    def __len__(self) -> int:
        return len(self._array)

    def __neg__(self) -> "_Shadow":
        result: _Shadow = self._tape.call(np.negative, self)
        return result

    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    dtype = property(lambda self: self._array.dtype)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: self._tape.view(self._array, self._array.T))

    def reshape(self, *shape: Any) -> "_Shadow":
        return self._tape.view(self._array, self._array.reshape(*shape))

    def swapaxes(self, first: int, second: int) -> "_Shadow":
        return self._tape.view(self._array, self._array.swapaxes(first, second))

    def view(self, dtype: Any) -> "_Shadow":
        return self._tape.view(self._array, self._array.view(dtype))

    def __getitem__(self, index: Any) -> "_Shadow":
        index = self._tape.plain(index)
        if _plain_index(index):
            return self._tape.view(self._array, self._array[index])
        return self._tape.picked(self._array, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        index, value = self._tape.plain(index), self._tape.plain(value)
        if isinstance(value, np.ndarray) and value is self._array:
            raise _UnknownError("an array in itself")
        self._tape.note((self._array.__setitem__, (index, value)))

    def fill(self, value: float) -> None:
        self._tape.note((self._array.fill, (self._tape.plain(value),)))

    def dot(self, other: Any, out: Any = None) -> "_Shadow":
        other = self._tape.plain(other)
        return self._tape.filled(out, lambda out: (self._array.dot, (other, out)))

    def take(self, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> "_Shadow":
        indices = self._tape.plain(indices)
        return self._tape.filled(out, lambda out: (self._array.take, (indices, axis, out, mode)))

    def argmax(self, axis: int | None = None, out: Any = None) -> "_Shadow":
        return self._tape.filled(out, lambda out: (self._array.argmax, (axis, out)))


def _reduction(ufunc: np.ufunc) -> Callable[..., _Shadow]:
    def reduce(self: _Shadow, axis: Any = None, out: Any = None, keepdims: bool = False) -> _Shadow:
        return self._tape.filled(out, lambda out: (ufunc.reduce, (self._array, axis, None, out, keepdims)))

    return reduce


def _operator(ufunc: np.ufunc, swapped: bool) -> Callable[[_Shadow, Any], _Shadow]:
    def operate(self: _Shadow, other: Any) -> _Shadow:
        result: _Shadow = self._tape.call(ufunc, *((other, self) if swapped else (self, other)))
        return result

    return operate


def _in_place(ufunc: np.ufunc) -> Callable[[_Shadow, Any], _Shadow]:
    def operate(self: _Shadow, other: Any) -> _Shadow:
        self._tape.call(ufunc, self, other, out=self)
        return self

    return operate


_REDUCTIONS: dict[str, np.ufunc] = {"sum": np.add, "max": np.maximum, "min": np.minimum}
_ARITHMETIC: dict[str, np.ufunc] = {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "matmul": np.matmul},
    **{"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor},
}
_COMPARISONS: dict[str, np.ufunc] = {
    **{"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal},
    **{"gt": np.greater, "ge": np.greater_equal},
}
for _name, _ufunc in _REDUCTIONS.items():
    setattr(_Shadow, _name, _reduction(_ufunc))
for _name, _ufunc in _ARITHMETIC.items():
    setattr(_Shadow, f"__{_name}__", _operator(_ufunc, False))
    setattr(_Shadow, f"__r{_name}__", _operator(_ufunc, True))
    setattr(_Shadow, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in _COMPARISONS.items():
    setattr(_Shadow, f"__{_name}__", _operator(_ufunc, False))


def _mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """The value with every object of a class changed, also within containers."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_mapped(one, kind, change) for one in value])
    if isinstance(value, dict):
        return {name: _mapped(one, kind, change) for name, one in value.items()}
    if isinstance(value, slice):
        return slice(*(_mapped(one, kind, change) for one in (value.start, value.stop, value.step)))
    return value


def _plain_index(index: Any) -> bool:
    """Whether an index gives a view."""
    parts: Iterable[Any] = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts)


def _put(target: Array, function: Callable[..., Any], *inputs: Any) -> None:
    target[...] = function(*inputs)


# -- the shortest way ------------------------------------------------------------------------------------------


def _shortest(ufunc: np.ufunc, inputs: Sequence[Any], out: Array) -> list[Entry]:
    """A ufunc's call, or quicker ones that give the same bits.

    NumPy looks at the axes of its arrays before it computes, unless all are contiguous, of one size and of the type
    computed in, or have no axis; and it does with one element that is written where it was read.
    """
    plain = _aligned(ufunc, inputs, out)
    if plain is None:
        return [_written(ufunc, tuple(inputs), out)]
    arrays, target = plain
    if target.size == 1 and any(overlap(one, target) for one in arrays):
        result = np.empty((), target.dtype)
        return [_written(ufunc, arrays, result), (target.__setitem__, ((), result))]
    return [_written(ufunc, arrays, target)]


def _written(ufunc: np.ufunc, inputs: tuple[Any, ...], out: Array) -> Entry:
    if ufunc in _POSITIONAL:
        return functools.partial(ufunc, out=out), inputs
    return ufunc, (*inputs, out)


def _aligned(ufunc: np.ufunc, inputs: Sequence[Any], out: Array) -> tuple[tuple[Array, ...], Array] | None:
    """Inputs and output as vectors of one length, or as single elements without an axis; None where they are not."""
    dtypes = {one.dtype for one in inputs if isinstance(one, np.ndarray)}
    if ufunc.signature is not None or len(dtypes) != 1 or not out.flags.c_contiguous or not out.size:
        return None
    (dtype,) = dtypes
    shape = tuple(length for length in out.shape if length != 1)
    form = (-1,) if shape else ()
    arrays: list[Array] = []
    for one in inputs:
        if isinstance(one, np.ndarray):
            array = one
        elif type(one) in (int, float) and dtype.kind == "f":
            array = np.array(one, dtype)
        else:
            return None
        if array.size == 1:
            arrays.append(array.reshape(()))
        elif array.flags.c_contiguous and tuple(length for length in array.shape if length != 1) == shape:
            arrays.append(array.reshape(-1))
        else:
            return None
    return tuple(arrays), out.reshape(form)
