"""How does a step of each optimizer change the weights? One recurrence each, over all parameters as one flat array.

    w, g, every state and every work array (size,), of one dtype        w and the states change in place, g does not
    lr = learning_rate and the scalars named in per_step: arrays (1,) of that dtype on the device, or Python floats;
    both give the same bits. Everything else (weight_decay, momentum ...) is a Python float that is fixed for a run.

All states start at zero. `states` names them in order, `work` says how many temporary arrays a step wants. An option
that is zero costs nothing. The recurrences are PyTorch's. Where a class has `corrections`, it gives the per_step
scalars of the t-th step (t = 1, 2, ...), worked out in double precision on the host.
"""

import math
from typing import ClassVar

from backends.kernels.pair import Array, Namespace

Scalar = Array | float


def decayed(xp: Namespace, g: Array, w: Array, weight_decay: float, *, out: Array) -> Array:
    """The gradient with weight decay, g + weight_decay w: in out, or g itself where there is none."""
    if weight_decay == 0:
        return g
    xp.multiply(w, weight_decay, out=out)
    xp.add(out, g, out=out)
    return out


def _shrink(xp: Namespace, w: Array, learning_rate: Scalar, weight_decay: float, *, scratch: Array) -> None:
    """Decoupled weight decay: w <- (1 - lr weight_decay) w."""
    if weight_decay == 0:
        return
    scratch[...] = learning_rate
    xp.multiply(scratch, -weight_decay, out=scratch)
    xp.add(scratch, 1, out=scratch)
    xp.multiply(w, scratch, out=w)


def average(xp: Namespace, m: Array, g: Array, beta: float, *, work: Array) -> None:
    """m <- beta m + (1 - beta) g, written m + (1 - beta)(g - m)."""
    xp.subtract(g, m, out=work)
    xp.multiply(work, 1 - beta, out=work)
    xp.add(m, work, out=m)


def average_square(xp: Namespace, v: Array, g: Array, beta: float, *, work: Array) -> None:
    """v <- beta v + (1 - beta) g^2."""
    xp.multiply(g, g, out=work)
    xp.multiply(work, 1 - beta, out=work)
    xp.multiply(v, beta, out=v)
    xp.add(v, work, out=v)


def descend(xp: Namespace, w: Array, direction: Array, learning_rate: Scalar, *, work: Array) -> None:
    """w <- w - lr direction; work may be direction."""
    xp.multiply(direction, learning_rate, out=work)
    xp.subtract(w, work, out=w)


class SGD:
    """g' = g + weight_decay w;  velocity <- momentum velocity + g';  w <- w - lr velocity.

    With nesterov, w <- w - lr (g' + momentum velocity). Without momentum velocity may be None. Sources: Polyak (1964);
    Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013).
    """

    states: ClassVar[tuple[str, ...]] = ("velocity",)
    per_step: ClassVar[tuple[str, ...]] = ()
    work: ClassVar[int] = 2

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        velocity: Array | None,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        g = decayed(xp, g, w, weight_decay, out=work[0])
        if velocity is not None and momentum != 0:
            xp.multiply(velocity, momentum, out=velocity)
            xp.add(velocity, g, out=velocity)
            if nesterov:
                xp.multiply(velocity, momentum, out=work[1])
                xp.add(work[1], g, out=work[1])
                g = work[1]
            else:
                g = velocity
        descend(xp, w, g, learning_rate, work=work[1])


class Adagrad:
    """g' = g + weight_decay w;  s <- s + g'^2;  w <- w - lr g' / (sqrt(s) + eps).

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011).
    """

    states: ClassVar[tuple[str, ...]] = ("square_sum",)
    per_step: ClassVar[tuple[str, ...]] = ()
    work: ClassVar[int] = 2

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        square_sum: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        g = decayed(xp, g, w, weight_decay, out=work[0])
        xp.multiply(g, g, out=work[1])
        xp.add(square_sum, work[1], out=square_sum)
        xp.sqrt(square_sum, out=work[1])
        xp.add(work[1], eps, out=work[1])
        xp.divide(g, work[1], out=work[1])
        descend(xp, w, work[1], learning_rate, work=work[1])


