"""On which devices do the tests run? One fixture: NumPy, NumPy with read-only inputs, a fake GPU, a real one."""

import functools
import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small arrays on a shared machine: threads only wait for each other

import emulated_gpu
import fake_cublaslt
import numpy as np
import pytest
from fake_device import FakeBackend, GraphingBackend

import backends
from backends import cuda, cupy_backend, numpy_kernels
from backends.devices import _backends
from backends.numpy_backend import NumpyBackend
from engine import commands


class ReadOnlyBackend(NumpyBackend):
    """The CPU, where a kernel that writes to an input fails, and a kernel that reads its output finds no number.

    A pair's forward and backward never write to what they are given by position; the functions that are no pair's
    (an optimizer's update, a counter moved on) change it on purpose.
    """

    def __init__(self):
        super().__init__()
        self.device = "cpu:read-only"
        self.empty = self.unwritten

    def unwritten(self, shape, dtype):
        array = np.empty(shape, dtype)
        array.fill(np.nan if array.dtype.kind == "f" else 1)
        return array

    def kernel(self, definition):
        found = super().kernel(definition)
        return guarded(found) if definition.__name__ in ("forward", "backward") else found


@functools.cache
def guarded(function):
    def called(xp, *inputs, **options):
        return function(xp, *(read_only(one) for one in inputs), **options)

    return called


def read_only(value):
    if not isinstance(value, np.ndarray):
        return [read_only(part) for part in value] if isinstance(value, (list, tuple)) else value
    view = value.view()
    view.flags.writeable = False
    return view


NO_GPU = cupy_backend.problem()
BACKENDS = {"numpy": lambda: backends.get("cpu"), "read-only": ReadOnlyBackend, "fake-device": FakeBackend}
HOSTS = [*BACKENDS]
GPU = pytest.param("cupy", marks=pytest.mark.gpu)


@functools.cache
def make(name):
    backend = backends.get("cuda") if name == "cupy" else BACKENDS[name]()
    _backends.setdefault(backend.device, backend)  # so that its name works, too
    return backend


@pytest.fixture(params=[*HOSTS, GPU])
def backend(request):
    """A Backend: give it as ``device=``."""
    if request.param == "cupy" and NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    return make(request.param)


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data sets that the variable ENGINE_DATA names."""
    named = os.environ.get("ENGINE_DATA", "")
    if not named or not Path(named).is_dir():
        pytest.skip(f"ENGINE_DATA names no folder of real data sets: {named!r}")
    return Path(named)


@pytest.fixture
def definitions_alone():
    """The CPU without its compiled kernels, so that it computes by the calls by which the fake device does."""
    table = backends.get("cpu").overrides
    before = dict(table)
    table.clear()
    yield
    table.update(before)


@pytest.fixture
def without_compiler(monkeypatch):
    """The CPU as it is where nothing was compiled."""
    monkeypatch.setenv("ENGINE_NATIVE", "0")
    table = backends.get("cpu").overrides
    before = dict(table)
    table.clear()
    table.update(numpy_kernels.TABLE)
    yield
    table.clear()
    table.update(before)


@pytest.fixture
def fake_device():
    """The fake GPU, for tests of two devices."""
    return make("fake-device")


@pytest.fixture(scope="session")
def _emulated(tmp_path_factory):
    return emulated_gpu.Emulated(tmp_path_factory.mktemp("gpu"))


@pytest.fixture
def emulated(request):
    """The emulated GPU, on which kernels of arrays of the fake device are launched."""
    if emulated_gpu.missing() is not None:
        pytest.skip(f"no emulated GPU: {emulated_gpu.missing()}")
    gpu = request.getfixturevalue("_emulated")
    gpu.plug_in()
    yield gpu
    gpu.unplug()


@pytest.fixture(scope="session")
def _fake_cublaslt(tmp_path_factory):
    if fake_cublaslt.missing() is not None:
        pytest.skip(f"no fake cuBLASLt: {fake_cublaslt.missing()}")
    return fake_cublaslt.compiled(tmp_path_factory.mktemp("cublaslt"))


@pytest.fixture
def machine(_fake_cublaslt, tmp_path, monkeypatch):
    """What matrix products see of a GPU, with a fake cuBLASLt."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ENGINE_CUBLASLT", raising=False)
    return fake_cublaslt.Machine(_fake_cublaslt, tmp_path)


def graphing(kind, request, monkeypatch):
    """The name of a device that makes one launch of many.

    "cupy" is a GPU; "fake" a fake one, "fake without matmul" one that cannot keep products, and "fused" and "cublaslt"
    have a GPU's kernels, or its products, on that.
    """
    if kind == "cupy":
        if NO_GPU is not None:
            pytest.skip(f"no CUDA device: {NO_GPU}")
        backend = make("cupy")
        monkeypatch.setattr(backend, "graphs", True)
        return backend.device
    backend = GraphingBackend(("matmul",) if kind in ("fake without matmul", "cublaslt") else ())
    if kind == "fused":
        request.getfixturevalue("emulated").plug_in_capturing()
        backend.overrides.update(cuda.overrides())
    if kind == "cublaslt":
        backend.overrides.update(request.getfixturevalue("machine").products().overrides())
    monkeypatch.setitem(_backends, backend.device, backend)
    return backend.device


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same default generator, whatever ran before it."""
    import engine

    engine.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """No test cuts the power: what is written need not be on the disk before the next line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


# -- command lines --------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, where no pictures are drawn: they take longer than everything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENGINE_DEBUG", raising=False)
    monkeypatch.setattr("engine.commands.session.importlib.util.find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def engine(here, capsys):
    """Run a command line in this process: (exit code, standard output, standard error)."""

    def call(*line):
        code = commands.main([str(part) for part in line])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
