"""Which activations does compiled C compute? All; with the bias that comes before one in the same call, where asked to.

FUSED_FORWARD and FUSED_BACKWARD hold, by definition, functions with the definition's arguments and one more:

    forward   b=     x += b in place, then y = f(x); y may be x
    backward  db=    dx, and db = its sum over the rows

x is then a matrix (rows, columns), b and db are its row (columns,). The bits are those of the steps one by one.
"""

from collections.abc import Callable
from typing import Any

from backends.kernels.activation import (
    ELU,
    GELU,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces

FUSED_FORWARD: dict[Any, Callable[..., Any]] = {}
"""Definition -> y of x and the bias b; True where it was computed."""

FUSED_BACKWARD: dict[Any, Callable[..., Any]] = {}
"""Definition -> dx and the bias's gradient db; True where both were computed."""


def _enter(pair: Any, name: str, setting: str | None = None) -> None:
    """Enter the four kernels of an elementwise activation; `setting` names the option that they take."""
    names = (name, f"{name}_gradient", f"bias_{name}", f"{name}_gradient_sum")
    found: list[Any] = [getattr(kernels, one, None) for one in names]
    forward, backward, bias_forward, backward_sum = found

    def settings(options: dict[str, Any]) -> tuple[Any, ...]:
        return () if setting is None else (options[setting],)

    def compiled(x: Array, *, y: Array, **options: Any) -> Any:
        return forward(x, y, *settings(options))

    def compiled_gradient(dy: Array, saved: Array, *, dx: Array, **options: Any) -> Any:
        return backward(dy, saved, dx, *settings(options))

    def biased(x: Array, *, y: Array, b: Array, **options: Any) -> Any:
        return bias_forward(x, b, y, *settings(options))

    def summed_gradient(dy: Array, saved: Array, *, dx: Array, db: Array, **options: Any) -> Any:
        return backward_sum(dy, saved, dx, db, *settings(options))

    replaces(pair.forward)(compiled)
    replaces(pair.backward)(compiled_gradient)
    FUSED_FORWARD[pair.forward] = biased
    FUSED_BACKWARD[pair.backward] = summed_gradient


for _pair, *_names in (
    (ReLU, "relu"),
    (LeakyReLU, "leaky_relu", "negative_slope"),
    (ELU, "elu", "alpha"),
    (Sigmoid, "sigmoid"),
    (Tanh, "tanh"),
    (GELU, "gelu"),
    (SiLU, "silu"),
    (Softplus, "softplus"),
):
    _enter(_pair, *_names)
