"""What would a device refuse? A stand-in for a GPU on the CPU: arrays that no host function can read.

A `FakeArray` wraps a NumPy array and gives it to nobody but `FakeBackend.to_host`. Everything else that would copy from
a device to the host, or mix the two, raises a TypeError: float(), int(), bool(), an index, iteration, item(), tolist(),
NumPy's own functions, and a NumPy array as the operand of a fake one.
"""

import threading
from types import ModuleType, SimpleNamespace

import numpy as np

from backends import Backend
from backends.lane import Lane

NUMBER = 7  # of the fake GPU: no machine that runs the tests has so many

# The methods of arrays that CuPy has too.
ALLOWED = {
    *("all", "any", "argmax", "argmin", "max", "mean", "min", "prod", "std", "sum", "trace", "var", "dot", "cumsum"),
    *("argsort", "astype", "clip", "copy", "fill", "flatten", "ravel", "repeat", "reshape", "round", "sort", "squeeze"),
    *("swapaxes", "take", "transpose", "view"),
}
BINARY = {"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"}
COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}
REFUSED = {
    *("__array__", "__float__", "__int__", "__bool__", "__index__", "__complex__", "__iter__", "__contains__"),
    *("item", "tolist", "tobytes"),
}


def unwrap(value):
    """The host arrays of what was given, for the fake namespace alone."""
    if isinstance(value, FakeArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"a host array of shape {value.shape} meets the device; copy it by backend.asarray")
    if type(value) in (tuple, list):
        return type(value)(unwrap(part) for part in value)
    if type(value) is dict:
        return {name: unwrap(part) for name, part in value.items()}
    return value


def wrap(value):
    """A device array of what NumPy computed; a reduction's scalar too, as on a GPU."""
    if isinstance(value, (np.ndarray, np.generic)):
        return FakeArray(np.asarray(value))
    if type(value) in (tuple, list):
        return type(value)(wrap(part) for part in value)
    return value


captured = None
"""While launches are captured, as on a GPU's stream: what a launch will run; nothing is computed meanwhile."""

refused = ()
"""The functions that cannot be captured."""


def on_device(function):
    """A NumPy function or method that takes and gives device arrays only."""

    def called(*inputs, **options):
        given, named, out = unwrap(inputs), unwrap(options), options.get("out")
        if captured is not None:
            return later(function, given, named, out)
        result = function(*given, **named)
        return wrap(result) if out is None else out

    return called


def later(function, given, named, out):
    """Have every launch compute this; a new array, whose values come then, where none was given for it."""
    if function.__name__ in refused:
        raise NotImplementedError(f"{function.__name__} cannot be captured")
    if out is None:
        result = function(*given, **named)
        arrays = [one for one in (*given, getattr(function, "__self__", None)) if isinstance(one, np.ndarray)]
        if isinstance(result, np.ndarray) and any(np.shares_memory(result, one) for one in arrays):
            return wrap(result)  # a view, which has nothing to compute
        result = np.array(result)
        captured.append(lambda: np.copyto(result, function(*given, **named)))
        return wrap(result)
    captured.append(lambda: function(*given, **named))
    return out


def refusal(name):
    def refused(self, *inputs, **options):
        raise TypeError(f"{name}: a device array was read on the host; use backend.to_host")

    return refused


class FakeArray:
    """An array of the fake device."""

    __slots__ = ("_host",)
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, host):
        self._host = host

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)
    data = property(lambda self: SimpleNamespace(ptr=self._host.ctypes.data, device_id=NUMBER))
    base = property(lambda self: None if self._host.base is None else FakeArray(self._host.base))
    T = property(lambda self: FakeArray(self._host.T))
    __cuda_array_interface__ = property(lambda self: self._host.__array_interface__)

    def get(self):
        """CuPy's way out, where there is no backend to ask: metrics are given arrays alone."""
        return self._host.copy()

    def __len__(self):
        return len(self._host)

    def __getitem__(self, index):
        return on_device(self._host.__getitem__)(index)

    def __setitem__(self, index, value):
        if captured is not None:
            captured.append(lambda: self._host.__setitem__(unwrap(index), unwrap(value)))
        else:
            self._host[unwrap(index)] = unwrap(value)

    def __neg__(self):
        return on_device(self._host.__neg__)()

    def __invert__(self):
        return on_device(self._host.__invert__)()

    def __abs__(self):
        return on_device(self._host.__abs__)()

    def __repr__(self):
        return f"<device array {self.shape} {self.dtype}>"


def _method(name):
    def method(self, *inputs, **options):
        return on_device(getattr(self._host, name))(*inputs, **options)

    return method


