"""Which matrix products does a GPU compute through cuBLASLt, and by which of its algorithms?

Every product of the linear map and of stacks of matrices whose numbers are all float32 or all float64, and whose
matrices have one axis of neighbours in memory; inputs that start at odd places are copied first. rounded.py adds those
of rounded numbers. To CuPy's matmul are left other types and strides, products without numbers, and everything where
cuBLASLt is missing or refuses.

When a product of new shapes comes first, the library's first few algorithms for it are timed; the fastest is taken, and
no other as long as the process lives: whatever is replayed has the bits of what was computed at once. The choice is
kept on disk for the next process. While a stream is captured nothing can be timed: the library's first choice, or the
one on the disk, serves from then on (and CuPy, which refuses, if nothing has been multiplied before).

What is timed against each other besides:

    rows               of rounded numbers that do not all begin at multiples of 16 bytes: as they lie, or copied to
                       where they do (layouts.py)
    a bias             added by the product (the epilogue BIAS), or by a kernel of its own after the fastest product
    a bias's gradient  summed up by the product that reads dy anyway (BGRADA), or by a kernel of its own; always so
                       where dy was rounded for the product, since the gradient is the sum of what was not

By NVIDIA's description (cuBLAS, "Results Reproducibility") the library gives the same bits in every run on the same GPU
with the same version, whichever streams are in use if the workspace is the caller's, as it is here: that goes for the
epilogues' sums as well. The other epilogues are not used. Those with ReLU make 0 of NaN, where the definition's stays
NaN (forums.developer.nvidia.com/t/329783); those with GELU compute the approximation by tanh
(github.com/NVIDIA/TensorRT-LLM/pull/17693), where the definition's is exact.

    ENGINE_CUBLASLT=heuristic   the library's first choice, always, without timing
    ENGINE_CUBLASLT=0           CuPy's matmul computes everything

None of this has been timed on a GPU.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from backends.cuda import compile, cublaslt
from backends.cuda.cublaslt import (
    ALIGNMENT,
    CUBLASLT_EPILOGUE_BGRADA,
    CUBLASLT_EPILOGUE_BIAS,
    CUBLASLT_EPILOGUE_DEFAULT,
    KINDS,
    Bound,
    LtError,
)
from backends.cuda.layouts import Padding, Shape, layouts, lying, padding
from backends.cuda.plans import Plan
from backends.kernels.arithmetic import Add
from backends.kernels.linear import Linear, MatrixProduct
from backends.kernels.pair import Array, Namespace
from backends.kernels.reduction import Sum

CANDIDATES = 5  # algorithms that are timed
CLEARLY = 0.95  # of the time so far: a later candidate has to be better than chance
TIMED_SECONDS, MOST_RUNS, ROUNDS = 0.002, 20, 3  # a round of timing, its runs at most; the best round counts


def workspace_bytes(capability: int) -> int:
    """What a product may use beside its matrices, by the GPU's compute capability (90: Hopper), as NVIDIA advises."""
    return (32 if capability >= 90 else 4) * 2**20


def _aligned(array: Array) -> Array:
    """The array, or its copy where it starts at an odd place."""
    return array if array is None or array.data.ptr % ALIGNMENT == 0 else array.copy(order="K")


class Given(NamedTuple):
    """What a product is given: y = a b + beta y, and what goes beside it.

    Attributes:
        bias: is added to each row of y; or None.
        sums: where the sums of b's columns go; or None. There is no bias then.
        precision: what a and b were rounded to; None where they were not.
    """

    a: Array
    b: Array
    y: Array
    bias: Array | None
    sums: Array | None
    beta: int
    precision: str | None

    @property
    def row(self) -> Array | None:
        """What is read or written beside the matrices."""
        return self.sums if self.bias is None else self.bias


def _key(
    a: Array, b: Array, y: Array, bias: Array | None, sums: Array | None, beta: int, precision: str | None
) -> tuple[Any, ...]:
    """All that the choice depends on."""
    row = sums if bias is None else bias
    beside = None if row is None else (row.dtype.char, row.shape, row.strides, bias is None)
    types = a.dtype.char, b.dtype.char, y.dtype.char
    return types, a.shape, a.strides, b.shape, b.strides, y.shape, y.strides, beside, beta, precision


