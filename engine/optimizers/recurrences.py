"""Which optimizers are there? One class a recurrence: its settings, and the kernel that is its arithmetic.

To add one: subclass `Optimizer` here, define ``update`` (see its docstring), and name it in ``__all__``. It is then
`en.Name`, and ``--optimizer name`` on the command line.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from backends.kernels import optimizer as kernels
from engine.errors import ArgumentError
from engine.optimizers.optimizer import Optimizer, two_betas
from engine.schedules import Schedule

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "NAdam", "RMSprop"]

Rate = float | Schedule


class SGD(Optimizer):
    """velocity <- momentum velocity + g;  w <- w - learning_rate velocity.   g includes weight_decay w.

    Args:
        learning_rate: a number or a schedule.
        momentum: 0 is plain gradient descent.
        nesterov: look ahead: w <- w - learning_rate (g + momentum velocity).
        weight_decay: adds weight_decay w to the gradient.

    Source: lecture 000, "Stochastic gradient descent"; Polyak (1964); Sutskever and others (2013).

    >>> import engine as en
    >>> w = en.Parameter([1.0])
    >>> optimizer = en.SGD([w], learning_rate=0.25)
    >>> (w * w).sum().backward(); optimizer.step(); w.tolist()
    [0.5]
    """

    states, work = kernels.SGD.states, kernels.SGD.work
    update = staticmethod(kernels.SGD.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def kept_states(self) -> tuple[str, ...]:
        return self.states if any(group.settings["momentum"] for group in self.groups) else ()

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        if settings["nesterov"] and not settings["momentum"]:
            raise ArgumentError("SGD: nesterov=True was given without momentum; give momentum above 0, such as 0.9.")
        return super()._checked(settings)


class Adagrad(Optimizer):
    """s <- s + g^2;  w <- w - learning_rate g / (sqrt(s) + eps).   Source: Duchi, Hazan and Singer (2011)."""

    states, work = kernels.Adagrad.states, kernels.Adagrad.work
    update = staticmethod(kernels.Adagrad.update)

    def __init__(
        self, parameters: Iterable[Any], learning_rate: Rate = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, learning_rate, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - learning_rate g / (sqrt(v) + eps), with momentum on the quotient.

    Source: Hinton, "Neural networks for machine learning", lecture 6e (2012).
    """

    states, work = kernels.RMSprop.states, kernels.RMSprop.work
    update = staticmethod(kernels.RMSprop.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)

    def kept_states(self) -> tuple[str, ...]:
        return self.states if any(group.settings["momentum"] for group in self.groups) else self.states[:1]


class _AdamFamily(Optimizer, abstract=True):
    """What Adam, AdamW and NAdam share: two averages, and corrections that depend on the step count."""

    states, work = kernels.Adam.states, kernels.Adam.work

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        **settings: Any,
    ) -> None:
        two = two_betas(type(self).__name__, betas)
        super().__init__(parameters, learning_rate, **two, eps=eps, weight_decay=weight_decay, **settings)

    def corrections(self, count: int, settings: Mapping[str, Any]) -> dict[str, float]:
        return kernels.Adam.corrections(count, beta1=settings["beta1"], beta2=settings["beta2"])


class Adam(_AdamFamily):
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  w <- w - learning_rate m^ / (sqrt(v^) + eps).

    m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t) at step t. weight_decay adds weight_decay w to the gradient.
    Source: Kingma and Ba (2015).
    """

    update = staticmethod(kernels.Adam.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, eps, weight_decay)


class AdamW(_AdamFamily):
    """w <- (1 - learning_rate weight_decay) w, then Adam's step with the plain gradient.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).
    """

    update = staticmethod(kernels.AdamW.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, eps, weight_decay)


class NAdam(_AdamFamily):
    """Adam with Nesterov's look ahead.   Source: Dozat, "Incorporating Nesterov momentum into Adam" (2016)."""

    not_for_update = ("momentum_decay",)
    update = staticmethod(kernels.NAdam.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, eps, weight_decay, momentum_decay=momentum_decay)

    def corrections(self, count: int, settings: Mapping[str, Any]) -> dict[str, float]:
        return kernels.NAdam.corrections(
            count, beta1=settings["beta1"], beta2=settings["beta2"], momentum_decay=settings["momentum_decay"]
        )


class Lion(Optimizer):
    """w <- (1 - learning_rate weight_decay) w - learning_rate sign(beta1 m + (1 - beta1) g).

    Then m <- beta2 m + (1 - beta2) g. Source: Chen and others, "Symbolic discovery of optimization algorithms" (2023).
    """

    states, work = kernels.Lion.states, kernels.Lion.work
    update = staticmethod(kernels.Lion.update)

    def __init__(
        self,
        parameters: Iterable[Any],
        learning_rate: Rate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate, **two_betas("Lion", betas), weight_decay=weight_decay)
