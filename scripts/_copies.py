"""What does data cost that the GPU does not hold? The part of check_gpu.py that trains on it in three ways."""

import itertools
import statistics
from time import perf_counter
from typing import Any

import numpy as np

TITLE = "data that the GPU does not hold"
ABOUT = (
    "Milliseconds a step of the trainer, the median of some epochs: with the data on the GPU; copied there batch by "
    "batch while the batch before is used, from pinned memory; and copied before each step. All end with the same "
    "weights."
)
NETS: tuple[tuple[tuple[int, ...], int], ...] = (((784, 1024, 1024, 10), 4096), ((784, 256, 10), 512))
BATCHES, EPOCHS = 24, 4
WAYS = {"on the GPU": (1 << 60, True), "beside": (0, True), "before": (0, False)}


def run(backend: Any) -> list[dict[str, Any]]:
    """Each net in each way."""
    rows = []
    for widths, batch in NETS:
        row: dict[str, Any] = {"net": "-".join(map(str, widths)), "batch": batch}
        try:
            ends = {}
            for way, (free, lane) in WAYS.items():
                row[way], ends[way] = trained(backend, widths, batch, free, lane)
            differing = [way for way in WAYS if ends[way] != ends["on the GPU"]]
            row |= {"ok": not differing, "where": differing}
        except Exception as error:  # one net that cannot run must not hide the others
            row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
        if not row["ok"]:
            print(f"  DIFFERS  {row['net']}: {row.get('error') or row['where']}", flush=True)
    return rows


def trained(backend: Any, widths: tuple[int, ...], batch: int, free: int, lane: bool) -> tuple[float, list[bytes]]:
    """The milliseconds of a step, and the weights after all of them."""
    import engine as en

    en.seed(0)
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [en.Linear(inputs, outputs), en.ReLU()]
    model, generator = en.Sequential(*layers[:-1]), np.random.default_rng(0)
    x = generator.standard_normal((BATCHES * batch, widths[0]), dtype=np.float32)
    y = generator.integers(0, widths[-1], len(x))
    trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.SGD(model.parameters(), 0.01), device=backend)
    before = {name: vars(backend)[name] for name in ("memory", "lane") if name in vars(backend)}
    backend.memory = lambda: {"free": free}
    if not lane:
        backend.lane = lambda: None
    try:
        trainer.fit((x, y), batch_size=batch)  # recorded, and its products chosen
        times = []
        for _ in range(EPOCHS):
            start = perf_counter()
            trainer.fit((x, y), batch_size=batch)
            backend.synchronize()
            times.append((perf_counter() - start) / BATCHES * 1e3)
    finally:
        for name in ("memory", "lane"):
            vars(backend).pop(name, None)
        vars(backend).update(before)
    return round(statistics.median(times), 4), [one.numpy().tobytes() for one in model.parameters()]


def summary(part: list[dict[str, Any]]) -> str:
    """One line; all rows are ok."""
    return "; ".join(
        f"{row['net']} at {row['batch']}: {', '.join(f'{way} {row[way]:.3g} ms' for way in WAYS)}" for row in part
    )


def rows(part: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The titles of a table, and its cells."""
    cells = []
    for row in part:
        times = [f"{row[way]:.4g}" if way in row else "" for way in WAYS]
        told = "ok" if row["ok"] else row.get("error") or f"differs: {', '.join(row['where'])}"
        cells.append([row["net"], str(row["batch"]), *times, told])
    return ["net", "batch", *(f"{way}, ms" for way in WAYS), ""], cells
