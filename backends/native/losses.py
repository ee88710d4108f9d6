"""Which losses does compiled C compute?"""

from typing import Any

from backends.kernels.averaging import Average
from backends.kernels.loss import CrossEntropy
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


@replaces(CrossEntropy.forward)
def _cross_entropy(logits: Array, labels: Array, rows: Array, *, losses: Array, probabilities: Array) -> Any:
    return kernels.cross_entropy(logits, labels, losses, probabilities)


@replaces(CrossEntropy.backward)
def _cross_entropy_gradient(dlosses: Array, probabilities: Array, labels: Array, rows: Array, *, dlogits: Array) -> Any:
    return kernels.cross_entropy_gradient(dlosses, probabilities, labels, dlogits)


@replaces(Average.forward)
def _average(losses: Array, *, value: Array, count: int) -> Any:
    return kernels.average(losses, value, count)


@replaces(Average.backward)
def _average_gradient(dvalue: Array, *, dloss: Array, count: int) -> Any:
    return kernels.average_gradient(dvalue, dloss, count)
