"""Are many steps in one graph the eager steps on this GPU, and how many are best? A part of check_gpu.py."""

import itertools
import warnings
from typing import Any

TITLE = "many steps in one graph"
ABOUT = (
    "The same training step by step as it stands, and recorded, with as many steps in one CUDA graph as are best: the "
    "same bits of losses, metrics and weights. Microseconds of a step, by the steps in a graph, of those that were "
    "tried."
)
STEPS, EPOCHS = 150, 6
SMALL = (64, 64, 10)
CASES: tuple[tuple[str, tuple[int, ...], int, dict[str, Any]], ...] = (
    ("SGD with momentum", SMALL, 32, {}),
    ("Adam, clipping, penalty, averages, accuracy", SMALL, 32, {"everything": True}),
    ("batch norm, dropout", SMALL, 32, {"layers": True}),
    ("Adam, another rate each step", (784, 256, 128, 10), 128, {"schedule": True}),
    ("bfloat16", SMALL, 32, {"precision": "bfloat16"}),
)


def trained(backend: Any, widths: tuple[int, ...], batch: int, record: bool, options: dict[str, Any]) -> list[Any]:
    """What a training leaves: losses, metrics, weights."""
    import numpy as np

    import engine as en

    en.seed(0)
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(widths):
        extra = [en.BatchNorm(outputs), en.ReLU(), en.Dropout(0.2)] if options.get("layers") else [en.ReLU()]
        layers += [en.Linear(inputs, outputs), *extra]
    while not isinstance(layers[-1], en.Linear):
        layers.pop()
    model = en.Sequential(*layers)
    rate = en.schedules.Cosine(1e-3, steps=EPOCHS * STEPS) if options.get("schedule") else 1e-3
    adam = options.get("everything") or options.get("schedule")
    parameters = list(model.parameters())
    optimizer = en.Adam(parameters, rate) if adam else en.SGD(parameters, rate, momentum=0.9)
    given: dict[str, Any] = {"precision": options.get("precision")}
    if options.get("everything"):
        given |= {"clip_norm": 1.0, "penalty": en.L2(1e-4), "ema": 0.99, "metrics": ["accuracy"]}
    trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device=backend, record=record, **given)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((batch * STEPS, widths[0])).astype("float32")
    y = generator.integers(widths[-1], size=len(x))
    history = trainer.fit((x, y), epochs=EPOCHS, batch_size=batch)
    told = [history[name] for name in history.columns if name != "seconds"]
    return [told, [one.numpy().tobytes() for one in model.parameters()]]


def run(backend: Any) -> list[dict[str, Any]]:
    """Each case."""
    from engine.recording import blocks

    rows = []
    original = blocks.Blocks
    for name, widths, batch, options in CASES:
        made: list[Any] = []

        class Noted(original):  # type: ignore[misc, valid-type]
            def __init__(self, *given: Any, made: list[Any] = made) -> None:
                super().__init__(*given)
                made.append(self)

        row: dict[str, Any] = {"case": name, "net": "-".join(map(str, widths)), "batch": batch}
        try:
            blocks.Blocks = Noted  # type: ignore[misc]
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                eager, recorded = (trained(backend, widths, batch, record, options) for record in (False, True))
        except Exception as error:  # one case that cannot run must not hide the others
            row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        else:
            many = made[0] if made else None
            seconds = {} if many is None else many.seconds
            row["microseconds"] = {str(size): round(min(one) * 1e6, 2) for size, one in seconds.items()}
            row["steps_of_a_graph"] = None if many is None else many.size
            row["warnings"] = [str(one.message) for one in told if "CUDA graph" in str(one.message)]
            wrong = "they are not the eager steps" if eager != recorded else None
            if backend.graphs:
                wrong = wrong or (None if many is not None else "no graph was made") or (many and many.problem)
                wrong = wrong or next(iter(row["warnings"]), None)
            row["ok"] = wrong is None
            if wrong is not None:
                row["error"] = wrong
        finally:
            blocks.Blocks = original  # type: ignore[misc]
        rows.append(row)
        if not row["ok"]:
            print(f"  DIFFERS  {name}: {row['error']}", flush=True)
    return rows


def summary(part: list[dict[str, Any]]) -> str:
    """One line; all rows are ok."""
    return "; ".join(f"{row['case']}: {row['steps_of_a_graph'] or 'no graphs'}" for row in part)


def rows(part: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The titles of a table, and its cells."""
    cells = []
    for row in part:
        times = ", ".join(f"{size}: {value}" for size, value in row.get("microseconds", {}).items())
        chosen = str(row.get("steps_of_a_graph") or "none")
        cells.append([row["case"], row["net"], str(row["batch"]), chosen, times, row.get("error", "ok")])
    return ["case", "net", "batch", "steps in a graph", "microseconds of a step", ""], cells
