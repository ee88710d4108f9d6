"""How is a step taken? The optimizer's part that all recurrences share: groups, flat buffers, clipping, saved state."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from backends.kernels import optimizer as kernels
from backends.kernels.arithmetic import Multiply
from backends.kernels.pair import Array
from engine.errors import ArgumentError, EngineError, ShapeError
from engine.naming import Named
from engine.optimizers.flat import FlatBuffer, Stretch, lay_out, runs
from engine.schedules import Schedule, from_config
from engine.tensor import Parameter, Tensor
from engine.value import note_changes

__all__ = ["Optimizer"]

Closure = Callable[[], Any]
States = dict[str, "np.ndarray[Any, Any]"]

# Settings that are numbers in every optimizer that has them, and how large they may be.
LIMITS = {
    "momentum": 1.0,
    "beta1": 1.0,
    "beta2": 1.0,
    "alpha": 1.0,
    "eps": math.inf,
    "weight_decay": math.inf,
    "momentum_decay": math.inf,
}


class Group:
    """Parameters that share their settings: a learning rate of their own, for example."""

    def __init__(self, parameters: list[Parameter], settings: dict[str, Any]) -> None:
        self.parameters = parameters
        self.settings = settings

    def learning_rate(self, step: int) -> float:
        """The rate of optimizer step ``step``, counted from 0."""
        rate = self.settings["learning_rate"]
        return float(rate(step)) if isinstance(rate, Schedule) else float(rate)


class Optimizer(Named, family="optimizer"):
    """Changes parameters by their gradients. Subclass it and define ``update`` to add your own recurrence.

    Args:
        parameters: Parameters, or groups as in PyTorch: ``[{"params": [...], "learning_rate": 0.1}, ...]``. Each is
            taken once; frozen ones are left out until they are set free.
        learning_rate: a number or a schedule.
        settings: the recurrence's own, each of which a group may set for itself.

    A subclass says which flat arrays it keeps and how a step changes them::

        >>> import engine as en
        >>> class SignDescent(en.Optimizer):
        ...     @staticmethod
        ...     def update(xp, w, g, *, work, learning_rate):
        ...         xp.sign(g, out=work[0])
        ...         xp.multiply(work[0], learning_rate, out=work[0])
        ...         xp.subtract(w, work[0], out=w)
        >>> w = en.Parameter([1.0, -1.0])
        >>> optimizer = SignDescent([w], learning_rate=0.5)
        >>> (w * w).sum().backward(); optimizer.step(); w.tolist()
        [0.5, -0.5]

    ``update(xp, w, g, *states, work, learning_rate, **settings)`` changes w and the states in place; all are flat
    arrays of one dtype; ``learning_rate`` and what ``corrections`` gives are arrays of one element.
    """

    states: ClassVar[tuple[str, ...]] = ()
    work: ClassVar[int] = 1
    needs_closure: ClassVar[bool] = False
    not_for_update: ClassVar[tuple[str, ...]] = ()  # settings that `corrections` alone reads

    update: Callable[..., None]

    def __init__(self, parameters: Iterable[Any], learning_rate: float | Schedule = 1e-3, **settings: Any) -> None:
        self.defaults = {"learning_rate": learning_rate, **settings}
        self.groups = self._make_groups(parameters)
        self.steps = 0
        self._begin()

    def _begin(self) -> None:
        """What is known of the parameters by their identity, before the first layout."""
        self._counts = {id(parameter): 0 for parameter in self._all()}
        self._uneven_steps = 0  # those that not all took, so that counts have moved apart
        self._group_of = {id(parameter): group for group in self.groups for parameter in group.parameters}
        self._members: dict[int, list[tuple[Parameter, int, Group]]] = {}  # of each buffer, with its identity and group
        self._buffers: list[FlatBuffer] = []
        self._resting: dict[
            int, States
        ] = {}  # of parameters that are in no buffer now: frozen ones, or before the first
        self._stretches: dict[tuple[int, int, int], Stretch] = {}
        self._frozen: list[Parameter] = []

    # -- what it was given -----------------------------------------------------------------------------

    def _make_groups(self, parameters: Iterable[Any]) -> list[Group]:
        name = type(self).__name__
        if isinstance(parameters, (Tensor, Mapping)):
            parameters = [parameters]
        if not isinstance(parameters, Iterable):
            raise ArgumentError(f"{name}: {type(parameters).__name__} was given; pass model.parameters().")
        given = list(parameters)
        if not given:
            raise ArgumentError(f"{name}: no parameters were given; pass model.parameters().")
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        seen: dict[int, int] = {}
        result = []
        for number, group in enumerate(groups):
            if not isinstance(group, Mapping) or "params" not in group:
                raise ArgumentError(
                    f'{name}: group {number} is {group!r}; a group is a dict with "params" and settings.'
                )
            settings = {key: value for key, value in group.items() if key != "params"}
            if "betas" in settings and "beta1" in self.defaults:
                settings.update(two_betas(name, settings.pop("betas")))
            unknown = [key for key in settings if key not in self.defaults]
            if unknown:
                known = ", ".join(self.defaults)
                raise ArgumentError(f"{name}: group {number} sets {unknown[0]!r}; allowed are params, {known}.")
            members = group["params"]
            members = [members] if isinstance(members, Tensor) else list(members)
            kept: list[Parameter] = []
            for parameter in members:
                if not isinstance(parameter, Parameter):
                    raise ArgumentError(
                        f"{name}: {type(parameter).__name__} was given; allowed are Parameters of a model."
                    )
                if seen.setdefault(id(parameter), number) != number:
                    raise ArgumentError(
                        f"{name}: parameter {parameter.name!r} is in groups {seen[id(parameter)]} and {number}."
                    )
                if all(parameter is not other for other in kept):
                    kept.append(parameter)
            result.append(Group(kept, self._checked({**self.defaults, **settings})))
        return result

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings within their bounds, as plain Python values: rates and decays from 0, betas and momentum below 1."""
        name = type(self).__name__
        settings = {key: value.item() if isinstance(value, np.generic) else value for key, value in settings.items()}
        rate = settings["learning_rate"]
        if not isinstance(rate, Schedule) and not _number(rate, 0):
            raise ArgumentError(f"{name}: learning_rate {rate!r} was given; it is a number, 0 or above, or a schedule.")
        for key, value in settings.items():
            plain = isinstance(value, (int, float)) and not isinstance(value, bool)
            if key == "learning_rate" or not (plain or key in LIMITS):
                continue
            below = LIMITS.get(key, math.inf)
            if (key == "eps" and value == 0) or not _number(value, 0) or value >= below:
                # eps divides where a gradient was 0 so far, as it is in the gaps between parameters.
                least = "above 0" if key == "eps" else "0 or above"
                limit = "" if math.isinf(below) else " and below 1"
                raise ArgumentError(f"{name}: {key} {value!r} was given; it is a number, {least}{limit}.")
        return settings

    def _all(self) -> list[Parameter]:
        return [parameter for group in self.groups for parameter in group.parameters]

    @property
    def learning_rate(self) -> float:
        """The rate that the next step of the first group takes; setting it sets that of all groups."""
        return self.groups[0].learning_rate(self.steps)

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        for group in self.groups:
            group.settings = self._checked({**group.settings, "learning_rate": value})

    def schedules(self) -> list[Schedule]:
        """The learning rates that are schedules, each once."""
        rates = [group.settings["learning_rate"] for group in self.groups]
        return list({id(rate): rate for rate in rates if isinstance(rate, Schedule)}.values())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.groups[0].settings.items())
        return f"{type(self).__name__}({settings})"

    # -- the flat buffers ------------------------------------------------------------------------------

    def buffers(self) -> list[FlatBuffer]:
        """The flat buffers, laid out anew (states kept) where a parameter was moved, converted, frozen or set free."""
        if self._buffers and not self._set_free() and all(buffer.valid() for buffer in self._buffers):
            return self._buffers
        return self._laid_out_anew()

    def _set_free(self) -> bool:
        return bool(self._frozen) and any(parameter.requires_grad for parameter in self._frozen)

    def _laid_out_anew(self) -> list[FlatBuffer]:
        states = self._states_by_parameter()
        trained = [parameter for parameter in self._all() if parameter.requires_grad]
        self._frozen = [parameter for parameter in self._all() if not parameter.requires_grad]
        self._buffers = lay_out(trained, self.kept_states(), self.work) if trained else []
        numbers = {id(parameter) for parameter in trained}
        self._resting = {number: own for number, own in states.items() if number not in numbers}
        self._stretches.clear()
        self._members = {
            id(buffer): [(one, id(one), self._group_of[id(one)]) for one in buffer.parameters]
            for buffer in self._buffers
        }
        for buffer in self._buffers:
            for position, parameter in enumerate(buffer.parameters):
                for name, value in states.get(id(parameter), {}).items():
                    view = buffer.view(buffer.states[name], position)
                    buffer.backend.xp.copyto(view, buffer.backend.asarray(value, buffer.dtype))
        return self._buffers

    def _states_by_parameter(self) -> dict[int, States]:
        """Each parameter's states on the host, by the parameter's identity."""
        found = dict(self._resting)
        for buffer in self._buffers:
            for position, parameter in enumerate(buffer.parameters):
                found[id(parameter)] = {
                    name: np.array(buffer.backend.to_host(flat[buffer.starts[position] :][: parameter.size])).reshape(
                        parameter.shape
                    )
                    for name, flat in buffer.states.items()
                }
        return found

    def kept_states(self) -> tuple[str, ...]:
        """The states that these settings need; ``update`` is handed None for the others."""
        return self.states

    # -- a step ----------------------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Forget the gradients: a parameter without one is skipped by the next step."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter._gradient = None

    def step(self, closure: Closure | None = None) -> Any:
        """Change every parameter that has a gradient; a closure that computes them is called first."""
        loss = closure() if closure is not None else None
        for buffer in self.buffers():
            members = self._members[id(buffer)]
            for first, last, group in self._alike(members):
                self._update(self._stretch(buffer, first, last), group)
            self._advance([one for one, _, _ in members if one._gradient is not None])
        self.steps += 1
        return loss

    def _alike(self, members: list[tuple[Parameter, int, Group]]) -> Iterable[tuple[int, int, Group]]:
        """Neighbours with a gradient that share settings and step count, as (first, one after the last, group)."""
        counts = self._counts
        _, first, group = members[0]
        count = counts[first]
        for one, number, own in members:
            if one._gradient is None or own is not group or counts[number] != count:
                break
        else:
            return ((0, len(members), group),)  # nearly always: all of them
        keys = [None if one._gradient is None else (own, counts[number]) for one, number, own in members]
        return [(start, end, key[0]) for start, end, key in runs(keys) if key is not None]

    def _advance(self, stepped: list[Parameter]) -> None:
        """Count a step of these parameters, and note that they were changed."""
        counts = self._counts
        self._uneven_steps += len(stepped) != len(counts)
        for parameter in stepped:
            counts[id(parameter)] += 1
        note_changes(stepped)

    def _stretch(self, buffer: FlatBuffer, first: int, last: int) -> Stretch:
        key = (id(buffer), first, last)
        if key not in self._stretches:
            self._stretches[key] = Stretch(buffer, first, last, type(self).states)
        return self._stretches[key]

    def _update(self, stretch: Stretch, group: Group) -> None:
        self._set_scalars(stretch, group)
        settings = group.settings | stretch.scalars
        for name in self.not_for_update:
            del settings[name]
        stretch.backend.kernel(self.update)(stretch.backend.xp, *stretch.arrays, work=stretch.work, **settings)

    def _set_scalars(self, stretch: Stretch, group: Group) -> None:
        """The numbers of this step: the learning rate, and what follows from how many steps were taken."""
        count = self._counts[id(stretch.first)] + 1  # all of a stretch have taken as many
        stretch.set("learning_rate", group.learning_rate(self.steps))
        for name, value in self.corrections(count, group.settings).items():
            stretch.set(name, value)

    def corrections(self, count: int, settings: Mapping[str, Any]) -> dict[str, float]:
        """Numbers that change with a parameter's step count (1, 2, ...), handed to ``update`` by name."""
        return {}

    # -- what is done to gradients before the step -----------------------------------------------------

    def gradient_norm(self) -> float:
        """The norm of all gradients as one vector: a number on the host, so it waits for the device."""
        return math.sqrt(sum(float(buffer.backend.to_host(square)[0]) for buffer, square in self.squared_norms()))

    def squared_norms(self) -> list[tuple[FlatBuffer, Array]]:
        """Each buffer with the squared norm (1,) of its gradients, on its device."""
        squares = []
        for buffer in self.buffers():
            buffer.clear_missing()
            square = buffer.backend.empty((1,), buffer.dtype)
            buffer.backend.kernel(kernels.squared_norm)(buffer.backend.xp, buffer.gradients, out=square)
            squares.append((buffer, square))
        return squares

    def clip_norm(self, max_norm: float) -> None:
        """Scale all gradients by one factor, so that their common norm is ``max_norm`` at most.

        Raises:
            ArgumentError: max_norm is not above 0.
        """
        _require_above_zero("clip_norm", max_norm)
        squares = self.squared_norms()
        if len({(buffer.backend.device) for buffer, _ in squares}) > 1 or len(squares) > 1:
            # Buffers of several dtypes or devices meet on the host.
            total = sum(float(buffer.backend.to_host(square)[0]) for buffer, square in squares)
            for _, square in squares:
                square.fill(total)
        for buffer, square in squares:
            work = buffer.backend.empty((1,), buffer.dtype)
            buffer.backend.kernel(kernels.scale_by_norm)(
                buffer.backend.xp, buffer.gradients, square, work=work, max_norm=float(max_norm)
            )

    def clip_value(self, limit: float) -> None:
        """Move every element of the gradients into -limit ... limit."""
        _require_above_zero("clip_value", limit)
        for buffer in self.buffers():
            buffer.backend.kernel(kernels.clip_by_value)(buffer.backend.xp, buffer.gradients, limit=float(limit))

    def scale_gradients(self, factor: float) -> None:
        """Multiply all gradients: a sum over samples becomes their mean."""
        for buffer in self.buffers():
            buffer.backend.kernel(Multiply.forward)(buffer.backend.xp, buffer.gradients, factor, y=buffer.gradients)

    # -- saved and loaded ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later step depends on: {"tensors": {"0.velocity": array, ...}, "settings": {...}}.

        Tensors are named by the parameter's position among those given, settings are plain numbers and names.
        """
        self.buffers()
        states = self._states_by_parameter()
        tensors = {
            f"{position}.{name}": value
            for position, parameter in enumerate(self._all())
            for name, value in states.get(id(parameter), {}).items()
        }
        groups = [
            {
                key: value.config() | {"state": value.state()} if isinstance(value, Schedule) else value
                for key, value in group.settings.items()
            }
            for group in self.groups
        ]
        counts = [self._counts[id(parameter)] for parameter in self._all()]
        return {
            "tensors": tensors,
            "settings": {"optimizer": type(self).__name__, "steps": self.steps, "counts": counts, "groups": groups},
        }

    def __getstate__(self) -> dict[str, Any]:
        """What `copy.deepcopy` and `pickle` keep: parameters by identity are not the copy's."""
        return {"defaults": self.defaults, "groups": self.groups, "saved": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.defaults, self.groups = state["defaults"], state["groups"]
        self._begin()
        self.load_state_dict(state["saved"])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a saved optimizer of the same kind stopped.

        Raises:
            ArgumentError, ShapeError: it is of another kind, or does not fit these parameters; nothing is changed.
        """
        settings, tensors = self._own(state)
        everyone = self._all()
        before = [group.settings for group in self.groups]
        try:
            for group, saved in zip(self.groups, settings["groups"], strict=True):
                group.settings = self._checked({key: _setting(group, key, saved) for key in group.settings})
            states = self._fitting(tensors, everyone, settings["counts"])
        except EngineError:
            for group, own in zip(self.groups, before, strict=True):
                group.settings = own
            raise
        for group, saved in zip(self.groups, settings["groups"], strict=True):
            if isinstance(group.settings["learning_rate"], Schedule):
                group.settings["learning_rate"].load_state(saved["learning_rate"]["state"])
        self._buffers, self._resting = [], states  # laid out anew at the next use
        self.steps = int(settings["steps"])
        self._counts = {id(one): int(count) for one, count in zip(everyone, settings["counts"], strict=True)}

    def _own(self, state: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """A state's settings and tensors, if it is of an optimizer like this one."""
        name = type(self).__name__
        settings = state.get("settings") if isinstance(state, Mapping) else None
        wanted = {"optimizer", "steps", "counts", "groups"}
        if (
            not isinstance(settings, Mapping)
            or not wanted <= set(settings)
            or not isinstance(state.get("tensors"), Mapping)
        ):
            raise ArgumentError(
                "load_state_dict: this is not the state of an optimizer; give what state_dict() returned."
            )
        if settings["optimizer"] != name:
            raise ArgumentError(f"load_state_dict: the state is of {settings['optimizer']}, this optimizer is {name}.")
        counts, groups = len(settings["counts"]), len(settings["groups"])
        if counts != len(self._all()) or groups != len(self.groups):
            raise ShapeError(
                f"load_state_dict: the state has {counts} parameters in {groups} groups, this {name} "
                f"{len(self._all())} in {len(self.groups)}."
            )
        return settings, state["tensors"]

    def _fitting(
        self, tensors: Mapping[str, Any], everyone: list[Parameter], counts: Iterable[int]
    ) -> dict[int, States]:
        """The saved states by the parameter's identity, if they are those that these parameters need."""
        states: dict[int, States] = {id(parameter): {} for parameter in everyone}
        known = set()
        for position, (parameter, count) in enumerate(zip(everyone, counts, strict=True)):
            for name in self.kept_states():
                key = f"{position}.{name}"
                known.add(key)
                if key in tensors and tuple(tensors[key].shape) == parameter.shape:
                    states[id(parameter)][name] = np.array(tensors[key])
                elif key in tensors or count:  # one that never made a step may have none
                    given = tuple(tensors[key].shape) if key in tensors else "nothing"
                    raise ShapeError(f"load_state_dict: {key} is {given} in the state; it must be {parameter.shape}.")
        for key in tensors:
            if key not in known:
                raise ShapeError(
                    f"load_state_dict: {key} is in the state; this {type(self).__name__} has no such state."
                )
        return states


def two_betas(owner: str, betas: Any) -> dict[str, Any]:
    """A pair of betas as the two settings that they are."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ArgumentError(f"{owner}: betas {betas!r} was given; give two numbers, such as (0.9, 0.999).")
    return {"beta1": betas[0], "beta2": betas[1]}


def _setting(group: Group, key: str, saved: Mapping[str, Any]) -> Any:
    """A saved setting; a schedule is the group's own where it is alike, else made again."""
    current, value = group.settings[key], saved.get(key, group.settings[key])
    if not isinstance(value, Mapping):
        return value
    config = {name: one for name, one in value.items() if name != "state"}
    return current if isinstance(current, Schedule) and current.config() == config else from_config(config)


def _number(value: Any, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return False
    return math.isfinite(value) and bool(value >= least)


def _require_above_zero(name: str, value: Any) -> None:
    if not _number(value, 0) or value == 0:
        raise ArgumentError(f"{name}: {value!r} was given; it is a number above 0.")
