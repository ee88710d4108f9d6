"""How does the engine compute on an NVIDIA GPU? With CuPy's arrays; this file alone imports CuPy."""

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backends.backend import Backend, Kernel
from backends.cuda import lane
from backends.cuda.joined import Joins, by_events
from backends.cuda.launch import Fused
from backends.cuda.products import Products
from backends.cuda.rounded import RoundedProducts
from backends.errors import DeviceError, OutOfMemoryError
from backends.kernels.pair import Array
from backends.lane import Lane


def driver_version() -> int | None:
    """The CUDA version that the installed driver serves, as 1000 * major + 10 * minor; None without a driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return None
    version = ctypes.c_int(0)
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def driver_present() -> bool:
    """Whether an NVIDIA driver is installed."""
    return driver_version() is not None


def _cupy_wheels() -> list[str]:
    names = {
        (distribution.metadata["Name"] or "").lower()
        for distribution in importlib.metadata.distributions()
        if (distribution.metadata["Name"] or "").lower().startswith("cupy")
    }
    return sorted(name for name in names if name == "cupy" or name.startswith("cupy-cuda"))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def problem() -> str | None:
    """Why CUDA cannot be used here, in one line with the fix; None where it can.

    It tells apart: no driver, no CuPy, two CuPy wheels at once, a wheel for a newer CUDA than the driver's, a CuPy that
    does not import, and a driver without a GPU.
    """
    version = driver_version()
    if version is None:
        return "no NVIDIA driver was found (libcuda did not load). Install the driver, or use --device cpu."
    wheels = _cupy_wheels()
    extra = "cuda13" if version >= 13000 else "cuda12"
    if not wheels:
        return f'CuPy is not installed. Install the extra: pip install "chalkgrad[{extra}]".'
    if len(wheels) > 1:
        return f"{' and '.join(wheels)} are installed at once and break each other. Uninstall all but cupy-{extra}x."
    wheel_major = int(wheels[0][len("cupy-cuda") :][:2]) if wheels[0].startswith("cupy-cuda") else version // 1000
    if wheel_major > version // 1000:
        return (
            f"{wheels[0]} is built for CUDA {wheel_major}, but the driver serves CUDA {_dotted(version)}. "
            f"Install cupy-{extra}x instead, or a newer driver."
        )
    try:
        import cupy
    except Exception as error:
        return f"{wheels[0]} is installed but does not import ({_first_line(error)})."
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"the driver answers, but no GPU can be used ({_first_line(error)})."
    return None if found else "the driver is installed, but it sees no GPU."


def count() -> int:
    """How many GPUs can be used."""
    if problem() is not None:
        return 0
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


class CupyBackend(Backend):
    """One NVIDIA GPU: arrays are CuPy's, on that GPU."""

    def __init__(self, index: int) -> None:
        reason = problem()
        if reason is not None:
            raise DeviceError(f"device cuda:{index} cannot be used: {reason}")
        import cupy

        found = cupy.cuda.runtime.getDeviceCount()
        if index >= found:
            names = ", ".join(f"cuda:{known}" for known in range(found))
            raise DeviceError(f"device cuda:{index} does not exist; this machine has {names}.")
        self.fused = Fused(cupy, index)
        table = self.fused.overrides()
        self.products = Products(cupy, index, table, self.empty)
        self.rounded = RoundedProducts(cupy, index, self.products, table)
        overrides = table | self.products.overrides() | self.rounded.overrides()
        super().__init__("cupy", f"cuda:{index}", cupy, overrides)
        self.index = index
        self.graphs = self.graphs_wanted()
        self._current = cupy.cuda.runtime.getDevice
        self._use = cupy.cuda.Device(index).use
        self._lane: Lane | None = None
        self.joins = Joins(cupy, table, self.products, self.empty, functools.partial(by_events, cupy))
        self.biased, self.summed = self.joins.biased, self.joins.summed  # type: ignore[method-assign]  # they do the same

    def _activate(self) -> None:
        # CuPy allocates and launches on the thread's current GPU, whatever the arrays say.
        if self._current() != self.index:
            self._use()

    def kernel(self, definition: Kernel) -> Kernel:
        self._activate()
        return super().kernel(definition)

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        self._activate()
        return self._allocate(self.xp.empty, shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        self._activate()
        return self._allocate(self.xp.zeros, shape, dtype)

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        self._activate()
        return self._allocate(self.xp.asarray, values, dtype)

    def _allocate(self, function: Any, what: Any, dtype: Any) -> Array:
        try:
            return function(what, dtype)
        except self.xp.cuda.memory.OutOfMemoryError:
            shape = getattr(what, "shape", what)
            asked = np.prod(shape, dtype=float) * np.dtype(dtype or "float32").itemsize
            facts = self._full(asked, f" for shape {tuple(shape)}")
        raise OutOfMemoryError(facts)

    def _full(self, asked: float, what: str = "") -> str:
        known = {"asked": asked} | {name: float(size) for name, size in self.memory().items()}
        asked_, *others = (f"{name} {size / 2**20:.0f} MiB" for name, size in known.items())
        return f"{self.device} is out of memory: {asked_}{what}, {', '.join(others)}."

    def shortage(self, error: BaseException) -> str | None:
        if not isinstance(error, self.xp.cuda.memory.OutOfMemoryError):
            return super().shortage(error)
        asked = re.search(
            r"([\d,]+) bytes", str(error)
        )  # "Out of memory allocating 1,024 bytes (allocated so far: ..."
        return self._full(float(asked[1].replace(",", ""))) if asked else f"{self.device} is out of memory: {error}."

    def rounded_type(self, precision: str) -> str:
        return self.rounded.kept_in(precision)

    def to_host(self, array: Array) -> "np.ndarray[Any, Any]":
        self._activate()
        host: np.ndarray[Any, Any] = self.xp.asnumpy(array)
        return host

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.xp.ndarray) and array.device.id == self.index

    def synchronize(self) -> None:
        self._activate()
        self.xp.cuda.get_current_stream().synchronize()

    @staticmethod
    def graphs_wanted() -> bool:
        """Whether launches are to be kept as graphs."""
        return os.environ.get("ENGINE_CUDA_GRAPHS") != "0"

    def graphs_described(self) -> str:
        """What a person wants to know of graphs."""
        if not self.graphs:
            return "switched off by ENGINE_CUDA_GRAPHS=0"
        return "in use; each is first compared with its kernels one by one"

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        """A CUDA graph of what ``run`` launches, captured from a stream of its own; it is launched on the current one.

        What is allocated meanwhile comes from a pool that nobody else uses and that lives as long as the graph: work
        space that a library has freed by the end of ``run`` is written to by every launch.
        """
        self._activate()
        cuda = self.xp.cuda
        stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
        captured = None
        with stream, cuda.using_allocator(pool.malloc):
            try:
                stream.begin_capture()
                run()
                whole = True
            except (
                Exception
            ):  # of many kinds: cuBLAS refuses, a value is read, a kernel is compiled; run again, it tells
                whole = False
            with contextlib.suppress(cuda.runtime.CUDARuntimeError):  # the capture was broken off
                captured = stream.end_capture()
        if not whole or captured is None:
            return None

        def launch(kept: Any = pool) -> None:
            self._activate()
            captured.launch()

        return launch

    def lane(self) -> Lane | None:
        if self._lane is None and lane.problem() is None:
            made = functools.partial(CupyBackend.empty, self)  # no recording takes them for arrays that it computes
            self._lane = lane.CudaLane(self.xp, self._activate, made)
        return self._lane

    def memory(self) -> dict[str, int]:
        self._activate()
        free, _ = self.xp.cuda.runtime.memGetInfo()
        pool = self.xp.get_default_memory_pool()
        return {"held": int(pool.total_bytes()), "used": int(pool.used_bytes()), "free": int(free)}

    def give_back(self) -> None:
        self._activate()
        self.xp.get_default_memory_pool().free_all_blocks()

    def describe(self) -> dict[str, str]:
        properties = self.xp.cuda.runtime.getDeviceProperties(self.index)
        runtime = self.xp.cuda.runtime.runtimeGetVersion()
        version = driver_version() or 0
        return {
            "device": self.device,
            "arrays": f"CuPy {self.xp.__version__}",
            "processor": properties["name"].decode(),
            "memory": f"{properties['totalGlobalMem'] / 2**30:.0f} GiB",
            "CUDA": f"runtime {_dotted(runtime)}, driver {_dotted(version)}",
            "kernels": "CuPy",
            "fused kernels": self.fused.describe(),
            "matrix products": self.products.describe(),
            "joined kernels": self.joins.describe(),
            "graphs": self.graphs_described(),
            "batches from the host": lane.problem() or "copied while the one before is used, by a stream of their own",
            "rounded products": self.rounded.describe(),
        }
