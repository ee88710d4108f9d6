"""How much work is a layer? FLOPs and bytes of one call in a training step, by a rule for each kind of layer.

A FLOP is one addition, multiplication, comparison or function of an element. x and y are a layer's input and output,
rows all axes of x but the last; "for x" is counted only where a gradient goes to the input, which the first layer of a
model does not need; that of a parameter only where it is trained.

    layer             forward                      backward                         bytes kept until backward
    Linear            2 rows in out, rows out for  2 rows in out for the weight,    y
                      the bias                     the same for x, rows out for
                                                   the bias
    Maxout            Linear's for all pieces,     Linear's for all pieces, 1 an    the pieces and y
                      1 an element of them         element of them
    activations       1 an element                 1 an element                     y
    Softmax           5 an element                 4 an element                     y
    BatchNorm         5 an element, 7 with weight  7 an element for x and weight    y and the normalised x
                      and bias                     and bias, 3 without x
    LayerNorm         5 an element, 7 with weight  8 an element for x (7 without    y and the normalised x
                      and bias                     weight), 3 for weight and bias
    Dropout           2 an element                 2 an element                     y and a mask of a byte an element
    Residual          1 an element                 1 an element for x               y
    StochasticDepth   3 an element                 2 an element, 1 more for x       y and a mask of a byte a sample
    Flatten           0                            0                                0: it shares x's memory

A linear map whose operands are rounded (tf32, bfloat16, float16) keeps its rounded input and weight as well, in the
type that its device has for them.

Random numbers, indices, rounding and copies are not counted. Only its author knows the work of another layer: it has no
rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.layers.activation import Activation, Softmax
from engine.layers.container import Flatten, Residual
from engine.layers.layer import Layer
from engine.layers.linear import Linear, Maxout
from engine.layers.normalization import BatchNorm, LayerNorm
from engine.layers.regularization import Dropout, StochasticDepth
from engine.tensor import Parameter

Work = tuple[int, int, int]
"""Forward FLOPs, backward FLOPs, bytes kept until backward."""


@dataclass(frozen=True)
class Call:
    """One call of a layer, as the rules see it.

    Attributes:
        samples: of the batch.
        elements: of the output.
        itemsize: bytes of one of them.
        to_input: whether a gradient goes to the input.
    """

    samples: int
    elements: int
    itemsize: int
    to_input: bool


def work(layer: Layer, call: Call) -> Work | None:
    """The work of a call; None where no rule knows the layer.

    >>> import engine as en
    >>> work(en.Linear(64, 10), Call(samples=32, elements=320, itemsize=4, to_input=False))
    (41280, 41280, 1280)
    """
    # The rule is that of the class whose forward runs: a subclass with a forward of its own does something else.
    owner = next(kind for kind in type(layer).__mro__ if "forward" in vars(kind))
    rule = _RULES.get(owner, _elementwise if issubclass(owner, Activation) else None)
    return None if rule is None else rule(layer, call)


def _trained(parameter: Parameter | None) -> bool:
    return parameter is not None and parameter.requires_grad


def _linear_map(layer: Any, call: Call, outputs: int) -> Work:
    product = 2 * layer.in_features * outputs
    bias = 0 if layer.bias is None else outputs
    backward = product * (call.to_input + _trained(layer.weight)) + bias * _trained(layer.bias)
    rows = call.elements // layer.out_features
    rounded = 0
    if layer.precision != layer.weight.dtype:
        kept = np.dtype(layer.weight.backend.rounded_type(layer.precision))
        rounded = layer.in_features * (rows + outputs) * kept.itemsize
    return rows * (product + bias), rows * backward, rows * outputs * call.itemsize + rounded


def _linear(layer: Any, call: Call) -> Work:
    return _linear_map(layer, call, layer.out_features)


def _maxout(layer: Any, call: Call) -> Work:
    forward, backward, kept = _linear_map(layer, call, layer.pieces * layer.out_features)
    compared = layer.pieces * call.elements
    return forward + compared, backward + compared, kept + call.elements * call.itemsize


def _elementwise(layer: Any, call: Call) -> Work:
    return call.elements, call.elements, call.elements * call.itemsize


def _softmax(layer: Any, call: Call) -> Work:
    return 5 * call.elements, 4 * call.elements, call.elements * call.itemsize


def _normalization(backward: int, layer: Any, call: Call) -> Work:
    forward = 7 if layer.affine else 5
    return forward * call.elements, backward * call.elements, 2 * call.elements * call.itemsize


def _batch_norm(layer: Any, call: Call) -> Work:
    # The two sums over the batch that x's gradient needs are the gradients of weight and bias.
    parameters = 3 if _trained(layer.weight) or _trained(layer.bias) else 0
    return _normalization(7 if call.to_input else parameters, layer, call)


def _layer_norm(layer: Any, call: Call) -> Work:
    parameters = 3 if _trained(layer.weight) or _trained(layer.bias) else 0
    return _normalization(parameters + (8 if layer.affine else 7) * call.to_input, layer, call)


def _dropout(layer: Any, call: Call) -> Work:
    if layer.rate == 0:
        return 0, 0, 0
    return 2 * call.elements, 2 * call.elements, call.elements * (call.itemsize + 1)


def _residual(layer: Any, call: Call) -> Work:
    return call.elements, call.elements * call.to_input, call.elements * call.itemsize


def _stochastic_depth(layer: Any, call: Call) -> Work:
    if layer.drop == 0:
        return _residual(layer, call)
    return 3 * call.elements, (2 + call.to_input) * call.elements, call.elements * call.itemsize + call.samples


def _view(layer: Any, call: Call) -> Work:
    return 0, 0, 0


_RULES: dict[type[Layer], Callable[[Any, Call], Work]] = {
    Linear: _linear,
    Maxout: _maxout,
    Softmax: _softmax,
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    Dropout: _dropout,
    Residual: _residual,
    StochasticDepth: _stochastic_depth,
    Flatten: _view,
}
