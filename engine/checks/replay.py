"""What did every node of a graph compute? The operations run forward once more, without side effects."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from backends.kernels.pair import Array
from engine.autodiff import Node
from engine.errors import GradientError
from engine.operations.dropout import Dropout, StochasticDepth
from engine.tensor import Tensor


def refuse_changed(nodes: Sequence[Node]) -> None:
    """Raise where a tensor that a node saved was changed in place since."""
    for node in nodes:
        if node.outdated():
            raise GradientError(
                f"graph: a tensor that {node.operation.label!r} needs was changed in place since; make the graph "
                f"before the update, or compute the tensor again."
            )


def output_of(node: Node, inputs: Sequence[Any]) -> Array:
    """What the node's operation gives for these inputs: arrays, numbers and None, as `apply` handed them over."""
    operation, backend = node.operation, node.backend
    # The count that gave the mask is past, but the mask is saved, and these two are linear in what they mask: forward
    # did to the values what backward does to a gradient.
    if isinstance(operation, Dropout):
        return operation.backward(backend, node.saved, inputs[0], (True,))[0]
    if isinstance(operation, StochasticDepth):
        return inputs[0] + operation.backward(backend, node.saved, inputs[1], (False, True))[1]
    with _unchanged(node):
        output, _ = operation.forward(backend, *inputs) if operation.takes_backend else operation.forward(*inputs)
    return backend.asarray(output)


@contextmanager
def _unchanged(node: Node) -> Iterator[None]:
    """A block after which the arrays that an operation holds (a batch norm's running estimates) are what they were."""
    held: list[Array] = []
    for value in vars(node.operation).values():
        held += [one for one in (value if isinstance(value, (tuple, list)) else (value,)) if node.backend.owns(one)]
    before = [array.copy() for array in held]
    try:
        yield
    finally:
        for array, copy in zip(held, before, strict=True):
            if getattr(array.flags, "writeable", True):
                node.backend.xp.copyto(array, copy)


def same(tensor: Tensor, again: Array) -> bool:
    """Whether a value computed again is the tensor's, up to what another order of summation may change."""
    eps = 2.0 ** (-13 if tensor.dtype.itemsize == 4 else -36) if tensor.dtype.itemsize > 2 else 0.1
    xp = tensor.backend.xp
    return bool(tensor.backend.to_host(xp.all(xp.isclose(tensor.array, again, rtol=eps, atol=eps, equal_nan=True))))
