"""Do type checkers, and with them editors, see every public name?"""

import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parent.parent


def test_a_strict_type_checker_finds_every_public_name(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "uses.py"
    program.write_text("import engine as en\n" + "".join(f"en.{name}\n" for name in engine.__all__))
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(program)]
    found = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout[-2000:]
