"""Which neighbours does a recorded step on a GPU compute in one pass? An activation and the bias beside it.

    forward    x += b, y = f(x)                            an addition, and the activation
    backward   dx = dy f'(x), db = sum of dx over rows     the activation's gradient, and that of the bias

The functions are those that the CPU joins too (native/activations.py). An element is computed as by the kernels one by
one, and the sum adds in the order of the sum alone (columns.h), so that all bits are theirs. What cuBLASLt computes
within a product stays there: it costs less.

One pass moves less memory, but the sum's shares it among fewer threads: both are timed once for each shape, on arrays
of their own, and the faster is kept. ENGINE_CUDA_JOINED=0 leaves all kernels by themselves. None of this has been timed
on a GPU.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

from backends.backend import Kernel
from backends.cuda.products import Products
from backends.kernels.arithmetic import Add
from backends.kernels.pair import Array, Namespace
from backends.kernels.reduction import SumTo
from backends.native.activations import FUSED_BACKWARD, FUSED_FORWARD

RUNS, ROUNDS = 10, 5

Faster = Callable[[Callable[[], None], Callable[[], None]], bool]


def by_events(cupy: Any, one: Callable[[], None], other: Callable[[], None]) -> bool:
    """Whether the first takes no longer than the second, on the GPU; the best of some rounds in turns counts."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS + 1):  # what comes first is compiled, and takes its memory
        for which, run in enumerate((one, other)):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            for _ in range(RUNS):
                run()
            end.record()
            end.synchronize()
            best[which] = min(best[which], float(cupy.cuda.get_elapsed_time(start, end)))
    return best[0] <= best[1]


class Joins:
    """The joined kernels of one GPU.

    Args:
        xp: the array namespace.
        table: the kernels of the GPU, one by one.
        products: which multiply before the bias, and after the activation's gradient.
        empty: makes an array of that GPU.
        faster: which of two takes no longer than the other.

    Attributes:
        problem: why there are none; None where there are.
    """

    def __init__(
        self,
        xp: Namespace,
        table: dict[Any, Any],
        products: Products,
        empty: Callable[[tuple[int, ...], Any], Array],
        faster: Faster,
    ) -> None:
        self._xp, self._table, self._products, self._empty, self._faster = xp, table, products, empty, faster
        self._choices: dict[Any, bool] = {}
        self.problem: str | None = None
        if os.environ.get("ENGINE_CUDA_JOINED") == "0":
            self.problem = "switched off by ENGINE_CUDA_JOINED=0"
        elif not {Add.forward, SumTo.forward} <= table.keys() or not products.overrides():
            self.problem = "fused kernels and cuBLASLt are not both in use"

    def biased(
        self,
        linear: tuple[Array, Array, Array],
        total: Array,
        definition: Kernel,
        options: dict[str, Any],
        precision: str | None = None,
    ) -> Kernel | None:
        """What adds the bias to total = x w, and computes an activation of it; None where it is left to others.

        Args:
            linear: x, w and the bias b.
            definition: of the activation's forward; options: what it is given by name.
            precision: what x and w were rounded to; None where they were not.
        """
        x, w, b = linear
        if self.problem or definition not in FUSED_FORWARD:
            return None
        plan = self._products.chosen(x, w, total, bias=b, precision=precision)
        if plan is None or plan.whole:
            return None
        kernel = functools.partial(_biased, self._table, definition)

        def joined(x: Array, b: Array, y: Array) -> None:
            kernel(self._xp, x, b, **{**options, "y": y})

        def apart(x: Array, b: Array, y: Array) -> None:
            self._table[Add.forward](self._xp, x, b, y=x)
            self._table[definition](self._xp, x, **{**options, "y": y})

        return kernel if self._chosen(definition, joined, apart, total, b, options["y"]) else None

    def summed(
        self,
        product: tuple[Array, Array] | None,
        dx: Array,
        db: Array,
        definition: Kernel,
        options: dict[str, Any],
    ) -> Kernel | None:
        """What computes an activation's gradient dx, and its sum over the rows db; None where it is left to others.

        Args:
            product: x and dw of the product dw = x^T dx that would sum it up; None where there is no such product.
            definition: of the activation's backward; options: what it is given by name.
        """
        if self.problem or definition not in FUSED_BACKWARD:
            return None
        if product is not None and self._products.within(product[0].T, dx, product[1], sums=db):
            return None
        kernel = functools.partial(_summed, self._table, definition)

        def joined(dy: Array, dx: Array, db: Array) -> None:
            kernel(self._xp, dy, dy, **{**options, "dx": dx, "db": db})

        def apart(dy: Array, dx: Array, db: Array) -> None:
            self._table[definition](self._xp, dy, dy, **{**options, "dx": dx})
            _sum(self._table, self._xp, dx, db)

        return kernel if self._chosen(definition, joined, apart, dx, dx, db) else None

    def _chosen(self, definition: Kernel, joined: Any, apart: Any, *like: Array) -> bool:
        """Whether the joined kernel is taken for arrays like these: timed when such come first."""
        key = definition, *((one.shape, one.dtype.char) for one in like)
        if key not in self._choices:
            try:
                scratch = [self._empty(one.shape, one.dtype) for one in like]
                both = (functools.partial(one, *scratch) for one in (joined, apart))
                self._choices[key] = self._faster(*both)
            except Exception:  # no room for these arrays, for example: then nothing is won
                self._choices[key] = False
        return self._choices[key]

    def describe(self) -> str:
        """What a person wants to know of them."""
        if self.problem is not None:
            return f"none: {self.problem}"
        return f"bias and activation where that is faster: {sum(self._choices.values())} of {len(self._choices)} shapes"


def _biased(table: dict[Any, Any], definition: Kernel, xp: Namespace, x: Array, b: Array, **options: Any) -> None:
    if not FUSED_FORWARD[definition](x, b=b, **options):
        table[Add.forward](xp, x, b, y=x)
        table[definition](xp, x.copy() if options["y"] is x else x, **options)


def _summed(
    table: dict[Any, Any], definition: Kernel, xp: Namespace, dy: Array, saved: Array, *, db: Array, **options: Any
) -> None:
    if not FUSED_BACKWARD[definition](dy, saved, db=db, **options):
        table[definition](xp, dy, saved, **options)
        _sum(table, xp, options["dx"], db)


def _sum(table: dict[Any, Any], xp: Namespace, dx: Array, db: Array) -> None:
    table[SumTo.forward](xp, dx, dx=db.reshape(1, -1), axis=(0,))
