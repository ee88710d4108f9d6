"""Which tests are marked gpu, and do they pass? The part of check_gpu.py that runs them, in a process of their own."""

import ast
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
TEST_SECONDS = 300


def missing_modules(path: Path) -> list[str]:
    """What a test file imports at its top that this machine does not have."""
    imported: set[str] = set()
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            imported.add(statement.module.split(".")[0])
    return sorted(name for name in imported if importlib.util.find_spec(name) is None)


def run_tests(folder: Path = TESTS, seconds: float = TEST_SECONDS) -> dict[str, Any]:
    """The tests marked gpu in a process of their own, by pytest alone, whatever plugins are there."""
    left_out = {path.name: missing for path in sorted(folder.glob("test_*.py")) if (missing := missing_modules(path))}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        listing = Path(name) / "tests.xml"
        # The project's own options are left out: they may name plugins. -rs would list a thousand skipped tests.
        options = ["-m", "gpu", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--strict-markers"]
        options += [f"--ignore={folder / one}" for one in left_out]
        command = [sys.executable, "-m", "pytest", *options, f"--junitxml={listing}", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            answer = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
            )
            ended = f"pytest ended with {answer.returncode}"
            output, code = answer.stdout + answer.stderr, answer.returncode
        except subprocess.TimeoutExpired as error:
            said = error.stdout or b""
            output = said.decode(errors="replace") if isinstance(said, bytes) else said
            ended, code = f"stopped after {seconds:.0f} seconds", -1
        result = counted(listing) if listing.exists() else counted(None)
    result.update(left_out=left_out, seconds=round(time.perf_counter() - start, 1), ended=ended)
    result["ok"] = code == 0 and result["passed"] > 0 and result["failed"] == 0
    if not result["ok"]:
        result["output"] = output[-4000:]
    return result


def counted(listing: Path | None) -> dict[str, Any]:
    """How many tests passed, failed (or could not start) and were skipped, and which failed and why."""
    result: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "failures": []}
    for test in () if listing is None else ElementTree.parse(listing).iter("testcase"):
        wrong = next((one for one in test if one.tag in ("failure", "error")), None)
        if wrong is not None:
            why = (wrong.get("message") or "").splitlines() or [""]
            result["failures"].append(f"{test.get('classname')}::{test.get('name')}: {why[0]}")
        result["failed" if wrong is not None else "skipped" if test.find("skipped") is not None else "passed"] += 1
    return result
