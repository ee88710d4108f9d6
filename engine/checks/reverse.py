"""How are gradients read without a trace? The backward sweep once more, handing out what flows along each edge."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from backends.kernels.pair import Array
from engine import autodiff
from engine.autodiff import Node
from engine.errors import DtypeError
from engine.tensor import Tensor


@contextmanager
def recording(enabled: bool) -> Iterator[None]:
    """A block in which operations are recorded, or not, whatever holds around it."""
    before = autodiff.mode.enabled
    autodiff.mode.enabled = enabled
    try:
        yield
    finally:
        autodiff.mode.enabled = before


def reverse(root: Node, incoming: Array) -> Iterator[tuple[Node, Array, Sequence[Any]]]:
    """Every node from the root down, with its whole gradient and what it hands to each of its inputs."""
    gradients: dict[Node, Array] = {root: incoming}
    for node in autodiff.reachable(root):
        gradient = gradients.pop(node)
        parts = node.gradients(gradient)
        yield node, gradient, parts
        for source, wanted, part in zip(node.inputs, node.needed, parts, strict=True):
            if wanted and type(source) is Node:
                # A new array each time: parts may be views of what a node saved.
                gradients[source] = node.backend.asarray(gradients[source] + part) if source in gradients else part


def leaf_gradients(output: Tensor, incoming: Array, leaves: Sequence[Tensor]) -> list[Array | None]:
    """The gradient of each leaf, given that of the output; None for a leaf that the output does not depend on."""
    found: dict[int, Array] = {}
    if output._node is None:
        found[id(output)] = incoming
    else:
        for node, _, parts in reverse(output._node, incoming):
            for source, wanted, part in zip(node.inputs, node.needed, parts, strict=True):
                if wanted and type(source) is not Node:
                    key = id(source)
                    found[key] = node.backend.asarray(found[key] + part) if key in found else part
    return [found.get(id(leaf)) for leaf in leaves]


def unit(output: Tensor, element: int) -> Array:
    """The incoming gradient that asks for one element of the output: 1 there, 0 elsewhere."""
    array = output.backend.zeros((output.size,), output.dtype)
    array[element] = 1
    return array.reshape(output.shape)


def tensor_result(owner: str, result: Any) -> Tensor:
    """What a checked function returned, if it is a Tensor of floats."""
    if not isinstance(result, Tensor):
        raise DtypeError(f"{owner}: the function returned {type(result).__name__}; it must return one Tensor.")
    if result.dtype.kind != "f":
        raise DtypeError(
            f'{owner}: the function returned a tensor of {result.dtype}; floats have derivatives: .to(dtype="float64").'
        )
    return result