class RMSprop:
    """g' = g + weight_decay w;  v <- alpha v + (1 - alpha) g'^2;  d = g' / (sqrt(v) + eps);  w <- w - lr d.

    With momentum, velocity <- momentum velocity + d takes the place of d; without, velocity may be None. Source:
    Hinton, "Neural networks for machine learning", lecture 6e (2012).
    """

    states: ClassVar[tuple[str, ...]] = ("square_average", "velocity")
    per_step: ClassVar[tuple[str, ...]] = ()
    work: ClassVar[int] = 2

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        square_average: Array,
        velocity: Array | None,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        g = decayed(xp, g, w, weight_decay, out=work[0])
        average_square(xp, square_average, g, alpha, work=work[1])
        xp.sqrt(square_average, out=work[1])
        xp.add(work[1], eps, out=work[1])
        xp.divide(g, work[1], out=work[1])
        direction = work[1]
        if velocity is not None and momentum != 0:
            xp.multiply(velocity, momentum, out=velocity)
            xp.add(velocity, direction, out=velocity)
            direction = velocity
        descend(xp, w, direction, learning_rate, work=work[1])


def _adam(
    xp: Namespace,
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    work: Array,
    scratch: Array,
    learning_rate: Scalar,
    first_correction: Scalar,
    second_correction: Scalar,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """The step that Adam and AdamW share, with root = sqrt(second_correction) multiplied out to save a pass:

    lr / first_correction * m / (sqrt(v) / root + eps) = (lr root / first_correction) m / (sqrt(v) + eps root)

    scratch (1,) may lie in g where g is a work array: it is written only after g was read.
    """
    average(xp, m, g, beta1, work=work)
    average_square(xp, v, g, beta2, work=work)
    xp.sqrt(v, out=work)
    scratch[...] = second_correction
    xp.sqrt(scratch, out=scratch)
    xp.multiply(scratch, eps, out=scratch)
    xp.add(work, scratch, out=work)
    xp.divide(m, work, out=work)
    scratch[...] = second_correction
    xp.sqrt(scratch, out=scratch)
    xp.multiply(scratch, learning_rate, out=scratch)
    xp.divide(scratch, first_correction, out=scratch)
    descend(xp, w, work, scratch, work=work)


class Adam:
    """m <- beta1 m + (1 - beta1) g';  v <- beta2 v + (1 - beta2) g'^2;  g' = g + weight_decay w;

    w <- w - lr m_hat / (sqrt(v_hat) + eps);  m_hat = m / (1 - beta1^t),  v_hat = v / (1 - beta2^t).

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015).
    """

    states: ClassVar[tuple[str, ...]] = ("gradient_average", "square_average")
    per_step: ClassVar[tuple[str, ...]] = ("first_correction", "second_correction")
    work: ClassVar[int] = 2

    @staticmethod
    def corrections(step: int, *, beta1: float = 0.9, beta2: float = 0.999) -> dict[str, float]:
        """1 - beta1^t and 1 - beta2^t: what averages begun at zero lack after t steps."""
        return {"first_correction": 1 - beta1**step, "second_correction": 1 - beta2**step}

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        gradient_average: Array,
        square_average: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        first_correction: Scalar,
        second_correction: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        g = decayed(xp, g, w, weight_decay, out=work[1])
        _adam(
            xp,
            w,
            g,
            gradient_average,
            square_average,
            work=work[0],
            scratch=work[1][:1],
            learning_rate=learning_rate,
            first_correction=first_correction,
            second_correction=second_correction,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
        )


class AdamW:
    """w <- (1 - lr weight_decay) w, then Adam's step with the plain gradient g.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).
    """

    states: ClassVar[tuple[str, ...]] = Adam.states
    per_step: ClassVar[tuple[str, ...]] = Adam.per_step
    work: ClassVar[int] = 2

    corrections = Adam.corrections

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        gradient_average: Array,
        square_average: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        first_correction: Scalar,
        second_correction: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        _shrink(xp, w, learning_rate, weight_decay, scratch=work[1][:1])
        _adam(
            xp,
            w,
            g,
            gradient_average,
            square_average,
            work=work[0],
            scratch=work[1][:1],
            learning_rate=learning_rate,
            first_correction=first_correction,
            second_correction=second_correction,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
        )


class NAdam:
    """m <- beta1 m + (1 - beta1) g';  v <- beta2 v + (1 - beta2) g'^2;  g' = g + weight_decay w;

    w <- w - lr (gradient_weight g' + momentum_weight m) / (sqrt(v / second_correction) + eps), where, with
    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and M_t = mu_1 ... mu_t,
    gradient_weight = (1 - mu_t) / (1 - M_t),  momentum_weight = mu_(t+1) / (1 - M_(t+1)).

    Source: Dozat, "Incorporating Nesterov momentum into Adam" (2016).
    """

    states: ClassVar[tuple[str, ...]] = Adam.states
    per_step: ClassVar[tuple[str, ...]] = ("gradient_weight", "momentum_weight", "second_correction")
    work: ClassVar[int] = 2

    @staticmethod
    def corrections(
        step: int, *, beta1: float = 0.9, beta2: float = 0.999, momentum_decay: float = 4e-3
    ) -> dict[str, float]:
        """The weights of the t-th step, from t alone, so that nothing but the step count needs saving."""

        def mu(t: int) -> float:
            return beta1 * (1 - 0.5 * math.pow(0.96, t * momentum_decay))

        product = 1.0
        for t in range(1, step + 1):
            product *= mu(t)
            if product < 1e-20:  # 1 - product is 1 from here on, in double precision
                break
        return {
            "gradient_weight": (1 - mu(step)) / (1 - product),
            "momentum_weight": mu(step + 1) / (1 - product * mu(step + 1)),
            "second_correction": 1 - beta2**step,
        }

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        gradient_average: Array,
        square_average: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        gradient_weight: Scalar,
        momentum_weight: Scalar,
        second_correction: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        direction, other = work[0], work[1]
        g = decayed(xp, g, w, weight_decay, out=direction)
        average(xp, gradient_average, g, beta1, work=other)
        average_square(xp, square_average, g, beta2, work=other)
        xp.multiply(g, gradient_weight, out=direction)
        xp.multiply(gradient_average, momentum_weight, out=other)
        xp.add(direction, other, out=direction)
        xp.divide(square_average, second_correction, out=other)
        xp.sqrt(other, out=other)
        xp.add(other, eps, out=other)
        xp.divide(direction, other, out=direction)
        descend(xp, w, direction, learning_rate, work=direction)


class Lion:
    """w <- (1 - lr weight_decay) w - lr sign(beta1 m + (1 - beta1) g);  then m <- beta2 m + (1 - beta2) g.

    Both averages are m + (1 - beta)(g - m): the difference serves twice. Source: Chen et al., "Symbolic discovery of
    optimization algorithms" (2023).
    """

    states: ClassVar[tuple[str, ...]] = ("gradient_average",)
    per_step: ClassVar[tuple[str, ...]] = ()
    work: ClassVar[int] = 2

    @staticmethod
    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        gradient_average: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        difference, direction = work[0], work[1]
        _shrink(xp, w, learning_rate, weight_decay, scratch=direction[:1])
        xp.subtract(g, gradient_average, out=difference)
        xp.multiply(difference, 1 - beta1, out=direction)
        xp.add(direction, gradient_average, out=direction)
        xp.sign(direction, out=direction)
        descend(xp, w, direction, learning_rate, work=direction)
        xp.multiply(difference, 1 - beta2, out=difference)
        xp.add(gradient_average, difference, out=gradient_average)


def squared_norm(xp: Namespace, g: Array, *, out: Array) -> None:
    """out (1,) = the sum of the squares of g (size,)."""
    xp.dot(g, g, out=out.reshape(()))


def scale_by_norm(xp: Namespace, g: Array, norm_squared: Array, *, work: Array, max_norm: float) -> None:
    """Clip by the global norm, in place: g <- g min(1, max_norm / (sqrt(norm_squared) + 1e-6)).

    norm_squared and work (1,): where several arrays share one norm, add their squared_norm first. g is multiplied by 1
    where nothing is to be clipped, so that no number comes to the host. Source: Pascanu, Mikolov and Bengio, "On the
    difficulty of training recurrent neural networks" (2013).
    """
    xp.sqrt(norm_squared, out=work)
    xp.add(work, 1e-6, out=work)
    xp.divide(max_norm, work, out=work)
    xp.minimum(work, 1, out=work)
    xp.multiply(g, work, out=g)


def clip_by_value(xp: Namespace, g: Array, *, limit: float) -> None:
    """g <- the nearest number in [-limit, limit], in place; NaN stays NaN."""
    xp.clip(g, -limit, limit, out=g)
