"""How does a GPU multiply numbers that were rounded to tf32, bfloat16 or float16? By cuBLASLt, on its tensor cores.

Numbers of bfloat16 and float16 are kept in 16 bits from the moment they are rounded: an operand is rounded once, and
products, those of backward as well, read half the bytes. tf32 has no shorter form than float32's. Nothing is rounded a
second time; the result is that of the definition but for the order of the sum, which is in float32.

ENGINE_TENSOR_CORES=0 switches this off: then the rounded numbers stay float32 and are multiplied as such, and so they
are where cuBLASLt is missing. A product of 16-bit numbers that cuBLASLt refuses is made of float32 copies.
"""

import functools
import os

import numpy as np

from backends.backend import Kernel
from backends.cuda.products import Products
from backends.kernels.linear import RoundedLinear
from backends.kernels.pair import Array, Namespace
from backends.kernels.rounding import Round, work_type

LEAST_CAPABILITY = 80  # of GPUs that multiply all three types
SHORT = {"bfloat16": "uint16", "float16": "float16"}
"""In which type numbers of 16 bits are kept. NumPy and CuPy have no bfloat16, which is the first 16 bits of float32."""


class RoundedProducts:
    """Products of rounded matrices on one GPU.

    Attributes:
        products: of that GPU, of all types.
    """

    def __init__(self, xp: Namespace, index: int, products: Products, table: dict[Kernel, Kernel]) -> None:
        """Args:
        xp: the module cupy.
        index: the GPU's number.
        products: of that GPU.
        table: its kernels, for the rounding.
        """
        self._xp, self._index, self.products = xp, index, products
        self._round_single = table.get(Round.forward, Round.forward)
        self._compiled = getattr(self._round_single, "compiled", None)
        self._wanted = os.environ.get("ENGINE_TENSOR_CORES") != "0"

    @functools.cached_property
    def problem(self) -> str | None:
        """Why they are multiplied as float32, in a few words; None where tensor cores multiply them."""
        if not self._wanted:
            return "switched off by ENGINE_TENSOR_CORES=0"
        if not self.products.usable():
            return self.products.problem
        capability = int(self._xp.cuda.Device(self._index).compute_capability)
        if capability < LEAST_CAPABILITY:
            return f"the GPU is of compute capability {capability / 10}, and 8.0 is needed"
        return None

    def kept_in(self, precision: str) -> str:
        """The type in which rounded numbers are kept."""
        return "float32" if self.problem is not None else SHORT.get(precision, "float32")

    def overrides(self) -> dict[Kernel, Kernel]:
        """Definition -> replacement."""
        return {Round.forward: self.round, RoundedLinear.forward: self.forward, RoundedLinear.backward: self.backward}

    def describe(self) -> str:
        """What a person wants to know of them."""
        if self.problem is not None:
            return f"as float32: {self.problem}"
        return "on tensor cores, by cuBLASLt, bfloat16 and float16 in 16 bits"

    def round(self, xp: Namespace, x: Array, *, y: Array, work: Array, precision: str) -> None:
        """As `Round.forward`, into ``y`` of the type that `kept_in` names."""
        if y.dtype == x.dtype:
            self._round_single(xp, x, y=y, work=work, precision=precision)
        elif self._compiled is not None and self._compiled(x, y=y, work=None, precision=precision):
            return
        elif precision == "float16":
            with np.errstate(over="ignore", invalid="ignore"):  # as the definition
                y[...] = x
        else:
            single = xp.empty(x.shape, x.dtype)
            work = xp.empty(x.shape, work_type(precision))
            self._round_single(xp, x, y=single, work=work, precision=precision)
            y[...] = xp.right_shift(single.view(np.uint32), np.uint32(16))

    def forward(self, xp: Namespace, x: Array, w: Array, b: Array, *, y: Array, precision: str) -> None:
        """As `RoundedLinear.forward`."""
        self._multiply(xp, x, w, b, y, precision)

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
        if dx is not None:
            self._multiply(xp, dy, w.T, None, dx, precision)
        if dw is not None:
            self._multiply(xp, x.T, dy, None, dw, precision)

    def _multiply(self, xp: Namespace, a: Array, b: Array, bias: Array | None, y: Array, precision: str) -> None:
        if self.problem is not None or not self.products.multiply(a, b, y, bias, precision=precision):
            self.products.linear(xp, _single(xp, a), _single(xp, b), bias, y=y)


def _single(xp: Namespace, x: Array) -> Array:
    """Rounded numbers as float32."""
    if x.dtype == np.uint16:
        return xp.left_shift(x.astype(np.uint32), np.uint32(16)).view(np.float32)
    return x.astype(np.float32, copy=False)
