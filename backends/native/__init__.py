"""Which kernels does compiled C compute on the CPU? A table of replacements, where a compiler built it.

Each replacement has its definition's signature and gives the same bits, but for the sign of a zero. What the C code
does not take (arrays that are not contiguous, of other types) goes to the definition. The variable ENGINE_NATIVE=0
switches all of them off.

bodies.h is the arithmetic of one element, loops.h goes through arrays, kernels.c is what Python calls.
"""

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from backends.kernels.activation import ReLU
from backends.kernels.dropout import Dropout, scale
from backends.kernels.optimizer import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop, Scalar
from backends.kernels.pair import Array, Namespace

_kernels: Any = None
_PROBLEM: str | None = None
try:
    _kernels = importlib.import_module("backends.native._kernels")
except ImportError:
    _PROBLEM = "not built: install the package again where there is a C compiler"


def problem() -> str | None:
    """Why the compiled kernels are not used; None where they are."""
    if os.environ.get("ENGINE_NATIVE") == "0":
        return "switched off by ENGINE_NATIVE=0"
    return _PROBLEM


def overrides() -> dict[Any, Any]:
    """Definition -> replacement; empty where there is none."""
    return {} if problem() is not None else dict(_TABLE)


_TABLE: dict[Any, Any] = {}


def _replaces(definition: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the table that is True when it has computed this definition."""

    def entered(compiled: Callable[..., Any]) -> Callable[..., Any]:
        defaults = definition.__kwdefaults__ or {}

        @functools.wraps(definition)
        def kernel(xp: Namespace, *arrays: Array, **options: Any) -> None:
            if not compiled(*arrays, **(defaults | options)):
                definition(xp, *arrays, **options)

        _TABLE[definition] = kernel
        return compiled

    return entered


# -- activations and masks -------------------------------------------------------------------------------


@_replaces(ReLU.forward)
def _relu(x: Array, *, y: Array) -> Any:
    return _kernels.relu(x, y)


@_replaces(ReLU.backward)
def _relu_gradient(dy: Array, y: Array, *, dx: Array) -> Any:
    return _kernels.relu_gradient(dy, y, dx)


@_replaces(Dropout.forward)
def _dropout(x: Array, counter: Array, *, y: Array, mask: Array, rate: float, key: tuple[int, int]) -> Any:
    drawn = _kernels.keep_mask(mask, counter, *key, int((1 - rate) * 2**32))
    return drawn and _kernels.masked(x, mask, scale(rate), y)


@_replaces(Dropout.backward)
def _dropout_gradient(dy: Array, mask: Array, *, dx: Array, rate: float) -> Any:
    return _kernels.masked(dy, mask, scale(rate), dx)


# -- optimizers ------------------------------------------------------------------------------------------


@_replaces(SGD.update)
def _sgd(
    w: Array,
    g: Array,
    velocity: Array | None,
    *,
    work: Any,
    learning_rate: Scalar,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> Any:
    kept = velocity if momentum else None
    return _kernels.sgd(w, g, kept, learning_rate, momentum, int(nesterov), weight_decay)


@_replaces(Adagrad.update)
def _adagrad(*arrays: Array, work: Any, learning_rate: Scalar, eps: float, weight_decay: float) -> Any:
    return _kernels.adagrad(*arrays, learning_rate, eps, weight_decay)


@_replaces(RMSprop.update)
def _rmsprop(
    w: Array,
    g: Array,
    square_average: Array,
    velocity: Array | None,
    *,
    work: Any,
    learning_rate: Scalar,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
) -> Any:
    kept = velocity if momentum else None
    return _kernels.rmsprop(w, g, square_average, kept, learning_rate, alpha, 1 - alpha, eps, momentum, weight_decay)


_CORRECTED = ("learning_rate", "first_correction", "second_correction")
_WEIGHTED = ("learning_rate", "gradient_weight", "momentum_weight", "second_correction")


@_replaces(Adam.update)
def _adam(*arrays: Array, work: Any, **given: Any) -> Any:
    return _kernels.adam(*arrays, *_averaging(given, _CORRECTED), given["weight_decay"], 0.0)


@_replaces(AdamW.update)
def _adamw(*arrays: Array, work: Any, **given: Any) -> Any:
    return _kernels.adam(*arrays, *_averaging(given, _CORRECTED), 0.0, given["weight_decay"])


@_replaces(NAdam.update)
def _nadam(*arrays: Array, work: Any, **given: Any) -> Any:
    return _kernels.nadam(*arrays, *_averaging(given, _WEIGHTED), given["weight_decay"])


def _averaging(given: dict[str, Any], per_step: tuple[str, ...]) -> tuple[Any, ...]:
    """What Adam and its kin have in common, in the order of the C functions."""
    scalars = (given[name] for name in per_step)
    return (*scalars, 1 - given["beta1"], given["beta2"], 1 - given["beta2"], given["eps"])


@_replaces(Lion.update)
def _lion(*arrays: Array, work: Any, learning_rate: Scalar, beta1: float, beta2: float, weight_decay: float) -> Any:
    return _kernels.lion(*arrays, learning_rate, 1 - beta1, 1 - beta2, weight_decay)
