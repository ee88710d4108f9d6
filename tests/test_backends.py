"""Which device serves a flag, what is said where none does, and does every backend keep to the one table of kernels?"""

import ast
import ctypes
import importlib
import importlib.metadata
import inspect
import pkgutil
import sys
import types

import numpy as np
import pytest
from conftest import make
from fake_device import FakeArray, FakeBackend

import backends
import backends.kernels
import engine as en
from backends import cupy_backend
from backends.devices import _backends
from backends.kernels.activation import ReLU, Tanh
from backends.kernels.pair import Pair

KERNELS = [
    importlib.import_module(f"backends.kernels.{module.name}")
    for module in pkgutil.iter_modules(backends.kernels.__path__)
]
PAIRS = [
    member
    for module in KERNELS
    for member in vars(module).values()
    if isinstance(member, type)
    and issubclass(member, Pair)
    and member is not Pair
    and member.__module__ == module.__name__
]


# -- the device flag -------------------------------------------------------------------------------------


def test_cpu_is_always_there():
    assert backends.get("cpu") is backends.get("cpu")
    assert backends.get(backends.get("cpu")) is backends.get("cpu")
    assert (backends.get("cpu").name, backends.get("cpu").device, backends.get("cpu").xp) == ("numpy", "cpu", np)
    assert en.devices()[0] == "cpu"
    assert repr(backends.get("cpu")) == "<numpy backend on cpu>"


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "", "cpu:0", 0, None])
def test_an_unknown_device_is_refused_with_the_allowed_ones(name):
    with pytest.raises(en.DeviceError, match=r'is unknown; allowed are "cpu", "cuda", "cuda:N" and "auto"'):
        backends.get(name)


