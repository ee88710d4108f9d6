"""How do gradients come about? Nodes that remember a call, and one sweep over them from the result to the leaves."""

import contextlib
import itertools
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from backends.backend import Backend
from backends.kernels.pair import Array
from backends.kernels.reduction import Accumulate
from engine.errors import GradientError
from engine.operations.core import Operation

_numbers = itertools.count()


class _Mode(threading.local):
    enabled = True

    def __init__(self) -> None:
        self.before: list[bool] = []  # what each open block of no_grad found, the innermost last


mode = _Mode()
"""Whether operations are recorded, for each thread by itself."""


class no_grad(contextlib.ContextDecorator):  # noqa: N801  # used as a block, like PyTorch's
    """A block (or, as ``@no_grad()``, a function) in which operations are not recorded, and leaves may be changed in place.

    >>> import engine as en
    >>> x = en.tensor(2.0, requires_grad=True)
    >>> with en.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """

    def __enter__(self) -> None:
        mode.before.append(mode.enabled)
        mode.enabled = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode.enabled = mode.before.pop()


class Node:
    """One call of an operation: what it was given, what it saved, and where its gradients go.

    Attributes:
        operation, backend: what was called, and where.
        inputs: for each input the Node that made it, a leaf Tensor, or a constant.
        needed: for each input whether a gradient goes there.
        saved: what the operation's backward asked for; it lives as long as the output.
        versions: (counter, value) of each saved tensor: a changed counter is a change in place.
        number: nodes count up as they are made, so every node's inputs have smaller numbers.
        gradient: kept by `retain_grad` only.
    """

    __slots__ = (
        "backend",
        "dtype",
        "gradient",
        "inputs",
        "name",
        "needed",
        "number",
        "operation",
        "retains",
        "saved",
        "shape",
        "versions",
    )

    def __init__(
        self,
        operation: Operation,
        backend: Backend,
        inputs: tuple[Any, ...],
        needed: tuple[bool, ...],
        saved: Any,
        versions: Sequence[tuple[list[int], int]],
        output: Array,
    ) -> None:
        self.operation = operation
        self.backend = backend
        self.inputs = inputs
        self.needed = needed
        self.saved = saved
        self.versions = versions
        self.shape = output.shape
        self.dtype = output.dtype
        self.number = next(_numbers)
        self.name: str | None = None
        self.retains = False
        self.gradient: Array = None

    def gradients(self, incoming: Array) -> Sequence[Any]:
        """The gradient of every input, given that of the output."""
        for counter, value in self.versions:
            if counter[0] != value:
                raise GradientError(
                    f"backward of {self.operation.label}: a tensor that it needs was changed in place after it was used. "
                    f"Change it after backward(), or use an expression that makes a new tensor."
                )
        if self.operation.takes_backend:
            return self.operation.backward(self.backend, self.saved, incoming, self.needed)
        results = self.operation.backward(self.saved, incoming, self.needed)
        return _checked(self, results)


def _checked(node: Node, results: Any) -> Sequence[Any]:
    """A user's gradients, if they are as many as the inputs and each has its input's shape and dtype."""
    name = type(node.operation).__name__
    if not isinstance(results, (tuple, list)) or len(results) != len(node.inputs):
        given = f"{len(results)} gradients" if isinstance(results, (tuple, list)) else type(results).__name__
        raise GradientError(f"{name}.backward returned {given}; return a tuple with one for each of {len(node.inputs)} inputs.")
    arrays: list[Any] = []
    for position, (source, wanted, gradient) in enumerate(zip(node.inputs, node.needed, results, strict=True)):
        if not wanted:
            arrays.append(None)
            continue
        if gradient is None:
            raise GradientError(f"{name}.backward returned None for input {position}, whose gradient is needed.")
        array = node.backend.asarray(gradient, source.dtype)
        if array.shape != source.shape:
            raise GradientError(
                f"{name}.backward: the gradient of input {position} has shape {array.shape}; it must be {source.shape}."
            )
        arrays.append(array)
    return arrays


def reachable(root: Node) -> list[Node]:
    """The nodes that a gradient from the root passes, each before those that made its inputs.

    A list on the heap instead of recursion: a chain of 10,000 nodes is nothing special.
    """
    seen = {root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for source, wanted in zip(node.inputs, node.needed, strict=True):
            if wanted and type(source) is Node and source not in seen:
                seen.add(source)
                waiting.append(source)
    return sorted(seen, key=_number, reverse=True)


def _number(node: Node) -> int:
    return node.number


def sweep(root: Node, incoming: Array) -> None:
    """Reverse mode: hand the incoming gradient to the root, and every node's gradients on to its inputs.

    A node's gradient is the sum over the routes from the root to it; it is complete when the node's turn comes, because
    every node comes after those that use it. Each edge is passed once. Gradients are dropped as they are used up; those
    of leaves add to what the leaf has.

    Source: lecture 000, "Derivative of a node by another: sum over paths"; lecture 002, "Gradients add at branches".
    """
    gradients: dict[Node, Array] = {root: incoming}
    summed: set[Node] = set()  # nodes whose gradient is an array of the sweep's own, which may be added to
    for node in reachable(root):
        gradient = gradients.pop(node)
        if node.retains:
            node.gradient = _total(node, node.gradient, gradient, node.gradient)
        fresh = node.operation.takes_backend  # a user's backward may return what it saved
        for source, wanted, part in zip(node.inputs, node.needed, node.gradients(gradient), strict=True):
            if not wanted:
                continue
            if type(source) is not Node:
                source.accumulate(part, owned=fresh and part is not gradient and part.base is None)
            elif source not in gradients:
                gradients[source] = part
            else:
                gradients[source] = _total(source, gradients[source], part, gradients[source] if source in summed else None)
                summed.add(source)


def _total(node: Node, a: Array, b: Array, into: Array) -> Array:
    """a + b, in a new array unless one is given; b alone, copied, where there is no a yet."""
    backend = node.backend
    if a is None:
        return b.copy()
    total = backend.empty(a.shape, a.dtype) if into is None else into
    backend.kernel(Accumulate.forward)(backend.xp, a, b, total=total)
    return total
