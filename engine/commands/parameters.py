"""Which options set the parameters of what is chosen by name? One line an option; who has it, its constructor says."""

import argparse
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine import initializers, schedules
from engine.commands import parsing, task
from engine.errors import ArgumentError
from engine.layers import Activation, Maxout
from engine.losses.loss import Loss
from engine.optimizers import Optimizer
from engine.optimizers.lbfgs import LINE_SEARCHES

Members = dict[str, Callable[..., Any]]

SCHEDULES: Members = {
    "constant": schedules.Constant,
    "cosine": schedules.Cosine,
    "step": schedules.Step,
    "exponential": schedules.Exponential,
    "one-cycle": schedules.OneCycle,
    "plateau": schedules.ReduceOnPlateau,
}
MAXOUT = "maxout"  # chosen like an activation, though it is a Linear and its activation in one


def members(family: str) -> Members:
    """What can be chosen, by name: of "activation", "initializer", "loss", "optimizer" or "schedule".

    >>> "adam" in members("optimizer")
    True
    """
    if family == "activation":
        return {**Activation.members, MAXOUT: Maxout}
    if family == "initializer":
        return dict(initializers.INITIALIZERS)
    if family == "loss":
        return {name: Loss.members[name] for name in task.LOSSES}
    return dict(Optimizer.members) if family == "optimizer" else SCHEDULES


class Parameter(NamedTuple):
    """An option that sets one parameter of some members of a family.

    Attributes:
        option: as it is written.
        family: see `members`.
        names: what the constructors call it; the first is its name in a run's settings.
        metavar: what stands for its value; empty where the option has none.
        read: of the value.
        words: for help.
        default: for help, where it is not the constructor's.
    """

    option: str
    family: str
    names: tuple[str, ...]
    metavar: str
    read: Callable[[str], Any]
    words: str
    default: str | None = None

    @property
    def destination(self) -> str:
        """Where the parser puts the value."""
        return self.option[2:].replace("-", "_")

    @property
    def setting(self) -> str:
        """Its name in a run's settings: a table [model] has parameters of two families, the others of one."""
        return self.destination if self.family in ("activation", "initializer") else self.names[0]

    def owners(self) -> dict[str, inspect.Parameter]:
        """Who has it, and how."""
        found: dict[str, inspect.Parameter] = {}
        for name, constructor in sorted(members(self.family).items()):
            known = inspect.signature(constructor).parameters
            own = next((known[own] for own in self.names if own in known), None)
            if own is not None:
                found[name] = own
        return found

    def help(self) -> str:
        """Who has it, what it is, its default."""
        owners = self.owners()
        others = [name for name in members(self.family) if name not in owners]
        whose = f"all but {others[0]}" if len(others) == 1 and len(owners) > 2 else ", ".join(owners)
        default = _defaults(owners) if self.default is None else self.default
        text = f"{whose}: {self.words}" if others else self.words
        return f"{text} (default: {default})" if self.metavar else text


def _defaults(owners: Mapping[str, inspect.Parameter]) -> str:
    """The default that most share, then the others with their owners."""
    shown = {name: _shown(parameter.default) for name, parameter in owners.items()}
    usual = max(shown.values(), key=list(shown.values()).count)
    return "; ".join([usual, *(f"{name} {text}" for name, text in shown.items() if text != usual)])


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(one) for one in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


_SHARE = parsing.number(0, 1, below=True)
_INSIDE = parsing.number(0, 1, above=True, below=True)
_ABOVE = parsing.number(above=True)
_FROM_0 = parsing.number()
_ANY = parsing.number(-math.inf)

