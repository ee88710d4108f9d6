"""How are activations brought to mean 0 and variance 1? BatchNorm over the batch, LayerNorm over the features.

    x, y, dx, dy, normalized (batch, features)   gain, bias, dgain, dbias (features,); gain and bias may be None
    mean, variance, inverse_deviation = 1 / sqrt(variance + eps): (features,) in BatchNorm, (batch, 1) in LayerNorm

    normalized = (x - mean) inverse_deviation          y = gain normalized + bias
    dgain = sum of dy normalized over the batch        dbias = sum of dy over the batch

Sources: Ioffe and Szegedy, "Batch normalization" (2015); Ba, Kiros and Hinton, "Layer normalization" (2016).
"""

from backends.kernels.pair import Array, Namespace, Pair


def _center(
    xp: Namespace, x: Array, first: Array, axis: int, *, centered: Array, mean: Array, variance: Array, square: Array
) -> None:
    """centered = x - mean of x; mean, less first; biased variance. mean and variance may be one array.

    Two passes over shifted data: subtracting the first sample (or feature) before summing makes a constant exactly 0,
    and keeps a small variance around a large mean, in float32 too.
    """
    count = x.shape[axis]
    xp.subtract(x, first, out=centered)
    xp.sum(centered, axis=axis, keepdims=True, out=mean)
    xp.divide(mean, count, out=mean)
    xp.subtract(centered, mean, out=centered)
    xp.multiply(centered, centered, out=square)
    xp.sum(square, axis=axis, keepdims=True, out=variance)
    xp.divide(variance, count, out=variance)


def _inverse_deviation(xp: Namespace, variance: Array, *, out: Array, eps: float) -> None:
    xp.add(variance, eps, out=out)
    xp.sqrt(out, out=out)
    xp.reciprocal(out, out=out)


def _affine(xp: Namespace, normalized: Array, gain: Array | None, bias: Array | None, *, y: Array) -> None:
    if gain is not None:
        xp.multiply(normalized, gain, out=y)
    elif y is not normalized:
        xp.copyto(y, normalized)
    if bias is not None:
        xp.add(y, bias, out=y)


class BatchNorm(Pair):
    """Training: mean and biased variance of each feature over the batch.

    dx = gain inverse_deviation (dy - mean of dy - normalized * mean of dy normalized), means over the batch.
    The forward kernel also gives mean and variance, from which update_running takes the running estimates.
    """

    forward_work = 0
    backward_work = 1

    @staticmethod
    def forward(
        xp: Namespace,
        x: Array,
        gain: Array | None,
        bias: Array | None,
        *,
        y: Array,
        normalized: Array,
        mean: Array,
        variance: Array,
        inverse_deviation: Array,
        eps: float,
    ) -> None:
        _center(xp, x, x[:1], 0, centered=normalized, mean=mean[None], variance=variance[None], square=y)
        xp.add(mean, x[0], out=mean)
        _inverse_deviation(xp, variance, out=inverse_deviation, eps=eps)
        xp.multiply(normalized, inverse_deviation, out=normalized)
        _affine(xp, normalized, gain, bias, y=y)

    @staticmethod
    def backward(
        xp: Namespace,
        dy: Array,
        normalized: Array,
        gain: Array | None,
        inverse_deviation: Array,
        *,
        dx: Array | None = None,
        dgain: Array | None = None,
        dbias: Array | None = None,
        work: tuple[Array, ...],
    ) -> None:
        if dx is None:
            _affine_gradients(xp, dy, normalized, dgain=dgain, dbias=dbias, product=work[0])
            return
        count, row = len(dy), work[0][0]
        dgain, dbias = (row if wanted is None else wanted for wanted in (dgain, dbias))
        xp.multiply(dy, normalized, out=dx)
        xp.sum(dx, axis=0, out=dgain)
        xp.divide(dgain, count, out=row)
        xp.multiply(normalized, row, out=dx)
        xp.subtract(dy, dx, out=dx)
        xp.sum(dy, axis=0, out=dbias)
        xp.divide(dbias, count, out=row)
        xp.subtract(dx, row, out=dx)
        _scale_rows(xp, dx, gain, inverse_deviation, row=row, dx=dx)


