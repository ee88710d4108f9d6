"""In which precision does a model compute? One name for its weights' type and for that of its products' operands."""

from typing import Any

from backends.kernels.rounding import DROPPED
from engine.errors import unknown_name

PRECISIONS = ("float32", "float64", *DROPPED)
"""Those with fewer bits than float32 are of operands alone."""


def checked(precision: Any) -> str:
    """One of `PRECISIONS`.

    Raises:
        UnknownNameError: it is none of them.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    return str(precision)


def weights_of(precision: str) -> str:
    """The dtype of weights, activations, gradients and optimizer.

    >>> weights_of("bfloat16"), weights_of("float64")
    ('float32', 'float64')
    """
    return "float64" if checked(precision) == "float64" else "float32"


def operands_of(precision: str) -> str | None:
    """What operands of products are rounded to; None where they are not."""
    return precision if checked(precision) in DROPPED else None
