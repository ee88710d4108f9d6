"""Which kernels does compiled C compute on the CPU? Replacements of definitions, where a compiler built them.

Each replacement has its definition's signature; what the C code does not take (arrays that are not contiguous, of
other types) goes to the definition. Optimizers, masks and whatever only moves or adds numbers give the definition's
bits; sums and functions such as the exponential agree to rounding. The variable ENGINE_NATIVE=0 switches them off.

table.py holds the replacements, the other modules are families of them. In C: bodies.h and functions.h are arithmetic,
calls.h says what a call of a kernel is, sequence.h runs many of them, kernels.c is what Python sees; the other headers
are families of kernels.
"""

import os
from typing import Any

from backends.blas import Blas
from backends.native import (  # noqa: F401  # each fills the table
    activations,
    arithmetic,
    averages,
    choices,
    linear,
    losses,
    masks,
    moves,
    normalization,
    optimizers,
    reductions,
    units,
)
from backends.native.activations import FUSED_BACKWARD, FUSED_FORWARD
from backends.native.table import TABLE, kernels

__all__ = ["FUSED_BACKWARD", "FUSED_FORWARD", "kernels", "overrides", "problem", "sequence", "use"]


def problem() -> str | None:
    """Why the compiled kernels are not used; None where they are."""
    if os.environ.get("ENGINE_NATIVE") == "0":
        return "switched off by ENGINE_NATIVE=0"
    return "not built: install the package again where there is a C compiler" if kernels is None else None


def overrides() -> dict[Any, Any]:
    """Definition -> replacement; empty where there is none."""
    return {} if problem() is not None else dict(TABLE)


def sequence() -> Any:
    """A new list of calls that compiled C runs in one go; None where there is no compiled C."""
    return kernels.Sequence() if problem() is None else None


def use(blas: Blas) -> bool:
    """Multiply matrices by this BLAS, and share its threads; whether tiles of compiled C stand in for it."""
    if kernels is None:
        return False
    return bool(kernels.use(blas.sgemm, blas.dgemm, blas.crew, blas.threads, blas.tiles))
