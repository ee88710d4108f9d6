"""How good is a network? Metrics by name, batch by batch for the trainer, and in one call on arrays."""

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
from engine.metrics.catalog import get, names
from engine.metrics.functions import (
    accuracy,
    confusion_matrix,
    f1,
    mean_absolute_error,
    mean_squared_error,
    precision,
    r2,
    recall,
    top_k_accuracy,
)

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "FunctionMetric",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "confusion_matrix",
    "f1",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "names",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]
