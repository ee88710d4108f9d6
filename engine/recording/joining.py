"""Which recorded calls need not be made, and which are made as one? Copies that can be spared, neighbours in one pass.

Neither changes a number: a result is written where it would have been copied to, and a pass over a matrix that adds the
bias applies the activation too (in compiled C, or on a device that says how; what is joined does what the separate
kernels do).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from backends import native
from backends.backend import Backend
from backends.devices import _backends
from backends.kernels.linear import Linear, RoundedLinear
from backends.kernels.pair import Array
from backends.kernels.reduction import SumTo
from backends.kernels.shape import Copy
from engine.recording.memory import Memory, arrays_in, extent, form, is_array, overlap, same_place
from engine.value import Value


@dataclass(frozen=True)
class Call:
    """A call of a program.

    Attributes:
        number: its place among the calls that were recorded.
        function, inputs, options: what is called, and with what.
    """

    number: int
    function: Any
    inputs: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def kernel(self) -> Any:
        """The definition of the kernel that it calls; None for a function that is no kernel."""
        xp = self.inputs[0] if self.inputs else None
        if getattr(xp, "__name__", "") not in ("numpy", "cupy"):
            return None
        return getattr(self.function, "__wrapped__", self.function)

    @cached_property
    def arrays(self) -> list[Array]:
        """Every array that it is known to touch."""
        described: Any = getattr(getattr(self.function, "__self__", None), "described", tuple)()
        tensors = [one.array for one in (*self.inputs, *self.options.values()) if isinstance(one, Value)]
        return [one for one in (*arrays_in((self.inputs, self.options, described)), *tensors) if one.size]

    @cached_property
    def extents(self) -> list[tuple[int, int]]:
        """Where these lie: the first byte, and the one after the last."""
        return [extent(one) for one in self.arrays]

    def touches(self, array: Array) -> bool:
        """Whether it touches this memory."""
        start, end = extent(array)
        return any(first < end and start < last for first, last in self.extents)

    def with_array(self, old: Array, new: Array) -> "Call":
        """The same call with another array in the place of one."""

        def replaced(value: Any) -> Any:
            return new if is_array(value) and same_place(value, old) else value

        inputs = tuple(replaced(one) for one in self.inputs)
        return replace(self, inputs=inputs, options={name: replaced(one) for name, one in self.options.items()})


class Joined:
    """Several kernels as one function of compiled C."""

    def __init__(self, compiled: Callable[..., bool]) -> None:
        self.compiled = compiled

    def __call__(self, xp: Any, *arrays: Array, **options: Any) -> None:
        self.compiled(*arrays, **options)


def touching(calls: Sequence[Call], array: Array) -> list[int]:
    """The positions of the calls that touch this memory."""
    return [place for place, call in enumerate(calls) if call.touches(array)]


# -- copies ----------------------------------------------------------------------------------------------


def without_copies(calls: Sequence[Call], buffers: Memory, pinned: Memory) -> list[Call]:
    """The calls without those copies whose source can be written where it is copied to.

    A gradient is such a source: backward makes it in a buffer, and it goes into the optimizer's flat one.
    """
    kept = list(calls)
    for copy in calls:
        if copy.kernel is not Copy.forward:
            continue
        source, target = copy.inputs[1], copy.options["y"]
        found = buffers.find(source)
        whole = found is not None and same_place(source, buffers.arrays[found[0]])
        if not whole or source in pinned or form(source) != form(target):
            continue
        users = touching(kept, source)
        last = next(place for place, call in enumerate(kept) if call.number == copy.number)
        plain = all(kept[place].kernel is not None and _holds_itself(kept[place], source) for place in users)
        if not plain or users[-1] != last or len(users) < 2:
            continue
        if any(call.touches(target) for call in kept[users[0] : last]):
            continue
        for place in users[:-1]:
            kept[place] = kept[place].with_array(source, target)
        del kept[last]
    return kept


def _holds_itself(call: Call, array: Array) -> bool:
    """Whether every array of a call that touches this one is this one, as an argument of its own."""
    plain = [one for one in (*call.inputs, *call.options.values()) if is_array(one)]
    inside = [one for one in call.arrays if overlap(one, array)]
    return all(same_place(one, array) and any(one is other for other in plain) for one in inside)


# -- neighbours ------------------------------------------------------------------------------------------


def without_work(calls: Sequence[Call]) -> list[Call]:
    """The calls without the temporary arrays of those kernels that compiled C computes without any."""
    trial = native.sequence()

    def spared(call: Call) -> Call:
        compiled = getattr(call.function, "compiled", None)
        if trial is None or compiled is None or call.options.get("work") is None or call.inputs[0] is not np:
            return call
        taken = trial.extend(compiled, call.inputs[1:], call.options)
        return replace(call, options={**call.options, "work": None}) if taken else call

    return [spared(call) for call in calls]


def joined(calls: Sequence[Call], pinned: Memory) -> list[Call]:
    """The calls with biases and activations made in one pass, forward and backward, where C or a device can do that."""
    trial = native.sequence()
    result = list(calls)
    for call in calls:
        if trial is None or call.kernel is None:
            continue
        on_host = call.inputs[0] is np
        backend = None if on_host else _device_of(call)
        kernel = _definition(call, backend) if on_host or backend is not None else None
        linear = kernel is Linear.forward or (kernel is RoundedLinear.forward and not on_host)
        if linear and call.inputs[3] is not None:
            forward = _forward(result, call, backend, pinned)
            if forward is not None and backend is None:
                _join_forward(result, call, forward, trial)
            elif forward is not None:
                _join_forward_there(result, call, forward, backend)
        elif kernel in native.FUSED_BACKWARD:
            backward = _backward(result, call, backend)
            if backward is not None and backend is None:
                _join_backward(result, call, backward, trial)
            elif backward is not None:
                _join_backward_there(result, call, backward, backend)
    return result


def _device_of(call: Call) -> Backend | None:
    """The device that computes a kernel; None where there is no one such."""
    places = {id(one): one for one in _backends.values() if one.xp is call.inputs[0]}.values()
    return next((one for one in places if all(one.owns(array) for array in call.arrays)), None)


def _definition(call: Call, backend: Backend | None) -> Any:
    """What a kernel of the host, or of a device, computes; None for a function that is no kernel."""
    return call.kernel if backend is None or call.kernel is None else backend.definition(call.function)


def _place(calls: Sequence[Call], number: int) -> int | None:
    return next((place for place, call in enumerate(calls) if call.number == number), None)


def _forward(calls: list[Call], linear: Call, backend: Backend | None, pinned: Memory) -> tuple[int, int, Array] | None:
    """y = f(x w + b): where the linear map is, where the activation is, and where x w may be put."""
    total = linear.options["y"]
    first = _place(calls, linear.number)
    users = touching(calls, total)
    if first is None or users[0] != first or len(users) < 2:
        return None
    activation = calls[users[1]]
    definition = _definition(activation, backend)
    if definition not in native.FUSED_FORWARD or not same_place(activation.inputs[1], total):
        return None
    y = activation.options["y"]
    # One of them is made at another time than it was recorded: nobody may need what y held, or what b will hold.
    if any(call.touches(y) for call in calls[first : users[1]]):
        return None
    # Where nobody else reads the sum, the activation takes its place.
    return first, users[1], y if len(users) == 2 and total not in pinned and form(y) == form(total) else total


def _join_forward(calls: list[Call], linear: Call, places: tuple[int, int, Array], trial: Any) -> None:
    """The bias is added in the activation's pass, and both follow the product at once."""
    (_, x, w, b), (first, second, before) = linear.inputs, places
    activation = calls[second]
    fused = native.FUSED_FORWARD[activation.kernel]

    def compiled(x: Array, w: Array, b: Array, *, before: Array, **options: Any) -> bool:
        return bool(native.kernels.product(x, w, before, 0, 0)) and bool(fused(before, b=b, **options))

    call = Call(linear.number, Joined(compiled), (np, x, w, b), {"before": before, **activation.options})
    if trial.extend(compiled, call.inputs[1:], call.options):
        calls[first] = call
        del calls[second]


