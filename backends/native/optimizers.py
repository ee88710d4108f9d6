"""How does compiled C step? Each optimizer goes once through the flat buffers, with the bits of its definition."""

from typing import Any

from backends.kernels.optimizer import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop, Scalar
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


@replaces(SGD.update)
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
    return kernels.sgd(w, g, kept, learning_rate, momentum, int(nesterov), weight_decay)


@replaces(Adagrad.update)
def _adagrad(*arrays: Array, work: Any, learning_rate: Scalar, eps: float, weight_decay: float) -> Any:
    return kernels.adagrad(*arrays, learning_rate, eps, weight_decay)


@replaces(RMSprop.update)
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
    return kernels.rmsprop(w, g, square_average, kept, learning_rate, alpha, 1 - alpha, eps, momentum, weight_decay)


_CORRECTED = ("learning_rate", "first_correction", "second_correction")
_WEIGHTED = ("learning_rate", "gradient_weight", "momentum_weight", "second_correction")


@replaces(Adam.update)
def _adam(*arrays: Array, work: Any, **given: Any) -> Any:
    given = (Adam.update.__kwdefaults__ or {}) | given
    return kernels.adam(*arrays, *_averaging(given, _CORRECTED), given["weight_decay"], 0.0)


@replaces(AdamW.update)
def _adamw(*arrays: Array, work: Any, **given: Any) -> Any:
    given = (AdamW.update.__kwdefaults__ or {}) | given
    return kernels.adam(*arrays, *_averaging(given, _CORRECTED), 0.0, given["weight_decay"])


@replaces(NAdam.update)
def _nadam(*arrays: Array, work: Any, **given: Any) -> Any:
    given = (NAdam.update.__kwdefaults__ or {}) | given
    return kernels.nadam(*arrays, *_averaging(given, _WEIGHTED), given["weight_decay"])


def _averaging(given: dict[str, Any], per_step: tuple[str, ...]) -> tuple[Any, ...]:
    """What Adam and its kin have in common, in the order of the C functions."""
    scalars = (given[name] for name in per_step)
    return (*scalars, 1 - given["beta1"], given["beta2"], 1 - given["beta2"], given["eps"])


@replaces(Lion.update)
def _lion(*arrays: Array, work: Any, learning_rate: Scalar, beta1: float, beta2: float, weight_decay: float) -> Any:
    return kernels.lion(*arrays, learning_rate, 1 - beta1, 1 - beta2, weight_decay)
