"""Which matrix products does a GPU compute through cuBLASLt, and by which of its algorithms?

Every product of the linear map and of stacks of matrices whose numbers are all float32 or all float64, and whose
matrices have one axis of neighbours in memory; inputs that start at odd places are copied first. To CuPy's matmul are
left other types and strides, products without numbers, and everything where cuBLASLt is missing or refuses.

When a product of new shapes comes first, the library's first few algorithms for it are timed, a bias within the
product against one that a kernel of its own adds; the fastest is taken, and no other as long as the process lives:
whatever is replayed has the bits of what was computed at once. The choice is kept on disk for the next process. While a
stream is captured nothing can be timed: the library's first choice, or the one on the disk, serves from then on (and
CuPy, which refuses, if nothing has been multiplied before).

Of cuBLASLt's epilogues only the bias is used: ReLU's make 0 of NaN, and BGRADA, which sums up a bias's gradient beside
the weights', does not say in which order it adds.

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from backends.cuda import compile, cublaslt
from backends.cuda.cublaslt import ALIGNMENT, TYPES, Bound, Found, LtError, Matrix
from backends.kernels.arithmetic import Add
from backends.kernels.linear import Linear, MatrixProduct
from backends.kernels.pair import Array, Namespace
from backends.kernels.reduction import Sum

CANDIDATES = 5  # algorithms that are timed
CLEARLY = 0.95  # of the time so far: a later candidate has to be better than chance
TIMED_SECONDS, MOST_RUNS, ROUNDS = 0.002, 20, 3  # a round of timing, its runs at most; the best round counts

Shape = tuple[int, ...]


def workspace_bytes(capability: int) -> int:
    """What a product may use beside its matrices, by the GPU's compute capability (90: Hopper), as NVIDIA advises."""
    return (32 if capability >= 90 else 4) * 2**20


# -- layouts ---------------------------------------------------------------------------------------------


def _matrix(rows: int, columns: int, strides: Shape, itemsize: int, step: int) -> Matrix | None:
    """A matrix, which lies row by row or column by column, as its transpose; None where it lies otherwise.

    cuBLASLt counts by columns: what is row by row is the transpose to it, as wanted, and what is not has to be turned.
    """
    if any(stride < 0 or stride % itemsize for stride in strides):
        return None
    down, right = strides[0] // itemsize, strides[1] // itemsize
    if (columns == 1 or right == 1) and (rows == 1 or down >= columns):
        return Matrix(columns, rows, columns if rows == 1 else down, False, step)
    if (rows == 1 or down == 1) and right >= rows:
        return Matrix(rows, columns, right, True, step)
    return None


