"""Does the engine work on this machine's GPU? Runs its GPU tests, compares it with the CPU, times it, writes a report.

python3 scripts/check_gpu.py              # Python, NumPy, CuPy and pytest are enough; nothing is installed

Fused kernels are launched by compiled C: where that is not built, and there is a C compiler, it is built in its place.

Writes gpu-check-DATE-GPU.json and .md into bench/results (or --output DIR). Exit code: 0 where everything passed, 1
where something did not, 2 where there is no GPU to check or the report cannot be written.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
# The engine, the cases that the tests share with this script, and what lies beside it.
sys.path[:0] = [str(ROOT), str(TESTS), str(ROOT / "scripts")]

import _cells  # noqa: E402  # these are found by the line above, wherever this file is loaded from
import _copies  # noqa: E402
import _fused  # noqa: E402
import _many  # noqa: E402
import _products  # noqa: E402
import _replays  # noqa: E402
from _gpu_tests import counted, missing_modules, run_tests  # noqa: E402, F401  # all three for its tests

ALL_SECONDS = 450  # for everything; what is timed last is broken off there
ROUNDS, ROUND_SECONDS = 7, 0.15
NETS = (((64, 64, 10), 32), ((784, 256, 128, 10), 128), ((1024, 1024, 1024, 10), 512))
TRAINING_TOLERANCE = {
    "float64": 1e-9,
    "float32": 1e-3,
}  # of the loss after some epochs, where float32's rounding adds up


def say(line: str = "") -> None:
    print(line, flush=True)


# -- the machine -----------------------------------------------------------------------------------------


def facts(backend: Any) -> dict[str, str]:
    """What a result depends on besides the code."""
    import numpy as np

    import engine
    from backends import native

    described = backend.describe()
    return {
        "GPU": described.get("processor", backend.device),
        "memory": described.get("memory", "unknown"),
        "driver": driver(),
        "CUDA": described.get("CUDA", "unknown"),
        "CuPy": str(getattr(backend.xp, "__version__", "none")),
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "engine": engine.__version__,
        "system": platform.platform(),
        "compiled C": "in use" if native.problem() is None else str(native.problem()),
        "fused": f"{described.get('fused kernels', 'none')}; for {len(backend.overrides)} kernels",
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
    }


def driver() -> str:
    """The driver's version, as its own tool or the kernel tells it."""
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.split()[0]
    listed = Path("/proc/driver/nvidia/version")
    found = re.search(r"\d+\.\d+[.\d]*", listed.read_text()) if listed.exists() else None
    return found[0] if found else "unknown"


PARTS: dict[str, Any] = {
    "replays": _replays,
    "many": _many,
    "products": _products,
    "copies": _copies,
    "cells": _cells,
}

# -- the CPU beside it -----------------------------------------------------------------------------------


def compare(backend: Any) -> list[dict[str, Any]]:
    """Every layer, loss and optimizer on both: see tests/parity.py."""
    import parity

    rows = []
    for case in parity.cases():
        for compared in (parity.free, parity.step_by_step):
            row: dict[str, Any] = {"case": case.name, "kind": case.kind}
            try:
                result = compared(case, backend)
            except Exception as error:  # one case that cannot run must not hide the others
                row |= {"ok": False, "error": f"{compared.__name__}: {type(error).__name__}: {error}"}
            else:
                row |= {
                    "dtype": result.dtype,
                    "steps": result.steps,
                    "tolerance": result.tolerance,
                    "difference": result.difference,
                    "where": result.where,
                    "step": result.step,
                    "first_layer": result.layer,
                    "layer_difference": result.layer_difference,
                    "ok": not result.failed,
                }
            rows.append(row)
            if not row["ok"]:
                say(f"  DIFFERS  {row.get('error') or result}")
    return rows


