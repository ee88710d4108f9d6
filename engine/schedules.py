"""How does the learning rate change? Schedules: functions of the optimizer's step, counted from 0."""

import inspect
import math
import operator
from collections.abc import Mapping
from typing import Any, Literal, cast

from engine.errors import ArgumentError, unknown_name


class Schedule:
    """A learning rate for every step: ``schedule(step)`` is a Python float.

    Most are functions of the step alone and have no state; `ReduceOnPlateau` listens to ``epoch_end``. Parameters are
    attributes of the same name, listed by ``config``.
    """

    name: str

    def __call__(self, step: int) -> float:
        """The learning rate of optimizer step ``step``, counted from 0."""
        raise NotImplementedError

    def epoch_end(self, value: float) -> None:
        """Hear the watched value of the epoch that ended; most schedules do not care."""

    def state(self) -> dict[str, Any]:
        """What changes as training goes on, as numbers by name; empty for functions of the step alone."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave."""

    def config(self) -> dict[str, Any]:
        """Name and parameters: ``from_config`` builds the same schedule from them."""
        parameters = {key: getattr(self, key) for key in _parameters(type(self))}
        inner = {key: value.config() for key, value in parameters.items() if isinstance(value, Schedule)}
        return {"name": self.name, **parameters, **inner}

    def __repr__(self) -> str:
        parameters = ", ".join(f"{key}={getattr(self, key)!r}" for key in _parameters(type(self)))
        return f"{type(self).__name__}({parameters})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.config() == self.config()

    __hash__ = object.__hash__


class Constant(Schedule):
    """rate(step) = value.

    >>> Constant(0.1)(1000)
    0.1
    """

    name = "constant"

    def __init__(self, value: float) -> None:
        self.value = _number(self, "value", value)

    def __call__(self, step: int) -> float:
        return self.value


