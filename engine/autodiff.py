"""How do gradients come about? Nodes that remember a call, and one sweep over them from the result to the leaves."""

import contextlib
import heapq
import itertools
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from backends.kernels.reduction import Accumulate
from backends.kernels.shape import Copy
from engine.errors import GradientError
from engine.operations.core import Operation

next_number = itertools.count().__next__
"""Nodes and changes in place count together: which came later can be told."""


class _Mode(threading.local):
    enabled = True

    def __init__(self) -> None:
        self.before: list[bool] = []  # what each open block of no_grad found, the innermost last


mode = _Mode()
"""Whether operations are recorded, for each thread by itself."""


class no_grad(contextlib.ContextDecorator):  # noqa: N801  # used as a block, like PyTorch's
    """A block (or, as ``@no_grad()``, a function) without recording, in which leaves may be changed in place.

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


class Version:
    """When the values that some tensors share were last changed in place, and last moved to another array.

    Both count with the nodes' numbers: a larger one than a node's is later than that call.
    """

    __slots__ = ("changed", "moved")
    latest: ClassVar[int] = -1  # the last change of all

    def __init__(self) -> None:
        self.changed = self.moved = -1

    def change(self) -> None:
        """Note a change now."""
        self.changed = Version.latest = next_number()

    def move(self) -> None:
        """Note that the values are in another array from now on."""
        self.moved = next_number()


class Node:
    """One call of an operation: what it was given, what it saved, and where its gradients go.

    Attributes:
        operation, backend: what was called, and where.
        inputs: for each input the Node that made it, a leaf Tensor, or a constant.
        needed: for each input whether a gradient goes there.
        saved: what the operation's backward asked for; it lives as long as the output.
        number: nodes count up as they are made, so every node's inputs have smaller numbers.
        gradient: kept by `retain_grad` only.
    """

    __slots__ = (
        "_output",
        "_version",
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
    )

    def __init__(
        self,
        operation: Operation,
        backend: Backend,
        inputs: Sequence[Any],
        needed: Sequence[bool],
        saved: Any,
        output: Array,
    ) -> None:
        self.operation = operation
        self.backend = backend
        self.inputs = inputs
        self.needed = needed
        self.saved = saved
        self.shape = output.shape
        self.dtype = output.dtype
        self.number = next_number()
        self._version: Version | None = None  # of the output, once another tensor shares its memory
        self.name: str | None = None
        self.retains = False
        self.gradient: Array = None

    def watched(self, output: Array, version: Version | None = None) -> Version:
        """Note changes of the output from now on, in the given record where there is none yet."""
        if self._version is None:
            self._version = Version() if version is None else version
            self._output = id(output)  # not the array: a node keeps what backward needs, and no more
        return self._version

    def outdated(self) -> bool:
        """Whether something that was saved has been changed in place since."""
        for source in (*self.inputs, self):
            version = getattr(source, "_version", None)
            if version is not None and version.changed > self.number and self._saved(source, version):
                return True
        return False

    def _saved(self, source: Any, version: Version) -> bool:
        if version.moved > self.number:
            return True  # which array it had then is not known any more
        wanted = source._output if type(source) is Node else id(source.array)
        return wanted in map(id, self.saved if type(self.saved) is tuple else (self.saved,))

    def gradients(self, incoming: Array) -> Sequence[Any]:
        """The gradient of every input, given that of the output."""
        if Version.latest > self.number and self.outdated():
            raise GradientError(
                f"backward of {self.operation.label}: a tensor that it needs was changed in place after it was used. "
                f"Change it after backward(), or use an expression that makes a new tensor."
            )
        if self.operation.takes_backend:
            return self.operation.backward(self.backend, self.saved, incoming, self.needed)
        with read_only((incoming,)):
            results = self.operation.backward(self.saved, incoming, self.needed)
        return _checked(self, results)


@contextlib.contextmanager
def read_only(arrays: Sequence[Any]) -> Iterator[None]:
    """A block of a user's code, which must not change the arrays that it is handed: others use them too.

    NumPy refuses it there; CuPy's arrays have no such mark.
    """
    held = [one for one in arrays if isinstance(one, np.ndarray) and one.flags.writeable]
    for one in held:
        one.flags.writeable = False
    try:
        yield
    finally:
        for one in held:
            one.flags.writeable = True


def _checked(node: Any, results: Any) -> Sequence[Any]:
    """A user's gradients, if they are as many as the inputs and each has its input's shape and dtype."""
    name = type(node.operation).__name__
    if not isinstance(results, (tuple, list)) or len(results) != len(node.inputs):
        given = f"{len(results)} gradients" if isinstance(results, (tuple, list)) else type(results).__name__
        raise GradientError(
            f"{name}.backward returned {given}; return a tuple with one for each of {len(node.inputs)} inputs."
        )
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
    waiting = [(-root.number, root)]  # a heap: the node made last comes first
    while waiting:
        node = heapq.heappop(waiting)[1]
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
                heapq.heappush(waiting, (-source.number, source))
            else:
                gradients[source] = _total(
                    source, gradients[source], part, gradients[source] if source in summed else None
                )
                summed.add(source)


def _total(node: Node, a: Array, b: Array, into: Array) -> Array:
    """a + b, in a new array unless one is given; b alone, copied, where there is no a yet."""
    backend = node.backend
    if a is None:
        total = backend.empty(b.shape, b.dtype)
        backend.kernel(Copy.forward)(backend.xp, b, y=total)
        return total
    total = backend.empty(a.shape, a.dtype) if into is None else into
    backend.kernel(Accumulate.forward)(backend.xp, a, b, total=total)
    return total
