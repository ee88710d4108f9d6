"""Which metrics are there by name?"""

import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from engine.errors import ArgumentError, unknown_name
from engine.metrics.accumulators import (
    F1,
    R2,
    Accuracy,
    FunctionMetric,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)

METRICS: dict[str, Callable[..., Metric]] = {
    "accuracy": Accuracy,
    "top-5": TopKAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
    "r2": R2,
}


def names() -> tuple[str, ...]:
    """The names that ``get`` knows; "top-5" stands for every "top-k"."""
    return tuple(METRICS)


def get(metric: str | Metric | type[Metric] | Callable[[Any, Any], Any], **parameters: Any) -> Metric:
    """A metric by name, as it is, or from a function (output, target) -> number a batch.

    Args:
        metric: a name ("top-3" for any k), a Metric, a subclass of it, or a function.
        parameters: of the metric: ``threshold``, ``average``, ``multilabel``; those that it does not have are an error.

    Raises:
        UnknownNameError: no such metric, or no such parameter.

    >>> metric = get("accuracy")
    >>> metric.update([[2.0, 1.0], [0.0, 3.0]], [0, 1])
    >>> metric.update([[0.0, 1.0]], [0])
    >>> metric.name, round(metric.result(), 4)
    ('accuracy', 0.6667)
    """
    if isinstance(metric, str):
        top = re.fullmatch(r"top-([1-9]\d*)", metric)
        if not top and metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        known = () if top else tuple(inspect.signature(METRICS[metric]).parameters)
        for parameter in parameters:
            if parameter not in known:
                raise unknown_name(f"parameter of metric {metric!r}", parameter, known or ("(none)",))
        return TopKAccuracy(int(top[1])) if top else METRICS[metric](**parameters)
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric(**parameters)
    if callable(metric):
        return FunctionMetric(cast(Callable[[Any, Any], Any], metric))
    raise ArgumentError(f"metric: {metric!r} was given; allowed are a name, a Metric and a function (output, target).")
