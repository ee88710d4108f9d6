"""How much work is a call of a kernel? The bytes of its arrays, and its FLOPs where a rule knows them.

A FLOP is one addition, multiplication, comparison or function of an element, as in `engine.work`. x and y stand for a
kernel's input and output.

    matrix products          2 m k n for (m, k) (k, n), forward, and for each gradient that is asked for
    bias of a linear map     1 an element of y
    activations, arithmetic  1 an element of each output; Maxout 1 an element of x
    Softmax, LogSoftmax      5 an element forward, 4 backward
    BatchNorm, LayerNorm     forward 5 an element, 7 with weight and bias; backward as in `engine.work`
    Dropout                  2 an element
    sums                     1 an element of x
    copies, rounding         0

Other kernels (losses, optimizers, random numbers) have no rule: their FLOPs are None.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine.recording.memory import arrays_in

Given = Mapping[str, Any]


class Kind(NamedTuple):
    """What is known of an operation before it is called.

    Attributes:
        name: "Linear.forward".
        is_product: whether matrices are multiplied.
        parameters: the names of the arguments that come by position.
        rule: FLOPs of a call, by the names of its arguments; None where nobody knows.
        picks: whether it copies some elements, and the rest of what it takes them from is not touched.
    """

    name: str
    is_product: bool = False
    parameters: tuple[str, ...] = ()
    rule: Callable[[Given], int] | None = None
    picks: bool = False

    def flops(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> int | None:
        """Of one call; None where nobody knows."""
        if self.rule is None:
            return None
        return self.rule(dict(zip(self.parameters, inputs, strict=False)) | options)

    def bytes(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> int:
        """That one call moves: its arrays, each element once."""
        return 2 * bytes_of(options) if self.picks else bytes_of(inputs, options)


def kind_of(definition: Callable[..., Any]) -> Kind:
    """The kind of a kernel, by its definition.

    >>> from backends.kernels.linear import Linear
    >>> kind_of(Linear.forward).name, kind_of(Linear.forward).is_product
    ('Linear.forward', True)
    """
    name = getattr(definition, "__qualname__", type(definition).__name__).rpartition("<locals>.")[2]
    family = getattr(definition, "__module__", "").removeprefix("backends.kernels.")
    owner, _, direction = name.rpartition(".")
    product = family == "linear"
    rule = _product if product else _RULES.get((owner, direction)) or _FAMILIES.get((family, direction))
    parameters = tuple(inspect.signature(definition).parameters) if rule is not None else ()
    return Kind(name, product, parameters, rule, picks=name in ("Gather.forward", "Index.forward"))


def bytes_of(*values: Any) -> int:
    """Of all arrays in these values: what a call that touches each element once moves.

    >>> import numpy as np
    >>> bytes_of(np.zeros(3, np.float32), [np.zeros(2)], 1.0)
    28
    """
    return sum(size(array) * int(array.dtype.itemsize) for array in arrays_in(values))


def precision_of(inputs: Any, options: Mapping[str, Any]) -> str:
    """In what a call computes: the type that its operands were rounded to, else that of its numbers; "" without any.

    >>> import numpy as np
    >>> precision_of((np.zeros(3),), {}), precision_of((np.zeros(3, np.float32),), {"precision": "tf32"})
    ('float64', 'tf32')
    """
    rounded: str | None = options.get("precision")
    return rounded or next((str(one.dtype) for one in arrays_in((inputs, dict(options))) if one.dtype.kind == "f"), "")


def size(array: Any) -> int:
    """How many elements an array has; 0 for an output that nobody asks for."""
    return 0 if array is None else math.prod(array.shape)


# -- the rules -----------------------------------------------------------------------------------------


def _product(given: Given) -> int:
    """Of a linear map (x, w, b) or a product of stacks (a, b): the factor k is the last length of the left matrix."""
    is_linear = "w" in given
    inner = int(given["x" if is_linear else "a"].shape[-1])
    if "dy" not in given:
        bias = is_linear and given.get("b") is not None
        return size(given["y"]) * (2 * inner + bias)
    gradients = ("dx", "dw") if is_linear else ("da", "db")
    products = sum(given.get(name) is not None for name in gradients)
    bias = is_linear and given.get("db") is not None
    return size(given["dy"]) * (2 * inner * products + bias)


def _each(*names: str, times: int = 1) -> Callable[[Given], int]:
    """So many FLOPs for each element of these arrays."""
    return lambda given: times * sum(size(given.get(name)) for name in names)


def _normalized(given: Given) -> int:
    return size(given["x"]) * (5 if given.get("gain") is None else 7)


def _batch_norm_gradients(given: Given) -> int:
    return size(given["dy"]) * (7 if given.get("dx") is not None else 3)


def _layer_norm_gradients(given: Given) -> int:
    gain = given.get("gain") is not None
    parameters = any(given.get(name) is not None for name in ("dgain", "dbias"))
    return size(given["dy"]) * ((7 + gain) * (given.get("dx") is not None) + 3 * parameters)


def _nothing(given: Given) -> int:
    return 0


_RULES: dict[tuple[str, str], Callable[[Given], int]] = {
    ("Maxout", "forward"): _each("x"),
    ("Maxout", "backward"): _each("x"),
    ("Softmax", "forward"): _each("y", times=5),
    ("Softmax", "backward"): _each("dx", times=4),
    ("LogSoftmax", "forward"): _each("y", times=5),
    ("LogSoftmax", "backward"): _each("dx", times=4),
    ("BatchNorm", "forward"): _normalized,
    ("BatchNorm", "backward"): _batch_norm_gradients,
    ("LayerNorm", "forward"): _normalized,
    ("LayerNorm", "backward"): _layer_norm_gradients,
    ("Dropout", "forward"): _each("y", times=2),
    ("Dropout", "backward"): _each("dx", times=2),
    ("Sum", "forward"): _each("x"),
    ("Mean", "forward"): _each("x"),
    ("Max", "forward"): _each("x"),
    ("Min", "forward"): _each("x"),
    ("SumTo", "forward"): _each("dy"),
    ("Round", "forward"): _nothing,
    ("Accumulate", "forward"): _each("total"),
    ("Index", "backward"): _each("dy"),
}
_FAMILIES: dict[tuple[str, str], Callable[[Given], int]] = {
    ("activation", "forward"): _each("y"),
    ("activation", "backward"): _each("dx"),
    ("arithmetic", "forward"): _each("y"),
    ("arithmetic", "backward"): _each("dx", "da", "db"),
    ("shape", "forward"): _nothing,
}
