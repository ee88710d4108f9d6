"""How far off is a number or a point? The losses that measure distances, one number a unit, with their gradients.

A backward kernel takes ``dlosses``, the gradient with respect to each unit's loss (or one that broadcasts to it, such
as (1,): the reduction's), then what ``saves`` names, in that order. It fills ``dprediction`` and, where it is wanted,
``dtarget``, the negative of it. ``forward_work`` and ``backward_work`` count the temporary arrays like the first input
in ``work``; where that is 0 there is no such argument.
"""

from backends.kernels.pair import Array, Namespace, Pair


class SquaredError(Pair):
    """loss = f ||prediction - target||^2, one a sample;  dprediction = dloss 2 f (prediction - target).

    prediction, target (batch, outputs), or (batch,) for one output   losses (batch,)   f: ``factor``, 1 or one half.
    Source: lecture 000, "Least squares"; lecture 001, "Loss functions".
    """

    saves = ("prediction", "target")
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace, prediction: Array, target: Array, *, losses: Array, work: tuple[Array, ...], factor: float
    ) -> None:
        (squares,) = work
        xp.subtract(prediction, target, out=squares)
        xp.multiply(squares, squares, out=squares)
        if squares.ndim == 1:
            squares = squares[:, None]
        squares.sum(axis=tuple(range(1, squares.ndim)), out=losses)
        xp.multiply(losses, factor, out=losses)

    @staticmethod
    def backward(
        xp: Namespace,
        dlosses: Array,
        prediction: Array,
        target: Array,
        *,
        dprediction: Array,
        dtarget: Array = None,
        factor: float,
    ) -> None:
        slopes = (2.0 * factor) * dlosses
        xp.subtract(prediction, target, out=dprediction)
        xp.multiply(dprediction, slopes.reshape(slopes.shape + (1,) * (prediction.ndim - 1)), out=dprediction)
        if dtarget is not None:
            xp.negative(dprediction, out=dtarget)


class MeanSquaredError(Pair):
    """loss = (prediction - target)^2, one an element;  dprediction = dloss 2 (prediction - target).

    prediction, target, losses: one shape. The mean over all of them is the caller's reduction.
    """

    saves = ("prediction", "target")
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, prediction: Array, target: Array, *, losses: Array) -> None:
        xp.subtract(prediction, target, out=losses)
        xp.multiply(losses, losses, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array = None
    ) -> None:
        xp.subtract(prediction, target, out=dprediction)
        xp.multiply(dprediction, 2.0, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)
        if dtarget is not None:
            xp.negative(dprediction, out=dtarget)


class MeanAbsoluteError(Pair):
    """loss = |prediction - target|, one an element;  dprediction = dloss sign(prediction - target), 0 where equal.

    prediction, target, losses: one shape. The mean over all of them is the caller's reduction.
    """

    saves = ("prediction", "target")
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, prediction: Array, target: Array, *, losses: Array) -> None:
        xp.subtract(prediction, target, out=losses)
        xp.abs(losses, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array = None
    ) -> None:
        xp.subtract(prediction, target, out=dprediction)
        xp.sign(dprediction, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)
        if dtarget is not None:
            xp.negative(dprediction, out=dtarget)


class Huber(Pair):
    """loss = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2);  dprediction = dloss min(max(d, -delta), delta).

    prediction, target, losses: one shape; d = prediction - target. Both cases are c (|d| - c / 2) with
    c = min(|d|, delta). Source: Huber, "Robust estimation of a location parameter", 1964.
    """

    saves = ("prediction", "target")
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace, prediction: Array, target: Array, *, losses: Array, work: tuple[Array, ...], delta: float
    ) -> None:
        (half,) = work
        xp.subtract(prediction, target, out=losses)
        xp.abs(losses, out=losses)
        xp.minimum(losses, delta, out=half)
        xp.multiply(half, 0.5, out=half)  # c / 2
        xp.subtract(losses, half, out=losses)
        xp.multiply(losses, half, out=losses)
        xp.multiply(losses, 2.0, out=losses)

    @staticmethod
    def backward(
        xp: Namespace,
        dlosses: Array,
        prediction: Array,
        target: Array,
        *,
        dprediction: Array,
        dtarget: Array = None,
        delta: float,
    ) -> None:
        xp.subtract(prediction, target, out=dprediction)
        xp.clip(dprediction, -delta, delta, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)
        if dtarget is not None:
            xp.negative(dprediction, out=dtarget)


class TripletMargin(Pair):
    """loss = max(0, ||a - p||^2 - ||a - n||^2 + margin), one a sample.

    Where loss > 0: da = dloss 2 (n - p), dp = dloss 2 (p - a), dn = dloss 2 (a - n); else 0.

    anchor a, positive p, negative n and their gradients (batch, features), each gradient None where nobody needs it
    losses (batch,)   Source: lecture 003, "Triplet loss"; Schroff and others, "FaceNet", 2015.
    """

    saves = ("losses", "anchor", "positive", "negative")
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace,
        anchor: Array,
        positive: Array,
        negative: Array,
        *,
        losses: Array,
        work: tuple[Array, ...],
        margin: float,
    ) -> None:
        (squares,) = work
        xp.subtract(anchor, positive, out=squares)
        xp.multiply(squares, squares, out=squares)
        squares.sum(axis=1, out=losses)
        xp.subtract(anchor, negative, out=squares)
        xp.multiply(squares, squares, out=squares)
        xp.subtract(losses, squares.sum(axis=1), out=losses)
        xp.add(losses, margin, out=losses)
        xp.maximum(losses, 0.0, out=losses)

    @staticmethod
    def backward(
        xp: Namespace,
        dlosses: Array,
        losses: Array,
        anchor: Array,
        positive: Array,
        negative: Array,
        *,
        danchor: Array = None,
        dpositive: Array = None,
        dnegative: Array = None,
    ) -> None:
        slope = ((losses > 0.0) * (2.0 * dlosses))[:, None]
        for end, start, gradient in (
            (negative, positive, danchor),
            (positive, anchor, dpositive),
            (anchor, negative, dnegative),
        ):
            if gradient is not None:
                xp.subtract(end, start, out=gradient)
                xp.multiply(gradient, slope, out=gradient)
