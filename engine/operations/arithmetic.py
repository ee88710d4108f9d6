"""Which element-wise operations does the graph know? Those of arithmetic.py's kernels, on one or two inputs."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import arithmetic as kernels
from backends.kernels.pair import Array
from engine.operations.core import KernelOperation, Unary, broadcast_shape, result_dtype, sum_to


class _Binary(KernelOperation):
    """y = f(a, b) with broadcasting; either input may be a Python number, which takes the other's dtype."""

    pair: Any
    symbol: str

    @property
    def label(self) -> str:
        return self.symbol

    def forward(self, backend: Backend, a: Any, b: Any) -> tuple[Array, Any]:
        y = backend.empty(broadcast_shape(self.symbol, a, b), result_dtype(a, b))
        backend.kernel(self.pair.forward)(backend.xp, a, b, y=y)
        return y, self._saved(a, b, y)

    def _saved(self, a: Any, b: Any, y: Array) -> tuple[Any, ...]:
        return (a, b)

    def _reduced(
        self, backend: Backend, gradients: Sequence[Array | None], a: Any, b: Any
    ) -> tuple[Array | None, Array | None]:
        da, db = gradients
        return (
            None if da is None else sum_to(backend, da, a.shape),
            None if db is None else sum_to(backend, db, b.shape),
        )

    def _outputs(self, backend: Backend, dy: Array, needed: Sequence[bool]) -> tuple[Array | None, Array | None]:
        return (
            backend.empty(dy.shape, dy.dtype) if needed[0] else None,
            backend.empty(dy.shape, dy.dtype) if needed[1] else None,
        )


class Add(_Binary):
    """y = a + b."""

    pair: Any = kernels.Add
    symbol = "+"

    def _saved(self, a: Any, b: Any, y: Array) -> tuple[Any, ...]:
        return (getattr(a, "shape", ()), getattr(b, "shape", ()))

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        return (
            sum_to(backend, dy, saved[0]) if needed[0] else None,
            sum_to(backend, dy, saved[1]) if needed[1] else None,
        )


class Subtract(Add):
    """y = a - b."""

    pair, symbol = kernels.Subtract, "-"

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        da, db = super().backward(backend, saved, dy, needed)
        if db is not None:
            negative = backend.empty(db.shape, db.dtype)
            backend.kernel(kernels.Negative.backward)(backend.xp, db, dx=negative)
            db = negative
        return da, db


class Multiply(_Binary):
    """y = a b."""

    pair, symbol = kernels.Multiply, "*"

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        a, b = saved
        da, db = self._outputs(backend, dy, needed)
        backend.kernel(kernels.Multiply.backward)(backend.xp, dy, a, b, da=da, db=db)
        return self._reduced(backend, (da, db), a, b)


class Divide(_Binary):
    """y = a / b."""

    pair, symbol = kernels.Divide, "/"

    def _saved(self, a: Any, b: Any, y: Array) -> tuple[Any, ...]:
        return (getattr(a, "shape", ()), b, y)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        a_shape, b, y = saved
        da, db = self._outputs(backend, dy, needed)
        backend.kernel(kernels.Divide.backward)(backend.xp, dy, b, y, da=da, db=db)
        return (
            None if da is None else sum_to(backend, da, a_shape),
            None if db is None else sum_to(backend, db, b.shape),
        )


class Power(_Binary):
    """y = a^b with a tensor as exponent."""

    pair, symbol = kernels.Power, "**"

    def _saved(self, a: Any, b: Any, y: Array) -> tuple[Any, ...]:
        return (a, b, y)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        a, b, y = saved
        da, db = self._outputs(backend, dy, needed)
        work = backend.empty(dy.shape, dy.dtype)
        backend.kernel(kernels.Power.backward)(backend.xp, dy, a, b, y, da=da, db=db, work=work)
        return self._reduced(backend, (da, db), a, b)


class Maximum(_Binary):
    """y = max(a, b)."""

    pair: Any = kernels.Maximum
    symbol = "maximum"

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        a, b = saved
        da, db = self._outputs(backend, dy, needed)
        work = backend.empty(dy.shape, dy.dtype)
        backend.kernel(self.pair.backward)(backend.xp, dy, a, b, da=da, db=db, work=work)
        return self._reduced(backend, (da, db), a, b)


class Minimum(Maximum):
    """y = min(a, b)."""

    pair, symbol = kernels.Minimum, "minimum"


class Negative(KernelOperation):
    """y = -x."""

    label = "-"

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y = backend.empty(x.shape, x.dtype)
        backend.kernel(kernels.Negative.forward)(backend.xp, x, y=y)
        return y, ()

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx = backend.empty(dy.shape, dy.dtype)
        backend.kernel(kernels.Negative.backward)(backend.xp, dy, dx=dx)
        return (dx,)


class PowerConstant(Unary):
    """y = x^p for a fixed number p."""

    def __init__(self, exponent: float) -> None:
        super().__init__(kernels.PowerConstant, exponent=exponent)
        self._label = f"**{exponent:g}"

    @property
    def label(self) -> str:
        return self._label


class Clip(KernelOperation):
    """y = x between two bounds."""

    label = "clip"

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        self.bounds = {"minimum": minimum, "maximum": maximum}

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y = backend.empty(x.shape, x.dtype)
        backend.kernel(kernels.Clip.forward)(backend.xp, x, y=y, **self.bounds)
        return y, (x,)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx, work = backend.empty(dy.shape, dy.dtype), backend.empty(dy.shape, dy.dtype)
        backend.kernel(kernels.Clip.backward)(backend.xp, dy, saved[0], dx=dx, work=work, **self.bounds)
        return (dx,)


class Where(KernelOperation):
    """y = a where the condition holds, else b."""

    label = "where"

    def forward(self, backend: Backend, condition: Array, a: Any, b: Any) -> tuple[Array, Any]:
        dtype = result_dtype(a, b)
        values = broadcast_shape("where", a, b)
        shape = broadcast_shape("where", condition, backend.empty(values, dtype))
        y = backend.empty(shape, dtype)
        backend.kernel(kernels.Where.forward)(backend.xp, condition, a, b, y=y)
        return y, (condition, getattr(a, "shape", ()), getattr(b, "shape", ()))

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        condition, a_shape, b_shape = saved
        da = backend.empty(dy.shape, dy.dtype) if needed[1] else None
        db = backend.empty(dy.shape, dy.dtype) if needed[2] else None
        backend.kernel(kernels.Where.backward)(backend.xp, dy, condition, da=da, db=db)
        return (
            None,
            None if da is None else sum_to(backend, da, a_shape),
            None if db is None else sum_to(backend, db, b_shape),
        )


ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER = Add(), Subtract(), Multiply(), Divide(), Power()
MAXIMUM, MINIMUM, NEGATIVE, WHERE = Maximum(), Minimum(), Negative(), Where()
EXP, LOG, SQRT, ABSOLUTE = Unary(kernels.Exp), Unary(kernels.Log), Unary(kernels.Sqrt), Unary(kernels.Absolute)
