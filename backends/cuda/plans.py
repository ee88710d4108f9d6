"""How is one product computed, now and whenever it comes again? By a plan: what is bound, and by which algorithm."""

import ctypes
import threading

from backends.cuda import cublaslt
from backends.cuda.cublaslt import Bound, Found
from backends.cuda.layouts import Padding


class Plan:
    """A product of given shapes: what is bound, and the algorithm that was chosen.

    Attributes:
        padding: how its matrices are copied before; None where they are multiplied as they lie.
        workspace: the bytes that it needs.
        whole: whether a bias, or its gradient, is the product's own work.
    """

    def __init__(self, bound: Bound, found: Found, padding: Padding | None) -> None:
        self.bound, self.found, self.padding, self.workspace = bound, found, padding, int(found.workspace)
        self.whole = bound.epilogue != cublaslt.CUBLASLT_EPILOGUE_DEFAULT
        self._numbers = {beta: bound.kind.number(beta) for beta in (0, 1)}
        self._one, self._algorithm = ctypes.addressof(self._numbers[1]), ctypes.addressof(found)
        self._beta = {beta: ctypes.addressof(value) for beta, value in self._numbers.items()}
        self._lock, self._row = threading.Lock(), 0

    def told(self) -> str:
        """The way in a few words."""
        rows = "as they lie" if self.padding is None else "in longer copies"
        return f"rows {rows}, {'all within' if self.whole else 'the product alone'}"

    def run(self, a: int, b: int, y: int, row: int, beta: int, workspace: int, stream: int) -> bool:
        """Compute it, with the bias or its gradient if it is bound so; whether that was taken. All are addresses."""
        if not self.whole:
            return self._matmul(a, b, y, beta, workspace, stream)
        with self._lock:  # the row belongs to the descriptor
            if row != self._row:
                self.bound.put_row(row)
                self._row = row
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
