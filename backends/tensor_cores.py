"""How does a GPU multiply numbers that were rounded to tf32, bfloat16 or float16? By cuBLAS, on its tensor cores.

Such numbers keep their values when they are stored in 16 bits, or are read as tf32. Nothing is rounded a second time;
the result is that of the definition but for the order of the sum, which is in float32. Each call says in which type it
multiplies; CuPy's own setting for that is one for all threads, and is left alone.

The variable ENGINE_TENSOR_CORES=0 switches this off: then CuPy multiplies the rounded numbers as float32.
"""

import os
from typing import Any

import numpy as np

from backends.backend import Kernel
from backends.kernels.linear import Linear, RoundedLinear
from backends.kernels.pair import Array, Namespace

LEAST_CAPABILITY = 80  # of GPUs that multiply all three types


class TensorCores:
    """Products of rounded matrices on one GPU.

    Args:
        xp: the module cupy.
        index: of the GPU.

    Attributes:
        problem: why they are not used, in a few words; None where they are.
    """

    def __init__(self, xp: Namespace, index: int) -> None:
        self.problem: str | None = None
        if os.environ.get("ENGINE_TENSOR_CORES") == "0":
            self.problem = "switched off by ENGINE_TENSOR_CORES=0"
            return
        try:
            capability = int(xp.cuda.Device(index).compute_capability)
            if capability < LEAST_CAPABILITY:
                self.problem = f"the GPU is of compute capability {capability / 10}, and 8.0 is needed"
            self._find(xp)
        except (AttributeError, ImportError, ValueError) as error:
            self.problem = f"CuPy {getattr(xp, '__version__', '')} does not offer them ({error})"

    def _find(self, xp: Namespace) -> None:
        cublas, runtime = xp.cuda.cublas, xp.cuda.runtime
        self._gemm, self._handle = cublas.gemmEx, xp.cuda.device.get_cublas_handle
        self._turned = {False: cublas.CUBLAS_OP_N, True: cublas.CUBLAS_OP_T}
        self._algorithm = cublas.CUBLAS_GEMM_DEFAULT
        self._single = runtime.CUDA_R_32F
        self._types = {  # of the operands, and how they are multiplied
            "tf32": (runtime.CUDA_R_32F, cublas.CUBLAS_COMPUTE_32F_FAST_TF32),
            "bfloat16": (runtime.CUDA_R_16BF, cublas.CUBLAS_COMPUTE_32F),
            "float16": (runtime.CUDA_R_16F, cublas.CUBLAS_COMPUTE_32F),
        }
        self._one, self._zero = np.array(1, np.float32), np.array(0, np.float32)  # read by their addresses

    def overrides(self) -> dict[Kernel, Kernel]:
        """Definition -> replacement; empty where there is a problem."""
        if self.problem is not None:
            return {}
        return {RoundedLinear.forward: self.forward, RoundedLinear.backward: self.backward}

    def forward(self, xp: Namespace, x: Array, w: Array, b: Array, *, y: Array, precision: str) -> None:
        """As `RoundedLinear.forward`."""
        if not _plain(x, w, y):
            Linear.forward(xp, x, w, b, y=y)
            return
        self._product(_narrow(xp, x, precision), _narrow(xp, w, precision), y, precision)
        if b is not None:
            xp.add(y, b, out=y)

    def backward(
        self,
        xp: Namespace,
        dy: Array,
        x: Array,
        w: Array,
        *,
        dx: Array = None,
        dw: Array = None,
        precision: str,
    ) -> None:
        """As `RoundedLinear.backward`."""
        if not _plain(dy, x, w, *(one for one in (dx, dw) if one is not None)):
            Linear.backward(xp, dy, x, w, dx=dx, dw=dw)
            return
        gradient = _narrow(xp, dy, precision)
        if dx is not None:
            self._product(gradient, _narrow(xp, w, precision), dx, precision, b_turned=True)
        if dw is not None:
            self._product(_narrow(xp, x, precision), gradient, dw, precision, a_turned=True)

    def _product(
        self, a: Array, b: Array, y: Array, precision: str, a_turned: bool = False, b_turned: bool = False
    ) -> None:
        """y = a b, either of them turned around; cuBLAS takes these rows for columns, so it is told y^T = b^T a^T."""
        rows, columns = y.shape
        inner = a.shape[0] if a_turned else a.shape[1]
        kind, multiplied = self._types[precision]
        operands: Any = (b.data.ptr, kind, b.shape[1], a.data.ptr, kind, a.shape[1])
        self._gemm(
            *(self._handle(), self._turned[b_turned], self._turned[a_turned], columns, rows, inner),
            *(self._one.ctypes.data, *operands),
            *(self._zero.ctypes.data, y.data.ptr, self._single, columns, multiplied, self._algorithm),
        )


def _plain(*arrays: Array) -> bool:
    """Whether these are matrices of float32 with elements, row after row."""
    return all(one.ndim == 2 and one.size and one.dtype == np.float32 and one.flags.c_contiguous for one in arrays)


def _narrow(xp: Namespace, x: Array, precision: str) -> Array:
    """Rounded numbers in as many bits as they need: of a bfloat16 the first 16 of float32's."""
    if precision == "tf32":
        return x
    if precision == "float16":
        return x.astype(np.float16)
    return xp.right_shift(x.view(np.uint32), np.uint32(16)).astype(np.uint16)
