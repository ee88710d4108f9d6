"""How do calls get onto a GPU, and what happens where they cannot? On the emulated one, and by a launch that notes."""

import ctypes
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from emulated_gpu import SIGNATURE
from fake_device import NUMBER, FakeArray, FakeBackend

from backends import cuda, native
from backends.cuda import LEFT, compile
from backends.cuda.launch import Fused
from backends.kernels.activation import ReLU
from backends.kernels.linear import Linear

ROOT = Path(__file__).resolve().parent.parent
kernels = native.kernels
pytestmark = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")


def on_device(*shape, dtype="float32"):
    return FakeArray(np.ones(shape, dtype))


@pytest.fixture
def noted():
    """What was launched: (kernel, blocks, threads, stream); nothing runs."""
    names, launches = [None], []

    def launch(function, blocks, _, __, threads, *rest):
        launches.append((names[function], blocks, threads, rest[3]))
        return 0

    def load(kind):
        found = []
        for name in kernels.device_kernels(kind):
            found.append(len(names) if name else 0)
            names.extend([name] if name else [])
        return tuple(found)

    callback = SIGNATURE(launch)
    kernels.use_device(NUMBER, FakeArray, ctypes.cast(callback, ctypes.c_void_p).value, lambda: 4096, load)
    yield launches
    kernels.use_device(NUMBER, FakeArray, 0, None, None)


def test_blocks_and_threads(noted):
    f = on_device
    matrix, row = f(10, 40), f(40)
    assert kernels.relu(f(4100), f(4100))  # 1025 times 16 bytes
    assert kernels.relu(f(1024, dtype="float64"), f(1024, dtype="float64"))
    assert kernels.add(matrix, row, f(10, 40))
    assert kernels.add(matrix, matrix, f(10, 40))
    assert kernels.softmax(f(100, 10), f(100, 10))  # 16 threads a row
    assert kernels.softmax(f(100, 1000), f(100, 1000))  # 32
    assert kernels.softmax(f(100, 1025), f(100, 1025))  # a block
    assert kernels.column_sum(matrix, row)
    assert kernels.column_sum(f(10, 1), f(1))
    assert kernels.average(f(300), f(1), 300)
    mask = FakeArray(np.zeros(1030, bool))
    assert kernels.keep_mask(mask, FakeArray(np.zeros(1, "uint64")), 1, 2, 3)
    assert kernels.take_rows(f(50, 16), FakeArray(np.arange(7)), f(7, 16))
    assert kernels.count(FakeArray(np.zeros(1, "uint64")))
    assert [launch[3] for launch in noted] == [4096] * 13
    assert [launch[:3] for launch in noted] == [
        ("launch_relu_float", 5, 256),
        ("launch_relu_double", 2, 256),
        ("launch_add_float", 2, 256),
        ("launch_add_float", 1, 256),
        ("launch_softmax_float", 7, 256),
        ("launch_softmax_float", 13, 256),
        ("launch_softmax_float", 100, 256),
        ("launch_column_sum_float", 3, 512),
        ("launch_column_sum_float", 1, 512),
        ("launch_average_float", 1, 1024),
        ("launch_keep_mask", 2, 256),
        ("launch_take_rows", 1, 256),
        ("launch_count", 1, 1),
    ]


def test_what_a_gpu_had_better_compute_otherwise_is_left(noted):
    assert kernels.average(on_device(65_537), on_device(1), 1) is False
    assert kernels.product(on_device(3, 3), on_device(3, 3), on_device(3, 3), 0, 0) is False
    assert kernels.copy(on_device(3), on_device(3)) is False
    assert kernels.all_finite(on_device(3)) is False
    assert noted == []


def test_arrays_that_are_not_taken(noted):
    f = on_device

    def located(data):
        return type("Other", (FakeArray,), {"data": data})(np.ones(4, "float32"))

    elsewhere = located(SimpleNamespace(ptr=64, device_id=NUMBER + 1))
    for x, y in (
        (f(4), np.ones(4, "float32")),  # one of the host, one of the GPU
        (np.ones(4, "float32"), f(4)),
        (f(4), elsewhere),
        (f(4), f(5)),
        (f(4), f(4, dtype="float64")),
        (f(4, dtype="complex64"), f(4, dtype="complex64")),
        (f(4, dtype="float16"), f(4, dtype="float16")),
        (FakeArray(np.ones((4, 4), "float32")[:, ::2]), f(4, 2)),
        (FakeArray(np.ones((3, 4), "float32", order="F")), f(3, 4)),
        (f(*[1] * 13), f(*[1] * 13)),  # more axes than there is room for
        (f(0), f(0)),
        (f(4), located(None)),
        (f(4), located(SimpleNamespace(ptr="far", device_id=NUMBER))),
        (f(4), located(SimpleNamespace(ptr=64, device_id=-1))),
    ):
        assert kernels.relu(x, y) is False
    assert noted == []
    x = on_device(4, dtype="float32")
    assert kernels.multiply(x, 2.0, x) is True


