"""How is cuBLASLt called? By ctypes: the library, what it has to be told of a product, and the product itself.

CuPy's matmul goes through cuBLAS, which CuPy refuses while a stream is captured. cuBLASLt takes the stream, the
workspace and the algorithm with each call, and may be captured. products.py decides what is multiplied through it.

Names in capitals are those of NVIDIA's headers, cublasLt.h, cublas_api.h and library_types.h, which say what they mean.
"""

import contextlib
import ctypes
import functools
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_16BF = 0, 1, 2, 14
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_STATUS_SUCCESS = 0
CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 5, 6
CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB = 3, 4
CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_BIAS_POINTER = 7, 8
CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BGRADA = 1, 4, 256
CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1
CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 5, 6
CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 7, 8

ALIGNMENT = 16
"""Bytes at whose multiples matrices start, as far as algorithms may rely on it. No load of a GPU is wider."""


class Kind(NamedTuple):
    """How numbers are multiplied.

    Attributes:
        operands, result: NumPy's letters for the arrays.
        element, sums: the library's types of their elements; alpha, beta and the sums are of the result's.
        compute: how products are made and summed up.
        number: the result's type, for alpha and beta.
    """

    operands: str
    result: str
    element: int
    sums: int
    compute: int
    number: Any


KINDS = {
    "f": Kind("f", "f", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, ctypes.c_float),
    "d": Kind("d", "d", CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F, ctypes.c_double),
    "tf32": Kind("f", "f", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, ctypes.c_float),
    "bfloat16": Kind("H", "f", CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, ctypes.c_float),
    "float16": Kind("e", "f", CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F, ctypes.c_float),
}
"""By NumPy's letter where nothing is rounded, else by the precision. NumPy has no bfloat16: "H" are its 16 bits.

CUBLAS_COMPUTE_32F keeps all bits of float32 operands; TF32 has to be asked for.
"""

OLDEST = 120000  # version 12.0: every release has had these functions and numbers since


class Algorithm(ctypes.Structure):
    """cublasLtMatmulAlgo_t: may be kept as bytes, for the same version of the library."""

    _fields_ = (("data", ctypes.c_uint64 * 8),)


