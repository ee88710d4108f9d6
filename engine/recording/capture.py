"""How is a step run faster? `capture` records its kernel calls once and replays them without the graph."""

import functools
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from backends.kernels.pair import Array
from engine import autodiff
from engine.errors import ArgumentError, ShapeError
from engine.recording.arguments import Input, Output, UnreturnableError, handed, signature, stacked
from engine.recording.hooks import listening
from engine.recording.launches import graphing
from engine.recording.memory import Comparison
from engine.recording.program import Program
from engine.recording.recorder import Recorder
from engine.tensor import Tensor

LIMIT = 16
"""How many recordings a captured function keeps; the one unused longest makes room for a new one."""

QUICK = 3
"""How many recordings are tried at once, before Python looks for the right one."""

TRIES = 8
"""How often a function may set something up, or do something else than the time before, until it runs eagerly."""

_recording = threading.RLock()  # one recording at a time: it listens to the backends, which threads share

P = ParamSpec("P")
R = TypeVar("R")


def capture(function: Callable[P, R]) -> "Capture[P, R]":
    """The function, recorded once per signature and then replayed: the same kernels on the same arrays, no graph.

    A replay gives the same bits as the function itself, and runs no Python of it.

    - **Inputs** are the Tensors and arrays among the arguments, also within lists, tuples and dictionaries: their
      values are copied in. Everything else is **frozen**: other arguments, numbers and lists that the function makes
      tensors of, attributes of layers, Python variables.
    - A **new recording** is made where a frozen argument differs, or an input's shape, dtype, strides, device or
      requires_grad, no_grad, a layer's train mode, a parameter's requires_grad, whether it had a gradient where the
      function asks, an optimizer's settings, or the array of a parameter (`Layer.to`). 16 recordings are kept; a
      warning says when the first is dropped.
    - Learning rates, schedules and step counts are **worked out anew** for every replay, and the losses' checks of
      targets are repeated. An `Operation` of your own is called again, forward and backward, and so is a metric's
      ``update``. Captured functions that it calls run within its recording.
    - **Outputs** are copies without history, in the tuples, lists and dictionaries that the function returns; an
      argument or a Parameter is returned as itself.
    - A function that **reads a value** (``item()``, ``numpy()``, ``float()``, ``if``) runs eagerly from then on, with
      one RuntimeWarning that names the line; so does one that NumPy computes in, that steps by LBFGS or sets the
      learning rate, or whose kernel calls differ from call to call. ``step.reason`` says why; otherwise it is None.

    The call in which an optimizer lays out its parameters is not kept. A function that reads arrays from outside other
    than parameters is recorded twice, and the two must agree. Limits: what the function does to Python's objects (a
    counter, a list that it appends to) happens while it is recorded only; arithmetic on raw arrays (``tensor.array``)
    is not seen; a tensor that is kept otherwise than by returning it changes with the next call.

    Args:
        function: any function of tensors: a forward pass, or a whole training step.

    >>> import engine as en
    >>> model = en.Linear(2, 1, generator=0)
    >>> optimizer = en.SGD(model.parameters(), learning_rate=0.1)
    >>> loss_function = en.MeanSquaredError()
    >>> @capture
    ... def step(x, y):
    ...     loss = loss_function(model(x), y)
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = en.tensor([[1.0, 2.0], [3.0, 1.0]]), en.tensor([[1.0], [2.0]])
    >>> losses = [step(x, y).item() for _ in range(50)]
    >>> losses[-1] < 0.1 * losses[0], step.reason, optimizer.steps
    (True, None, 50)
    """
    return function if isinstance(function, Capture) else Capture(function)


