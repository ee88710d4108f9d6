"""How long do eight fixed steps take on this GPU? The part of check_gpu.py that measures cells of the suite `cuda`."""

from typing import Any

TITLE = "eight cells of the benchmark"
ABOUT = (
    "A training step (forward, cross-entropy, backward, Adam), each way in a process of its own: microseconds, "
    "medians. Products: what the step's products take at the rate of a large square one that is measured here. The "
    "whole benchmark, beside PyTorch and JAX: `python -m bench --device cuda --resume FILE`."
)
ROUNDS = 3
NOT_THERE = "the engine's products have no precision"
WAYS = ("eager", "captured", "graphs")


def run(backend: Any, seconds: float) -> list[dict[str, Any]]:
    """The cells, as far as the time goes."""
    from bench import cuda, cuda_report

    pool = getattr(backend.xp, "get_default_memory_pool", None)
    if pool is not None:
        pool().free_all_blocks()  # for the processes that measure
    try:
        result = cuda.measure(
            (), cells=cuda.FIXED, rounds=ROUNDS, device=backend.device, minutes=max(seconds, 0.0) / 60, ways=WAYS
        )
    except (Exception, SystemExit) as error:  # what the benchmark says in one line is printed
        return [{"cell": "all", "ok": False, "error": f"{type(error).__name__}: {error}"}]
    rows: list[dict[str, Any]] = []
    for name, cell in result["cells"].items():
        times, left_out = cell["microseconds"], cell["left_out"]
        product, memory = cuda_report.limit_times(result, cell)
        row = {"cell": name, "microseconds": times, "products": product, "memory": memory, "left_out": left_out}
        row["ok"] = "captured" in times or left_out.get("captured", "").startswith(NOT_THERE)
        if "captured" not in times:
            row["error"] = left_out.get("captured", "not measured")
        rows.append(row)
    waiting = result["waiting"]
    return rows + [{"cell": name, "ok": False, "error": "no time was left for it"} for name in waiting]


def summary(part: list[dict[str, Any]]) -> str:
    """One line; all rows are ok."""
    told = [f"{row['cell']} {row['microseconds']['captured']['median']:.4g} us" for row in part if "error" not in row]
    left = sum("error" in row for row in part)
    return "; ".join([*told, f"{left} in precisions that the engine does not have"] if left else told)


def rows(part: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The titles of a table, and its cells."""
    cells = []
    for row in part:
        times = row.get("microseconds", {})
        shown = [f"{times[way]['median']:.4g}" if way in times else "" for way in WAYS]
        limits = ["" if row.get(name) is None else f"{row[name]:.4g}" for name in ("products", "memory")]
        cells.append([row["cell"], *shown, *limits, row.get("error", "ok")])
    titles = ["net@batch/optimizer", "eager", "recorded", "as graphs", "products", "memory", ""]
    return titles, cells