class Found(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", Algorithm),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


class LtError(Exception):
    """cuBLASLt cannot be used, or does not do what it was asked for; one line says why."""


_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_ATTRIBUTE = (_POINTER, _INT, _POINTER, _SIZE)

SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasLtCreate": (_POINTER,),
    "cublasLtMatmulDescCreate": (_POINTER, _INT, _INT),
    "cublasLtMatmulDescSetAttribute": _ATTRIBUTE,
    "cublasLtMatrixLayoutCreate": (_POINTER, _INT, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatrixLayoutSetAttribute": _ATTRIBUTE,
    "cublasLtMatmulPreferenceCreate": (_POINTER,),
    "cublasLtMatmulPreferenceSetAttribute": _ATTRIBUTE,
    "cublasLtMatmulPreferenceDestroy": (_POINTER,),
    "cublasLtMatmulAlgoGetHeuristic": (*(_POINTER,) * 7, _INT, _POINTER, _POINTER),
    "cublasLtMatmulAlgoCheck": (_POINTER,) * 8,
    "cublasLtMatmul": (*(_POINTER,) * 14, _SIZE, _POINTER),
}
"""Function -> types of its arguments; what they return is a cublasStatus_t."""


class Library:
    """The functions of a loaded cuBLASLt.

    Attributes:
        version: 10000 major + 100 minor + patch.

    Raises:
        LtError: it is too old, or is none.
    """

    def __init__(self, loaded: Any) -> None:
        try:
            loaded.cublasLtGetVersion.restype = ctypes.c_size_t
            self.version = int(loaded.cublasLtGetVersion())
            self.functions = {name: getattr(loaded, name) for name in SIGNATURES}
        except AttributeError as error:
            raise LtError(f"the library that was found is no cuBLASLt ({error})") from None
        if self.version < OLDEST:
            raise LtError(f"cuBLASLt is of version {self.version}; it has to be {OLDEST} (12.0) or newer")
        for name, arguments in SIGNATURES.items():
            self.functions[name].argtypes = arguments
            self.functions[name].restype = ctypes.c_int
        self.matmul = self.functions["cublasLtMatmul"]

    def dotted(self) -> str:
        """The version as people write it: 12.9.1."""
        return f"{self.version // 10000}.{self.version // 100 % 100}.{self.version % 100}"

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            LtError: it did not end well.
        """
        status = self.functions[name](*arguments)
        if status != CUBLAS_STATUS_SUCCESS:
            raise LtError(f"{name} of cuBLASLt {self.dotted()} ended with status {status}")

    def made(self, name: str, *arguments: Any) -> int:
        """What a function creates: its address."""
        made = ctypes.c_void_p()
        self.call(name, ctypes.byref(made), *arguments)
        return made.value or 0

    def set(self, name: str, of: int, attribute: int, value: Any) -> None:
        """Set an attribute of what was made; the value is of the type that the header names."""
        self.call(name, of, attribute, ctypes.byref(value), ctypes.sizeof(value))


def names(major: int) -> tuple[str, ...]:
    """What the library of a CUDA version is called."""
    return (f"cublasLt64_{major}.dll",) if sys.platform == "win32" else (f"libcublasLt.so.{major}",)


@functools.cache
def library(major: int) -> Library:
    """The cuBLASLt that belongs to a CUDA version: where CUDA's Python packages or the system have it.

    Args:
        major: that version's first number; CuPy was built for it, and the driver is known to serve it.

    Raises:
        LtError: there is none that can be used.
    """
    reasons = []
    with contextlib.suppress(ImportError):  # without it, the system's own search may do
        from cuda.pathfinder import load_nvidia_dynamic_lib

        try:
            found = Library(ctypes.CDLL(load_nvidia_dynamic_lib("cublasLt").abs_path))
            if found.version // 10000 == major:
                return found
            reasons.append(f"version {found.dotted()} was found, CuPy uses CUDA {major}")
        except Exception as error:  # there are many ways in which a library is not there
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    for name in names(major):
        try:
            return Library(ctypes.CDLL(name))  # also the one that CuPy has loaded
        except OSError as error:
            reasons.append(f"{error}".splitlines()[0])
    raise LtError(f"cuBLASLt was not found ({'; '.join(reasons)})")


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory as cuBLASLt sees it: column after column.

    Attributes:
        rows, columns: its size as it lies there.
        leading: elements from one column to the next.
        turned: whether the product takes it transposed.
        step: elements from it to the next of a stack; 0 where all products share it.
    """

    rows: int
    columns: int
    leading: int
    turned: bool
    step: int


class Bound:
    """D = op(A) op(B) + beta D, of given layouts and types, perhaps with more: its descriptors, which are kept.

    They are never given back: a process knows few products, and a captured graph may outlive whoever asked for them.

    Attributes:
        epilogue: what the product does besides. With CUBLASLT_EPILOGUE_BIAS it adds a bias to each of D's columns, with
            CUBLASLT_EPILOGUE_BGRADA it writes the sums of op(A)'s rows: the gradient of a bias.
    """

    def __init__(
        self, library: Library, handle: int, kind: Kind, count: int, a: Matrix, b: Matrix, d: Matrix, epilogue: int
    ) -> None:
        self.library, self.handle, self.kind, self.epilogue = library, handle, kind, epilogue
        self.operation = library.made("cublasLtMatmulDescCreate", kind.compute, kind.sums)
        self._describe(CUBLASLT_MATMUL_DESC_TRANSA, ctypes.c_int32(CUBLAS_OP_T if a.turned else CUBLAS_OP_N))
        self._describe(CUBLASLT_MATMUL_DESC_TRANSB, ctypes.c_int32(CUBLAS_OP_T if b.turned else CUBLAS_OP_N))
        if epilogue != CUBLASLT_EPILOGUE_DEFAULT:
            self._describe(CUBLASLT_MATMUL_DESC_EPILOGUE, ctypes.c_uint32(epilogue))
            self.put_row(ALIGNMENT)  # nobody looks there: heuristics look at how it is aligned
        self.a, self.b = (self._layout(kind.element, count, one) for one in (a, b))
        self.d = self._layout(kind.sums, count, d)

    def _describe(self, attribute: int, value: Any) -> None:
        self.library.set("cublasLtMatmulDescSetAttribute", self.operation, attribute, value)

    def _layout(self, element: int, count: int, matrix: Matrix) -> int:
        size = matrix.rows, matrix.columns, matrix.leading
        layout = self.library.made("cublasLtMatrixLayoutCreate", element, *size)
        if count > 1:
            given = {
                CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: ctypes.c_int32(count),
                CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: ctypes.c_int64(matrix.step),
            }
            for attribute, value in given.items():
                self.library.set("cublasLtMatrixLayoutSetAttribute", layout, attribute, value)
        return layout

    def put_row(self, address: int) -> None:
        """Where the next call finds the bias, or puts its gradient: one number for each of D's rows."""
        self._describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, ctypes.c_void_p(address))

    def candidates(self, workspace: int, most: int) -> list[Found]:
        """Algorithms that need no larger workspace, in the order in which the library expects them to be fast."""
        preference = self.library.made("cublasLtMatmulPreferenceCreate")
        put = functools.partial(self.library.set, "cublasLtMatmulPreferenceSetAttribute", preference)
        put(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, ctypes.c_uint64(workspace))
        for attribute in (
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ):
            put(attribute, ctypes.c_uint32(ALIGNMENT))
        found, count = (Found * most)(), ctypes.c_int()
        layouts = self.operation, self.a, self.b, self.d, self.d
        try:
            self.library.call(
                "cublasLtMatmulAlgoGetHeuristic", self.handle, *layouts, preference, most, found, ctypes.byref(count)
            )
        except LtError:  # none for such a product
            return []
        finally:
            self.library.call("cublasLtMatmulPreferenceDestroy", preference)
        return [one for one in found[: count.value] if one.state == CUBLAS_STATUS_SUCCESS]

    def checked(self, algorithm: Algorithm) -> Found | None:
        """An algorithm of earlier on as `candidates` would give it; None where it is none for this product."""
        result = Found()
        layouts = self.operation, self.a, self.b, self.d, self.d
        given = ctypes.byref(algorithm), ctypes.byref(result)
        try:
            self.library.call("cublasLtMatmulAlgoCheck", self.handle, *layouts, *given)
        except LtError:
            return None
        result.algorithm = algorithm  # it is not written there
        return result
