"""In which direction does a quasi-Newton step go? The two loops of L-BFGS, over flat arrays (size,).

    g: gradient   d: direction   s = w' - w and y = g' - g of past steps, the newest last   rho = 1 / (y s)

Source: Nocedal, "Updating quasi-Newton matrices with limited storage" (1980); Nocedal and Wright, algorithm 7.4.
"""

from collections.abc import Sequence

from backends.kernels.pair import Array, Namespace


def direction(
    xp: Namespace, g: Array, moves: Sequence[Array], changes: Sequence[Array], scale: float, *, d: Array, work: Array
) -> None:
    """d = -H g, with H the inverse Hessian that the past moves s and changes y of the gradient tell of.

    ``scale`` is the first guess's diagonal, s y / y y of the newest step (1 where there is none).
    """
    xp.negative(g, out=d)
    factors = []
    for s, y in zip(reversed(moves), reversed(changes), strict=True):
        alpha = xp.dot(s, d) / xp.dot(y, s)
        xp.multiply(y, alpha, out=work)
        xp.subtract(d, work, out=d)
        factors.append(alpha)
    xp.multiply(d, scale, out=d)
    for s, y, alpha in zip(moves, changes, reversed(factors), strict=True):
        xp.multiply(s, alpha - xp.dot(y, d) / xp.dot(y, s), out=work)
        xp.add(d, work, out=d)
