"""Are replays the eager steps on this GPU? The part of check_gpu.py that records every layer, loss and optimizer."""

import warnings
from typing import Any

TITLE = "replays beside eager steps"
ABOUT = (
    "Recorded steps of every layer, loss, optimizer and precision, called one by one and launched as CUDA graphs: the "
    "same bits as eager ones, after all that a replay computes anew was overwritten with NaN. Of graphs, how many a "
    "step is, and which kernels are called between them."
)


def run(backend: Any) -> list[dict[str, Any]]:
    """Each case by calls, then by graphs."""
    import replays

    rows = []
    before = backend.graphs
    for case in replays.cases():
        for graphs in (False, True):
            row: dict[str, Any] = {"case": case.name, "how": "graphs" if graphs else "calls"}
            backend.graphs = graphs
            try:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")  # that a case runs eagerly is in the report
                    outcome = replays.compare(case, backend)
            except Exception as error:  # one case that cannot run must not hide the others
                row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
            else:
                wrong = next((str(one.message) for one in told if "CUDA graph" in str(one.message)), None)
                row |= {
                    "dtype": outcome.dtype,
                    "steps": outcome.steps,
                    "replayed": outcome.replayed,
                    "poisoned": outcome.poisoned,
                    "eager": outcome.reason,
                    "where": outcome.where,
                    "launches": outcome.launches,
                    "between": outcome.between,
                    "ok": outcome.where is None and wrong is None,
                }
                if wrong is not None:  # its calls served, and so nothing else would tell
                    row["error"] = wrong
            finally:
                backend.graphs = before
            rows.append(row)
            if not row["ok"]:
                print(f"  DIFFERS  {row.get('error') or outcome} ({row['how']})", flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """One line; all rows are ok."""
    eager = sorted({row["case"] for row in rows if row["eager"]})
    poisoned = sum(row["poisoned"] for row in rows)
    text = f"all {len(rows)} are the same bits, after {poisoned} arrays were overwritten"
    return f"{text}; eager by their nature: {', '.join(eager)}" if eager else text


def rows(part: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The titles of a table, and its cells."""
    titles = ["case", "how", "steps", "replayed", "arrays overwritten", "runs eagerly because", "graphs", ""]
    cells = []
    for row in part:
        if "error" in row:
            cells.append([row["case"], row["how"], "", "", "", "", "", row["error"]])
            continue
        counts = [str(row[name]) for name in ("steps", "replayed", "poisoned")]
        graphs = ", ".join([str(row["launches"]), *row["between"]]) if row["how"] == "graphs" else ""
        verdict = "ok" if row["ok"] else row["where"]
        cells.append([row["case"], row["how"], *counts, row["eager"] or "", graphs, verdict])
    return titles, cells
