"""How are numbers rounded to a type with fewer bits? To nearest, ties to even; they stay float32, their last bits 0.

    type       exponent   fraction   largest number   smallest normal number
    float32    8 bits     23 bits    3.4e38           1.2e-38
    tf32       8          10         3.4e38           1.2e-38
    bfloat16   8          7          3.4e38           1.2e-38
    float16    5          10         65504            6.1e-5 (below it, multiples of 6.0e-8)

NaN stays NaN, infinity what it is; what is too large for the type becomes infinite. Every number of these types is one
of tf32, too, and the product of two of them is one of float32, exactly, unless it is too large or too small.
"""

import numpy as np

from backends.kernels.pair import Array, Namespace, Pair

DROPPED = {"tf32": 13, "bfloat16": 16, "float16": 13}
"""How many of the bits of float32's fraction each type does not have."""


def work_type(precision: str) -> str:
    """Of the temporary array that `Round` asks for, in x's shape."""
    return "float16" if precision == "float16" else "bool"


class Round(Pair):
    """y = x rounded to ``precision``, one of `DROPPED`. x and y are float32, of any shape; the slope counts as 1."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: Array, precision: str) -> None:
        if precision == "float16":
            with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are the answers
                work[...] = x
            y[...] = work
            return
        # Added to the bits, a half of the last one that stays carries into it; a tie does where that one is odd.
        bits, rounded, dropped = x.view(np.uint32), y.view(np.uint32), DROPPED[precision]
        below = (1 << dropped) - 1  # the bits that are dropped
        xp.right_shift(bits, np.uint32(dropped), out=rounded)
        xp.bitwise_and(rounded, np.uint32(1), out=rounded)
        xp.add(rounded, np.uint32(below >> 1), out=rounded)
        xp.add(rounded, bits, out=rounded)
        xp.bitwise_and(rounded, np.uint32(0xFFFFFFFF - below), out=rounded)
        xp.isnan(x, out=work)
        xp.copyto(y, np.nan, where=work)  # whose own bits might be those that are dropped