def test_views_of_a_gpu_are_given_back(noted):
    x = on_device(4)
    before = sys.getrefcount(x)
    for _ in range(5):
        assert kernels.relu(x, x)
        assert kernels.relu(x, on_device(5)) is False
    assert sys.getrefcount(x) == before


def test_a_sequence_keeps_no_call_of_a_gpu(noted):
    sequence = kernels.Sequence()
    assert sequence.extend(kernels.relu, (on_device(4), on_device(4)), {}) is False
    assert sequence.length() == 0
    assert noted == []


def test_kernels_are_loaded_by_type_when_they_are_wanted(emulated):
    loaded = []
    emulated.plug_in(lambda kind: loaded.append(kind) or emulated.functions(kind))
    for dtype, expected in (("float32", [0]), ("float32", [0]), ("float64", [0, 1]), ("float64", [0, 1])):
        assert kernels.relu(on_device(4, dtype=dtype), on_device(4, dtype=dtype))
        assert loaded == expected


def test_a_launch_that_fails_is_an_error(emulated):
    emulated.number("fails").value = 719
    with pytest.raises(RuntimeError, match=r"relu: the CUDA driver could not launch it \(error 719\)"):
        kernels.relu(on_device(4), on_device(4))


def test_errors_on_the_way_come_out(emulated):
    emulated.plug_in(lambda kind: (1, 2, 3))
    with pytest.raises(ValueError, match="not an address for each kernel"):
        kernels.relu(on_device(4), on_device(4))
    address = emulated.address("emulated_launch")
    kernels.use_device(NUMBER, FakeArray, address, lambda: 1 // 0, emulated.functions)
    with pytest.raises(ZeroDivisionError):
        kernels.relu(on_device(4), on_device(4))
    for number in (-1, 32):
        with pytest.raises(ValueError, match="no such number"):
            kernels.use_device(number, FakeArray, address, None, None)


def test_without_a_gpu_its_arrays_are_not_taken():
    assert kernels.relu(on_device(4), on_device(4)) is False


def test_cupys_arrays_are_taken_as_they_are(emulated):
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    emulated.use_for(cupy.ndarray)

    def over(host):
        memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, NUMBER)
        return cupy.ndarray(host.shape, host.dtype, cupy.cuda.MemoryPointer(memory, 0))

    x, y = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4), np.full((3, 4), 7, "float32")
    assert kernels.relu(over(x), over(y)) is True
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    assert kernels.multiply(over(x)[1:], 2.0, over(y)[1:]) is True
    np.testing.assert_array_equal(y[1:], 2 * x[1:])
    assert kernels.relu(over(x)[:, ::2], over(y)[:, :2]) is False
    labels = over(np.array([1, 0, 2]))
    assert kernels.label_weights(over(x)[0], labels, over(y)[0, :3]) is True
    np.testing.assert_array_equal(y[0, :3], x[0, [1, 0, 2]])


# -- CuPy's side of it -------------------------------------------------------------------------------------


class FakeCupy:
    """Of CuPy what loads and launches: a module's functions are the emulated GPU's."""

    def __init__(self, emulated, capability="90"):
        stream, owner = SimpleNamespace(ptr=0), self
        self.loaded, self.ndarray = [], FakeArray

        class Module:
            def load(self, code):
                owner.loaded.append(code)

            def get_function(self, name):
                return SimpleNamespace(ptr=emulated.address(name))

        class Device(nullcontext):
            compute_capability = capability

            def use(self):
                owner.used.append((threading.current_thread(), self.enter_result))

        self.used = []
        self.cuda = SimpleNamespace(
            get_current_stream=lambda: stream,
            runtime=SimpleNamespace(free=lambda place: owner.used.append(place)),
            Device=Device,
            function=SimpleNamespace(Module=Module),
        )


