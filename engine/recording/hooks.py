"""How does a recorder learn what the engine does? Methods and attributes are watched while a function is recorded.

The engine itself knows nothing of this. For as long as a recording lasts, the methods below are replaced by watching
ones, and a few attributes tell when they are read or set. In other threads, and where the recorder does not listen,
these do what the originals do; afterwards the originals are put back.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, ClassVar

from backends.kernels.pair import Array
from engine import autodiff, operators, value
from engine.averaging import ExponentialMovingAverage
from engine.convert import host_array
from engine.data.batches import Gatherer
from engine.divergence import FiniteCheck, Undo
from engine.layers.layer import Layer
from engine.layers.normalization import BatchNorm
from engine.layers.regularization import RandomLayer
from engine.losses.classification import BinaryCrossEntropy, CrossEntropy
from engine.losses.loss import Loss
from engine.metrics import forms
from engine.metrics.accumulators import FunctionMetric, Metric
from engine.operations import loss as loss_operations, shape
from engine.optimizers.optimizer import Optimizer
from engine.recording.memory import arrays_in
from engine.recording.recorder import Recorder
from engine.scaling import LossScale
from engine.tensor import Tensor
from engine.value import Value
from engine.watching import MISSING, Watching

tensors = sys.modules[Tensor.__module__]  # engine.tensor is a function


NOBODY = Recorder()
"""Whom the hooks tell between two recordings: it does not listen."""
NOBODY.quiet = 1


class Hooks(Watching):
    """What stands in for methods and attributes while a recorder listens.

    It is made once, and again where others stand there than did then (a profiler's, for example): `put_in` before a
    recording and `put_back` after it only set attributes.

    Attributes:
        recorder: whom it tells.
    """

    last: "ClassVar[Hooks | None]" = None

    def __init__(self) -> None:
        super().__init__(self._listens)
        self.recorder = NOBODY
        self._stand_ins: list[tuple[Any, str, Any, Any]] = []
        self._attributes()
        self._graph()
        self._tensors()
        self._layers_and_losses()
        self._optimizers()
        self._refusals()

    def _listens(self) -> bool:
        return self.recorder.listens()

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Have `put_in` set an attribute of a class or a module."""
        self._stand_ins.append((owner, name, vars(owner).get(name, MISSING), new))

    def fits(self) -> bool:
        """Whether it stands in for what is there now."""
        return all([vars(owner).get(name, MISSING) is before for owner, name, before, _ in self._stand_ins])

    def put_in(self) -> None:
        """Stand in from now on, until `put_back`."""
        for owner, name, _, new in self._stand_ins:
            super().replace(owner, name, new)

    def put_back(self) -> None:
        """Leave everything as it was."""
        super().put_back()
        self.recorder = NOBODY

    # -- ways of watching ------------------------------------------------------------------------------

    def _refuse(self, owner: Any, name: str, why: str) -> None:
        """Note that a function that calls this cannot be recorded."""

        def refusing(original: Any, *inputs: Any, **options: Any) -> Any:
            self.recorder.refuse(why)
            return original(*inputs, **options)

        self.watch(owner, name, refusing)

    def _again(self, owner: Any, name: str) -> None:
        """Have every replay call this method again, with the same arguments."""
        method = not isinstance(vars(owner)[name], staticmethod)

        def repeated(original: Any, *inputs: Any) -> Any:
            with self.recorder.aside():
                result = original(*inputs)
            if method:
                self.recorder.action(MethodType(original, inputs[0]), *inputs[1:])
            else:
                self.recorder.action(original, *inputs)
            return result

        self.watch(owner, name, repeated)

    def _keeps(self, owner: Any, name: str, array_of: Callable[[Any], Array]) -> None:
        """Note that what this returns is made once and kept from call to call."""

        def kept(original: Any, *inputs: Any) -> Any:
            with self.recorder.aside():
                result = original(*inputs)
            self.recorder.persists(array_of(result))
            return result

        self.watch(owner, name, kept)

    # -- what is watched -------------------------------------------------------------------------------

    def _attributes(self) -> None:
        """A function depends on the values, modes and gradients that it reads, and a replay sets those that it sets."""

        def mode_read(recorder: Recorder, layer: Any) -> None:
            recorder.state(layer, "training")

        def mode_set(recorder: Recorder, layer: Any) -> None:
            recorder.changed(layer, "training")

        def requirement_set(recorder: Recorder, tensor: Any) -> None:
            if tensor._node is None:
                recorder.changed(tensor, "requires_grad")

        for owner, name, is_read, is_set in (
            (Value, "array", Recorder.reads, None),
            (Value, "requires_grad", Recorder.reads, requirement_set),
            (Tensor, "_gradient", Recorder.gradient_read, Recorder.gradient_set),
            (Layer, "training", mode_read, mode_set),
        ):
            self.replace(owner, name, WatchedAttribute(owner, name, self, is_read, is_set))

    def _graph(self) -> None:
        """A user's own operations are called again by every replay; views stay views, and copies are made anew."""

        def user_forward(original: Any, operation: Any, backend: Any, arrays: list[Any]) -> tuple[Array, Any]:
            return self.recorder.user_forward(operation, backend, arrays, original)

        def make_node(original: Any, node: Any, operation: Any, *rest: Any) -> None:
            original(node, operation, *rest)
            if not operation.takes_backend:
                self.recorder.user_node(node)

        def gradients(original: Any, node: Any, incoming: Array) -> Any:
            if node.operation.takes_backend:
                return original(node, incoming)
            with self.recorder.aside():
                given = original(node, incoming)
            return self.recorder.user_backward(node, incoming, given, autodiff._checked)

        def picked(original: Any, backend: Any, x: Array, index: Any) -> Array:
            with self.recorder.aside():
                y = original(backend, x, index)
            return self.recorder.picked(backend, x, index, y)

        self.watch(value, "_user_forward", user_forward)
        self.watch(autodiff.Node, "__init__", make_node)
        self.watch(autodiff.Node, "gradients", gradients)
        self.watch(shape, "picked", picked)
        self._keeps(loss_operations, "_rows", lambda rows: rows)

    def _tensors(self) -> None:
        """Tensors that are made, changed in place, or given a gradient."""

        def make_tensor(original: Any, tensor: Any, *inputs: Any, **options: Any) -> None:
            self.recorder.made(tensor)
            original(tensor, *inputs, **options)

        def touched(original: Any, tensor: Any) -> None:
            original(tensor)
            self.recorder.note(self.recorder.touched, tensor, MethodType(original, tensor))

        def accumulate(original: Any, tensor: Any, gradient: Array, owned: bool) -> None:
            self.recorder.note(self.recorder.gradient_comes, tensor, gradient)
            original(tensor, gradient, owned)

        def host_array(original: Any, data: Any, *options: Any) -> Array:
            array = original(data, *options)
            self.recorder.constant(array, data)
            return array

        self.watch(Tensor, "__init__", make_tensor)
        self.watch(Tensor, "touched", touched)
        self.watch(Tensor, "accumulate", accumulate)
        for module in (tensors, operators):
            self.watch(module, "host_array", host_array)

    def _layers_and_losses(self) -> None:
        """Settings that are numbers of a kernel, arrays that are kept, and checks of values."""

        def normalize(original: Any, layer: Any, x: Any) -> Any:
            self.recorder.values(layer, "momentum", "eps")
            return original(layer, x)

        def move(original: Any, layer: Any, backend: Any) -> None:
            before = layer._counter
            with self.recorder.aside():
                original(layer, backend)
            if layer._counter is not before:
                self.recorder.postpone()

        def counter(original: Any, layer: Any, x: Any) -> Any:
            result = original(layer, x)
            self.recorder.holds(layer, "_counter")
            self.recorder.values(layer, "_key", *(name for name in ("rate", "drop") if hasattr(layer, name)))
            return result

        def beside(original: Any, loss: Any, prediction: Any, values: Any, what: str) -> Any:
            if not isinstance(values, Value) and not arrays_in(values):
                values, numbers = host_array(values), values
                self.recorder.constant(values, numbers)
            return original(loss, prediction, values, what)

        def count(original: Any, metric: Any, output: Any, target: Any) -> None:
            self.recorder.python(MethodType(original, metric), output, target)

        def scaled(original: Any, scale: Any, *inputs: Any) -> Any:
            for array in scale.arrays().values():
                self.recorder.persists(array)
            self.recorder.persists(scale._work)
            return original(scale, *inputs)

        def remember(original: Any, undo: Any) -> None:
            with self.recorder.aside():
                original(undo)
            if undo.buffers or undo.random_layers:
                self.recorder.action(MethodType(original, undo))

        self.watch(BatchNorm, "forward", normalize)
        self.watch(RandomLayer, "moved", move)
        self.watch(RandomLayer, "_counter_beside", counter)
        self.watch(Loss, "_beside", beside)
        self._keeps(Gatherer, "everything", lambda array: array)
        self._again(Gatherer, "gather")
        self._again(FiniteCheck, "require")
        self.watch(Undo, "remember", remember)
        for name in ("incoming", "divide", "stepped"):
            self.watch(LossScale, name, scaled)
        self._again(Loss, "_check_classes")
        self._again(Loss, "_check_range")
        self._again(Loss, "_check_weights")
        self._again(BinaryCrossEntropy, "_check_probabilities")
        self._keeps(CrossEntropy, "_class_weights", lambda weights: weights.array)
        for kind in (Metric, FunctionMetric):
            self.watch(kind, "update", count)

    def _optimizers(self) -> None:
        """The layout of the parameters is part of a recording; numbers and counts of a step are worked out anew."""

        def buffers(original: Any, optimizer: Any) -> Any:
            before = optimizer._buffers
            with self.recorder.aside():
                result = original(optimizer)
            if result is before:
                self.recorder.optimizer(optimizer)
            else:  # what was recorded works on the arrays before: the next call is worth recording
                self.recorder.postpone()
            return result

        def zero_grad(original: Any, optimizer: Any) -> None:
            self.recorder.knows_step(optimizer)
            original(optimizer)

        def alike(original: Any, optimizer: Any, members: Any) -> Any:
            stretches = original(optimizer, members)
            for first, last, _ in stretches:
                self.recorder.step_together(optimizer, [number for _, number, _ in members[first:last]])
            return stretches

        def step(original: Any, optimizer: Any, closure: Any = None) -> Any:
            result = original(optimizer, closure)
            self.recorder.action(count_step, optimizer)
            return result

        def set_scalars(original: Any, optimizer: Any, stretch: Any, group: Any) -> None:
            original(optimizer, stretch, group)
            self.recorder.action(MethodType(original, optimizer), stretch, group)
            for array in arrays_in((*stretch.arrays, *stretch.work, *stretch.scalars.values())):
                self.recorder.persists(array)

        def average(original: Any, mean: Any) -> None:
            before = mean._averages
            if before is not None:
                self.recorder.state(mean, "_averages")
                self.recorder.values(mean, "decay")
                before = list(before)
            original(mean)
            if before is None or any(one is not now for one, now in zip(before, mean._averages, strict=True)):
                self.recorder.postpone()
            for array in mean._averages:
                self.recorder.persists(array)

        self.watch(Optimizer, "buffers", buffers)
        self.watch(Optimizer, "zero_grad", zero_grad)
        self.watch(Optimizer, "step", step)
        self.watch(Optimizer, "_alike", alike)
        self.watch(Optimizer, "_set_scalars", set_scalars)
        self._again(Optimizer, "_advance")
        self.watch(ExponentialMovingAverage, "update", average)

    def _refusals(self) -> None:
        """What no replay could do again."""
        self._refuse(Tensor, "moved", "a model is moved or converted")
        self._refuse(Layer, "load_state_dict", "a saved state is loaded")
        self._refuse(RandomLayer, "reseed", "a random layer gets another seed")
        self._refuse(ExponentialMovingAverage, "applied", "averaged weights are put in place")
        self._refuse(Metric, "reset", "a metric is reset")
        self._refuse(Metric, "result", "a metric is read")

        def raw(original: Any, given: Any) -> Array:
            if isinstance(given, Value):
                self.recorder.refuse("a metric is computed")
            return original(given)

        def rate_read(original: Any, optimizer: Any) -> float:
            self.recorder.refuse("the learning rate is read")
            return float(original(optimizer))

        def rate_set(original: Any, optimizer: Any, rate: Any) -> None:
            self.recorder.refuse("the learning rate is set (give a schedule instead)")
            original(optimizer, rate)

        self.watch(forms, "_array", raw)
        rate: Any = vars(Optimizer)["learning_rate"]
        watched = property(self.watched(rate.fget, rate_read), self.watched(rate.fset, rate_set))
        self.replace(Optimizer, "learning_rate", watched)


@contextlib.contextmanager
def listening(recorder: Recorder) -> Iterator[None]:
    """A block in which a recorder hears of all that kernels do not tell; one at a time."""
    hooks = Hooks.last
    if hooks is None or not hooks.fits():
        hooks = Hooks.last = Hooks()
    hooks.recorder = recorder
    try:
        hooks.put_in()
        yield
    finally:
        hooks.put_back()


class WatchedAttribute:
    """An attribute that tells the recorder when it is read or set; its values stay in the objects themselves."""

    def __init__(self, owner: Any, name: str, hooks: Hooks, is_read: Any, is_set: Any) -> None:
        self.name, self.hooks, self.is_read, self.is_set = name, hooks, is_read, is_set
        self.default = vars(owner).get(name, MISSING)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        found = self.default if owner is None else vars(owner).get(self.name, self.default)
        if found is MISSING:
            raise AttributeError(f"{kind.__name__!r} object has no attribute {self.name!r}")
        if owner is None:
            return found
        recorder = self.hooks.recorder
        if not recorder.noting and recorder.listens():
            recorder.note(self.is_read, recorder, owner)
            found = vars(owner).get(self.name, self.default)  # the recorder may have given a gradient its place
        return found

    def __set__(self, owner: Any, value: Any) -> None:
        vars(owner)[self.name] = value
        if self.is_set is not None:
            recorder = self.hooks.recorder
            recorder.note(self.is_set, recorder, owner)

    def __delete__(self, owner: Any) -> None:
        if self.name not in vars(owner):
            raise AttributeError(self.name)
        del vars(owner)[self.name]


def count_step(optimizer: Optimizer) -> None:
    """The optimizer has taken one step more."""
    optimizer.steps += 1