def _stack(stack: Shape, operands: Sequence[tuple[Shape, Shape]], itemsize: int) -> tuple[int, list[int]] | None:
    """How many products a stack has, and the elements from one to the next of each operand.

    None where an operand does not fit, or the stack's axes are not evenly spaced in all of them.
    """
    if any(len(shape) > len(stack) for shape, _ in operands):
        return None
    axes = []  # the length, and the bytes from one to the next in each operand
    for axis, length in enumerate(stack, start=-len(stack)):
        moves = []
        for shape, strides in operands:
            own = shape[axis] if -axis <= len(shape) else 1
            if own not in (1, length):
                return None
            moves.append(strides[axis] if own > 1 else 0)
        if length > 1:
            axes.append((length, moves))
    count, steps = 1, [0] * len(operands)
    for length, moves in reversed(axes):
        if count > 1 and moves != [count * step for step in steps]:
            return None
        steps = moves if count == 1 else steps
        count *= length
    return None if any(step < 0 or step % itemsize for step in steps) else (count, [one // itemsize for one in steps])


def layouts(
    itemsize: int, a: tuple[Shape, Shape], b: tuple[Shape, Shape], y: tuple[Shape, Shape]
) -> tuple[int, Matrix, Matrix, Matrix] | None:
    """The product y = a b as cuBLASLt takes it, y^T = b^T a^T: (how many, b, a, y); None where it does not.

    Args:
        a, b, y: shape and strides of each; what lies before the last two axes is a stack.
    """
    (*stack, rows, columns), y_strides = y
    sizes = [(shape[-2], shape[-1]) if len(shape) >= 2 else None for shape in (a[0], b[0])]
    inner = a[0][-1] if a[0] else 0
    if sizes != [(rows, inner), (inner, columns)] or 0 in (rows, columns, inner, *stack):
        return None
    found = _stack(tuple(stack), [(shape[:-2], strides[:-2]) for shape, strides in (a, b, y)], itemsize)
    if found is None or (found[0] > 1 and found[1][2] < rows * columns):  # products that overlap
        return None
    first = _matrix(inner, columns, b[1][-2:], itemsize, found[1][1])
    second = _matrix(rows, inner, a[1][-2:], itemsize, found[1][0])
    result = _matrix(rows, columns, y_strides[-2:], itemsize, found[1][2])
    if first is None or second is None or result is None or result.turned:
        return None
    return found[0], first, second, result


def _aligned(array: Array) -> Array:
    """The array, or its copy where it starts at an odd place."""
    return array if array is None or array.data.ptr % ALIGNMENT == 0 else array.copy(order="K")


# -- one product -----------------------------------------------------------------------------------------


class Plan:
    """A product of given shapes: what is bound, and the algorithm that was chosen.

    Attributes:
        workspace: the bytes that it needs.
    """

    def __init__(self, bound: Bound, found: Found, kind: str) -> None:
        self.bound, self.found, self.workspace = bound, found, int(found.workspace)
        number = TYPES[kind][2]
        self._numbers = {beta: number(beta) for beta in (0, 1)}
        self._one, self._algorithm = ctypes.addressof(self._numbers[1]), ctypes.addressof(found)
        self._beta = {beta: ctypes.addressof(value) for beta, value in self._numbers.items()}
        self._lock, self._bias = threading.Lock(), 0

    def run(self, a: int, b: int, y: int, bias: int, beta: int, workspace: int, stream: int) -> bool:
        """Compute it, with the bias if it is bound so; whether that was taken. Arrays are given as addresses."""
        if not self.bound.biased:
            return self._matmul(a, b, y, beta, workspace, stream)
        with self._lock:  # the bias belongs to the descriptor
            if bias != self._bias:
                self.bound.put_bias(bias)
                self._bias = bias
            return self._matmul(a, b, y, beta, workspace, stream)

    def _matmul(self, a: int, b: int, y: int, beta: int, workspace: int, stream: int) -> bool:
        bound = self.bound
        status = bound.library.matmul(
            bound.handle,
            bound.operation,
            self._one,
            b,
            bound.a,
            a,
            bound.b,
            self._beta[beta],
            y,
            bound.d,
            y,
            bound.d,
            self._algorithm,
            workspace,
            self.workspace,
            stream,
        )
        return bool(status == cublaslt.CUBLAS_STATUS_SUCCESS)


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
            Linear.forward: self._linear,
            Linear.backward: self._linear_gradient,
            MatrixProduct.forward: self._product,
            MatrixProduct.backward: self._product_gradient,
        }

    def describe(self) -> str:
        """What a person wants to know of them."""
        if self.problem is None:
            with contextlib.suppress(LtError):
                self._opened()
        if self._library is None or self.problem is not None:
            return f"CuPy's matmul: {self.problem}"
        how = "each shape's algorithms timed once" if self._timing else "its first choices (ENGINE_CUBLASLT=heuristic)"
        refused = sum(plan is None for plan in self._plans.values())
        left = f"; left to CuPy's matmul: {refused} of {len(self._plans)} shapes" if refused else ""
        return f"cuBLASLt {self._library.dotted()}, {how}{left}"

    # -- the definitions ---------------------------------------------------------------------------------

    def _linear(self, xp: Namespace, x: Array, w: Array, b: Array | None, *, y: Array) -> None:
        if not self.multiply(x, w, y, b):
            Linear.forward(xp, x, w, b, y=y)

    def _linear_gradient(
        self, xp: Namespace, dy: Array, x: Array, w: Array, *, dx: Array = None, dw: Array = None, db: Array = None
    ) -> None:
        dx = None if dx is None or self.multiply(dy, w.T, dx) else dx
        dw = None if dw is None or self.multiply(x.T, dy, dw) else dw
        Linear.backward(xp, dy, x, w, dx=dx, dw=dw)
        if db is not None:
            self._table.get(Sum.forward, Sum.forward)(xp, dy, y=db, axis=0, keepdims=False)

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

    def multiply(self, a: Array, b: Array, y: Array, bias: Array | None = None, beta: int = 0) -> bool:
        """y = a b + beta y, and the bias added to each row; False, having done nothing, where CuPy has to.

        Args:
            beta: 0 or 1.
        """
        if self.problem is not None or y.data.ptr % ALIGNMENT:
            return False
        if (a.data.ptr | b.data.ptr | (0 if bias is None else bias.data.ptr)) % ALIGNMENT:
            # Copies, so that there is one choice for a shape, wherever it lies.
            a, b, bias = (_aligned(one) for one in (a, b, bias))
        types = a.dtype.char, b.dtype.char, y.dtype.char, None if bias is None else bias.dtype.char
        row = () if bias is None else (bias.shape, bias.strides)
        key = types, a.shape, a.strides, b.shape, b.strides, y.shape, y.strides, row
        try:
            plan = self._plans[key]
        except KeyError:
            plan = self._choose(key, a, b, y, bias, beta)
        if plan is None:
            return False
        if not self._run(plan, a, b, y, bias, beta):
            self._plans[key] = None  # from now on this shape is CuPy's
            return False
        return True

    def _run(self, plan: Plan, a: Array, b: Array, y: Array, bias: Array | None, beta: int) -> bool:
        """Compute it by this plan, the bias as well; whether that was taken."""
        stream = self._stream()
        workspace = self._workspace(stream) if plan.workspace else None
        beside = 0 if workspace is None else workspace.data.ptr, stream.ptr
        within = 0 if bias is None else bias.data.ptr
        if not plan.run(a.data.ptr, b.data.ptr, y.data.ptr, within, beta, *beside):
            return False
        if bias is not None and not plan.bound.biased:
            self._table.get(Add.forward, Add.forward)(self._cupy, y, bias, y=y)
        return True

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

    def _choose(self, key: Any, a: Array, b: Array, y: Array, bias: Array | None, beta: int) -> Plan | None:
        with self._lock:
            if key in self._plans:
                return self._plans[key]
            capturing = self._stream().is_capturing()
            if capturing and not self._handle:
                return None  # it cannot be made now; later it can
            try:
                self._plans[key] = self._plan(key, a, b, y, bias, beta, capturing)
            except LtError:
                self._plans[key] = None
            return self._plans[key]

    def _plan(
        self, key: Any, a: Array, b: Array, y: Array, bias: Array | None, beta: int, capturing: bool
    ) -> Plan | None:
        kind, *others = (one for one in key[0] if one is not None)
        row = None if bias is None else (bias.shape, bias.strides)
        if kind not in TYPES or {*others} != {kind} or row not in (None, (y.shape[-1:], (y.itemsize,))):
            return None
        found = layouts(a.itemsize, *((one.shape, one.strides) for one in (a, b, y)))
        if found is None:
            return None
        handle, library = self._opened(), self._loaded()
        ways = [
            Bound(library, handle, kind, *found, biased) for biased in ((False,) if bias is None else (False, True))
        ]
        if self._timing:
            kept = self._kept(self._path(key), ways, kind)
            if kept is not None:
                return kept
        plans = [[Plan(way, one, kind) for one in way.candidates(self._most_workspace, CANDIDATES)] for way in ways]
        if capturing or not self._timing:
            return next((plan for way in reversed(plans) for plan in way), None)  # the bias within, where it can be
        best = self._fastest([plan for way in plans for plan in way], a, b, y, bias, beta)
        if best is not None:
            self._keep(self._path(key), best)
        return best

    def _fastest(self, plans: list[Plan], a: Array, b: Array, y: Array, bias: Array | None, beta: int) -> Plan | None:
        """The plan that takes the least time; an earlier one where that could be chance."""
        best, least = None, float("inf")
        saved = y.copy() if beta else None
        for plan in plans:
            seconds = self._seconds(functools.partial(self._run, plan, a, b, y, bias, 0))
            if seconds is not None and seconds < CLEARLY * least:
                best, least = plan, seconds
        if saved is not None:
            self._cupy.copyto(y, saved)
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

    def _keep(self, path: Path, plan: Plan) -> None:
        content = bytes([plan.bound.biased]) + bytes(plan.found.algorithm)
        with contextlib.suppress(OSError):  # without a folder to keep it in it is timed each time
            compile.write(path, hashlib.sha256(content).digest() + content)

    def _kept(self, path: Path, ways: list[Bound], kind: str) -> Plan | None:
        """The choice of an earlier process; None where there is none, or not a whole one that can be used here."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, content = content[:32], content[32:]
        size = 1 + ctypes.sizeof(cublaslt.Algorithm)
        if hashlib.sha256(content).digest() != digest or len(content) != size or content[0] >= len(ways):
            return None
        way = ways[content[0]]
        found = way.checked(cublaslt.Algorithm.from_buffer_copy(content[1:]))
        return None if found is None or found.workspace > self._most_workspace else Plan(way, found, kind)
