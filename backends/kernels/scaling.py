"""How does the factor change that keeps small gradients within float16's range? It grows after many finite steps."""

from backends.kernels.pair import Array, Namespace


def count_finite_step(xp: Namespace, scale: Array, *, steps: Array, work: Array, patience: int, largest: float) -> None:
    """steps <- steps + 1; when that makes ``patience``: steps <- 0, scale <- min(2 scale, largest). All are ()."""
    xp.add(steps, 1, out=steps)
    xp.greater_equal(steps, patience, out=work)  # 1 where it grows, else 0
    xp.add(work, 1, out=work)
    xp.multiply(scale, work, out=scale)
    xp.minimum(scale, largest, out=scale)
    xp.subtract(2, work, out=work)
    xp.multiply(steps, work, out=steps)