def _in_place(name):
    def method(self, other):
        change = getattr(self._host, name)
        if captured is not None:
            captured.append(lambda: change(unwrap(other)))
        else:
            change(unwrap(other))
        return self

    return method


for _name in ALLOWED:
    setattr(FakeArray, _name, _method(_name))
for _name in BINARY:
    setattr(FakeArray, f"__{_name}__", _method(f"__{_name}__"))
    setattr(FakeArray, f"__r{_name}__", _method(f"__r{_name}__"))
    setattr(FakeArray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in COMPARISONS:
    setattr(FakeArray, f"__{_name}__", _method(f"__{_name}__"))
for _name in REFUSED:
    setattr(FakeArray, _name, refusal(_name))


class FakeUfunc:
    """np.add and its kin, with the parts that CuPy has too."""

    def __init__(self, ufunc):
        self._ufunc = ufunc
        self.at = on_device(ufunc.at)
        self.reduce = on_device(ufunc.reduce)

    def __call__(self, *inputs, **options):
        if "where" in options:
            raise TypeError(f"{self._ufunc.__name__}: CuPy's functions have no where=")
        return on_device(self._ufunc)(*inputs, **options)


class FakeNamespace:
    """NumPy's functions over device arrays."""

    ndarray = FakeArray

    def __init__(self, module=np):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            found = FakeNamespace(found)
        elif isinstance(found, np.ufunc):
            found = FakeUfunc(found)
        elif callable(found) and not isinstance(found, type):
            found = on_device(found)
        setattr(self, name, found)
        return found

    def asarray(self, values, dtype=None):
        if isinstance(values, FakeArray):
            return values if dtype is None or values.dtype == dtype else values.astype(dtype)
        return FakeArray(np.array(values, dtype))

    def array(self, values, dtype=None, copy=True):
        return FakeArray(np.array(values._host if isinstance(values, FakeArray) else values, dtype))


class FakeLane(Lane):
    """Copies that take as long as they may: until somebody waits for them, nobody may write to staging memory.

    The arrays hold no number before the device is told to follow, and staging memory holds none afterwards.

    Attributes:
        sent, under_way: how many batches were sent, and those of them that nobody has waited for.
    """

    def __init__(self, backend):
        self.backend, self.sent, self.under_way, self.lock = backend, 0, {}, threading.Lock()

    def staging(self, size):
        return np.full(size, 0xFF, "uint8")

    def empty(self, shape, dtype):
        return self.backend.allocated(shape, dtype)

    def mark(self):
        return object()

    def send(self, hosts, arrays, after):
        assert type(after) is object
        for array in arrays:
            array._host.fill(np.nan if array.dtype.kind == "f" else 1)
        with self.lock:
            self.sent += 1
            self.under_way[self.sent] = [[host, host.copy(), array] for host, array in zip(hosts, arrays, strict=True)]
            return self.sent

    def follow(self, mark):
        for one in self.under_way[mark]:
            one[-1]._host[...] = one[0].reshape(one[-1].shape)
            one.pop()

    def wait(self, mark):
        with self.lock:
            for host, before, *_ in self.under_way.pop(mark, ()):
                assert host.tobytes() == before.tobytes(), "staging memory was written to while it was read"
                host.view("uint8").fill(0xFF)


class FakeBackend(Backend):
    """A device named fake:0, whose memory is the host's but whose arrays do not tell."""

    def __init__(self, overrides=None):
        super().__init__("fake", "fake:0", FakeNamespace(), overrides)
        self.to_it = FakeLane(self)

    def lane(self):
        return self.to_it

    def allocated(self, shape, dtype):
        """A new array that no recording takes for one that it computes."""
        return self.xp.empty(shape, dtype)

    def to_host(self, array):
        if not isinstance(array, FakeArray):
            raise TypeError(f"to_host: {type(array).__name__} is not on the device")
        return array._host.copy()

    def owns(self, array):
        return isinstance(array, FakeArray)


class GraphingBackend(FakeBackend):
    """A fake GPU that can make one launch of many.

    Attributes:
        refused: names of NumPy's functions that cannot be captured, such as matmul, if cuBLAS has no stream.
        launches: how many graphs were launched.
    """

    graphs = True

    def __init__(self, refused=()):
        super().__init__()
        self.device, self.refused, self.launches = "fake:graphs", refused, 0

    def graph(self, run):
        global captured, refused
        captured, refused = steps, _ = [], self.refused
        try:
            run()
        except NotImplementedError:
            return None
        finally:
            captured, refused = None, ()

        def launch():
            self.launches += 1
            for step in self.taken(steps):
                step()

        return launch

    def memory(self):
        return {"free": 1 << 30}  # so that data sets are copied over

    def taken(self, steps):
        """What a launch runs of the steps that were captured."""
        return steps
