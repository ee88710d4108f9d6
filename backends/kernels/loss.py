"""How wrong is a classifier? The losses of labels and probabilities, one number a unit, with their gradients.

    losses, dlosses: one number a sample (batch,), or one an element in the last three
    label: the index of the right class, integers (batch,) in 0 ... classes - 1      rows: arange(batch), for indexing

A backward kernel takes ``dlosses``, the gradient with respect to each unit's loss (or one that broadcasts to it, such
as (1,): the reduction's), then what ``saves`` names, in that order, then fills the gradient with respect to its first
input. ``forward_work`` and ``backward_work`` count the temporary arrays like that input in ``work``; where that is 0
there is no such argument. Labels are not checked here: an index out of range is the caller's to refuse.
"""

from backends.kernels.activation import Sigmoid, Softplus
from backends.kernels.pair import Array, Namespace, Pair


class CrossEntropy(Pair):
    """loss = -log p_label with p = softmax(logits);  dlogits_c = dloss (p_c - [c = label]).

    logits, probabilities, dlogits (batch, classes)   labels, rows, losses (batch,)

    The loss is log(sum over c of e^z_c) - z_label with z = logits - max(logits): exact however large the logits, and
    never the logarithm of 0. Natural logarithm. Source: lectures 000 and 003, "Cross-entropy".
    """

    saves = ("probabilities", "labels", "rows")
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace, logits: Array, labels: Array, rows: Array, *, losses: Array, probabilities: Array
    ) -> None:
        xp.subtract(logits, logits.max(axis=1, keepdims=True), out=probabilities)
        right = probabilities[rows, labels]
        xp.subtract(_softmax(xp, probabilities), right, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, probabilities: Array, labels: Array, rows: Array, *, dlogits: Array
    ) -> None:
        xp.multiply(probabilities, dlosses[..., None], out=dlogits)
        dlogits[rows, labels] -= dlosses


class WeightedCrossEntropy(Pair):
    """loss = -(sum over c of t_c log p_c) with p = softmax(logits);  dlogits = dloss (p sum(t) - t).

        t_c = w_c ((1 - s) [c = label] + s / classes)       w: class weights, s: label smoothing

    logits, probabilities, dlogits (batch, classes)   labels, rows, losses (batch,)   class_weight (classes,), of
    logits' dtype, ones for smoothing alone. The mean over samples divides by the sum of w_label: the caller's to do.
    Source: Szegedy and others, "Rethinking the inception architecture", 2016, section 7.
    """

    saves = ("probabilities", "labels", "rows", "class_weight")
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace,
        logits: Array,
        labels: Array,
        rows: Array,
        class_weight: Array,
        *,
        losses: Array,
        probabilities: Array,
        label_smoothing: float,
    ) -> None:
        xp.subtract(logits, logits.max(axis=1, keepdims=True), out=probabilities)
        right = (1.0 - label_smoothing) * class_weight[labels]
        spread = label_smoothing / logits.shape[1] * class_weight
        expected = right * probabilities[rows, labels]  # sum of t_c z_c
        if label_smoothing:  # a class excluded by the logit -inf then costs infinity; without smoothing, nothing
            expected += probabilities @ spread
        xp.multiply(right + spread.sum(), _softmax(xp, probabilities), out=losses)
        xp.subtract(losses, expected, out=losses)

    @staticmethod
    def backward(
        xp: Namespace,
        dlosses: Array,
        probabilities: Array,
        labels: Array,
        rows: Array,
        class_weight: Array,
        *,
        dlogits: Array,
        label_smoothing: float,
    ) -> None:
        right = (1.0 - label_smoothing) * class_weight[labels]
        spread = label_smoothing / probabilities.shape[1] * class_weight
        xp.multiply(probabilities, (right + spread.sum())[:, None], out=dlogits)
        xp.subtract(dlogits, spread, out=dlogits)
        dlogits[rows, labels] -= right
        xp.multiply(dlogits, dlosses[..., None], out=dlogits)


class CrossEntropyProbabilities(Pair):
    """loss = -(sum over c of t_c log p_c) with p = softmax(logits);  dlogits = dloss (p sum(t) - t).

        t_c = w_c ((1 - s) target_c + s / classes)       w: class weights, s: label smoothing

    logits, target, probabilities, dlogits (batch, classes)   losses (batch,)   class_weight (classes,) or None for
    ones. A target need not sum to 1. Source: as the two above.
    """

    saves = ("probabilities", "target", "class_weight")
    forward_work = 1
    backward_work = 1

    @staticmethod
    def forward(
        xp: Namespace,
        logits: Array,
        target: Array,
        class_weight: Array,
        *,
        losses: Array,
        probabilities: Array,
        work: tuple[Array, ...],
        label_smoothing: float,
    ) -> None:
        (t,) = work
        CrossEntropyProbabilities.smooth(xp, target, class_weight, t=t, label_smoothing=label_smoothing)
        mass = t.sum(axis=1)
        xp.subtract(logits, logits.max(axis=1, keepdims=True), out=probabilities)
        xp.multiply(t, probabilities, out=t)
        xp.multiply(mass, _softmax(xp, probabilities), out=losses)
        xp.subtract(losses, t.sum(axis=1), out=losses)

    @staticmethod
    def backward(
        xp: Namespace,
        dlosses: Array,
        probabilities: Array,
        target: Array,
        class_weight: Array,
        *,
        dlogits: Array,
        work: tuple[Array, ...],
        label_smoothing: float,
    ) -> None:
        (t,) = work
        CrossEntropyProbabilities.smooth(xp, target, class_weight, t=t, label_smoothing=label_smoothing)
        xp.multiply(probabilities, t.sum(axis=1, keepdims=True), out=dlogits)
        xp.subtract(dlogits, t, out=dlogits)
        xp.multiply(dlogits, dlosses[..., None], out=dlogits)

    @staticmethod
    def smooth(xp: Namespace, target: Array, class_weight: Array, *, t: Array, label_smoothing: float) -> None:
        """t_c = w_c ((1 - s) target_c + s / classes)."""
        xp.multiply(target, 1.0 - label_smoothing, out=t)
        xp.add(t, label_smoothing / target.shape[1], out=t)
        if class_weight is not None:
            xp.multiply(t, class_weight, out=t)


