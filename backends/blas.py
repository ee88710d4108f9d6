"""Which library multiplies matrices on the CPU, with which of its kernels, and why?

NumPy's wheels bring an OpenBLAS, which chooses kernels for the processor. The compiled kernels call its products
directly, without NumPy's checks, and share its threads, so that no two kinds of threads wait for work at once. On
processors with AVX-512 they multiply by themselves, in tiles, whatever these are faster at.

    ENGINE_BLAS=openblas | mkl | numpy      openblas: NumPy's own, for all products but thin ones
                                            mkl: Intel's, from the extra `mkl` (the default on Intel's where installed)
                                            numpy: NumPy's matmul, called as a user would
"""

import ctypes
import os
import platform
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHOICES = ("openblas", "mkl", "numpy")


@dataclass
class Blas:
    """A BLAS as the compiled kernels see it.

    Attributes:
        name: what it is, with its version and the kernels that it uses.
        why: the reason for it.
        sgemm, dgemm: addresses of its products with 64-bit sizes; 0 where it has none.
        crew: the address of OpenBLAS's gotoblas_pthread, which runs a function on several of its threads.
        threads: the address of a function that tells how many threads it uses.
        tiles: whether the compiled kernels may multiply by themselves what they are faster at.
    """

    name: str
    why: str
    sgemm: int = 0
    dgemm: int = 0
    crew: int = 0
    threads: int = 0
    tiles: bool = False


_found: Blas | None = None


def blas() -> Blas:
    """The BLAS of this process, chosen at the first call."""
    global _found
    if _found is None:
        _found = _choose()
    return _found


def _choose() -> Blas:
    wanted = os.environ.get("ENGINE_BLAS", "")
    if wanted not in ("", *CHOICES):
        _warn(f"ENGINE_BLAS: {wanted!r} was given; it is {', '.join(CHOICES[:-1])} or {CHOICES[-1]}. It is ignored.")
        wanted = ""
    if wanted == "numpy":
        return Blas(_numpys(), "ENGINE_BLAS=numpy: its matmul is called")
    if wanted == "mkl" or (not wanted and _vendor() == "GenuineIntel"):
        found = _mkl()
        if found is not None:
            found.why = "ENGINE_BLAS=mkl" if wanted else "installed, and this is a processor of Intel's"
            return found
        if wanted:
            _warn('ENGINE_BLAS: mkl is not installed, OpenBLAS is used. pip install "chalkgrad[mkl]".')
    found = _openblas()
    if found is not None:
        found.tiles = not wanted
    return found or Blas(_numpys(), "NumPy's has no functions that can be called directly: its matmul is called")


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _numpys() -> str:
    found = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


# -- OpenBLAS --------------------------------------------------------------------------------------------


def _openblas() -> Blas | None:
    """The OpenBLAS that NumPy has loaded."""
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    for path in sorted(file for folder in folders for file in folder.glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        sgemm, dgemm = (_function(library, f"scipy_cblas_{kind}64_", f"cblas_{kind}64_") for kind in ("sgemm", "dgemm"))
        if sgemm is None or dgemm is None:
            continue
        pinned = os.environ.get("OPENBLAS_CORETYPE")
        return Blas(
            f"OpenBLAS {_words(library, 'config')[1]} of NumPy, kernels for {_core(library)}",
            "its own choice for this processor" if not pinned else f"OPENBLAS_CORETYPE={pinned}",
            _address(sgemm),
            _address(dgemm),
            _address(_function(library, "gotoblas_pthread")),
            _address(_function(library, "scipy_openblas_get_num_threads64_", "openblas_get_num_threads64_")),
        )
    return None


def _core(library: Any) -> str:
    return _words(library, "corename")[0]


def _words(library: Any, what: str) -> list[str]:
    function = _function(library, f"scipy_openblas_get_{what}64_", f"openblas_get_{what}64_")
    if function is None:
        return ["unknown", ""]
    function.restype = ctypes.c_char_p
    return [*(function() or b"unknown").decode(errors="replace").split(), ""]


# -- MKL -------------------------------------------------------------------------------------------------


def _mkl() -> Blas | None:
    """Intel's library from its PyPI wheel, which puts it beside Python's own libraries."""
    names = ("libmkl_rt.so*", "mkl_rt*.dll", "libmkl_rt*.dylib")
    folders = (Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin")
    for path in sorted(file for folder in folders for name in names for file in folder.glob(name)):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        sgemm, dgemm = _function(library, "cblas_sgemm_64"), _function(library, "cblas_dgemm_64")
        if sgemm is not None and dgemm is not None:
            return Blas("MKL", "", _address(sgemm), _address(dgemm))
    return None


# -- what they have in common ----------------------------------------------------------------------------


def _function(library: Any, *names: str) -> Any:
    """The first of these functions that the library has."""
    return next((getattr(library, name) for name in names if hasattr(library, name)), None)


def _address(function: Any) -> int:
    return 0 if function is None else int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _vendor() -> str:
    """The processor's maker, "GenuineIntel" or another; "" where it is not told."""
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
                return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "")
        except OSError:
            return ""
    return "GenuineIntel" if "GenuineIntel" in platform.processor() else ""