def _join_forward_there(calls: list[Call], linear: Call, places: tuple[int, int, Array], backend: Any) -> None:
    """The same on a device, as the product alone and a kernel after it."""
    (xp, x, w, b), (first, second, before) = linear.inputs, places
    activation, total = calls[second], linear.options["y"]
    definition, precision = _definition(activation, backend), linear.options.get("precision")
    kernel = backend.biased((x, w, b), total, definition, activation.options, precision)
    if kernel is not None and not any(call.touches(b) for call in calls[first + 1 : second]):
        calls[first] = Call(linear.number, linear.function, (xp, x, w, None), {**linear.options, "y": before})
        calls[second] = Call(activation.number, kernel, (xp, before, b), activation.options)


def _backward(calls: list[Call], activation: Call, backend: Backend | None) -> tuple[int, int, Array] | None:
    """dx = dy f'(x), and the gradient db of the bias before it, dx summed up over the rows: where they are computed."""
    dx = activation.options["dx"]
    first = _place(calls, activation.number)
    users = touching(calls, dx)
    if first is None or users[0] != first or len(users) < 2:
        return None
    summing = calls[users[1]]
    definition, db = _definition(summing, backend), None
    if definition is Linear.backward:
        db = summing.options.get("db")
    elif definition is SumTo.forward and dx.ndim == 2 and summing.options["axis"] == (0,) and backend is not None:
        db = summing.options["dx"]
    if db is None or not same_place(summing.inputs[1], dx):
        return None
    # The sum is made earlier: it reads dx alone, and nobody may need what db held.
    return None if any(call.touches(db) for call in calls[first : users[1]]) else (first, users[1], db)


def _join_backward(calls: list[Call], activation: Call, places: tuple[int, int, Array], trial: Any) -> None:
    """The gradient is summed up in the pass that computes it."""
    first, second, db = places
    linear, fused = calls[second], native.FUSED_BACKWARD[activation.kernel]
    call = Call(activation.number, Joined(fused), activation.inputs, {**activation.options, "db": db})
    if trial.extend(fused, call.inputs[1:], call.options):
        calls[first] = call
        calls[second] = Call(linear.number, linear.function, linear.inputs, {**linear.options, "db": None})


def _join_backward_there(calls: list[Call], activation: Call, places: tuple[int, int, Array], backend: Any) -> None:
    """The same on a device, where a sum alone is not needed any more."""
    first, second, db = places
    summing, dx = calls[second], activation.options["dx"]
    linear, dw = _definition(summing, backend) is Linear.backward, summing.options.get("dw")
    product = (summing.inputs[2], dw) if linear and dw is not None else None
    kernel = backend.summed(product, dx, db, _definition(activation, backend), activation.options)
    if kernel is None:
        return
    calls[first] = Call(activation.number, kernel, activation.inputs, {**activation.options, "db": db})
    if linear:
        calls[second] = Call(summing.number, summing.function, summing.inputs, {**summing.options, "db": None})
    else:
        del calls[second]