def digits_like(dtype: str) -> tuple[Any, Any]:
    """Ten classes of 64 noisy numbers each, the same on every machine: ((x, y) to train on, (x, y) to test)."""
    import numpy as np

    generator = np.random.default_rng(0)
    prototypes = generator.uniform(0.0, 1.0, (10, 64))
    y = generator.integers(10, size=1500)
    x = (prototypes[y] + 0.4 * generator.standard_normal((len(y), 64))).astype(dtype)
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def train(backend: Any, dtype: str) -> dict[str, float]:
    """A few epochs with masks and running estimates: the last epoch's loss, and the test set's loss and accuracy."""
    import engine as en

    en.seed(0)
    model = en.Sequential(en.Linear(64, 64), en.BatchNorm(64), en.ReLU(), en.Dropout(0.1), en.Linear(64, 10))
    model.to(dtype=dtype)
    optimizer = en.SGD(model.parameters(), learning_rate=0.05, momentum=0.9)
    trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device=backend, seed=0)
    training, (x, y) = digits_like(dtype)
    history = trainer.fit(training, epochs=3, batch_size=50)
    accuracy = float((trainer.predict(x).argmax(axis=1) == y).mean())
    return {"loss": history["loss"][-1], "test_loss": trainer.evaluate((x, y))["loss"], "test_accuracy": accuracy}


def compare_training(backend: Any) -> list[dict[str, Any]]:
    """The same training on both devices, by the same seeds."""
    import backends

    rows = []
    for dtype, tolerance in TRAINING_TOLERANCE.items():
        row: dict[str, Any] = {"dtype": dtype, "tolerance": tolerance}
        try:
            row |= {"cpu": train(backends.get("cpu"), dtype), "gpu": train(backend, dtype)}
        except Exception as error:  # the other precision may still run
            row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        else:
            cpu, gpu = row["cpu"], row["gpu"]
            row["difference"] = abs(cpu["loss"] - gpu["loss"])
            row["ok"] = bool(
                row["difference"] <= tolerance
                and abs(cpu["test_accuracy"] - gpu["test_accuracy"]) <= 0.01
                and gpu["test_accuracy"] > 0.9
            )
        rows.append(row)
    return rows


# -- how long a step takes -------------------------------------------------------------------------------


