"""How does every output change with every input? Jacobians by reverse mode, and gradients by differences."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from backends.kernels.pair import Array
from engine.checks.reverse import leaf_gradients, recording, tensor_result, unit
from engine.errors import ArgumentError, DtypeError, ShapeError, unknown_name
from engine.tensor import Tensor

SCHEMES = ("central", "forward")


@overload
def jacobian(function: Callable[..., Tensor], x: Tensor | np.ndarray[Any, Any]) -> Tensor: ...


@overload
def jacobian(function: Callable[..., Tensor], x: Sequence[Any]) -> tuple[Tensor, ...]: ...


def jacobian(function: Callable[..., Tensor], x: Any) -> Tensor | tuple[Tensor, ...]:
    """J[i, j] = dy_i / dx_j: row i is the gradient of output i, one backward sweep a row over one recorded graph.

    Args:
        function: takes the inputs as Tensors, returns one Tensor.
        x: a Tensor or an array of floats, or a list of several; the function gets copies, so neither their values nor
            their gradients are touched.

    Returns:
        A Tensor of shape (*output shape, *input shape) in the input's dtype; for a list of inputs a tuple of one each.

    Raises:
        DtypeError: an input is not of floats, or the function returns no Tensor of floats.

    Source: lecture 001, "Jacobian Matrix". For y = x w with x a row, dy/dx is w transposed: rows index outputs.

    >>> import engine as en
    >>> w = en.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]])
    >>> jacobian(lambda x: x @ w, en.tensor([3.0, 4.0])).tolist()
    [[1.0, 0.5], [0.0, 1.0], [2.0, 1.0]]
    """
    several = isinstance(x, (list, tuple)) and any(getattr(one, "shape", None) is not None for one in x)
    leaves = [_leaf("jacobian", one, requires_grad=True) for one in (x if several else [x])]
    with recording(True):
        output = tensor_result("jacobian", function(*leaves))
    backend = output.backend
    rows = [backend.zeros((output.size, leaf.size), leaf.dtype) for leaf in leaves]
    if output.requires_grad:
        for element in range(output.size):
            gradients = leaf_gradients(output, unit(output, element), leaves)
            for row, gradient in zip(rows, gradients, strict=True):
                if gradient is not None:
                    row[element] = gradient.reshape(-1)
    results = tuple(
        Tensor.wrap(row.reshape((*output.shape, *leaf.shape)), backend) for row, leaf in zip(rows, leaves, strict=True)
    )
    return results if several else results[0]


def numerical_gradient(function: Callable[[Tensor], Any], x: Any, h: float = 1e-4, scheme: str = "central") -> Tensor:
    """The gradient from values of the function alone, one weight at a time.

    forward: (L(w + h) - L(w)) / h, n + 1 evaluations, an error of order h;
    central: (L(w + h) - L(w - h)) / 2h, 2n evaluations, an error of order h^2.
    The divisor is the step that the dtype could really take: w + h is rounded.

    Args:
        function: takes a Tensor, returns one number (a Tensor with one element, or a float).
        x: a Tensor or an array of floats; a copy is perturbed. In float32 rounding is the larger error.
        h: the step, above 0.
        scheme: "central" or "forward".

    Returns:
        A Tensor in x's shape, dtype and place.

    Raises:
        UnknownNameError, ArgumentError, DtypeError, ShapeError: an unknown scheme; h that is not above 0, or too small
            to change x; x not of floats; a function that returns more than one number.

    Source: lecture 003, "Evaluating the gradient numerically".

    >>> import engine as en
    >>> numerical_gradient(lambda x: (x * x).sum(), en.tensor([1.0, 3.0], dtype="float64")).numpy().round(6).tolist()
    [2.0, 6.0]
    """
    if scheme not in SCHEMES:
        raise unknown_name("numerical_gradient: scheme", scheme, SCHEMES)
    check_step("numerical_gradient", h)
    work = _leaf("numerical_gradient", x, requires_grad=False)
    values, gradient = work.array, np.zeros(work.shape)

    def place(value: Array) -> float:
        return float(work.backend.to_host(value))

    with recording(False):
        start = _number(function(work)) if scheme == "forward" else 0.0
        for element in np.ndindex(work.shape):
            here = values[element].copy()
            values[element] = here + h
            above, upper = _number(function(work)), place(values[element])
            if scheme == "forward":
                below, lower = start, place(here)
            else:
                values[element] = here - h
                below, lower = _number(function(work)), place(values[element])
            values[element] = here
            if upper == lower:
                raise ArgumentError(
                    f"numerical_gradient: h {h!r} is lost in the rounding of {upper:g} in {work.dtype}; use a larger h."
                )
            gradient[element] = (above - below) / (upper - lower)
    return Tensor.wrap(work.backend.asarray(gradient, work.dtype), work.backend)


def check_step(owner: str, h: float) -> None:
    """Refuse a step of differences that is not a finite number above 0."""
    if isinstance(h, bool) or not isinstance(h, (int, float, np.number)) or not 0 < h < np.inf:
        raise ArgumentError(f"{owner}: h {h!r} was given; the step is a finite number above 0, such as 1e-4.")


def _leaf(owner: str, data: Any, requires_grad: bool) -> Tensor:
    """A copy of an input, without history."""
    leaf = Tensor(data, name=data.name if isinstance(data, Tensor) else None)
    if leaf.dtype.kind != "f":
        raise DtypeError(
            f'{owner}: an input is of {leaf.dtype}; only floats have derivatives: convert it, .to(dtype="float64").'
        )
    return leaf.requires_grad_(requires_grad)


def _number(result: Any) -> float:
    if isinstance(result, Tensor) and result.size != 1:
        raise ShapeError(
            f"numerical_gradient: the function returned shape {result.shape}; it must return one number. Use sum()."
        )
    try:
        return float(result)
    except (TypeError, ValueError):
        raise DtypeError(
            f"numerical_gradient: the function returned {type(result).__name__}; it must return one number."
        ) from None