class Capture(Generic[P, R]):
    """A captured function; see `capture`.

    Attributes:
        function: what was captured.
        reason: why it runs eagerly; None where it is recorded.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        if not callable(function):
            raise ArgumentError(f"capture: {type(function).__name__} was given; give a function of tensors.")
        functools.update_wrapper(self, function)
        self.function = function
        self.reason: str | None = None
        self._programs: dict[Any, list[Program]] = {}
        self._candidates: dict[Any, list[Program]] = {}
        self._calls = self._setups = 0
        self._dropped = False
        self._lock = threading.RLock()
        self._quick: list[tuple[Program, Any]] = []  # those used last, each as one call of compiled C; the last first

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        if self._quick and Recorder.current is None and not named:
            with self._lock:
                for place, (_, run) in enumerate(self._quick):
                    answer = run(*arguments)
                    if answer is not NotImplemented:
                        if place:
                            self._quick.insert(0, self._quick.pop(place))
                        return cast(R, answer)
        recorder = Recorder.current
        if self.reason is not None or (recorder is not None and recorder.thread == threading.get_ident()):
            return self.function(*arguments, **named)
        with self._lock:
            given: list[Any] = []
            key = (autodiff.mode.enabled, signature(arguments, given), signature(named, given) if named else None)
            programs = self._programs.get(key)
            if programs is not None:
                for program in programs:
                    if program.holds():
                        self._calls += 1
                        program.used = self._calls
                        answer = program.replay(given)
                        self._make_quick(program, arguments, named)
                        return cast(R, answer)
            return cast(R, self._record(key, given, arguments, named))

    def over(self, *arguments: Any) -> Any:
        """The function on each part of its tensors along their first axis; what it returns, stacked.

            outputs[k] = function(x[k], y[k], ...),  k = 0 ... steps - 1

        The same as a loop in Python, with less of it: where the recording needs no Python in between, all the steps
        run in one call of compiled code.

        Args:
            arguments: Tensors (steps, ...), of one length along their first axis; the rest is handed to every call.

        Raises:
            ShapeError: there is no Tensor among the arguments, or their first axes differ.

        >>> import engine as en
        >>> total = capture(lambda x, factor: (x * factor).sum())
        >>> total.over(en.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 10.0).tolist()
        [30.0, 70.0, 110.0]
        """
        lengths = {one.shape[:1] for one in arguments if isinstance(one, Tensor)}
        if len(lengths) != 1 or lengths <= {(), (0,)}:
            found = ", ".join(str(one.shape) for one in arguments if isinstance(one, Tensor)) or "no Tensor"
            raise ShapeError(f"over: {found} was given; give Tensors of one length, 1 or more, along their first axis.")
        (steps,) = lengths.pop()
        outputs: list[Any] = []
        rest: Any = None
        while len(outputs) < steps:
            parts = [one[len(outputs)] if isinstance(one, Tensor) else one for one in arguments]
            outputs.append(self(*parts))  # type: ignore[call-arg, arg-type]  # of any signature
            if type(outputs[-1]) is Tensor and len(outputs) < steps:
                made = np.empty((steps, *outputs[-1].shape), outputs[-1].array.dtype)
                if self.run_over(made, *arguments, first=len(outputs)):
                    rest = made[len(outputs) :]
                    break
        return stacked(outputs, rest)

    def run_over(self, outputs: Array, *arguments: Any, first: int = 0) -> int:
        """As `over`, from step ``first`` on, where one call of compiled code can do it: how many steps it was, else 0.

        The outputs, one Tensor a step, go into an array (steps, ...) of NumPy's, also those before a step that raises.
        On a GPU they are launches of many steps each, and the host waits at the end alone.
        """
        if Recorder.current is None:
            with self._lock:
                for _, run in self._quick:
                    done = run.over(arguments, first, outputs)
                    if done is not NotImplemented:
                        return int(done)
                if len(outputs) > first + 1 and graphing():
                    return self._launch_over(outputs, arguments, first)
        return 0

    def _launch_over(self, outputs: Array, arguments: tuple[Any, ...], first: int) -> int:
        """The same on a GPU, by launches of many steps."""
        parts = [one[first] if isinstance(one, Tensor) else one for one in arguments]
        given: list[Any] = []
        key = (autodiff.mode.enabled, signature(tuple(parts), given), None)
        for program in self._programs.get(key, ()):
            many = program.blocks() if program.holds() and all(type(one) is Tensor for one in given) else None
            if many is not None:
                self._calls += 1
                program.used = self._calls
                return many.over([one.array for one in arguments if isinstance(one, Tensor)], first, outputs)
        return 0

    def _make_quick(self, program: Program, arguments: Any, named: Any) -> None:
        """Have the next such call tried at once."""
        kept = [one for one in self._quick if one[0] is not program]
        run = None if named else program.quick(arguments)
        self._quick = kept if run is None else [(program, run), *kept[: QUICK - 1]]

    def release(self) -> None:
        """Let go of data that recordings were bound to; the next call binds them anew."""
        with self._lock:
            self._quick = []
            for program in self.programs:
                program.release()

    @property
    def programs(self) -> list[Program]:
        """The recordings."""
        return [program for programs in self._programs.values() for program in programs]

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        if self.reason is not None:
            return f"<captured {name}: runs eagerly, because {self.reason}>"
        programs = self.programs
        calls, held = sum(len(one.calls) for one in programs), sum(one.nbytes for one in programs)
        return f"<captured {name}: {len(programs)} programs, {calls} calls, {held} bytes>"

    # -- recording -------------------------------------------------------------------------------------

    def _record(self, key: Any, given: list[Any], arguments: Any, named: Any) -> Any:
        history = next((one for one in given if getattr(one, "_node", None) is not None), None)
        if history is not None and autodiff.mode.enabled:
            self._give_up("an argument has a history, through which gradients would go on; give it detached", None)
            return self.function(*arguments, **named)
        expected = next((one for one in self._candidates.get(key, ()) if one.holds()), None)
        with _recording:
            recorder = Recorder()
            recorder.start()
            try:
                recorder.inputs += [Input(number, one, recorder) for number, one in enumerate(given)]
                for slot, one in zip(recorder.inputs, given, strict=True):
                    slot.load(one)
                failed = True
                try:
                    inputs = handed(arguments, recorder.inputs, given), handed(named, recorder.inputs, given)
                    with listening(recorder):
                        result = self.function(*inputs[0], **inputs[1])
                    failed = False
                finally:
                    for slot in recorder.inputs:
                        slot.ran()
            finally:
                recorder.stop()
                for slot in recorder.inputs:
                    slot.finish(failed)
        try:
            output = Output(result, recorder.inputs)
        except UnreturnableError as error:
            self._give_up(
                f"it returns {error}, in which tensors cannot be found; return tuples, lists and dictionaries", None
            )
            return result
        answer = output.build(given)
        if recorder.reason is not None:
            self._give_up(recorder.reason, recorder.place)
        elif recorder.postponed:
            self._setups += 1
            if self._setups > TRIES:
                self._give_up("it sets up parameters or state anew at every call", None)
        else:
            self._keep(key, Program(recorder, output), expected, arguments, named)
        return answer

    def _keep(self, key: Any, program: Program, expected: Program | None, arguments: Any, named: Any) -> None:
        """Keep a recording, at once where all that it reads is known, else where a second one is the same."""
        if program.loose():
            difference = "nothing to compare with" if expected is None else Comparison(expected, program).difference()
            if difference is not None:
                candidates = [one for one in self._candidates.get(key, []) if one is not expected and not one.stale()]
                self._candidates[key] = [*candidates, program][-LIMIT:]
                program.mismatches = 0 if expected is None else expected.mismatches + 1
                if len(self._candidates) > LIMIT:
                    del self._candidates[next(iter(self._candidates))]
                if program.mismatches > TRIES // 2:
                    self._give_up(f"its calls differ from call to call ({difference})", None)
                return
        self._setups = 0
        self._candidates.pop(key, None)
        program.prepare()
        self._programs[key] = [*(one for one in self._programs.get(key, []) if not one.stale()), program]
        program.used = self._calls
        if len(self.programs) > LIMIT:
            oldest = min(self.programs, key=lambda one: one.used)
            for key, programs in list(self._programs.items()):
                self._programs[key] = [one for one in programs if one is not oldest]
                if not self._programs[key]:
                    del self._programs[key]
            if not self._dropped:
                self._dropped = True
                self._warn(
                    f"more than {LIMIT} recordings are wanted, and the one unused longest is dropped each time: "
                    "give numbers that change as Tensors",
                    None,
                )
        kept = self.programs
        self._quick = [one for one in self._quick if one[0] in kept]
        program.bind()
        self._make_quick(program, arguments, named)

    def _give_up(self, reason: str, place: tuple[str, int] | None) -> None:
        """Run eagerly from now on, and say so once."""
        self.reason = reason if place is None else f"{reason} at {place[0]}:{place[1]}"
        self._quick = []
        self._programs.clear()
        self._candidates.clear()
        self._warn(f"it runs eagerly from now on: {self.reason}", place)

    def _warn(self, text: str, place: tuple[str, int] | None) -> None:
        name = getattr(self.function, "__qualname__", repr(self.function))
        if place is None:
            code = getattr(self.function, "__code__", None)
            place = (code.co_filename, code.co_firstlineno) if code is not None else ("<capture>", 0)
        warnings.warn_explicit(f"capture: {name}: {text}.", RuntimeWarning, *place)
