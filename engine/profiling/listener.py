"""What does a step do, and how long does each operation take? A listener that hears of every kernel of one thread.

The engine itself knows nothing of this: while a step is watched, watching versions stand in for the backends' ways to
kernels and memory, for the forward functions of layers, for losses, optimizers and what else may call a kernel, and
for the graph's nodes. From these the listener knows for whom a kernel computes; a node remembers in which layer it was
made, so that its gradients count for that layer.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from backends.backend import Backend, Kernel
from backends.devices import _backends
from engine import autodiff, value
from engine.averaging import ExponentialMovingAverage
from engine.data.batches import Batches, Gatherer
from engine.layers.layer import Layer
from engine.losses.loss import Loss
from engine.metrics.accumulators import Metric
from engine.operations import shape
from engine.optimizers.optimizer import Optimizer
from engine.penalties import Penalty
from engine.profiling.ledger import BACKWARD, FORWARD, OTHER, Ledger, Owner, clock
from engine.profiling.work import Kind, bytes_of, kind_of
from engine.recording.capture import Capture
from engine.tensor import Parameter, Tensor
from engine.watching import Watching


class Listener(Watching):
    """A block in which the calls of this thread are heard; enter it for each run, and `take` what was heard.

    Attributes:
        layers: the layers that were called, in order, by id; held, so that no other object gets one's id.
        roots: those of them that no other layer called.
        captures: the captured functions that were called; they run eagerly while this listens.
        devices: the names of those that kernels ran on, in order.
        ledger: of the run that is heard.
    """

    def __init__(self) -> None:
        super().__init__(self._hears)
        self.layers: dict[int, Layer] = {}
        self.roots: dict[int, Layer] = {}
        self.captures: dict[int, Capture[Any, Any]] = {}
        self.devices: dict[str, None] = {}
        self._kinds: dict[Any, Kind] = {}
        self._thread = threading.get_ident()
        self._on = False
        self._cost = min(-clock() + clock() for _ in range(1000))
        self._begin()

    def _begin(self) -> None:
        self.ledger = Ledger(self._hears, self._cost)
        self._nodes: dict[int, Owner] = {}  # by number: a node that is held would hold what it saved
        self._owners: dict[int, tuple[Parameter, int]] = {}

    def _hears(self) -> bool:
        return self._on and threading.get_ident() == self._thread

    def __enter__(self) -> None:
        try:
            for backend in {id(one): one for one in _backends.values()}.values():
                self._backend(backend)
            self._graph()
            self._layers()
            self._others()
            self._eagerly()
        except BaseException:
            self.put_back()
            raise
        self._on = True

    def __exit__(self, *error: object) -> None:
        self._on = False  # whoever has kept a watching function is not heard any more
        self.put_back()

    def take(self) -> Ledger:
        """What was heard since the last time."""
        ledger = self.ledger
        self._begin()
        return ledger

    # -- what is watched -------------------------------------------------------------------------------

    def _backend(self, backend: Backend) -> None:
        kernel, wait = backend.kernel, waiting(backend)

        def watched_kernel(definition: Kernel) -> Kernel:
            function: Kernel = kernel(definition)
            if not self._hears():
                return function
            kind = self._kinds.get(definition)
            if kind is None:
                kind = self._kinds[definition] = kind_of(definition)
            self.devices[backend.device] = None

            def call(*inputs: Any, **options: Any) -> None:
                self.ledger.timed(kind, wait, function, inputs, options)

            return call

        self.replace(backend, "kernel", watched_kernel)
        for name in ("empty", "zeros", "copy"):
            self.replace(backend, name, self._counting(getattr(backend, name)))

    def _counting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """A way to make arrays that counts them."""

        def made(*inputs: Any, **options: Any) -> Any:
            array = make(*inputs, **options)
            if self._hears():
                self.ledger.allocated += bytes_of(array)
                self.ledger.arrays += 1
            return array

        return made

    def _graph(self) -> None:
        """Nodes remember for whom they were made; operations of a user's own are timed as a whole."""

        def make_node(original: Any, node: Any, *rest: Any) -> None:
            original(node, *rest)
            self._nodes[node.number] = self.ledger.places[-1][0]

        def gradients(original: Any, node: Any, *inputs: Any) -> Any:
            owner = self._nodes.get(node.number, OTHER)
            if node.operation.takes_backend:
                return self.ledger.called_for(owner, BACKWARD, original, (node, *inputs), {})
            kind = Kind(f"{type(node.operation).__name__}.backward")

            def moved(result: Any) -> int:
                return bytes_of(inputs, node.saved, result)

            call: Any = (kind, waiting(node.backend), original, (node, *inputs), {}, moved)
            return self.ledger.called_for(owner, BACKWARD, self.ledger.timed, call, {})

        def user_forward(original: Any, operation: Any, backend: Any, arrays: Any) -> Any:
            kind = Kind(f"{type(operation).__name__}.forward")

            def moved(result: Any) -> int:
                return bytes_of(arrays, result[0])

            return self.ledger.timed(kind, waiting(backend), original, (operation, backend, arrays), {}, moved)

        def total(original: Any, node: Any, *inputs: Any) -> Any:
            return self.ledger.called_for(self._nodes.get(node.number, OTHER), BACKWARD, original, (node, *inputs), {})

        def backward(original: Any, tensor: Any, *inputs: Any, **options: Any) -> Any:
            owner = OTHER if tensor._node is None else self._nodes.get(tensor._node.number, OTHER)
            return self.ledger.called_for(owner, BACKWARD, original, (tensor, *inputs), options)

        def accumulate(original: Any, tensor: Any, *inputs: Any, **options: Any) -> Any:
            known = self._owners.get(id(tensor))
            owner = self.ledger.places[-1][0] if known is None else known[1]
            return self.ledger.called_for(owner, BACKWARD, original, (tensor, *inputs), options)

        def picked(original: Any, backend: Any, *inputs: Any) -> Any:
            return self.ledger.timed(_PICK, waiting(backend), original, (backend, *inputs), {}, _copied)

        self.watch(autodiff.Node, "__init__", make_node)
        self.watch(autodiff.Node, "gradients", gradients)
        self.watch(autodiff, "_total", total)
        self.watch(value, "_user_forward", user_forward)
        self.watch(Tensor, "backward", backward)
        self.watch(Tensor, "accumulate", accumulate)
        self.watch(shape, "picked", picked)

    def _layers(self) -> None:
        def forward(original: Any, layer: Any, *inputs: Any, **options: Any) -> Any:
            number = id(layer)
            if self.ledger.places[-1][0] == number:  # a forward that calls that of the class above it
                return original(layer, *inputs, **options)
            if number not in self.ledger.calls:
                self._meet(layer)
            self.ledger.calls[number] += 1
            return self.ledger.called_for(number, FORWARD, original, (layer, *inputs), options)

        for kind in kinds(Layer, "forward"):
            self.watch(kind, "forward", forward)

    def _meet(self, layer: Layer) -> None:
        """A layer is called for the first time in this run."""
        number = id(layer)
        self.ledger.calls[number] = 0
        self.layers[number] = layer
        if not any(isinstance(owner, int) for owner, _ in self.ledger.places):
            self.roots[number] = layer
        for member in layer._members.values():
            if isinstance(member, Parameter):
                self._owners.setdefault(id(member), (member, number))

    def _others(self) -> None:
        """Losses, optimizers and their kin: what is computed in them is theirs."""

        def owned_by(owner: str) -> Callable[..., Any]:
            def call(original: Any, *inputs: Any, **options: Any) -> Any:
                return self.ledger.called_for(owner, FORWARD, original, inputs, options)

            return call

        for root, owner, names in (
            (Loss, "loss", ("__call__",)),
            (Penalty, "penalty", ("__call__",)),
            (Optimizer, "optimizer", ("step", "zero_grad", "clip_norm", "clip_value", "scale_gradients")),
            (Optimizer, "optimizer", ("gradient_norm", "squared_norms")),
            (Gatherer, "batch", ("batch",)),
            (ExponentialMovingAverage, "weight average", ("update",)),
        ):
            for name in names:
                for kind in kinds(root, name):
                    self.watch(kind, name, owned_by(owner))

        # These compute by the array module itself: they are timed as a whole.
        def gather(original: Any, batches: Any, *inputs: Any) -> Any:
            call: Any = (_GATHER, waiting(batches.backend), original, (batches, *inputs), {}, _copied)
            return self.ledger.called_for("batch", FORWARD, self.ledger.timed, call, {})

        def count(original: Any, metric: Any, *inputs: Any) -> Any:
            def moved(result: Any) -> int:
                return bytes_of([getattr(one, "array", one) for one in inputs])

            call: Any = (Kind(f"{type(metric).__name__}.update"), None, original, (metric, *inputs), {}, moved)
            return self.ledger.called_for("metrics", FORWARD, self.ledger.timed, call, {})

        self.watch(Batches, "_tensor", gather)
        for kind in kinds(Metric, "update"):
            self.watch(kind, "update", count)

    def _eagerly(self) -> None:
        """Captured functions run as they would without `en.capture`."""

        def run(original: Any, capture: Any, *inputs: Any, **options: Any) -> Any:
            self.captures[id(capture)] = capture
            return capture.function(*inputs, **options)

        self.watch(Capture, "__call__", run)


_PICK = Kind("Index.forward", rule=lambda given: 0)
_GATHER = Kind("gather of rows", rule=lambda given: 0)


def _copied(result: Any) -> int:
    """Bytes that a copy of elements moves; a view moves none."""
    array = getattr(result, "array", result)
    return 2 * bytes_of(array) if array.base is None else 0


class Eagerly(Listener):
    """A block in which captured functions run eagerly, and nothing is heard."""

    def __enter__(self) -> None:
        self._eagerly()
        self._on = True


def waiting(backend: Backend) -> Callable[[], None] | None:
    """How to wait for a device; None for one that is done when a call returns."""
    return None if type(backend).synchronize is Backend.synchronize else backend.synchronize


def kinds(root: type, name: str) -> Iterator[type]:
    """A class, which has this method, and those below it that define it anew."""
    left, seen = [root], {root}
    while left:
        kind = left.pop()
        if kind is root or name in vars(kind):
            yield kind
        nearest: list[type] = kind.__subclasses__()
        for below in nearest:
            if below not in seen:
                seen.add(below)
                left.append(below)
