"""Are fused kernels there to be checked, and how long do they take? The part of check_gpu.py that knows of them."""

import shutil
import statistics
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, ROUND_SECONDS = 7, 0.015
TIMED = (
    ("GELU.forward", "curves", (4096, 1024)),
    ("GELU.backward", "curves", (4096, 1024)),
    ("Softmax.forward", "rows", (4096, 1000)),
    ("CrossEntropy.forward", "classes", (4096, 1000)),
    ("CrossEntropy.backward", "classes", (4096, 1000)),
    ("BatchNorm.forward", "norms", (4096, 1024)),
    ("LayerNorm.forward", "norms", (4096, 1024)),
    ("LayerNorm.backward", "norms", (4096, 1024)),
    ("Dropout.forward", "masks", (4096, 1024)),
    ("Adam.update", "steps", (4096, 1024)),
)
"""Which definitions are timed: their names, a family of tests/cuda_cases.py, the shape of the arrays."""


def build() -> str | None:
    """Build compiled C where it is missing or older than its source; why that cannot be, None where it is there."""
    folder = ROOT / "backends" / "native"
    (extension,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    changed = max(path.stat().st_mtime for path in folder.iterdir() if path.suffix in (".c", ".h"))
    if any(path.stat().st_mtime >= changed for path in folder.glob("_kernels*.so")):
        return None
    compiler, headers = shutil.which("cc"), sysconfig.get_path("include")
    if compiler is None or not (Path(headers) / "Python.h").exists():
        return "there is no C compiler" if compiler is None else "Python's headers (Python.h) are not installed"
    macros = [f"-D{name}={value}" for name, value in extension["define-macros"]]
    target = folder / "_kernels.abi3.so"
    command = [compiler, *extension["extra-compile-args"], *macros, "-shared", "-fPIC", f"-I{headers}"]
    command += ["-o", str(target), *extension["sources"], "-lm"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if answer.returncode == 0 else f"{compiler} ended with {answer.returncode}: {answer.stderr[-500:]}"


def time(backend: Any) -> list[dict[str, Any]]:
    """Fused kernels beside CuPy's calls for the same, in turns: medians in float32, launched one after the other."""
    import cuda_cases

    rows = []
    for name, family, shape in TIMED if backend.overrides else ():
        row: dict[str, Any] = {"kernel": name, "shape": "x".join(map(str, shape))}
        try:
            cases = getattr(cuda_cases, family)(shape, "float32")
            case = next(one for one in cases if one.definition.__qualname__ == name)
            arrays, outputs, others = case.given(backend.asarray)
            functions = {"fused": backend.kernel(case.definition), "cupy": case.definition}
            times: dict[str, list[float]] = {which: [] for which in functions}
            for _ in range(ROUNDS + 1):
                for which, function in functions.items():
                    times[which].append(call_milliseconds(backend, function, arrays, {**outputs, **others}))
            for which, found in times.items():  # the first round compiles and loads what is needed
                row[f"{which}_milliseconds"] = round(statistics.median(found[1:]), 5)
            row["ok"] = True
        except Exception as error:  # one that cannot run must not hide the others
            row |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
    return rows


def call_milliseconds(backend: Any, function: Any, arrays: list[Any], named: dict[str, Any]) -> float:
    """A call among many, the device's waiting included."""
    count = 1
    while True:
        backend.synchronize()
        start = perf_counter()
        for _ in range(count):
            function(backend.xp, *arrays, **named)
        backend.synchronize()
        seconds = perf_counter() - start
        if seconds >= ROUND_SECONDS:
            return seconds / count * 1e3
        count *= 4