class Machine:
    """A machine as `cupy_backend.problem` sees it."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch

    def has(self, driver=None, wheels=(), cupy=None):
        self.monkeypatch.setattr(cupy_backend, "driver_version", lambda: driver)
        found = [types.SimpleNamespace(metadata={"Name": name}) for name in ("numpy", None, *wheels)]
        self.monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
        self.monkeypatch.setitem(sys.modules, "cupy", cupy)

    def cupy(self, count):
        """A CuPy with so many GPUs; an error where the count is one."""

        class CUDARuntimeError(RuntimeError):
            pass

        def device_count():
            if isinstance(count, str):
                raise CUDARuntimeError(count)
            return count

        fake = types.ModuleType("cupy")
        runtime = types.SimpleNamespace(getDeviceCount=device_count, CUDARuntimeError=CUDARuntimeError)
        runtime.getDevice = lambda: 0
        fake.cuda = types.SimpleNamespace(runtime=runtime, Device=lambda index: types.SimpleNamespace(use=lambda: None))
        return fake


@pytest.fixture
def machine(monkeypatch):
    kept = dict(_backends)
    yield Machine(monkeypatch)
    _backends.clear()
    _backends.update(kept)


def test_no_driver(machine):
    machine.has(driver=None, wheels=["cupy-cuda12x"])
    assert "no NVIDIA driver was found" in cupy_backend.problem()


@pytest.mark.parametrize(("driver", "extra"), [(12040, "cuda12"), (11080, "cuda12"), (13010, "cuda13")])
def test_no_cupy_names_the_extra_for_the_driver(machine, driver, extra):
    machine.has(driver=driver)
    assert cupy_backend.problem() == f'CuPy is not installed. Install the extra: pip install "chalkgrad[{extra}]".'


def test_two_wheels_at_once(machine):
    machine.has(driver=12040, wheels=["cupy-cuda12x", "cupy-cuda13x"])
    text = "cupy-cuda12x and cupy-cuda13x are installed at once and break each other. Uninstall all but cupy-cuda12x."
    assert cupy_backend.problem() == text


def test_a_wheel_newer_than_the_driver(machine):
    machine.has(driver=12040, wheels=["CuPy-cuda13x"])
    assert cupy_backend.problem() == (
        "cupy-cuda13x is built for CUDA 13, but the driver serves CUDA 12.4. "
        "Install cupy-cuda12x instead, or a newer driver."
    )


@pytest.mark.parametrize("wheel", ["cupy-cuda12x", "cupy"])
def test_cupy_that_does_not_import(machine, wheel):
    machine.has(driver=13000, wheels=[wheel], cupy=None)  # None in sys.modules makes the import fail
    assert cupy_backend.problem().startswith(
        f"{wheel} is installed but does not import (ModuleNotFoundError: import of cupy"
    )
    assert "\n" not in cupy_backend.problem()


def test_an_import_error_without_a_text(machine, monkeypatch):
    machine.has(driver=12040, wheels=["cupy-cuda12x"])
    monkeypatch.delitem(sys.modules, "cupy")

    class Broken:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "cupy":
                raise ImportError
            return None

    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    assert "does not import (ImportError" in cupy_backend.problem()


def test_a_driver_without_a_usable_gpu(machine):
    machine.has(
        driver=12040, wheels=["cupy-cuda12x"], cupy=machine.cupy("cudaErrorNoDevice: no CUDA-capable device\nmore")
    )
    assert (
        cupy_backend.problem()
        == "the driver answers, but no GPU can be used (CUDARuntimeError: cudaErrorNoDevice: no CUDA-capable device)."
    )
    machine.has(driver=12040, wheels=["cupy-cuda12x"], cupy=machine.cupy(0))
    assert cupy_backend.problem() == "the driver is installed, but it sees no GPU."


def test_a_usable_gpu(machine):
    machine.has(driver=12040, wheels=["cupy-cuda12x"], cupy=machine.cupy(2))
    assert cupy_backend.problem() is None
    assert cupy_backend.count() == 2
    assert backends.devices() == ["cpu", "cuda:0", "cuda:1"]
    assert backends.get("auto").device == backends.get("cuda").device == "cuda:0"
    assert backends.get("auto") is backends.get("cuda:0")
    with pytest.raises(en.DeviceError, match=r"device cuda:2 does not exist; this machine has cuda:0, cuda:1\."):
        backends.get("cuda:2")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_asking_for_cuda_where_there_is_none_is_one_line_that_says_what_is_missing(machine, device):
    machine.has(driver=12040)
    with pytest.raises(en.DeviceError, match=r"device cuda:\d cannot be used: CuPy is not installed\.") as caught:
        en.tensor(1.0, device=device)
    assert "\n" not in str(caught.value)
    with pytest.raises(en.DeviceError, match="cannot be used"):
        en.Linear(2, 1).to(device)


def test_auto_takes_the_cpu_in_silence_where_there_is_no_driver(machine):
    machine.has(driver=None)
    assert backends.get("auto") is backends.get("cpu")
    assert backends.devices() == ["cpu"]
    assert cupy_backend.count() == 0


def test_auto_says_why_a_gpu_is_not_used(machine):
    machine.has(driver=12040)
    with pytest.warns(RuntimeWarning, match="using the CPU: CuPy is not installed"):
        assert backends.get("auto") is backends.get("cpu")


def test_the_driver_version_is_asked_of_the_driver(monkeypatch):
    def driver(status):
        def version(pointer):
            pointer._obj.value = 12080
            return status

        return lambda name: types.SimpleNamespace(cuDriverGetVersion=version)

    monkeypatch.setattr(ctypes, "CDLL", driver(0))
    assert cupy_backend.driver_version() == 12080
    assert cupy_backend.driver_present()
    monkeypatch.setattr(ctypes, "CDLL", driver(3))
    assert cupy_backend.driver_version() is None

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not cupy_backend.driver_present()


# -- the contract ----------------------------------------------------------------------------------------


def test_arrays_go_to_the_device_and_back(backend):
    host = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    array = backend.asarray(host)
    assert backend.owns(array)
    assert (array.shape, array.dtype) == ((2, 2), np.float32)
    assert type(backend.to_host(array)) is np.ndarray
    np.testing.assert_array_equal(backend.to_host(array), host)
    assert backend.asarray(host, "float64").dtype == np.float64
    assert backend.asarray([1, 2]).dtype == np.int64
    assert backend.to_host(backend.zeros((2,), "float64")).tolist() == [0.0, 0.0]
    empty = backend.empty((2, 3), "float32")
    assert backend.owns(empty)
    assert (empty.shape, empty.dtype) == ((2, 3), np.float32)
    assert not backend.owns([1.0])
    backend.synchronize()
    assert backend.describe()["device"]
    assert all(isinstance(number, int) for number in backend.memory().values())


def test_the_cpu_describes_itself():
    keys = {"device", "arrays", "processor", "BLAS", "products", "kernels", "compiled C"}
    assert set(backends.get("cpu").describe()) == keys


def test_the_contract_alone_is_no_device():
    bare = backends.Backend("bare", "bare:0", np)
    for call in (lambda: bare.to_host(np.ones(1)), lambda: bare.owns(np.ones(1))):
        with pytest.raises(NotImplementedError):
            call()


def test_an_override_replaces_its_definition():
    def relu(xp, x, *, y):
        xp.copyto(y, 7)

    backend = FakeBackend()
    assert backend.kernel(ReLU.forward) is ReLU.forward
    backend.overrides[ReLU.forward] = relu
    assert backend.kernel(ReLU.forward) is relu
    assert backend.kernel(Tanh.forward) is Tanh.forward
    assert en.tensor([1.0], device=backend).relu().tolist() == [7.0]


# -- the table -------------------------------------------------------------------------------------------


def test_every_override_has_its_definitions_signature(backend):
    for definition, override in backend.overrides.items():
        assert inspect.signature(override) == inspect.signature(definition), override


def test_there_are_pairs_of_every_family():
    families = {pair.__module__.rpartition(".")[2] for pair in PAIRS}
    assert families >= {"activation", "arithmetic", "linear", "loss", "normalization", "reduction", "shape", "dropout"}


# Pairs with one direction only: the other hands the incoming gradient on, or is its own node elsewhere.
FORWARD_ONLY = {
    *("Add", "Subtract", "SumTo", "Accumulate", "Concatenate", "Stack"),
    *("Copy", "Fill", "Assign", "Gather", "Compare", "Round"),
}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__)
def test_every_pair_keeps_to_the_rules(pair):
    directions = {name for name in ("forward", "backward") if hasattr(pair, name)}
    expected = {"forward", "backward"}
    expected -= {"backward"} if pair.__name__ in FORWARD_ONLY else set()
    assert directions == expected
    assert pair.__doc__
    for direction in directions:
        assert isinstance(inspect.getattr_static(pair, direction), staticmethod)
        parameters = list(inspect.signature(getattr(pair, direction)).parameters.values())
        assert parameters[0].name == "xp"
        positional = [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert all(one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in positional)
        assert all(one.default is inspect.Parameter.empty for one in positional)
        assert len(positional) < len(parameters), "outputs are keyword-only"
    if "backward" in directions:
        first = list(inspect.signature(pair.backward).parameters)[1]
        assert first.startswith("d"), "backward takes the incoming gradient first"


# -- the stand-ins ---------------------------------------------------------------------------------------

READS = {
    "float": float,
    "int": int,
    "bool": bool,
    "index": lambda array: [1, 2][array],
    "iteration": list,
    "containment": lambda array: 1.0 in array,
    "item": lambda array: array.item(),
    "tolist": lambda array: array.tolist(),
    "asarray": np.asarray,
    "a NumPy function": np.add.reduce,
    "a NumPy sum": lambda array: np.ones(1) + array,
    "a NumPy operand": lambda array: array + np.ones(1),
    "an output on the host": lambda array: FakeBackend().xp.add(array, 1, out=np.ones(1)),
    "copyto from the host": lambda array: FakeBackend().xp.copyto(array, np.ones(1)),
    "where of a ufunc": lambda array: FakeBackend().xp.add(array, 1, where=array),
    "to_host of a host array": lambda array: FakeBackend().to_host(np.ones(1)),
}


@pytest.mark.parametrize("name", READS)
def test_the_fake_device_refuses_the_host(name):
    with pytest.raises(TypeError):
        READS[name](FakeBackend().asarray([1.0]))


def test_the_fake_device_computes():
    backend = FakeBackend()
    host = np.array([1.0, 2.0])
    array = backend.asarray(host)
    host[0] = 9.0
    assert backend.to_host(backend.xp.add(array, 1)).tolist() == [2.0, 3.0]
    assert isinstance(array.sum(), FakeArray)
    assert backend.to_host(-(array * 2 - 1) / 2).tolist() == [-0.5, -1.5]
    array += 1
    assert backend.to_host(array[::-1]).tolist() == [3.0, 2.0]


def test_the_read_only_backend_finds_a_kernel_that_writes_to_its_input():
    def forward(xp, x, *, y):
        xp.copyto(x, 0)

    with pytest.raises(ValueError, match="read-only"):
        make("read-only").kernel(forward)(np, np.ones(2), y=np.ones(2))
    assert np.isnan(make("read-only").empty((2,), "float32")).all()


# -- CuPy ------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_cupy_imports_and_compiles_a_kernel():
    """Where the package is installed: that it loads, and that its compiler turns a kernel into code for a GPU."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    source = 'extern "C" __global__ void half(float* x) { x[threadIdx.x] *= 0.5f; }'
    program = cupy.cuda.nvrtc.createProgram(source, "half.cu", (), ())
    try:
        cupy.cuda.nvrtc.compileProgram(program, ("--gpu-architecture=compute_75",))
        assert "half" in str(cupy.cuda.nvrtc.getPTX(program))
    finally:
        cupy.cuda.nvrtc.destroyProgram(program)


@pytest.mark.gpu
def test_cupy_has_every_function_that_the_kernels_call():
    """Names only: which functions of the array module the kernels' sources ask for."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    assert {name for name in called_names() if not hasattr(cupy, name)} == set()


def called_names():
    names = set()
    for module in KERNELS:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "xp":
                names.add(node.attr)
    return names


def test_numpy_has_every_function_that_the_kernels_call():
    names = called_names()
    assert {"maximum", "matmul", "sum"} <= names
    assert {name for name in names if not hasattr(np, name)} == set()