class Products:
    """The matrix products of one GPU.

    Attributes:
        problem: why CuPy's matmul computes all of them; None where cuBLASLt does, as far as is known.
    """

    def __init__(
        self,
        cupy: Any,
        index: int,
        table: dict[Any, Any],
        empty: Callable[[Shape, str], Array],
        find: Callable[[int], cublaslt.Library] = cublaslt.library,
    ) -> None:
        """Args:
        cupy: the array namespace.
        index: the GPU's number.
        table: kernels of the GPU, for biases and their gradients.
        empty: makes an array of that GPU.
        find: gives the library for a CUDA version.
        """
        self._cupy, self._index, self._table, self._empty, self._find = cupy, index, table, empty, find
        self._library: cublaslt.Library | None = None
        self._handle = 0
        self._name, self._most_workspace = "", 0
        self._plans: dict[Any, Plan | None] = {}
        self._workspaces: dict[int, Array] = {}
        self._lock, self._threads = threading.RLock(), threading.local()
        wanted = os.environ.get("ENGINE_CUBLASLT", "")
        if wanted not in ("", "0", "heuristic"):
            text = f"ENGINE_CUBLASLT: {wanted!r} was given; it is 0 or heuristic. It is ignored."
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._timing = wanted != "heuristic"
        self.problem = "switched off by ENGINE_CUBLASLT=0" if wanted == "0" else None

    def overrides(self) -> dict[Any, Any]:
        """Definition -> replacement; empty where they are switched off."""
        if self.problem is not None:
            return {}
        return {
            Linear.forward: self.linear,
            Linear.backward: self._linear_gradient,
            MatrixProduct.forward: self._product,
            MatrixProduct.backward: self._product_gradient,
        }

    def usable(self) -> bool:
        """Whether the library is there and serves this GPU, which is tried where it is not known yet."""
        if self.problem is None:
            with contextlib.suppress(LtError):
                self._opened()
        return self.problem is None

    def describe(self) -> str:
        """What a person wants to know of them."""
        if not self.usable() or self._library is None:
            return f"CuPy's matmul: {self.problem}"
        how = "each shape's algorithms timed once" if self._timing else "its first choices (ENGINE_CUBLASLT=heuristic)"
        refused = sum(plan is None for plan in self._plans.values())
        left = f"; left to CuPy's matmul: {refused} of {len(self._plans)} shapes" if refused else ""
        return f"cuBLASLt {self._library.dotted()}, {how}{left}"

    # -- the definitions ---------------------------------------------------------------------------------

    def linear(self, xp: Namespace, x: Array, w: Array, b: Array, *, y: Array) -> None:
        """As `Linear.forward`."""
        if not self.multiply(x, w, y, b):
            Linear.forward(xp, x, w, b, y=y)

    def _linear_gradient(
        self, xp: Namespace, dy: Array, x: Array, w: Array, *, dx: Array = None, dw: Array = None, db: Array = None
    ) -> None:
        dx = None if dx is None or self.multiply(dy, w.T, dx) else dx
        if dw is not None and db is not None and self.multiply(x.T, dy, dw, sums=db):
            dw = db = None
        dw = None if dw is None or self.multiply(x.T, dy, dw) else dw
        Linear.backward(xp, dy, x, w, dx=dx, dw=dw)
        if db is not None:
            self._sum(dy, db)

    def _product(self, xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        if not self.multiply(a, b, y):
            MatrixProduct.forward(xp, a, b, y=y)

    def _product_gradient(
        self, xp: Namespace, dy: Array, a: Array, b: Array, *, da: Array = None, db: Array = None
    ) -> None:
        da = None if da is None or self.multiply(dy, b.swapaxes(-1, -2), da) else da
        db = None if db is None or self.multiply(a.swapaxes(-1, -2), dy, db) else db
        MatrixProduct.backward(xp, dy, a, b, da=da, db=db)

    # -- products ----------------------------------------------------------------------------------------

    def multiply(
        self,
        a: Array,
        b: Array,
        y: Array,
        bias: Array | None = None,
        *,
        sums: Array | None = None,
        beta: int = 0,
        precision: str | None = None,
    ) -> bool:
        """y = a b + beta y, the bias added to each row, sums = b summed up over its rows; False, nothing done, if not.

        Args:
            bias, sums: one of them at most.
            beta: 0 or 1.
            precision: what a and b were rounded to, and are kept as `cublaslt.KINDS` says; None where they were not.
        """
        if self.problem is not None or (y.data.ptr | (0 if sums is None else sums.data.ptr)) % ALIGNMENT:
            return False
        if (a.data.ptr | b.data.ptr | (0 if bias is None else bias.data.ptr)) % ALIGNMENT:
            # Copies, so that there is one choice for a shape, wherever it lies.
            a, b, bias = (_aligned(one) for one in (a, b, bias))
        key = _key(a, b, y, bias, sums, beta, precision)
        try:
            plan = self._plans[key]
        except KeyError:
            plan = self._choose(key, Given(a, b, y, bias, sums, beta, precision))
        if plan is None:
            return False
        if not self._run(plan, a, b, y, bias, sums, beta):
            self._plans[key] = None  # from now on this shape is CuPy's
            return False
        return True

    def within(self, a: Array, b: Array, y: Array, bias: Array | None = None, sums: Array | None = None) -> bool:
        """Whether `multiply` of these arrays leaves the bias, or its gradient, to the product itself, or all to CuPy.

        Where it does not, the matrices are multiplied as without them: another kernel may do what is beside it.
        """
        plan = self.chosen(a, b, y, bias, sums)
        return plan is None or plan.whole

    def chosen(
        self,
        a: Array,
        b: Array,
        y: Array,
        bias: Array | None = None,
        sums: Array | None = None,
        precision: str | None = None,
    ) -> Plan | None:
        """How `multiply` computes these; None where it has not yet, or leaves them to CuPy."""
        return self._plans.get(_key(a, b, y, bias, sums, 0, precision))

    def _run(self, plan: Plan, a: Array, b: Array, y: Array, bias: Array | None, sums: Array | None, beta: int) -> bool:
        """Compute it by this plan, and what goes beside it; whether that was taken."""
        stream = self._stream()
        workspace = self._workspace(stream) if plan.workspace else None
        beside = 0 if workspace is None else workspace.data.ptr, stream.ptr
        left, right, result = (a, b, y) if plan.padding is None else plan.padding.copies(self._empty, a, b, y)
        row = sums if bias is None else bias
        within = 0 if row is None else row.data.ptr
        if not plan.run(left.data.ptr, right.data.ptr, result.data.ptr, within, beta, *beside):
            return False
        wanted = result if result is y else result[: y.shape[0], : y.shape[1]]
        if bias is not None and not plan.whole:
            self._table.get(Add.forward, Add.forward)(self._cupy, wanted, bias, y=y)
        elif wanted is not y:
            self._cupy.copyto(y, wanted)
        if sums is not None and not plan.whole:
            self._sum(b, sums)
        return True

    def _sum(self, x: Array, y: Array) -> None:
        """y = x summed up over its rows."""
        self._table.get(Sum.forward, Sum.forward)(self._cupy, x, y=y, axis=0, keepdims=False)

    def _stream(self) -> Any:
        """The current stream. A thread that has asked nothing of CUDA may have no context (as in launch.py)."""
        if not hasattr(self._threads, "known"):
            self._cupy.cuda.Device(self._index).use()
            self._cupy.cuda.runtime.free(0)
            self._threads.known = True
        return self._cupy.cuda.get_current_stream()

    def _workspace(self, stream: Any) -> Array:
        """Where a product on this stream may write: each stream has its own, which lives as long as the process.

        A captured product has new memory of the allocator that is in use: `CupyBackend.graph` gives each graph a pool
        of its own, since graphs can run at the same time.
        """
        if stream.is_capturing():
            return self._empty((self._most_workspace,), "uint8")
        if stream.ptr not in self._workspaces:
            self._workspaces[stream.ptr] = self._empty((self._most_workspace,), "uint8")
        return self._workspaces[stream.ptr]

    # -- the library -------------------------------------------------------------------------------------

    def _loaded(self) -> cublaslt.Library:
        """The library, when it is first wanted.

        Raises:
            LtError: there is none; `problem` says so from now on.
        """
        if self._library is None:
            with self._refusing():
                self._library = self._find(self._cupy.cuda.runtime.runtimeGetVersion() // 1000)
        return self._library

    def _opened(self) -> int:
        """A handle for this GPU, when it is first wanted; raises as `_loaded` does."""
        if not self._handle:
            library, device = self._loaded(), self._cupy.cuda.Device(self._index)
            with self._refusing(), device:
                self._most_workspace = workspace_bytes(int(device.compute_capability))
                self._name = self._cupy.cuda.runtime.getDeviceProperties(self._index)["name"].decode()
                self._handle = library.made("cublasLtCreate")
        return self._handle

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except LtError as error:
            self.problem = str(error)
            raise

    # -- the choice --------------------------------------------------------------------------------------

    def _choose(self, key: Any, given: Given) -> Plan | None:
        with self._lock:
            if key in self._plans:
                return self._plans[key]
            capturing = self._stream().is_capturing()
            if capturing and not self._handle:
                return None  # it cannot be made now; later it can
            try:
                self._plans[key] = self._plan(key, given, capturing)
            except LtError:
                self._plans[key] = None
            return self._plans[key]

    def _plan(self, key: Any, given: Given, capturing: bool) -> Plan | None:
        plain = None
        if given.row is not None:
            bare = given._replace(bias=None, sums=None)
            plain = self._choose(_key(*bare), bare)
            if plain is None:
                return None
        ways = self._ways(given, plain)
        if self._timing and ways:
            kept = self._kept(self._path(key), ways)
            if kept is not None:
                return plain if plain is not None and kept.bound is plain.bound else kept
        plans = [[plain] if plain is not None and way[0] is plain.bound else self._candidates(*way) for way in ways]
        if capturing or not self._timing:
            # What goes beside within, where it can be; the matrices as they lie.
            first = [way[0] for way in plans if way]
            return min(first, key=lambda one: (one.padding is not None, not one.whole), default=None)
        best = self._fastest([plan for way in plans for plan in way], given)
        if best is not None:
            self._keep(self._path(key), best, [bound for bound, _ in ways].index(best.bound))
        return best

    def _candidates(self, bound: Bound, padded: Padding | None) -> list[Plan]:
        return [Plan(bound, one, padded) for one in bound.candidates(self._most_workspace, CANDIDATES)]

    def _ways(self, given: Given, plain: Plan | None) -> list[tuple[Bound, Padding | None]]:
        """How it may be computed, one of them as the same product without anything beside it; none where it is CuPy's.

        Args:
            plain: how that one is computed; None for a product without anything beside it.
        """
        a, b, y, row = given.a, given.b, given.y, given.row
        kind = KINDS.get(given.precision or a.dtype.char)
        types = [one.dtype.char for one in (a, b, y, row) if one is not None]
        found = layouts(*(lying(one) for one in (a, b, y)))
        if kind is None or types != [kind.operands, kind.operands, *[kind.result] * (len(types) - 2)] or found is None:
            return []
        if row is not None and (row.shape, row.strides) != (y.shape[-1:], (y.itemsize,)):
            return []
        bind = functools.partial(Bound, self._loaded(), self._opened(), kind)
        if plain is not None:
            epilogue = CUBLASLT_EPILOGUE_BGRADA if given.bias is None else CUBLASLT_EPILOGUE_BIAS
            return [(plain.bound, plain.padding), (bind(*found, epilogue), None)]
        ways: list[tuple[Bound, Padding | None]] = [(bind(*found, CUBLASLT_EPILOGUE_DEFAULT), None)]
        padded = padding(a, b, y) if given.precision is not None and not given.beta else None
        longer = None if padded is None else padded.layouts((a.itemsize, b.itemsize, y.itemsize))
        if longer is not None:
            ways.append((bind(*longer, CUBLASLT_EPILOGUE_DEFAULT), padded))
        return ways

    def _fastest(self, plans: list[Plan], given: Given) -> Plan | None:
        """The plan that takes the least time; an earlier one where that could be chance."""
        best, least = None, float("inf")
        saved = given.y.copy() if given.beta else None
        for plan in plans:
            seconds = self._seconds(functools.partial(self._run, plan, *given[:5], beta=0))
            if seconds is not None and seconds < CLEARLY * least:
                best, least = plan, seconds
        if saved is not None:
            self._cupy.copyto(given.y, saved)
        return best

    def _seconds(self, run: Callable[[], bool]) -> float | None:
        """How long it takes; None where it does not run."""
        if not run():  # the first time loads its kernels
            return None
        seconds = self._round(run, 1)
        runs = max(1, min(MOST_RUNS, int(TIMED_SECONDS / max(seconds, 1e-6))))
        return min(self._round(run, runs) for _ in range(ROUNDS))

    def _round(self, run: Callable[[], bool], runs: int) -> float:
        start, end = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        start.record()
        for _ in range(runs):
            run()
        end.record()
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(start, end)) / 1000 / runs

    # -- choices on the disk -----------------------------------------------------------------------------

    def _path(self, key: Any) -> Path:
        """Where the choice for these shapes is kept, for this GPU and this version of the library."""
        named = repr((self._loaded().version, self._name, self._most_workspace, key))
        return compile.cache_folder().parent / "products" / hashlib.sha256(named.encode()).hexdigest()[:32]

    def _keep(self, path: Path, plan: Plan, way: int) -> None:
        content = bytes([way]) + bytes(plan.found.algorithm)
        with contextlib.suppress(OSError):  # without a folder to keep it in it is timed each time
            compile.write(path, hashlib.sha256(content).digest() + content)

    def _kept(self, path: Path, ways: list[tuple[Bound, Padding | None]]) -> Plan | None:
        """The choice of an earlier process; None where there is none, or not a whole one that can be used here."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, content = content[:32], content[32:]
        size = 1 + ctypes.sizeof(cublaslt.Algorithm)
        if hashlib.sha256(content).digest() != digest or len(content) != size or content[0] >= len(ways):
            return None
        bound, padded = ways[content[0]]
        found = bound.checked(cublaslt.Algorithm.from_buffer_copy(content[1:]))
        return None if found is None or found.workspace > self._most_workspace else Plan(bound, found, padded)
