"""How does the engine compute on the CPU? With NumPy's arrays, in the process's own memory."""

import platform
from typing import Any

import numpy as np

from backends import native
from backends.backend import Backend
from backends.kernels.pair import Array


class NumpyBackend(Backend):
    """The CPU: arrays are NumPy's, and the host is the device."""

    def __init__(self) -> None:
        super().__init__("numpy", "cpu", np, native.overrides())
        self.empty = np.empty  # type: ignore[method-assign]  # the hot path calls NumPy's own function, without a frame

    def to_host(self, array: Array) -> "np.ndarray[Any, Any]":
        return np.asarray(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, np.ndarray)

    def describe(self) -> dict[str, str]:
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "device": self.device,
            "arrays": f"NumPy {np.__version__}",
            "processor": platform.processor() or platform.machine(),
            "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
            "kernels": "NumPy",
            "compiled C": native.problem() or "in use",
        }
