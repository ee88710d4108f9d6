"""What is a kernel pair? Two static functions over arrays, forward beside backward, and nothing else."""

from typing import Any

Array = Any
"""A NumPy or CuPy array: which one, only the backend knows."""

Namespace = Any
"""The array module that a kernel computes with: numpy, cupy, or a test's stand-in."""


class Pair:
    """A forward and a backward kernel of one operation, as static methods.

    Both take the array namespace first, then the inputs, then (by keyword) the arrays that they fill. They allocate
    nothing that grows with the batch (temporaries come in as ``work``), never look at a value on the host, and never
    write to an input. A backend may replace either function by a faster one; these are the definition.
    """
