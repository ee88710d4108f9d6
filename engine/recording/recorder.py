"""What does a function do while it is recorded? Every kernel call in order, and the Python state that it depends on."""

import os
import sys
from pathlib import Path
from threading import get_ident
from typing import Any, ClassVar

import numpy as np

import backends
from backends.backend import Backend, Kernel, like
from backends.devices import _backends
from backends.kernels.pair import Array
from backends.kernels.shape import Copy, Index
from engine.errors import ShapeError
from engine.layers.layer import Buffer
from engine.optimizers.optimizer import Optimizer
from engine.recording.arguments import Input
from engine.recording.memory import Memory, arrays_in, is_array, overlap, same_place
from engine.recording.user_calls import UserBackward, UserCall
from engine.tensor import Parameter, Tensor

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
OWN = tuple(f"{Path(module.__file__ or '').parent}{os.sep}" for module in (backends, sys.modules["engine"], np))
WATCHED = ("kernel", "empty", "asarray", "copy", "reshape", "to_host")


class Recorder:
    """Listens to one thread while a function runs for real.

    Attributes:
        calls: (function, arguments, named arguments) in order: what a replay runs.
        buffers: the arrays that were made meanwhile; every one is computed anew by a replay.
        known: arrays from outside that outlive the call, guarded by the objects that own them.
        constants: arrays that the function made of host data.
        guards: (object, attribute, value): what must be as it was when the recording began.
        equal: the same for values that are compared by ==.
        finals: (object, attribute) -> value after the call.
        events: the changes of those in order, (how many calls came before, object, attribute, value).
        reason, place: why the function cannot be recorded, and where in the user's file.
        postponed: whether this call set something up, so that the next one is worth recording.
        noting: whether a note is being taken; what that reads or sets is not worth another.
        current: the one that is at work, in whatever thread.
    """

    current: "ClassVar[Recorder | None]" = None

    def __init__(self) -> None:
        self.thread = get_ident()
        self.calls: list[Call] = []
        self.buffers, self.known, self.constants = Memory(), Memory(), Memory()
        self.guards: list[tuple[Any, str, Any]] = []
        self.equal: list[tuple[Any, str, Any]] = []
        self.settings: list[tuple[Any, dict[str, Any]]] = []
        self.counts: list[tuple[Any, list[int]]] = []
        self.finals: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self.events: list[tuple[int, Any, str, Any]] = []
        self.inputs: list[Input] = []
        self.reason: str | None = None
        self.place: tuple[str, int] | None = None
        self.postponed = False
        self.quiet = 0
        self.noting = False
        self._seen: dict[tuple[int, str], Any] = {}
        self._made: dict[int, Any] = {}
        self._read: dict[int, Array] = {}  # parameters and buffers, by identity, and the array that is guarded
        self._user_calls: dict[int, tuple[Any, UserCall]] = {}
        self._watched: dict[Backend, dict[str, Any]] = {}
        self._errors = np.geterr()
        self._last_backend: Backend | None = None

    # -- listening -------------------------------------------------------------------------------------

    def listens(self) -> bool:
        """Whether what happens now belongs to the recording."""
        return not self.quiet and get_ident() == self.thread

    def start(self) -> None:
        """Watch every backend that is in use."""
        for backend in {id(one): one for one in _backends.values()}.values():
            self._watch(backend)
        Recorder.current = self

    def stop(self) -> None:
        """Leave every backend as it was."""
        if any(backend not in self._watched for backend in _backends.values()):
            self.postpone()  # a device was used for the first time
        Recorder.current = None
        for backend, before in self._watched.items():
            for name in WATCHED:
                if name in before:
                    setattr(backend, name, before[name])
                else:
                    delattr(backend, name)
        self.quiet += 1  # whoever has kept one of the watching methods is not heard any more

    def _watch(self, backend: Backend) -> None:
        self._watched[backend] = {name: vars(backend)[name] for name in WATCHED if name in vars(backend)}
        kernel, empty, asarray, copy, reshape, to_host = (getattr(backend, name) for name in WATCHED)

        def watched_kernel(definition: Kernel) -> Kernel:
            function: Kernel = kernel(definition)
            if not self.listens():
                return function

            def call(*inputs: Any, **options: Any) -> None:
                function(*inputs, **options)
                self._on_device(backend)
                if np.geterr() == self._errors:
                    self.calls.append((function, inputs, options))
                else:  # within a np.errstate of the function's
                    self.calls.append((_with_errors, (np.geterr(), function, inputs, options), {}))

            return call

        def watched_empty(shape: Any, dtype: Any) -> Array:
            array = empty(shape, dtype)
            if self.listens():
                self.buffers.add_new(array)
            return array

        def watched_asarray(values: Any, dtype: Any = None) -> Array:
            if not self.listens():
                return asarray(values, dtype)
            array = values if is_array(values) else np.asarray(values)
            same = backend.owns(array) and (dtype is None or array.dtype == dtype)
            return array if same and array in self.buffers else self.copied(backend, array, dtype, source=values)

        def watched_copy(values: Any, dtype: Any = None) -> Array:
            if not self.listens():
                return copy(values, dtype)
            array = values if is_array(values) else np.asarray(values)
            return self.copied(backend, array, dtype, source=values)

        def watched_reshape(array: Array, shape: Any) -> Array:
            return self.reshaped(backend, array, reshape(array, shape))

        def watched_to_host(array: Array) -> Any:
            if self.listens():
                self.refuse("a value is read")
            return to_host(array)

        hooks = (watched_kernel, watched_empty, watched_asarray, watched_copy, watched_reshape, watched_to_host)
        for name, hook in zip(WATCHED, hooks, strict=True):
            setattr(backend, name, hook)

    def _on_device(self, backend: Backend) -> None:
        """Where the device changes, a replay changes it too (CuPy launches on the thread's current GPU)."""
        if backend is not self._last_backend:
            self._last_backend = backend
            activate = getattr(backend, "_activate", None)
            if activate is not None:
                self.calls.append((activate, (), {}))

    def note(self, what: Any, *about: Any) -> None:
        """Take a note, where the recorder listens."""
        if self.listens() and not self.noting:
            self.noting = True
            try:
                what(*about)
            finally:
                self.noting = False

    def refuse(self, what: str) -> None:
        """Note that the function cannot be recorded; it goes on eagerly."""
        if not self.listens():
            return
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith((*OWN, "<frozen")):
            frame = frame.f_back
        if frame is not None:
            self.place = (frame.f_code.co_filename, frame.f_lineno)
        self.reason = what
        self.quiet += 1

    def postpone(self) -> None:
        """Note that this call changed what the next one will find: a layout of parameters, for example."""
        if self.listens():
            self.postponed = True

    def aside(self) -> "Aside":
        """A block that is not recorded: setting up, or code that a replay calls again as a whole."""
        return Aside(self)

    def action(self, function: Any, *arguments: Any) -> None:
        """Call a function again at this place of every replay; it has run already."""
        if self.listens():
            self.calls.append((function, arguments, {}))

    def python(self, function: Any, *arguments: Any) -> None:
        """Run a function that computes with arrays outside of kernels, now and at every replay."""
        given = [self._without_history(one) for one in arguments]
        with self.aside():
            function(*given)
        self.action(function, *given)

    def _without_history(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            self.reads(value)
            return Tensor.wrap(value.array, value.backend)
        if isinstance(value, np.ndarray):
            host = backends.get("cpu")
            return Tensor.wrap(self.copied(host, value), host)
        return value

    # -- what the function depends on ------------------------------------------------------------------

    def _inside(self, tensor: Any) -> bool:
        """Whether a tensor was made by this call, so that it is nobody's state."""
        values = vars(tensor)
        return (
            id(tensor) in self._made
            or not _is_complete(values)
            or (not isinstance(tensor, (Parameter, Buffer)) and values["array"] in self.buffers)
        )

    def _guard(self, owner: Any, attribute: str, value: Any) -> None:
        if (id(owner), attribute) not in self._seen:
            self._seen[id(owner), attribute] = owner
            self.guards.append((owner, attribute, value))

    def state(self, owner: Any, attribute: str) -> None:
        """The function reads a piece of Python's state; unless it was set before, it must be the same at a replay."""
        if self.listens():
            self._guard(owner, attribute, getattr(owner, attribute))

    def changed(self, owner: Any, attribute: str) -> None:
        """The function has set a piece of Python's state: a replay sets it too."""
        if self.listens():
            self._seen.setdefault((id(owner), attribute), owner)
            value = getattr(owner, attribute)
            self.finals[id(owner), attribute] = (owner, attribute, value)
            self.events.append((len(self.calls), owner, attribute, value))

    def values(self, owner: Any, *attributes: str) -> None:
        """Plain settings of an object that go into kernels as numbers."""
        if self.listens():
            for attribute in attributes:
                if (id(owner), attribute) not in self._seen:
                    self._seen[id(owner), attribute] = owner
                    self.equal.append((owner, attribute, getattr(owner, attribute)))

    def holds(self, owner: Any, attribute: str) -> None:
        """An array that an object keeps from call to call."""
        if self.listens():
            self._guard(owner, attribute, getattr(owner, attribute))
            self.known.add(getattr(owner, attribute))

    def persists(self, array: Array) -> None:
        """An array that outlives the call and is never replaced."""
        if self.listens():
            self.known.add(array)

    def made(self, tensor: Any) -> None:
        """A tensor that the function makes of data."""
        if self.listens():
            self._made[id(tensor)] = tensor

    def reads(self, tensor: Any) -> None:
        """A tensor goes into an operation."""
        values = vars(tensor)
        if not self.listens() or not _is_complete(values):
            return
        known = self._read.get(id(tensor))
        if known is not None and known is values["array"]:
            return
        if values["backend"] not in self._watched:
            self._watch(values["backend"])
        if self._inside(tensor):
            return
        if isinstance(tensor, (Parameter, Buffer)):
            self.holds(tensor, "array")
            self._read[id(tensor)] = values["array"]
        if tensor._node is None:
            self._guard(tensor, "requires_grad", tensor.requires_grad)

    def touched(self, tensor: Any, again: Any) -> None:
        """A tensor is changed in place; a replay calls ``again`` to note it."""
        if not self.listens():
            return
        for one in self.inputs:
            if isinstance(one.handed, Tensor) and overlap(one.buffer, tensor.array):
                one.written = True
                return
        if not self._inside(tensor):
            self.reads(tensor)
            self.calls.append((again, (), {}))

    # -- gradients -------------------------------------------------------------------------------------

    def _settle_gradient(self, tensor: Any) -> None:
        """Give a leaf a place where its gradient stays, as an optimizer does."""
        if tensor._gradient_buffer is None and tensor._gradient is not None:
            with self.aside():
                tensor._gradient_buffer = like(tensor.backend, tensor._gradient)
                tensor.backend.xp.copyto(tensor._gradient_buffer, tensor._gradient)
            tensor._gradient = tensor._gradient_buffer
        if tensor._gradient_buffer is not None:
            self._guard(tensor, "_gradient_buffer", tensor._gradient_buffer)
            self.known.add(tensor._gradient_buffer)

    def gradient_read(self, tensor: Any) -> None:
        """The function asks whether there is a gradient, or for its values."""
        if self.listens() and tensor._node is None and not self._inside(tensor):
            self._settle_gradient(tensor)
            self._guard(tensor, "_gradient", tensor._gradient)

    def gradient_comes(self, tensor: Any, gradient: Array) -> None:
        """A gradient is about to be added to a leaf's."""
        if not self.listens():
            return
        inside = self._inside(tensor)
        if tensor._gradient_buffer is None and tensor._gradient is None:
            if inside:
                tensor._gradient_buffer = like(tensor.backend, gradient)
            else:
                with self.aside():
                    tensor._gradient_buffer = like(tensor.backend, gradient)
        if not inside:
            self.reads(tensor)
            self.gradient_read(tensor)
            self._settle_gradient(tensor)

    def gradient_set(self, tensor: Any) -> None:
        """A leaf's gradient has come or was forgotten."""
        if self.listens() and not self._inside(tensor):
            self.changed(tensor, "_gradient")

    # -- optimizers ------------------------------------------------------------------------------------

    def knows_step(self, optimizer: Optimizer) -> None:
        """Refuse an optimizer whose step is not the engine's: it may compute outside of kernels."""
        if type(optimizer).step is not Optimizer.step and not optimizer.needs_closure:
            self.refuse(f"{type(optimizer).__name__} has a step() of its own (define update() instead)")

    def optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer works on its buffers: its layout and its constants are part of the recording."""
        if not self.listens() or (id(optimizer), "_buffers") in self._seen:
            return
        self.knows_step(optimizer)
        self._guard(optimizer, "_buffers", optimizer._buffers)
        for group in optimizer.groups:
            constants = {name: value for name, value in group.settings.items() if name != "learning_rate"}
            self._guard(group, "parameters", group.parameters)
            self.settings.append((group, constants))
            for parameter in group.parameters:
                self.reads(parameter)
        for buffer in optimizer._buffers:
            for array in (buffer.weights, buffer.gradients, *buffer.states.values(), *buffer.work):
                self.known.add(array)

    def step_together(self, optimizer: Optimizer, members: list[int]) -> None:
        """These take a step as one: where it depends on how many they took, they must have taken as many."""
        if self.listens() and type(optimizer).corrections is not Optimizer.corrections:
            self.counts.append((optimizer, members))

    # -- arrays that no kernel makes -------------------------------------------------------------------

    def constant(self, array: Array, source: Any) -> None:
        """An array that the engine has made of Python's numbers: with the same values in every call."""
        if self.listens() and not is_array(source) and not arrays_in(source):
            self.constants.add(array)

    def copied(self, backend: Backend, array: Array, dtype: Any = None, source: Any = None) -> Array:
        """An array on the backend's device with these values, copied at every replay again.

        It may be an argument, an array from outside (its values are taken anew), or Python's numbers in ``source``.
        """
        slot = self._slot(array)
        if source is not None:
            self.constant(array, source)
        made = like(backend, array, dtype)
        if slot is not None:
            with self.aside():
                self._load(backend, slot, made)
            self.action(self._load, backend, slot, made)
            return made
        if backend.owns(array):
            backend.kernel(Copy.forward)(backend.xp, array, y=made)
        else:
            with self.aside():
                self._put(backend, array, made)
            self.action(self._put, backend, array, made)
        return made

    def _slot(self, array: Array) -> Input | None:
        """The NumPy argument that an array is; an array that is a part of one cannot be followed."""
        for one in self.inputs:
            if one.backend is None and isinstance(array, np.ndarray) and overlap(one.array, array):
                if same_place(one.array, array):
                    return one
                self.refuse("a part of an array argument is used (give a Tensor instead)")
        return None

    @staticmethod
    def _load(backend: Backend, slot: Input, made: Array) -> None:
        Recorder._put(backend, slot.array, made)

    @staticmethod
    def _put(backend: Backend, array: Array, made: Array) -> None:
        source = array if backend.owns(array) else backend.asarray(array)
        backend.xp.copyto(made, source, casting="unsafe")

    def reshaped(self, backend: Backend, x: Array, y: Array) -> Array:
        """y if it shares x's memory; else a copy that a replay makes again."""
        if not self.listens() or y.size == 0 or overlap(x, y):
            return y
        made = backend.empty(y.shape, y.dtype)
        backend.kernel(Copy.forward)(backend.xp, x, y=made.reshape(x.shape))
        return made

    def picked(self, backend: Backend, x: Array, index: Any, y: Array) -> Array:
        """y = x[index] if it shares x's memory; else a copy that a replay makes again."""
        if any(getattr(getattr(part, "dtype", None), "kind", "") == "b" for part in _parts(index)):
            self.refuse("a mask is an index, and how many elements it picks depends on its values")
        if not self.listens() or y.size == 0 or overlap(x, y):
            return y
        made = like(backend, y)
        with self.aside():
            function = backend.kernel(Index.forward)
        self._pick(function, backend, x, index, made)
        self.action(self._pick, function, backend, x, index, made)
        return made

    @staticmethod
    def _pick(function: Any, backend: Backend, x: Array, index: Any, made: Array) -> None:
        try:
            function(backend.xp, x, y=made, index=index)
        except IndexError as error:
            raise ShapeError(f"index does not fit shape {x.shape}: {error}.") from None

    # -- a user's own operations -----------------------------------------------------------------------

    def user_forward(self, operation: Any, backend: Backend, arrays: list[Any], compute: Any) -> tuple[Array, Any]:
        """Call a user's forward, now and at every replay; the output is copied into a buffer."""
        call = UserCall(operation, backend, arrays, compute)
        with self.aside():
            output, call.saved = compute(operation, backend, arrays)
        call.output = like(backend, output)
        backend.xp.copyto(call.output, output)
        self.calls.append((call.forward, (), {}))
        self._last_user_call = call
        return call.output, call.saved

    def user_node(self, node: Any) -> None:
        """The node of the user's call that came last."""
        if self.listens():
            self._user_calls[id(node)] = (node, self._last_user_call)

    def user_backward(self, node: Any, incoming: Array, gradients: Any, compute: Any) -> list[Any]:
        """Copy what a user's backward gave into buffers; every replay calls it again."""
        known = self._user_calls.get(id(node))
        back = UserBackward(node, None if known is None else known[1], incoming, compute)
        back.made = [None if one is None else like(node.backend, one) for one in gradients]
        back.copy(gradients)
        self.calls.append((back.backward, (), {}))
        return back.made


def _is_complete(values: dict[str, Any]) -> bool:
    """Whether a tensor has its array already: its class may be a user's, with an __init__ that is still at work."""
    return "array" in values and "backend" in values


def _with_errors(errors: Any, function: Any, inputs: Any, options: Any) -> None:
    with np.errstate(**errors):
        function(*inputs, **options)


class Aside:
    """A block in which the recorder does not listen."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __enter__(self) -> None:
        self.recorder.quiet += 1

    def __exit__(self, *error: object) -> None:
        self.recorder.quiet -= 1


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)
