"""How do fused kernels come onto a GPU? They are compiled and loaded when the first of their type is launched."""

import ctypes
import sys
import threading
import warnings
from typing import Any

from backends import cuda, native
from backends.cuda import compile


def launch_address() -> int:
    """Where the driver's cuLaunchKernel is.

    Raises:
        OSError, AttributeError: there is no driver, or not this function in it.
    """
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    return ctypes.cast(driver.cuLaunchKernel, ctypes.c_void_p).value or 0


def _first_line(error: Exception) -> str:
    return (f"{error}".splitlines() or [type(error).__name__])[0]


class Fused:
    """The fused kernels of one GPU.

    Attributes:
        problem: why CuPy computes everything; None where the kernels are compiled, or will be when one is wanted.
    """

    def __init__(self, cupy: Any, index: int, launch: Any = launch_address) -> None:
        self._cupy, self._index = cupy, index
        self._threads = threading.local()
        self._modules: list[Any] = []  # what is loaded stays so for as long as it is referred to
        self.problem = cuda.problem()
        if self.problem is None:
            try:
                native.kernels.use_device(index, cupy.ndarray, launch(), self._stream, self._load)
            except Exception as error:  # as below
                self.problem = _first_line(error)

    def overrides(self) -> dict[Any, Any]:
        """Definition -> replacement; empty where CuPy computes everything."""
        return {} if self.problem is not None else cuda.overrides()

    def _stream(self) -> int:
        """The current stream. A thread that has asked nothing of CUDA has no context, and the driver wants one."""
        if not hasattr(self._threads, "known"):
            self._cupy.cuda.Device(self._index).use()
            self._cupy.cuda.runtime.free(0)  # github.com/cupy/cupy/issues/72
            self._threads.known = True
        return int(self._cupy.cuda.get_current_stream().ptr)

    def _load(self, kind: int) -> tuple[int, ...]:
        """The addresses of the kernels of a type (0: float, 1: double); zeros, told once, where there are none."""
        names = native.kernels.device_kernels(kind)
        try:
            device = self._cupy.cuda.Device(self._index)
            with device:
                arch = compile.architecture(int(device.compute_capability))
                module = self._cupy.cuda.function.Module()
                module.load(compile.cached(arch, kind))
                found = tuple(module.get_function(name).ptr if name else 0 for name in names)
        except Exception as error:  # NVRTC, the driver, the memory: whatever it is, CuPy can compute
            self.problem = _first_line(error)
            warnings.warn(
                f"cuda:{self._index} computes without fused kernels, more slowly: {self.problem}",
                RuntimeWarning,
                stacklevel=2,
            )
            return (0,) * len(names)
        self._modules.append(module)
        return found

    def describe(self) -> str:
        """What a person wants to know of them."""
        if self.problem is not None:
            return f"not in use: {self.problem}"
        when = "in use, compiled" if self._modules else "to be compiled when first used,"
        return f"{when} by NVRTC {'.'.join(map(str, compile.version()))}"
