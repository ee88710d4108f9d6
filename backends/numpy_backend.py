"""How does the engine compute on the CPU? With NumPy's arrays, in the process's own memory."""

import platform
from typing import Any

import numpy as np

from backends import native, numpy_kernels
from backends.backend import Backend
from backends.blas import blas
from backends.kernels.pair import Array


class NumpyBackend(Backend):
    """The CPU: arrays are NumPy's, and the host is the device."""

    def __init__(self) -> None:
        self._tiles = native.use(blas())
        super().__init__("numpy", "cpu", np, numpy_kernels.TABLE | native.overrides())
        self.empty = np.empty  # type: ignore[method-assign]  # the hot path calls NumPy's own function, without a frame

    def to_host(self, array: Array) -> "np.ndarray[Any, Any]":
        return np.asarray(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, np.ndarray)

    def describe(self) -> dict[str, str]:
        return {
            "device": self.device,
            "arrays": f"NumPy {np.__version__}",
            "processor": platform.processor() or platform.machine(),
            "BLAS": f"{blas().name} ({blas().why})",
            "products": "in tiles of compiled C; few columns by the BLAS" if self._tiles else "by the BLAS",
            "kernels": "NumPy",
            "compiled C": native.problem() or "in use",
        }
