"""How is cuBLASLt tested without a GPU? `Machine`: fake_cublaslt.c, compiled, and of CuPy what products ask for."""

import contextlib
import ctypes
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_device
import numpy as np
from fake_device import FakeArray, FakeBackend, FakeNamespace

from backends.cuda.cublaslt import Library
from backends.cuda.products import Products
from backends.cuda.rounded import RoundedProducts
from backends.kernels.arithmetic import Add
from backends.kernels.reduction import Sum

SOURCE = Path(__file__).resolve().parent / "fake_cublaslt.c"
COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")


def missing() -> str | None:
    """Why there can be no fake cuBLASLt here; None where there can."""
    if COMPILER is None or sys.platform == "win32":
        return "there is no C compiler that makes a shared library as gcc does"
    return None


def compiled(folder: Path) -> Path:
    """The library, made of its source."""
    path = folder / "fake_cublaslt.so"
    subprocess.run([str(COMPILER), "-O1", "-shared", "-fPIC", str(SOURCE), "-o", str(path)], check=True)
    return path


class Event:
    """A moment on the fake library's clock."""

    def __init__(self, machine: "Machine") -> None:
        self.machine, self.moment = machine, 0

    def record(self) -> None:
        self.moment = self.machine["clock"]

    def synchronize(self) -> None:
        pass


class Device(contextlib.nullcontext[None]):
    """The GPU, as a context that makes it the current one."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__()
        self.machine, self.compute_capability = machine, machine.capability

    def use(self) -> None:
        self.machine.users.append(threading.get_ident())


class Machine:
    """A GPU whose memory is the host's, with a fake cuBLASLt of its own.

    Attributes:
        stream, capturing, capability, name, runtime: what it says of itself.
        added: how many kernels it ran for biases; each takes `adding` of the clock.
        summed: how many it ran for their gradients; each takes `summing`.
        users: the threads that made it theirs.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        copy = folder / f"fake_{id(self)}.so"  # numbers of its own: a library is loaded once for each path
        shutil.copy(library, copy)
        self.loaded = ctypes.CDLL(str(copy))
        self.stream, self.capturing, self.capability, self.name, self.runtime = 0, False, "90", b"Fake GPU", 12090
        self.added, self.adding, self.summed, self.summing = 0, 0, 0, 0
        self.users: list[int] = []
        self.pool: list[FakeArray] = []
        self.cupy: Any = FakeNamespace()
        self.cupy.cuda = SimpleNamespace(
            get_current_stream=lambda: SimpleNamespace(ptr=self.stream, is_capturing=self.is_capturing),
            Device=lambda index: Device(self),
            Event=lambda: Event(self),
            get_elapsed_time=lambda start, end: float(end.moment - start.moment),
            runtime=SimpleNamespace(
                runtimeGetVersion=lambda: self.runtime,
                getDeviceProperties=lambda index: {"name": self.name},
                free=lambda address: None,
            ),
        )

    def variable(self, name: str) -> Any:
        return ctypes.c_int64.in_dll(self.loaded, f"fake_{name}")

    def __getitem__(self, name: str) -> int:
        return int(self.variable(name).value)

    def __setitem__(self, name: str, value: int) -> None:
        self.variable(name).value = value

    def costs(self, plain: tuple[int, ...], biased: tuple[int, ...] = (4, 3, 2, 1)) -> None:
        """What the algorithms cost; `biased` is with a bias, or its gradient."""
        (ctypes.c_int64 * 8).in_dll(self.loaded, "fake_cost")[:] = (*plain, *biased)

    def each(self, name: str, *values: int) -> None:
        """Set a number of each algorithm: runs (0: it fails), states (of heuristics; 0: it is good)."""
        (ctypes.c_int64 * 4).in_dll(self.loaded, f"fake_{name}")[:] = values

    def add(self, xp: Any, a: Any, b: Any, *, y: Any) -> None:
        self.added += 1
        self["clock"] += self.adding
        xp.add(a, b, out=y)

    def sum(self, xp: Any, x: Any, *, y: Any, axis: int, keepdims: bool) -> None:
        self.summed += 1
        self["clock"] += self.summing
        Sum.forward(xp, x, y=y, axis=axis, keepdims=keepdims)

    def products(self, **options: Any) -> Products:
        """The products of this GPU."""
        options = {"find": lambda major: self.library()} | options
        return Products(self.cupy, 0, {Add.forward: self.add, Sum.forward: self.sum}, self.empty, **options)

    def rounded(self, table: Any = None, **options: Any) -> RoundedProducts:
        """The products of rounded numbers; ``table`` has the GPU's kernels."""
        return RoundedProducts(self.cupy, 0, self.products(**options), {} if table is None else table)

    def library(self) -> Library:
        """The fake cuBLASLt; what is multiplied while the fake device captures is so whenever the graph is launched."""
        library = Library(self.loaded)
        matmul = library.matmul

        def called(*arguments: Any) -> int:
            if fake_device.captured is None:
                return int(matmul(*arguments))
            fake_device.captured.append(lambda: matmul(*arguments))
            return 0

        library.matmul = called
        return library

    def is_capturing(self) -> bool:
        return self.capturing or fake_device.captured is not None

    def empty(self, shape: Any, dtype: str) -> FakeArray:
        """A new array; what is made while a stream is captured lives on, as in a graph's pool."""
        made = FakeArray(np.empty(shape, dtype))
        if self.is_capturing():
            self.pool.append(made)
        return made


class Backend(FakeBackend):
    """A fake GPU whose products are this machine's, those of rounded numbers as well."""

    def __init__(self, machine: Machine, table: Any = None) -> None:
        self.rounded = machine.rounded(table)
        products = self.rounded.products.overrides()
        super().__init__(({} if table is None else table) | products | self.rounded.overrides())

    def rounded_type(self, precision: str) -> str:
        return self.rounded.kept_in(precision)


def numbers(shape: Any, dtype: str, seed: int = 0) -> np.ndarray:
    """Small whole numbers: every order of adding them up gives the same bits."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def unwritten(shape: Any, dtype: str) -> np.ndarray:
    """An array that nobody has written yet."""
    return np.full(shape, np.nan, dtype)