PARAMETERS = (
    Parameter("--negative-slope", "activation", ("negative_slope",), "X", _ANY, "slope below 0"),
    Parameter("--elu-alpha", "activation", ("alpha",), "X", _ABOVE, "lowest value is -X"),
    Parameter("--pieces", "activation", ("pieces",), "K", parsing.whole(1), "largest of K linear maps"),
    Parameter("--init-value", "initializer", ("value",), "X", _ANY, "every weight"),
    Parameter("--init-std", "initializer", ("std",), "X", _FROM_0, "standard deviation"),
    Parameter("--init-mean", "initializer", ("mean",), "X", _ANY, "mean"),
    Parameter("--init-low", "initializer", ("low",), "X", _ANY, "least weight"),
    Parameter("--init-high", "initializer", ("high",), "X", _ANY, "largest weight"),
    Parameter("--init-gain", "initializer", ("gain",), "X", _ANY, "length of a column"),
    Parameter("--label-smoothing", "loss", ("label_smoothing",), "X", _SHARE, "share spread over all classes"),
    Parameter(
        "--class-weight", "loss", ("class_weight",), "HOW", parsing.class_weight,
        "balanced, or one number for each class with commas", "all count alike",
    ),
    Parameter("--margin", "loss", ("margin",), "X", _ABOVE, "by how much the right class should lead"),
    Parameter("--delta", "loss", ("delta",), "X", _ABOVE, "where the square becomes a line"),
    Parameter("--loss-factor", "loss", ("factor",), "X", _ABOVE, "what it is multiplied by, such as 0.5"),
    Parameter(
        "--reduction", "loss", ("reduction",), "NAME", parsing.OneOf("reduction", ("mean", "sum")),
        "mean, sum: of the losses of a batch",
    ),
    Parameter("--weight-decay", "optimizer", ("weight_decay",), "X", _FROM_0, "pulls weights to 0"),
    Parameter("--momentum", "optimizer", ("momentum",), "X", _SHARE, "share of the last step that is kept"),
    Parameter("--nesterov", "optimizer", ("nesterov",), "", bool, "Nesterov's momentum, that looks ahead"),
    Parameter("--betas", "optimizer", ("betas",), "X,X", parsing.betas, "decays of the averages"),
    Parameter("--eps", "optimizer", ("eps",), "X", _ABOVE, "keeps the divisor from 0"),
    Parameter("--rmsprop-alpha", "optimizer", ("alpha",), "X", _SHARE, "decay of the average of squares"),
    Parameter("--momentum-decay", "optimizer", ("momentum_decay",), "X", _FROM_0, "lets the momentum rise slowly"),
    Parameter(
        "--lbfgs-iterations", "optimizer", ("max_iterations",), "N", parsing.whole(1), "directions followed in a step"
    ),
    Parameter("--lbfgs-history", "optimizer", ("history",), "N", parsing.whole(1), "past directions remembered"),
    Parameter(
        "--line-search", "optimizer", ("line_search",), "NAME", parsing.OneOf("line search", LINE_SEARCHES),
        ", ".join(LINE_SEARCHES),
    ),
    Parameter(
        "--tolerance-gradient", "optimizer", ("tolerance_gradient",), "X", _FROM_0, "a step ends at such a gradient"
    ),
    Parameter(
        "--tolerance-change", "optimizer", ("tolerance_change",), "X", _FROM_0, "a step ends at such a change"
    ),
    Parameter(
        "--schedule-every", "schedule", ("every",), "EPOCHS", _ABOVE, "time between steps", "a third of the training"
    ),
    Parameter(
        "--schedule-factor", "schedule", ("factor",), "X", _INSIDE, "what the rate is multiplied by",
        "0.1; exponential 0.95, an epoch",
    ),
    Parameter("--schedule-minimum", "schedule", ("minimum", "final"), "X", _FROM_0, "lowest rate"),
    Parameter(
        "--schedule-patience", "schedule", ("patience",), "N", parsing.whole(0), "epochs without improvement", "5"
    ),
    Parameter("--schedule-threshold", "schedule", ("threshold",), "X", _SHARE, "least relative improvement"),
    Parameter("--schedule-rise", "schedule", ("rise",), "X", _INSIDE, "share of the time that goes up"),
    Parameter(
        "--schedule-start-divisor", "schedule", ("start_divisor",), "X", _ABOVE, "first rate is the peak / X"
    ),
    Parameter(
        "--schedule-final-divisor", "schedule", ("final_divisor",), "X", _ABOVE, "last rate is the first / X"
    ),
)  # fmt: skip


def add(group: argparse._ActionsContainer, family: str) -> None:
    """The options of a family."""
    for one in PARAMETERS:
        if one.family == family and one.metavar:
            group.add_argument(one.option, metavar=one.metavar, type=one.read, help=one.help())
        elif one.family == family:
            group.add_argument(one.option, action="store_true", default=None, help=one.help())


def chosen(family: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a run's settings say of the parameters of a member: what was given, None for its own default.

    Raises:
        ArgumentError: an option was given that sets nothing of this member.
    """
    found = {}
    for one in PARAMETERS:
        if one.family == family:
            value = found[one.setting] = getattr(arguments, one.destination)
            if value is not None and name not in one.owners():
                having = ", ".join(one.owners())
                raise ArgumentError(f"{one.option}: {family} {name} has none; allowed with {having}.")
    return found


def given(family: str, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a member's constructor, of a run's settings: those that are not its own default.

    >>> given("activation", "elu", {"elu_alpha": 0.5, "negative_slope": None})
    {'alpha': 0.5}
    """
    found = {}
    for one in PARAMETERS:
        value = table.get(one.setting) if one.family == family else None
        if value is not None:
            owner = one.owners().get(name)
            found[one.names[0] if owner is None else owner.name] = value
    return found