def step_milliseconds(backend: Any, widths: tuple[int, ...], batch: int) -> float:
    """One eager float32 step (forward, cross-entropy, backward, SGD with momentum): the median over rounds."""
    import numpy as np

    import engine as en

    generator = np.random.default_rng(0)
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [en.Linear(inputs, outputs, generator=generator), en.ReLU()]
    model = en.Sequential(*layers[:-1]).to(device=backend)
    # So small a rate that nothing is learned: gradients next to 0, where the processor is slow, are never reached.
    optimizer = en.SGD(model.parameters(), learning_rate=1e-6, momentum=0.9)
    loss_function = en.CrossEntropy()
    x = en.tensor(generator.standard_normal((batch, widths[0])).astype(np.float32), device=backend)
    y = en.tensor(generator.integers(widths[-1], size=batch), device=backend)

    def steps(count: int) -> float:
        backend.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            loss = loss_function(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        backend.synchronize()
        return (time.perf_counter() - start) / count

    steps(3)  # compiles and loads what is needed
    count = max(1, round(ROUND_SECONDS / steps(2)))
    return statistics.median(steps(count) for _ in range(ROUNDS)) * 1e3


def time_steps(backend: Any) -> list[dict[str, Any]]:
    """Three nets, from small to middling, on both devices."""
    import backends

    rows = []
    for widths, batch in NETS:
        row: dict[str, Any] = {"net": "-".join(map(str, widths)), "batch": batch}
        try:
            for name, device in (("cpu_milliseconds", backends.get("cpu")), ("gpu_milliseconds", backend)):
                row[name] = round(step_milliseconds(device, widths, batch), 4)
            row["ok"] = True
        except Exception as error:  # a net too large for this card must not hide the others
            row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
    return rows


# -- the report ------------------------------------------------------------------------------------------


def check(backend: Any) -> dict[str, Any]:
    """Everything, part by part, said as it goes."""
    start = time.perf_counter()
    report: dict[str, Any] = {"date": datetime.date.today().isoformat(), "machine": facts(backend)}
    for name, value in report["machine"].items():
        say(f"{name:10} {value}")
    for name, title, part in (
        ("tests", "tests marked gpu", run_tests),
        ("parity", "every layer, loss and optimizer beside the CPU", lambda: compare(backend)),
        ("replays", _replays.TITLE, lambda: _replays.run(backend)),
        ("many", _many.TITLE, lambda: _many.run(backend)),
        ("training", "the same training on both", lambda: compare_training(backend)),
        ("fused", "fused kernels beside CuPy's", lambda: _fused.time(backend)),
        ("products", _products.TITLE, lambda: _products.run(backend)),
        ("timings", "times of a step", lambda: time_steps(backend)),
        ("copies", _copies.TITLE, lambda: _copies.run(backend)),
        ("cells", _cells.TITLE, lambda: _cells.run(backend, ALL_SECONDS - (time.perf_counter() - start))),
    ):
        say(f"\n{title} ...")
        report[name] = part()
        say(f"  {summary(name, report[name])}  ({time.perf_counter() - start:.0f} s so far)")
    report["seconds"] = round(time.perf_counter() - start, 1)
    report["passed"] = report["tests"]["ok"] and all(
        row["ok"] for name in ("parity", "training", "fused", "timings") for row in report[name]
    )
    report["passed"] = report["passed"] and all(row["ok"] for name in PARTS for row in report[name])
    return report


def summary(name: str, part: Any) -> str:
    """One line on a part of the report."""
    if name == "tests":
        text = f"{part['passed']} passed, {part['failed']} failed, {part['skipped']} skipped"
        if part["left_out"]:
            names = (f"{file} (needs {', '.join(missing)})" for file, missing in part["left_out"].items())
            text += f"; left out: {', '.join(names)}"
        return text if part["ok"] else f"{text}; {part['ended']}"
    wrong = [row for row in part if not row["ok"]]
    if wrong:
        return f"{len(wrong)} of {len(part)} did not pass"
    if name in PARTS:
        return PARTS[name].summary(part)
    if name == "parity":
        worst = {
            dtype: max(row["difference"] for row in part if row["dtype"] == dtype) for dtype in ("float64", "float32")
        }
        return (
            f"all {len(part)} agree; largest difference: float64 {worst['float64']:.1e}, float32 {worst['float32']:.1e}"
        )
    if name == "fused":
        ratios = sorted(row["cupy_milliseconds"] / row["fused_milliseconds"] for row in part)
        if not ratios:
            return "there are none"
        middle = statistics.median(ratios)
        return f"CuPy takes {ratios[0]:.2f} to {ratios[-1]:.2f} times as long, {middle:.2f} in the median"
    if name == "training":
        return "; ".join(f"{row['dtype']}: final losses differ by {row['difference']:.1e}" for row in part)
    return "; ".join(
        f"{row['net']} at {row['batch']}: CPU {row['cpu_milliseconds']:.3f} ms, GPU {row['gpu_milliseconds']:.3f} ms"
        for row in part
    )


def table(titles: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    tests = report["tests"]
    parts = [
        f"# GPU check of {report['date']}: {report['machine']['GPU']}",
        "",
        f"{'Everything passed' if report['passed'] else 'Something did not pass'}, in {report['seconds']:.0f} seconds.",
        "",
        *table(["machine", ""], [[name, value] for name, value in report["machine"].items()]),
        "",
        "## Tests marked gpu",
        "",
        summary("tests", tests) + ".",
        *[f"- {line}" for line in ["", *tests["failures"]] if line],
        "",
        "## The CPU and the GPU",
        "",
        "float64: both train by themselves. float32: each step of the GPU starts from the CPU's state. The difference",
        "is |a - b| / max(1, |a|, |b|), the largest of losses, weights, buffers and optimizer states.",
        "",
        *table(
            ["case", "dtype", "steps", "difference", "allowed", "in", "first layer to differ", "by", ""],
            [parity_cells(row) for row in report["parity"]],
        ),
        "",
        "## The same training on both",
        "",
        "64-64-10 with batch normalisation and dropout on data like digits; equal seeds; 3 epochs.",
        "",
        *table(
            ["dtype", "CPU loss", "GPU loss", "difference", "allowed", "CPU accuracy", "GPU accuracy", ""],
            [training_cells(row) for row in report["training"]],
        ),
        "",
        "## Fused kernels",
        "",
        f"float32: the median of {_fused.ROUNDS} rounds of calls, in turns with CuPy's calls for the same.",
        "",
        *table(["kernel", "arrays", "fused ms", "CuPy ms", ""], [fused_cells(row) for row in report["fused"]]),
        "",
        "## A step",
        "",
        f"Eager, float32: forward, cross-entropy, backward, SGD with momentum. The median of {ROUNDS} rounds, each",
        "ended by waiting for the device.",
        "",
        *table(["net", "batch", "CPU ms", "GPU ms", ""], [timing_cells(row) for row in report["timings"]]),
    ]
    for name, part in PARTS.items():
        parts += ["", f"## {part.TITLE.capitalize()}", "", part.ABOUT, "", *table(*part.rows(report[name]))]
    return "\n".join(parts) + "\n"


def verdict(row: dict[str, Any]) -> str:
    return "ok" if row["ok"] else row.get("error", "differs")


def parity_cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [row["case"], *[""] * 7, verdict(row)]
    compared = [f"{row['difference']:.1e}", f"{row['tolerance']:.0e}"]
    where = f"{row['where']}, step {row['step']}" if row["where"] else ""
    first = [row["first_layer"] or "none", f"{row['layer_difference']:.1e}"]
    return [row["case"], row["dtype"], str(row["steps"]), *compared, where, *first, verdict(row)]


def training_cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [row["dtype"], *[""] * 6, verdict(row)]
    losses = [f"{row[side]['loss']:.12g}" for side in ("cpu", "gpu")]
    accuracies = [f"{row[side]['test_accuracy']:.4f}" for side in ("cpu", "gpu")]
    return [row["dtype"], *losses, f"{row['difference']:.1e}", f"{row['tolerance']:.0e}", *accuracies, verdict(row)]


def fused_cells(row: dict[str, Any]) -> list[str]:
    times = [f"{row[name]:.4f}" if name in row else "" for name in ("fused_milliseconds", "cupy_milliseconds")]
    return [row["kernel"], row["shape"], *times, verdict(row)]


def timing_cells(row: dict[str, Any]) -> list[str]:
    times = [f"{row[name]:.3f}" if name in row else "" for name in ("cpu_milliseconds", "gpu_milliseconds")]
    return [row["net"], str(row["batch"]), *times, verdict(row)]


def write(report: dict[str, Any], folder: Path) -> list[Path]:
    """The report as JSON and as Markdown, named by date and GPU."""
    gpu = re.sub(r"[^a-z0-9]+", "-", report["machine"]["GPU"].lower()).strip("-")
    stem = folder / f"gpu-check-{report['date']}-{gpu}"
    paths = [stem.with_name(stem.name + ending) for ending in (".json", ".md")]
    # Infinite and NaN differences as words: JSON has no such numbers.
    paths[0].write_text(json.dumps(finite(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(report), encoding="utf-8")
    return paths


def finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return str(value) if isinstance(value, float) and value - value != 0 else value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="check_gpu.py", description="Check the engine on this machine's GPU; a few minutes, nothing is installed."
    )
    parser.add_argument("--device", default="cuda", help="which GPU: cuda (the first), cuda:1, ... (default: cuda)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "bench" / "results", metavar="DIR", help="where the report goes"
    )
    given = parser.parse_args(arguments)
    try:
        import numpy  # noqa: F401  # asked for before the engine asks for it, for one clear line
        import pytest  # noqa: F401

        import backends
        from backends import cupy_backend, native
    except ModuleNotFoundError as error:
        return refuse(f"{error.name} is not installed; Python, NumPy, CuPy and pytest are needed.")
    problem = cupy_backend.problem()
    if problem is not None:
        return refuse(f"no GPU to check: {problem}")
    reason = _fused.build()
    if reason is None and native.kernels is None and os.environ.get("ENGINE_NATIVE") != "0":
        os.execv(sys.executable, [sys.executable, str(Path(__file__).resolve()), *(arguments or sys.argv[1:])])
    if reason is not None:
        say(f"compiled C, which launches fused kernels, is not built: {reason}")
    try:
        backend = backends.get(given.device)
        given.output.mkdir(parents=True, exist_ok=True)
    except backends.DeviceError as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(f"--output {given.output}: {error.strerror}.")
    report = check(backend)
    try:
        paths = write(report, given.output)
    except OSError as error:
        return refuse(f"--output {given.output}: {error.strerror}.")
    say(f"\n{'Everything passed' if report['passed'] else 'SOMETHING DID NOT PASS'} in {report['seconds']:.0f} s.")
    for failure in report["tests"]["failures"][:20]:
        say(f"  {failure}")
    if not report["tests"]["ok"]:
        say(report["tests"]["output"])
    for path in paths:
        say(f"wrote {path}")
    return 0 if report["passed"] else 1


def refuse(message: str) -> int:
    print(f"check_gpu: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
