"""By which way are matrices multiplied on this GPU, and how fast? The part of check_gpu.py that times linear maps."""

import statistics
from typing import Any

from _fused import call_milliseconds

TITLE = "matrix products in each precision"
ABOUT = (
    "y = x w + b, and dw = x^T dy with the gradient of b where nothing is rounded: milliseconds a call, launched one "
    "after the other, in turns with CuPy's float32, and the rate of multiplications and additions. The way: rows as "
    "they lie or in longer copies, and what is beside the product within it or by a kernel of its own."
)
ROUNDS = 3
SIZES = ((128, 784, 256), (512, 1024, 1024), (8192, 1024, 10), (8192, 8192, 8192))
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


def run(backend: Any) -> list[dict[str, Any]]:
    """Each size in each precision, forward and backward."""
    rows = []
    for size in SIZES:
        for precision in PRECISIONS:
            for direction in ("forward", "backward"):
                row: dict[str, Any] = {"product": direction, "size": "x".join(map(str, size)), "precision": precision}
                try:
                    row |= timed(backend, size, precision, direction) | {"ok": True}
                except Exception as error:  # one that cannot run must not hide the others
                    row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
                rows.append(row)
    return rows


def timed(backend: Any, size: tuple[int, int, int], precision: str, direction: str) -> dict[str, Any]:
    """One product by the backend's kernel, in turns with the definition of float32's."""
    from backends.kernels.linear import Linear, RoundedLinear

    samples, inputs, outputs = size
    plain = precision == "float32"
    family, options = (Linear, {}) if plain else (RoundedLinear, {"precision": precision})
    shapes = (samples, inputs), (inputs, outputs), (samples, outputs)
    x, w, dy = (drawn(backend, shape) for shape in shapes)
    kept_x, kept_w, kept_dy = (x, w, dy) if plain else (kept(backend, one, precision) for one in (x, w, dy))
    b, y = backend.zeros((outputs,), "float32"), backend.empty(shapes[2], "float32")
    dw, db = backend.empty(shapes[1], "float32"), backend.empty((outputs,), "float32")
    if direction == "forward":
        ours = (backend.kernel(family.forward), [kept_x, kept_w, b], {"y": y, **options})
        cupys = (Linear.forward, [x, w, b], {"y": y})
        matrices, beside = (kept_x, kept_w, y), {"bias": b}
    else:
        sums = {"db": db} if plain else {}
        ours = (backend.kernel(family.backward), [kept_dy, kept_x, kept_w], {"dw": dw, **sums, **options})
        cupys = (Linear.backward, [dy, x, w], {"dw": dw, **sums})
        matrices, beside = (kept_x.T, kept_dy, dw), {"sums": db} if plain else {}
    times: dict[str, list[float]] = {"milliseconds": [], "cupy_milliseconds": []}
    for _ in range(ROUNDS + 1):
        for name, call in zip(times, (ours, cupys), strict=True):
            times[name].append(call_milliseconds(backend, *call))
    found: dict[str, Any] = {name: round(statistics.median(some[1:]), 5) for name, some in times.items()}
    found["teraflops"] = float(f"{2 * samples * inputs * outputs / found['milliseconds'] / 1e9:.4g}")
    products = getattr(backend, "products", None)
    plan = None if products is None else products.chosen(*matrices, **beside, **options)
    found["way"] = "the definition" if plan is None else plan.told()
    return found


def drawn(backend: Any, shape: tuple[int, ...]) -> Any:
    """Numbers whose products do not grow: of the size of one in a thousand."""
    import numpy as np

    return backend.asarray(np.random.default_rng(0).standard_normal(shape, "float32") / 1000)


def kept(backend: Any, x: Any, precision: str) -> Any:
    """Rounded numbers, as the device keeps them."""
    from backends.kernels.rounding import Round, work_type

    y = backend.empty(x.shape, backend.rounded_type(precision))
    work = backend.empty(x.shape, work_type(precision)) if y.dtype == x.dtype else None
    backend.kernel(Round.forward)(backend.xp, x, y=y, work=work, precision=precision)
    return y


def summary(part: list[dict[str, Any]]) -> str:
    """One line; all rows are ok."""
    best = {one: max(row["teraflops"] for row in part if row["precision"] == one) for one in PRECISIONS}
    return "; ".join(f"{precision} up to {rate:.4g} TFLOP/s" for precision, rate in best.items())


def rows(part: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The titles of a table, and its cells."""
    cells = []
    for row in part:
        numbers = [
            f"{row[name]:.4g}" if row["ok"] else "" for name in ("milliseconds", "cupy_milliseconds", "teraflops")
        ]
        named = [row["product"], row["size"], row["precision"]]
        cells.append([*named, *numbers, row.get("way", ""), row.get("error", "ok")])
    return ["product", "samples x in x out", "precision", "ms", "CuPy float32 ms", "TFLOP/s", "way", ""], cells
