"""How are numbers combined, element by element? Sums, products, powers, comparisons; values and derivatives.

Every forward broadcasts its inputs as NumPy does; every backward works in the shape of y, and `SumTo` (reduction.py)
adds up what broadcasting had repeated. Shapes: any. dy is the incoming gradient, da the gradient of a.
The sum's derivatives are 1 and the difference's 1 and -1: their backward hands dy on, so there is no kernel for it.
"""

from backends.kernels.pair import Array, Namespace, Pair


class Add(Pair):
    """y = a + b;  da = dy, db = dy."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.add(a, b, out=y)


class Subtract(Pair):
    """y = a - b;  da = dy, db = -dy."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.subtract(a, b, out=y)


class Negative(Pair):
    """y = -x;  dx = -dy."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.negative(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, *, dx: Array) -> None:
        xp.negative(dy, out=dx)


class Multiply(Pair):
    """y = a b;  da = dy b, db = dy a.   Source: lecture 002, "Patterns in backward flow" (the product gate)."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.multiply(a, b, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, a: Array, b: Array, *, da: Array = None, db: Array = None) -> None:
        if da is not None:
            xp.multiply(dy, b, out=da)
        if db is not None:
            xp.multiply(dy, a, out=db)


class Divide(Pair):
    """y = a / b;  da = dy / b, db = -dy y / b."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.divide(a, b, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, b: Array, y: Array, *, da: Array = None, db: Array = None) -> None:
        if da is not None:
            xp.divide(dy, b, out=da)
        if db is not None:
            xp.multiply(dy, y, out=db)
            xp.divide(db, b, out=db)
            xp.negative(db, out=db)


class Power(Pair):
    """y = a^b;  da = dy b a^(b-1) (0 where b = 0), db = dy a^b ln a (0 where a = 0, as the limit for b > 0 says)."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.power(a, b, out=y)

    @staticmethod
    def backward(
        xp: Namespace,
        dy: Array,
        a: Array,
        b: Array,
        y: Array,
        *,
        da: Array = None,
        db: Array = None,
        work: Array = None,
    ) -> None:
        if da is not None:
            xp.equal(b, 0, out=work)  # where b = 0: 0 a^0 instead of 0 a^-1, which is no number at a = 0
            xp.add(work, b, out=work)
            xp.subtract(work, 1, out=work)
            xp.power(a, work, out=work)
            xp.multiply(work, b, out=work)
            xp.multiply(dy, work, out=da)
        if db is not None:
            xp.equal(a, 0, out=work)  # ln(a + 1) there, which is 0
            xp.add(a, work, out=work)
            xp.log(work, out=work)
            xp.multiply(work, y, out=work)
            xp.multiply(dy, work, out=db)


class PowerConstant(Pair):
    """y = x^p for a fixed number p;  dx = dy p x^(p-1), and 0 where p = 0."""

    saves = "x"

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, exponent: float) -> None:
        if exponent == 2:
            xp.multiply(x, x, out=y)
        else:
            xp.power(x, exponent, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array, exponent: float) -> None:
        if exponent == 2:
            xp.multiply(x, 2, out=dx)
        elif exponent == 0:
            dx.fill(0)
        else:
            xp.power(x, exponent - 1, out=dx)
            xp.multiply(dx, exponent, out=dx)
        xp.multiply(dx, dy, out=dx)


class Exp(Pair):
    """y = e^x;  dx = dy y."""

    saves = "y"

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.exp(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.multiply(dy, y, out=dx)


class Log(Pair):
    """y = ln x;  dx = dy / x."""

    saves = "x"

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.log(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array) -> None:
        xp.divide(dy, x, out=dx)


class Sqrt(Pair):
    """y = sqrt(x);  dx = dy / (2 y)."""

    saves = "y"

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.sqrt(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.divide(dy, y, out=dx)
        xp.multiply(dx, 0.5, out=dx)


class Absolute(Pair):
    """y = |x|;  dx = dy sign(x), and 0 at x = 0."""

    saves = "x"

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.absolute(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array) -> None:
        xp.sign(x, out=dx)
        xp.multiply(dx, dy, out=dx)


class Clip(Pair):
    """y = x between two bounds (None: no bound);  dx = dy where the bounds hold, the bounds themselves included."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, minimum: float | None, maximum: float | None) -> None:
        source = x
        if minimum is not None:
            xp.maximum(source, minimum, out=y)
            source = y
        if maximum is not None:
            xp.minimum(source, maximum, out=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, x: Array, *, dx: Array, work: Array, minimum: float | None, maximum: float | None
    ) -> None:
        source = dy
        if minimum is not None:
            xp.greater_equal(x, minimum, out=work)
            xp.multiply(source, work, out=dx)
            source = dx
        if maximum is not None:
            xp.less_equal(x, maximum, out=work)
            xp.multiply(source, work, out=dx)


class Maximum(Pair):
    """y = max(a, b);  da = dy where a > b, dy / 2 where a = b; db likewise."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.maximum(a, b, out=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, a: Array, b: Array, *, da: Array = None, db: Array = None, work: Array
    ) -> None:
        if da is not None:
            _share(xp, dy, a, b, gradient=da, work=work)
        if db is not None:
            _share(xp, dy, b, a, gradient=db, work=work)


class Minimum(Pair):
    """y = min(a, b);  da = dy where a < b, dy / 2 where a = b; db likewise."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.minimum(a, b, out=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, a: Array, b: Array, *, da: Array = None, db: Array = None, work: Array
    ) -> None:
        if da is not None:
            _share(xp, dy, b, a, gradient=da, work=work)
        if db is not None:
            _share(xp, dy, a, b, gradient=db, work=work)


def _share(xp: Namespace, dy: Array, winner: Array, loser: Array, *, gradient: Array, work: Array) -> None:
    # 1 where winner > loser, 1/2 where they tie, 0 elsewhere: the mean of > and >=.
    xp.greater(winner, loser, out=gradient)
    xp.greater_equal(winner, loser, out=work)
    xp.add(gradient, work, out=gradient)
    xp.multiply(gradient, 0.5, out=gradient)
    xp.multiply(gradient, dy, out=gradient)


class Where(Pair):
    """y = a where the condition holds, else b;  da = dy where it holds, db = dy where it does not."""

    @staticmethod
    def forward(xp: Namespace, condition: Array, a: Array, b: Array, *, y: Array) -> None:
        xp.copyto(y, b)
        xp.copyto(y, a, where=condition)

    @staticmethod
    def backward(xp: Namespace, dy: Array, condition: Array, *, da: Array = None, db: Array = None) -> None:
        if da is not None:
            xp.multiply(dy, condition, out=da)
        if db is not None:
            xp.copyto(db, dy)
            xp.copyto(db, 0, where=condition)


class Compare(Pair):
    """y = whether a relation holds between a and b: "less", "equal", ...;  no derivative."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array, relation: str) -> None:
        getattr(xp, relation)(a, b, out=y)