class Step(Schedule):
    """rate(step) = initial * factor^floor(step / every).

    >>> schedule = Step(0.1, every=100, factor=0.5)
    >>> schedule(99), schedule(100), schedule(200)
    (0.1, 0.05, 0.025)
    """

    name = "step"

    def __init__(self, initial: float, every: int, factor: float = 0.1) -> None:
        self.initial = _number(self, "initial", initial)
        self.every = _count(self, "every", every)
        self.factor = _number(self, "factor", factor)

    def __call__(self, step: int) -> float:
        return self.initial * self.factor ** (step // self.every)


class Exponential(Schedule):
    """rate(step) = initial * factor^step.

    >>> Exponential(1.0, 0.5)(3)
    0.125
    """

    name = "exponential"

    def __init__(self, initial: float, factor: float) -> None:
        self.initial = _number(self, "initial", initial)
        self.factor = _number(self, "factor", factor)
        if self.factor > 1:
            raise ArgumentError(f"Exponential: factor {factor!r} was given; allowed are numbers from 0 to 1.")

    def __call__(self, step: int) -> float:
        return self.initial * self.factor**step


class Cosine(Schedule):
    """rate(step) = final + (initial - final) (1 + cos(pi step / steps)) / 2, and final from then on.

    Source: Loshchilov and Hutter, "SGDR" (2017), without restarts.

    >>> schedule = Cosine(0.2, steps=100)
    >>> schedule(0), round(schedule(50), 12), schedule(100), schedule(500)
    (0.2, 0.1, 0.0, 0.0)
    """

    name = "cosine"

    def __init__(self, initial: float, steps: int, final: float = 0.0) -> None:
        self.initial = _number(self, "initial", initial)
        self.steps = _count(self, "steps", steps)
        self.final = _number(self, "final", final)

    def __call__(self, step: int) -> float:
        return _cosine(self.initial, self.final, min(step / self.steps, 1.0))


class Warmup(Schedule):
    """rate(step) = then(0) (step + 1) / (steps + 1) for step < steps; then(step - steps) from there on.

    The first step is already above 0, and step ``steps`` is the first at the full rate.

    Args:
        steps: how long the rate rises.
        then: the schedule that follows, or a number that stays.

    >>> schedule = Warmup(4, then=0.5)
    >>> [schedule(step) for step in range(6)]
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.5]
    """

    name = "warmup"

    def __init__(self, steps: int, then: "Schedule | float | Mapping[str, Any]") -> None:
        self.steps = _count(self, "steps", steps)
        if isinstance(then, Mapping):
            then = from_config(then)
        self.then = then if isinstance(then, Schedule) else Constant(then)

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.then(0) * (step + 1) / (self.steps + 1)
        return self.then(step - self.steps)

    def epoch_end(self, value: float) -> None:
        self.then.epoch_end(value)

    def state(self) -> dict[str, Any]:
        return self.then.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.then.load_state(state)


class OneCycle(Schedule):
    """Up along half a cosine to the peak, and down along another.

    From peak / start_divisor to peak / start_divisor / final_divisor.

    The rise ends at step ``rise * steps - 1``, the fall at step ``steps - 1``; the rate stays there. Source: Smith and
    Topin, "Super-Convergence" (2018), in PyTorch's two phases.

    Args:
        peak: the highest rate.
        steps: how long the cycle is, 2 or above.
        rise: the share of the steps that go up, between 0 and 1.
        start_divisor: the first rate is peak / start_divisor.
        final_divisor: the last rate is peak / start_divisor / final_divisor.

    >>> schedule = OneCycle(1.0, steps=100)
    >>> schedule(0), schedule(29), round(schedule(99), 12)
    (0.04, 1.0, 4e-06)
    """

    name = "one-cycle"

    def __init__(
        self, peak: float, steps: int, rise: float = 0.3, start_divisor: float = 25.0, final_divisor: float = 1e4
    ) -> None:
        self.peak = _number(self, "peak", peak)
        self.steps = _count(self, "steps", steps, least=2)
        self.rise = _number(self, "rise", rise)
        self.start_divisor = _number(self, "start_divisor", start_divisor)
        self.final_divisor = _number(self, "final_divisor", final_divisor)
        if not 0 < self.rise < 1:
            raise ArgumentError(f"OneCycle: rise {rise!r} was given; allowed are numbers between 0 and 1.")
        for divisor in ("start_divisor", "final_divisor"):
            if getattr(self, divisor) == 0:
                raise ArgumentError(f"OneCycle: {divisor} 0 was given; allowed are numbers above 0.")

    def __call__(self, step: int) -> float:
        start = self.peak / self.start_divisor
        top, end = max(self.rise * self.steps - 1, 0.0), self.steps - 1
        if step < top:
            return _cosine(start, self.peak, step / top)
        return _cosine(self.peak, start / self.final_divisor, min((step - top) / (end - top), 1.0))


class ReduceOnPlateau(Schedule):
    """The rate is multiplied by ``factor`` when the watched value has not improved for more than ``patience`` epochs.

    A value improves when it is below best * (1 - threshold), or above best * (1 + threshold) with mode "max". Then the
    count starts anew, as it does after each reduction. A value that is not a number never improves. Rules and defaults
    are PyTorch's.

    Args:
        initial: the rate to begin with.
        factor: between 0 and 1.
        patience: how many epochs without improvement are accepted.
        threshold: the smallest relative improvement that counts.
        minimum: the rate does not fall below.
        mode: "min" where smaller is better (a loss), "max" where larger is (an accuracy).

    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> for loss in (1.0, 1.0, 1.0):
    ...     schedule.epoch_end(loss)
    >>> schedule(0)
    0.05
    """

    name = "reduce-on-plateau"

    def __init__(
        self,
        initial: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        minimum: float = 0.0,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        self.initial = _number(self, "initial", initial)
        self.factor = _number(self, "factor", factor)
        self.patience = _count(self, "patience", patience, least=0)
        self.threshold = _number(self, "threshold", threshold)
        self.minimum = _number(self, "minimum", minimum)
        if not 0 < self.factor < 1:
            raise ArgumentError(f"ReduceOnPlateau: factor {factor!r} was given; allowed are numbers between 0 and 1.")
        if mode not in ("min", "max"):
            raise unknown_name("mode of ReduceOnPlateau", str(mode), ("min", "max"))
        self.mode: Literal["min", "max"] = mode
        self.rate = self.initial
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0

    def __call__(self, step: int) -> float:
        return self.rate

    def epoch_end(self, value: float) -> None:
        if self._improves(float(value)):
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.rate, self.waited = max(self.rate * self.factor, min(self.minimum, self.rate)), 0

    def _improves(self, value: float) -> bool:
        if math.isinf(self.best):
            return not math.isnan(value)
        if self.mode == "min":
            return value < self.best * (1 - self.threshold)
        return value > self.best * (1 + self.threshold)

    def state(self) -> dict[str, Any]:
        return {"rate": self.rate, "best": self.best, "waited": self.waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.rate, self.best, self.waited = float(state["rate"]), float(state["best"]), int(state["waited"])


SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule for schedule in (Constant, Step, Exponential, Cosine, Warmup, OneCycle, ReduceOnPlateau)
}


def names() -> tuple[str, ...]:
    """The names that ``get`` knows."""
    return tuple(SCHEDULES)


def get(name: str, **parameters: Any) -> Schedule:
    """A schedule by name.

    Raises:
        UnknownNameError: no such schedule, or no such parameter of it.
        ArgumentError: a parameter is missing or out of range.

    >>> get("step", initial=0.1, every=30)
    Step(initial=0.1, every=30, factor=0.1)
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", str(name), SCHEDULES)
    allowed = _parameters(SCHEDULES[name])
    for parameter in parameters:
        if parameter not in allowed:
            raise unknown_name(f"parameter of schedule {name!r}", parameter, allowed)
    missing = [key for key, default in allowed.items() if default is inspect.Parameter.empty and key not in parameters]
    if missing:
        raise ArgumentError(f"schedule {name!r}: {', '.join(missing)} was not given; it has no default.")
    return SCHEDULES[name](**parameters)


def from_config(config: Mapping[str, Any]) -> Schedule:
    """The schedule that ``config`` described.

    >>> from_config(Warmup(3, Cosine(0.1, 50)).config())
    Warmup(steps=3, then=Cosine(initial=0.1, steps=50, final=0.0))
    """
    return get(config["name"], **{key: value for key, value in config.items() if key != "name"})


def _parameters(schedule: type[Schedule]) -> dict[str, Any]:
    signature = inspect.signature(cast(Any, schedule))
    return {key: parameter.default for key, parameter in signature.parameters.items()}


def _cosine(start: float, end: float, share: float) -> float:
    weight = (1 + math.cos(math.pi * share)) / 2  # 1 and 0 at the ends, exactly
    return weight * start + (1 - weight) * end


def _number(schedule: Schedule, name: str, given: Any) -> float:
    try:
        number = math.nan if isinstance(given, (bool, str)) else float(given)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentError(
            f"{type(schedule).__name__}: {name} {given!r} was given; allowed are finite numbers from 0."
        )
    return number


def _count(schedule: Schedule, name: str, given: Any, least: int = 1) -> int:
    try:
        number = -1 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        number = -1
    if number < least:
        raise ArgumentError(
            f"{type(schedule).__name__}: {name} {given!r} was given; allowed are whole numbers from {least}."
        )
    return number
