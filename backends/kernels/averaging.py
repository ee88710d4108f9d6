"""How do the losses of a batch become one number? Their sum or their mean, each unit counted by its weight.

losses, weights (batch,) or one an element   value ()   total (1,): what the mean divides by   dvalue (1,)
"""

from backends.kernels.pair import Array, Namespace, Pair


class Average(Pair):
    """value = sum(loss) / count;  dloss = dvalue / count, one number for all units.   count = 1 makes it the sum."""

    @staticmethod
    def forward(xp: Namespace, losses: Array, *, value: Array, count: int) -> None:
        losses.sum(out=value)
        if count != 1:
            xp.divide(value, count, out=value)

    @staticmethod
    def backward(xp: Namespace, dvalue: Array, *, dloss: Array, count: int) -> None:
        xp.divide(dvalue, count, out=dloss)


class WeightedAverage(Pair):
    """value = sum(w loss) / total;  dloss = dvalue w / total, one number a unit."""

    @staticmethod
    def forward(xp: Namespace, losses: Array, weights: Array, total: Array, *, value: Array, work: Array) -> None:
        xp.multiply(losses, weights, out=work)
        xp.sum(work, out=value)
        xp.divide(value, total.reshape(()), out=value)

    @staticmethod
    def backward(xp: Namespace, dvalue: Array, weights: Array, total: Array, *, dlosses: Array) -> None:
        xp.multiply(weights, dvalue, out=dlosses)
        xp.divide(dlosses, total, out=dlosses)


def label_weights(xp: Namespace, class_weight: Array, labels: Array, *, weights: Array) -> None:
    """weights = the weight of each sample's class; class_weight (classes,), labels and weights (batch,)."""
    xp.take(class_weight, labels, out=weights)


def move_average(xp: Namespace, w: Array, *, average: Array, work: Array, decay: float) -> None:
    """average <- decay average + (1 - decay) w, written average + (1 - decay)(w - average); any shape."""
    xp.subtract(w, average, out=work)
    xp.multiply(work, 1 - decay, out=work)
    xp.add(average, work, out=average)
