"""What do large weights cost? Sums of squares and of absolute values, added to the training loss.

    w (any shape)   value (1,): this array's share is added to it   dvalue (1,) or ()

Source: lecture 003, "Weight regularization".
"""

from backends.kernels.pair import Array, Namespace, Pair


class ElasticNet(Pair):
    """value += squares sum(w^2) + absolutes sum(|w|);  dw = dvalue (2 squares w + absolutes sign(w)), sign(0) = 0.

    With absolutes = 0 it is L2, with squares = 0 it is L1.
    """

    @staticmethod
    def forward(
        xp: Namespace, w: Array, *, value: Array, total: Array, work: Array, squares: float, absolutes: float
    ) -> None:
        for factor, function in ((squares, xp.square), (absolutes, xp.absolute)):
            if factor:
                function(w, out=work)
                xp.sum(work, keepdims=True, out=total)
                xp.multiply(total, factor, out=total)
                xp.add(value, total.reshape(1), out=value)

    @staticmethod
    def backward(
        xp: Namespace, dvalue: Array, w: Array, *, dw: Array, work: Array, squares: float, absolutes: float
    ) -> None:
        xp.multiply(w, 2 * squares, out=dw)
        if absolutes:
            xp.sign(w, out=work)
            xp.multiply(work, absolutes, out=work)
            xp.add(dw, work, out=dw)
        xp.multiply(dw, dvalue, out=dw)