@pytest.fixture
def nvrtc(monkeypatch):
    """An NVRTC that compiles at once."""
    monkeypatch.setattr(compile, "library", lambda: None)
    monkeypatch.setattr(compile, "version", lambda: (12, 9))
    monkeypatch.setattr(compile, "architecture", lambda capability: f"sm_{capability}")
    monkeypatch.setattr(compile, "cached", lambda arch, kind: f"{arch} {kind}")


def fused(emulated):
    cupy = FakeCupy(emulated)
    return Fused(cupy, NUMBER, lambda: emulated.address("emulated_launch")), cupy


def test_kernels_are_compiled_for_the_gpu_and_used(emulated, nvrtc):
    found, cupy = fused(emulated)
    assert found.problem is None
    assert found.describe() == "to be compiled when first used, by NVRTC 12.9"
    table = found.overrides()
    assert set(table) == set(native.overrides()) - LEFT
    assert Linear.forward not in table
    y = on_device(4)
    table[ReLU.forward](None, FakeArray(np.array([-1, 2, -3, 4], "float32")), y=y)
    assert y._host.tolist() == [0, 2, 0, 4]
    assert cupy.loaded == ["sm_90 0"]
    table[ReLU.forward](None, y, y=y)
    assert cupy.used == [(threading.main_thread(), NUMBER), 0]  # once a thread
    other = threading.Thread(target=table[ReLU.forward], args=(None, y), kwargs={"y": y})
    other.start()
    other.join()
    assert cupy.used == [(threading.main_thread(), NUMBER), 0, (other, NUMBER), 0]
    assert found.describe() == "in use, compiled by NVRTC 12.9"


def test_where_they_do_not_compile_it_is_told_and_cupy_computes(emulated, nvrtc, monkeypatch):
    def fail(arch, kind):
        raise compile.CompileError("NVRTC 12.9 could not compile the kernels for sm_90: the reason")

    monkeypatch.setattr(compile, "cached", fail)
    found, _ = fused(emulated)
    before = emulated.number("launches").value
    kernel, device = found.overrides()[ReLU.forward], FakeBackend()
    y = on_device(4)
    with pytest.warns(RuntimeWarning, match=r"computes without fused kernels, more slowly: .*the reason"):
        kernel(device.xp, FakeArray(np.array([-1, 2, -3, 4], "float32")), y=y)
    assert y._host.tolist() == [0, 2, 0, 4]
    assert found.describe() == "not in use: NVRTC 12.9 could not compile the kernels for sm_90: the reason"
    assert found.overrides() == {}
    kernel(device.xp, FakeArray(np.array([-5, 6, -7, 8], "float32")), y=y)  # it is told once
    assert y._host.tolist() == [0, 6, 0, 8]
    assert emulated.number("launches").value == before


def test_without_the_drivers_launch_cupy_computes(emulated, nvrtc):
    def fail():
        raise OSError("libcuda.so.1: cannot open shared object file\nand more")

    found = Fused(FakeCupy(emulated), NUMBER, fail)
    assert found.problem == "libcuda.so.1: cannot open shared object file"
    assert found.overrides() == {}


@pytest.mark.parametrize("reason", ["no NVRTC", "no compiled C"])
def test_what_is_missing_is_told_before(emulated, nvrtc, monkeypatch, reason):
    def fail():
        raise compile.CompileError("NVRTC was not found")

    if reason == "no NVRTC":
        monkeypatch.setattr(compile, "library", fail)
        expected = "NVRTC was not found"
    else:
        monkeypatch.setattr(native, "kernels", None)
        monkeypatch.delenv("ENGINE_NATIVE", raising=False)
        expected = (
            "compiled C, which launches them, is not built: install the package again where there is a C compiler"
        )
    found, _ = fused(emulated)
    assert found.problem == expected
    assert found.overrides() == {}
    assert found.describe() == f"not in use: {expected}"


def test_the_variable_switches_them_off():
    program = "from backends import cuda; print(len(cuda.overrides())); print(cuda.problem())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ENGINE_NATIVE": "0"}
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [
        "0",
        "compiled C, which launches them, is switched off by ENGINE_NATIVE=0",
    ]


def test_the_package_of_kernels_loads_no_cupy():
    program = "import sys, backends.cuda.launch; print('cupy' in sys.modules, 'cuda.pathfinder' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "False False\n"
    assert cuda.LEFT