class BatchNormEvaluation(Pair):
    """Evaluation: the given running mean and variance stand in for the batch's, so dx = gain inverse_deviation dy.

    normalized may be None where no backward follows; it is then never stored, and y has the same bits.
    """

    forward_work = 0
    backward_work = 1

    @staticmethod
    def forward(
        xp: Namespace,
        x: Array,
        gain: Array | None,
        bias: Array | None,
        running_mean: Array,
        running_variance: Array,
        *,
        y: Array,
        normalized: Array | None = None,
        inverse_deviation: Array,
        eps: float,
    ) -> None:
        normalized = y if normalized is None else normalized
        _inverse_deviation(xp, running_variance, out=inverse_deviation, eps=eps)
        xp.subtract(x, running_mean, out=normalized)
        xp.multiply(normalized, inverse_deviation, out=normalized)
        _affine(xp, normalized, gain, bias, y=y)

    @staticmethod
    def backward(
        xp: Namespace,
        dy: Array,
        normalized: Array | None,
        gain: Array | None,
        inverse_deviation: Array,
        *,
        dx: Array | None = None,
        dgain: Array | None = None,
        dbias: Array | None = None,
        work: tuple[Array, ...],
    ) -> None:
        _affine_gradients(xp, dy, normalized, dgain=dgain, dbias=dbias, product=work[0])
        if dx is not None:
            _scale_rows(xp, dy, gain, inverse_deviation, row=work[0][0], dx=dx)


class LayerNorm(Pair):
    """Mean and biased variance of each sample over its features; the same in training and evaluation.

    dx = inverse_deviation (g - mean of g - normalized * mean of g normalized), g = gain dy, means over the features.
    """

    forward_work = 0
    backward_work = 2

    @staticmethod
    def forward(
        xp: Namespace,
        x: Array,
        gain: Array | None,
        bias: Array | None,
        *,
        y: Array,
        normalized: Array,
        inverse_deviation: Array,
        eps: float,
    ) -> None:
        column = inverse_deviation  # first the mean, then the variance, then what its name says
        _center(xp, x, x[:, :1], 1, centered=normalized, mean=column, variance=column, square=y)
        _inverse_deviation(xp, column, out=inverse_deviation, eps=eps)
        xp.multiply(normalized, inverse_deviation, out=normalized)
        _affine(xp, normalized, gain, bias, y=y)

    @staticmethod
    def backward(
        xp: Namespace,
        dy: Array,
        normalized: Array,
        gain: Array | None,
        inverse_deviation: Array,
        *,
        dx: Array | None = None,
        dgain: Array | None = None,
        dbias: Array | None = None,
        work: tuple[Array, ...],
    ) -> None:
        product, column = work[0], work[1][:, :1]
        _affine_gradients(xp, dy, normalized, dgain=dgain, dbias=dbias, product=product)
        if dx is None:
            return
        count = dy.shape[1]
        _affine(xp, dy, gain, None, y=dx)
        xp.multiply(dx, normalized, out=product)
        xp.sum(product, axis=1, keepdims=True, out=column)
        xp.divide(column, count, out=column)
        xp.multiply(normalized, column, out=product)
        xp.subtract(dx, product, out=dx)
        xp.sum(dx, axis=1, keepdims=True, out=column)  # the sum of g still: normalized sums to 0
        xp.divide(column, count, out=column)
        xp.subtract(dx, column, out=dx)
        xp.multiply(dx, inverse_deviation, out=dx)


def _affine_gradients(
    xp: Namespace, dy: Array, normalized: Array | None, *, dgain: Array | None, dbias: Array | None, product: Array
) -> None:
    if dgain is not None:
        xp.multiply(dy, normalized, out=product)
        xp.sum(product, axis=0, out=dgain)
    if dbias is not None:
        xp.sum(dy, axis=0, out=dbias)


def _scale_rows(
    xp: Namespace, gradient: Array, gain: Array | None, inverse_deviation: Array, *, row: Array, dx: Array
) -> None:
    """dx = gain inverse_deviation gradient, the two factors multiplied as one row (features,) first."""
    if gain is None:
        xp.multiply(gradient, inverse_deviation, out=dx)
        return
    xp.multiply(gain, inverse_deviation, out=row)
    xp.multiply(gradient, row, out=dx)


def update_running(
    xp: Namespace,
    mean: Array,
    variance: Array,
    *,
    running_mean: Array,
    running_variance: Array,
    momentum: float,
    batch: int,
    work: Array,
) -> None:
    """running <- (1 - momentum) running + momentum * the batch's; the variance unbiased: batch / (batch - 1) of it.

    All arrays are (features,), work too; mean and variance come from BatchNorm.forward over batch > 1 samples.
    """
    for estimate, factor, running in ((mean, 1.0, running_mean), (variance, batch / (batch - 1), running_variance)):
        xp.multiply(estimate, momentum * factor, out=work)
        xp.multiply(running, 1 - momentum, out=running)
        xp.add(running, work, out=running)
