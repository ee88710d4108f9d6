"""Which kernels does a GPU compute by one launch? Most that the CPU has compiled C for, from the same source.

kernels.cu is that source for a GPU, compile.py compiles it, launch.py hands its kernels to the compiled module, whose
functions then take CuPy's arrays as they take NumPy's (native/device.h). native/list.h says of each kernel how threads
share its work; nothing of this has been timed on a GPU, so the choices go by how many threads have something to do and
by how few loads move the data:

    packs of elements              a thread for 16 bytes of each array, in one load and one store, by the loop that the
                                   CPU runs over all of them: activations, arithmetic, optimizers, dropout, clipping,
                                   averages of weights. Where an array begins elsewhere than at a multiple of 16, and
                                   for what is left at the end, a thread has one element
    elements, cells of a matrix    a thread each, neighbours at neighbouring places: losses of numbers, biases, gathered
                                   rows, rounding
    rows                           1 to 32 threads by the row's length, 256 from 1025 numbers on: softmax, layer norm,
                                   losses of classes and of distances, maxout, sums along the last axis. One thread a
                                   row, as on the CPU, would read memory in strides, and leave a GPU idle where there
                                   are few rows
    columns                        16 columns by 32 threads each (more where there are fewer columns): batch norm, sums
                                   over the batch
    everything                     one block, up to 65,536 numbers: the average of losses, penalties. More are CuPy's,
                                   which shares them between blocks; the squared norm of all gradients is added up in
                                   pieces, a block each, whose sums are added up likewise

Labels that are no class are found on the CPU before; on a GPU, where nobody waits to see them, such a sample's loss is
NaN, and no memory is read that is not the array's.

Matrix products, and with them linear maps, are cuBLASLt's (products.py), those of rounded numbers by tensor cores
(rounded.py). To CuPy are left: copies, which its memory copies make; checks of values; what compiled C does not take
(arrays that are not contiguous, other types), and whatever has no compiled C. ENGINE_NATIVE=0 leaves it everything but
the products.
"""

import functools
from typing import Any

from backends import native
from backends.cuda import compile
from backends.kernels.linear import Linear, RoundedLinear
from backends.kernels.optimizer import squared_norm
from backends.kernels.pair import Array, Namespace
from backends.kernels.shape import Copy
from backends.native.table import TABLE, kernels

LEFT: frozenset[Any] = frozenset(
    (Linear.forward, Linear.backward, RoundedLinear.forward, RoundedLinear.backward, Copy.forward)
)
"""Definitions that have compiled C on the CPU, and none on a GPU."""

PIECE = 8192
"""How many squares one block adds up."""


def problem() -> str | None:
    """Why there are no fused kernels on a GPU here; None where they can be compiled, as far as can be seen before."""
    reason = native.problem()
    if reason is not None:
        return f"compiled C, which launches them, is {reason}"
    try:
        compile.library()
    except compile.CompileError as error:
        return str(error)
    return None


def overrides() -> dict[Any, Any]:
    """Definition -> replacement, for arrays of a GPU."""
    found = {definition: kernel for definition, kernel in native.overrides().items() if definition not in LEFT}
    return found | {squared_norm: squared_norm_by_pieces} if found else found


@functools.wraps(squared_norm)
def squared_norm_by_pieces(xp: Namespace, g: Array, *, out: Array) -> None:
    """As the definition, whose product is cuBLAS's: CuPy refuses that while a stream is captured."""
    if not TABLE[squared_norm].compiled(g, out=out):
        parts = xp.empty(-(-g.size // PIECE), g.dtype)
        if not (kernels.squared_pieces(g, parts, PIECE) and kernels.average(parts, out, 1)):
            squared_norm(xp, g, out=out)
