"""How does L-BFGS step? Along a quasi-Newton direction, with the loss evaluated again by a closure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from backends.kernels import quasi_newton as kernels
from backends.kernels.pair import Array
from engine.errors import ArgumentError, GradientError, ShapeError, unknown_name
from engine.optimizers.flat import FlatBuffer
from engine.optimizers.line_search import Point, strong_wolfe
from engine.optimizers.optimizer import Closure, Optimizer
from engine.schedules import Schedule

__all__ = ["LBFGS"]

LINE_SEARCHES = ("strong-wolfe",)


class LBFGS(Optimizer):
    """w <- w + t d,  d = -H g, H the inverse Hessian estimated from the last ``history`` steps.

    Args:
        parameters: of one dtype on one device.
        learning_rate: t, or with a line search the first t that is tried; a number or a schedule.
        max_iterations: directions followed in one call of ``step``.
        history: how many past steps the estimate remembers.
        tolerance_gradient, tolerance_change: stop early where the largest element of the gradient, or of the step and
            the change of the loss, is no larger.
        line_search: None, or "strong-wolfe".

    ``step(closure)`` wants a closure that zeroes the gradients, computes the loss and its gradients, and returns the
    loss; the whole data set is best in one batch. It reads the loss on the host. Source: Nocedal (1980).

    >>> import engine as en
    >>> w = en.Parameter([3.0])
    >>> optimizer = en.LBFGS([w], line_search="strong-wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1.0) * (w - 1.0)).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure); [round(value, 4) for value in w.tolist()]
    [1.0]
    """

    needs_closure = True

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: float | Schedule = 1.0,
        max_iterations: int = 20,
        history: int = 100,
        tolerance_gradient: float = 1e-7,
        tolerance_change: float = 1e-9,
        line_search: str | None = None,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate,
            max_iterations=max_iterations,
            history=history,
            tolerance_gradient=tolerance_gradient,
            tolerance_change=tolerance_change,
            line_search=line_search,
        )
        if len(self.groups) > 1:
            raise ArgumentError(f"LBFGS: {len(self.groups)} groups were given; it takes one group of parameters.")
        if line_search is not None and line_search not in LINE_SEARCHES:
            raise unknown_name("line search", line_search, LINE_SEARCHES)
        for name, value in (("max_iterations", max_iterations), ("history", history)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"LBFGS: {name} {value!r} was given; it is a whole number, 1 or above.")

    def _begin(self) -> None:
        super()._begin()
        self._past: dict[str, Any] = self._nothing()
        self._laid_out: FlatBuffer | None = None  # the buffer whose layout the past has

    @staticmethod
    def _nothing() -> dict[str, Any]:
        return {"moves": [], "changes": [], "gradient": None, "direction": None, "length": 0.0, "iterations": 0}

    def step(self, closure: Closure | None = None) -> Any:
        """Follow up to ``max_iterations`` directions; returns the loss that the first call of the closure gave."""
        if closure is None:
            raise ArgumentError(
                "LBFGS: step() needs a closure that computes the loss and its gradients; see its docstring."
            )
        first_loss = closure()
        buffers = self.buffers()
        if len(buffers) != 1:
            raise ArgumentError(f"LBFGS: the parameters are of {len(buffers)} dtypes or devices; bring them to one.")
        (buffer,) = buffers
        if any(parameter._gradient is None for parameter in buffer.parameters):
            missing = next(one.name for one in buffer.parameters if one._gradient is None)
            raise GradientError(
                f"LBFGS: parameter {missing!r} got no gradient from the closure; call backward() in it."
            )
        self._move_past(buffer)
        past = dict(self._past)
        try:
            self._iterate(buffer, closure, _number(first_loss))
        except BaseException:
            self._past = past  # a direction that was not followed to its end is none to learn from
            raise
        self.steps += 1
        return first_loss

    def _iterate(self, buffer: FlatBuffer, closure: Closure, loss: float) -> None:
        settings, past = self.groups[0].settings, self._past
        xp = buffer.backend.xp
        for iteration in range(settings["max_iterations"]):
            if _largest(buffer, buffer.gradients) <= settings["tolerance_gradient"]:
                return
            self._remember(buffer, settings["history"])
            d, work = (
                buffer.backend.empty((buffer.size,), buffer.dtype),
                buffer.backend.empty((buffer.size,), buffer.dtype),
            )
            moves, changes = past["moves"], past["changes"]
            scale = _dot(buffer, moves[-1], changes[-1]) / _dot(buffer, changes[-1], changes[-1]) if moves else 1.0
            buffer.backend.kernel(kernels.direction)(xp, buffer.gradients, moves, changes, scale, d=d, work=work)
            slope = _dot(buffer, buffer.gradients, d)
            if slope > -settings["tolerance_change"]:
                return
            rate = self.groups[0].learning_rate(self.steps)
            if past["iterations"] == 0:
                rate *= min(1.0, 1.0 / float(buffer.backend.to_host(xp.abs(buffer.gradients).sum())))
            past["gradient"], past["direction"] = buffer.gradients.copy(), d
            evaluate = self._along(buffer, closure, buffer.weights.copy(), d)
            if settings["line_search"] is None:
                point = (
                    evaluate(rate) if iteration + 1 < settings["max_iterations"] else self._only_move(buffer, d, rate)
                )
            else:
                point = strong_wolfe(evaluate, Point(0.0, loss, slope), rate)
                evaluate(point.length)
            past["length"], past["iterations"] = point.length, past["iterations"] + 1
            small = settings["tolerance_change"]
            if point.length * _largest(buffer, d) <= small or abs(point.loss - loss) < small:
                return
            loss = point.loss

    def _only_move(self, buffer: FlatBuffer, d: Array, length: float) -> Point:
        """The last step of a call: the next call's closure evaluates it."""
        buffer.backend.xp.add(buffer.weights, length * d, out=buffer.weights)
        for parameter in buffer.parameters:
            parameter.touched()
        return Point(length, float("inf"), 0.0)

    def _along(self, buffer: FlatBuffer, closure: Closure, start: Array, d: Array) -> Callable[[float], Point]:
        def evaluate(length: float) -> Point:
            buffer.backend.xp.add(start, length * d, out=buffer.weights)
            for parameter in buffer.parameters:
                parameter.touched()
            loss = _number(closure())
            return Point(length, loss, _dot(buffer, buffer.gradients, d))

        return evaluate

    def _remember(self, buffer: FlatBuffer, history: int) -> None:
        """Add the step before this one to the past, if the loss curved upward along it."""
        past = self._past
        if past["direction"] is None:
            return
        move, change = past["length"] * past["direction"], buffer.gradients - past["gradient"]
        if _dot(buffer, move, change) > 1e-10:
            past["moves"], past["changes"] = [*past["moves"], move][-history:], [*past["changes"], change][-history:]

    def _move_past(self, buffer: FlatBuffer) -> None:
        """Lay the past out like the buffer; one of other parameters is forgotten."""
        before, self._laid_out = self._laid_out, buffer
        if before is None or before is buffer or self._past["direction"] is None:
            return
        if [id(one) for one in before.parameters] != [id(one) for one in buffer.parameters]:
            self._past = self._nothing()
            return
        for name in ("moves", "changes"):
            self._past[name] = [_spread(buffer, _dense(before, array)) for array in self._past[name]]
        for name in ("gradient", "direction"):
            self._past[name] = _spread(buffer, _dense(before, self._past[name]))

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        past = self._past
        if past["direction"] is not None and self._laid_out is not None:
            named = {"gradient": past["gradient"], "direction": past["direction"]}
            for kind in ("moves", "changes"):
                named.update({f"{kind}.{number}": array for number, array in enumerate(past[kind])})
            state["tensors"].update({name: _dense(self._laid_out, array) for name, array in named.items()})
        state["settings"]["past"] = {
            "length": past["length"],
            "iterations": past["iterations"],
            "kept": len(past["moves"]),
        }
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        settings, tensors = self._own(state)
        saved = settings.get("past", {"length": 0.0, "iterations": 0, "kept": 0})
        lists = {kind: [f"{kind}.{number}" for number in range(saved["kept"])] for kind in ("moves", "changes")}
        names = ["gradient", "direction", *lists["moves"], *lists["changes"]] if tensors else []
        size = sum(parameter.size for parameter in self._all() if parameter.requires_grad)
        for name in names:
            given = tuple(tensors[name].shape) if name in tensors else "nothing"
            if given != (size,):
                raise ShapeError(f"load_state_dict: {name} is {given} in the state; it must be {(size,)}.")
        super().load_state_dict({**state, "tensors": {name: one for name, one in tensors.items() if name not in names}})
        self._past = self._nothing()
        if not names:
            return
        buffer = self._laid_out = self.buffers()[0]
        self._past.update(
            {kind: [_spread(buffer, tensors[name]) for name in members] for kind, members in lists.items()},
            gradient=_spread(buffer, tensors["gradient"]),
            direction=_spread(buffer, tensors["direction"]),
            length=saved["length"],
            iterations=saved["iterations"],
        )


def _dense(buffer: FlatBuffer, flat: Array) -> "np.ndarray[Any, Any]":
    """A flat array on the host, without the gaps between parameters."""
    host = buffer.backend.to_host(flat)
    places = zip(buffer.starts, buffer.parameters, strict=True)
    return np.concatenate([host[start : start + parameter.size] for start, parameter in places])


def _spread(buffer: FlatBuffer, dense: "np.ndarray[Any, Any]") -> Array:
    """The opposite of `_dense`: an array laid out like the buffer's weights, 0 in the gaps."""
    flat = np.zeros(buffer.size, buffer.dtype)
    position = 0
    for start, parameter in zip(buffer.starts, buffer.parameters, strict=True):
        flat[start : start + parameter.size] = dense[position : position + parameter.size]
        position += parameter.size
    return buffer.backend.asarray(flat)


def _number(loss: Any) -> float:
    return float(loss.item() if hasattr(loss, "item") else loss)


def _dot(buffer: FlatBuffer, a: Array, b: Array) -> float:
    return float(buffer.backend.to_host(buffer.backend.xp.dot(a, b)))


def _largest(buffer: FlatBuffer, array: Array) -> float:
    return float(buffer.backend.to_host(buffer.backend.xp.abs(array).max()))