def _softmax(xp: Namespace, z: Array) -> Array:
    """Turns z, whose largest element of each row is 0, into softmax(z); returns log(sum over c of e^z_c), (batch,)."""
    xp.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    xp.divide(z, total, out=z)
    return xp.log(total[:, 0])


class Hinge(Pair):
    """loss = sum over c != label of max(0, s_c - s_label + margin), not divided by the number of classes.

    dscores_c = dloss where the term of c is above 0, else 0;  dscores_label = -(the sum of the others').

    scores, dscores (batch, classes)   labels, rows, losses (batch,)   Source: lecture 003, "Hinge loss".
    """

    saves = ("scores", "labels", "rows")
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(
        xp: Namespace,
        scores: Array,
        labels: Array,
        rows: Array,
        *,
        losses: Array,
        work: tuple[Array, ...],
        margin: float,
    ) -> None:
        (terms,) = work
        right = scores[rows, labels]
        xp.subtract(scores, (right - margin)[:, None], out=terms)
        xp.maximum(terms, 0.0, out=terms)
        terms[rows, labels] = 0.0
        terms.sum(axis=1, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, scores: Array, labels: Array, rows: Array, *, dscores: Array, margin: float
    ) -> None:
        right = scores[rows, labels]
        xp.greater(scores, (right - margin)[:, None], out=dscores)
        dscores[rows, labels] = 0.0
        dscores[rows, labels] = -dscores.sum(axis=1)
        xp.multiply(dscores, dlosses[..., None], out=dscores)


class BinaryCrossEntropy(Pair):
    """loss = -(t log p + (1 - t) log(1 - p));  dp = dloss (p - t) / (p (1 - p)).

    prediction p in 0 ... 1, target t, losses, dprediction: one shape. As in PyTorch a logarithm is -100 at least, and
    the divisor 1e-12 at least: a sure and wrong prediction costs 100, not infinity. From logits the next pair is exact.
    Source: lecture 001, "Binary cross-entropy".
    """

    saves = ("prediction", "target")
    forward_work = 2
    backward_work = 1

    @staticmethod
    def forward(xp: Namespace, prediction: Array, target: Array, *, losses: Array, work: tuple[Array, ...]) -> None:
        opposite, weight = work
        xp.subtract(1.0, prediction, out=opposite)
        xp.subtract(1.0, target, out=weight)
        for probability, logarithm, share in ((prediction, losses, target), (opposite, opposite, weight)):
            xp.maximum(probability, 1e-45, out=logarithm)  # above 0, and its logarithm below -100
            xp.log(logarithm, out=logarithm)
            xp.maximum(logarithm, -100.0, out=logarithm)
            xp.multiply(logarithm, share, out=logarithm)
        xp.add(losses, opposite, out=losses)
        xp.negative(losses, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, work: tuple[Array, ...]
    ) -> None:
        (variance,) = work
        xp.subtract(1.0, prediction, out=variance)
        xp.multiply(variance, prediction, out=variance)
        xp.maximum(variance, 1e-12, out=variance)
        xp.subtract(prediction, target, out=dprediction)
        xp.divide(dprediction, variance, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)


class BinaryCrossEntropyLogits(Pair):
    """loss = log(1 + e^z) - t z, which is BinaryCrossEntropy of p = 1 / (1 + e^-z);  dz = dloss (p - t).

    prediction z (logits), target t in 0 ... 1, losses, dprediction: one shape.
    """

    saves = ("prediction", "target")
    forward_work = 1
    backward_work = 1

    @staticmethod
    def forward(xp: Namespace, prediction: Array, target: Array, *, losses: Array, work: tuple[Array, ...]) -> None:
        Softplus.forward(xp, prediction, y=losses, work=work)
        (product,) = work
        xp.multiply(target, prediction, out=product)
        xp.subtract(losses, product, out=losses)

    @staticmethod
    def backward(
        xp: Namespace, dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, work: tuple[Array, ...]
    ) -> None:
        Sigmoid.forward(xp, prediction, y=dprediction, work=work)
        xp.subtract(dprediction, target, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)


class Logistic(Pair):
    """loss = log(1 + e^(-t z));  dz = -dloss t / (1 + e^(t z)) = dloss t (e^-loss - 1).

    prediction z (logits), target t (+1 or -1), losses, dprediction: one shape.
    Source: lecture 000, "Logistic regression".
    """

    saves = ("losses", "target")
    forward_work = 2
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, prediction: Array, target: Array, *, losses: Array, work: tuple[Array, ...]) -> None:
        disagreement = work[0]
        xp.multiply(prediction, target, out=disagreement)
        xp.negative(disagreement, out=disagreement)
        Softplus.forward(xp, disagreement, y=losses, work=work[1:])

    @staticmethod
    def backward(xp: Namespace, dlosses: Array, losses: Array, target: Array, *, dprediction: Array) -> None:
        xp.negative(losses, out=dprediction)
        xp.expm1(dprediction, out=dprediction)
        xp.multiply(dprediction, target, out=dprediction)
        xp.multiply(dprediction, dlosses, out=dprediction)
