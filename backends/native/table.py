"""Which definitions have a compiled replacement? A table, filled by the families beside this file."""

import contextlib
import functools
import importlib
from collections.abc import Callable
from typing import Any

from backends.kernels.pair import Array, Namespace

TABLE: dict[Any, Any] = {}
"""Definition -> replacement."""

kernels: Any = None
"""The compiled module; None where it was not built."""
with contextlib.suppress(ImportError):
    kernels = importlib.import_module("backends.native._kernels")


def replaces(definition: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the table that is True when it has computed this definition, and False, having done nothing.

    It has the definition's arguments without the namespace; the defaults of named ones are the definition's.
    """

    def entered(compiled: Any) -> Callable[..., Any]:
        compiled.__kwdefaults__ = definition.__kwdefaults__

        @functools.wraps(definition)
        def kernel(xp: Namespace, *arrays: Array, **options: Any) -> None:
            if not compiled(*arrays, **options):
                definition(xp, *arrays, **options)

        kernel.compiled = compiled  # type: ignore[attr-defined]  # a recording keeps its calls
        TABLE[definition] = kernel
        return kernel

    return entered
