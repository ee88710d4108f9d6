"""Which sums over losses, gradients and weights does compiled C compute? In an order that depends on no thread."""

from typing import Any

from backends.kernels.averaging import Average, WeightedAverage, label_weights, move_average
from backends.kernels.optimizer import clip_by_value, scale_by_norm, squared_norm
from backends.kernels.pair import Array
from backends.kernels.penalty import ElasticNet
from backends.native.table import kernels, replaces


@replaces(Average.forward)
def _average(losses: Array, *, value: Array, count: int) -> Any:
    return kernels.average(losses, value, count)


@replaces(Average.backward)
def _average_gradient(dvalue: Array, *, dloss: Array, count: int) -> Any:
    return kernels.average_gradient(dvalue, dloss, count)


@replaces(WeightedAverage.forward)
def _weighted_average(losses: Array, weights: Array, total: Array, *, value: Array, work: Array) -> Any:
    return kernels.weighted_average(losses, weights, total, value)


@replaces(WeightedAverage.backward)
def _weighted_average_gradient(dvalue: Array, weights: Array, total: Array, *, dlosses: Array) -> Any:
    return kernels.weighted_average_gradient(dvalue, weights, total, dlosses)


@replaces(label_weights)
def _label_weights(class_weight: Array, labels: Array, *, weights: Array) -> Any:
    return kernels.label_weights(class_weight, labels, weights)


@replaces(move_average)
def _move_average(w: Array, *, average: Array, work: Array, decay: float) -> Any:
    return kernels.move_average(w, average, 1 - decay)


@replaces(squared_norm)
def _squared_norm(g: Array, *, out: Array) -> Any:
    return kernels.squared_norm(g, out)


@replaces(scale_by_norm)
def _scale_by_norm(g: Array, norm_squared: Array, *, work: Array, max_norm: float) -> Any:
    return kernels.scale_by_norm(g, norm_squared, max_norm)


@replaces(clip_by_value)
def _clip_by_value(g: Array, *, limit: float) -> Any:
    return kernels.clip_by_value(g, limit)


@replaces(ElasticNet.forward)
def _elastic_net(w: Array, *, value: Array, total: Array, work: Array, squares: float, absolutes: float) -> Any:
    return kernels.elastic_net(w, value, squares, absolutes)


@replaces(ElasticNet.backward)
def _elastic_net_gradient(dvalue: Array, w: Array, *, dw: Array, work: Array, squares: float, absolutes: float) -> Any:
    return kernels.elastic_net_gradient(dvalue, w, dw, squares, absolutes)
