"""Are imports, first steps and installed bytes what they are said to be? pytest bench."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import start
from bench.__main__ import main
from bench.contest import ROOT
from bench.peers import installed
from bench.peers.step import make_arrays, save

TINY = ["--suite", "start", "--rounds", "1", "--threads", "1"]


def test_the_command_measures_all_three_and_names_who_is_missing(tmp_path, capsys):
    path = tmp_path / "result.json"
    missing = ["--peers", "torch", "--peer-python", f"torch={tmp_path / 'python'}"]
    assert main([*TINY, *missing, "--json", str(path)]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert set(result["import"]) == {"engine", "numpy"}
    assert set(result["first_step"]) == {"captured", "many", "eager"}
    assert result["loss"]["captured"] == result["loss"]["eager"] > 0
    assert result["first_step"]["eager"]["median"] > result["import"]["engine"]["median"] > 0
    assert set(result["installed"]) == {"engine"}
    assert printed.count("missing: PyTorch: ") == 1


def test_a_contestant_that_cannot_step_says_why(tmp_path):
    save(tmp_path / "arrays.npz", make_arrays(start.CELL))
    (tmp_path / "cell.json").write_text(json.dumps(start.CELL._asdict()))
    words = ["1", str(tmp_path / "cell.json"), str(tmp_path / "arrays.npz")]
    run = subprocess.run(
        [sys.executable, "-m", "bench.peers.first_step", "engine_step", "Absent", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert json.loads(run.stdout)["error"].startswith("AttributeError: ")


def test_bytes_are_those_of_the_files():
    files = importlib.metadata.files("numpy")
    paths = {Path(file.locate()).resolve() for file in files}
    expected = sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")
    assert installed.closure(["numpy"])["numpy"] == expected > 10_000_000


def test_the_project_is_counted_with_what_it_depends_on():
    sizes = installed.tree(ROOT)
    assert {"chalkgrad", "numpy", "safetensors", "rich", "shtab", "pygments"} <= set(sizes)  # the last by rich
    source = sum(path.stat().st_size for name in ("engine", "backends") for path in (ROOT / name).rglob("*.py"))
    assert source <= sizes["chalkgrad"] < source + 20_000_000
    assert "pytest" not in sizes


def test_what_an_extra_brings_is_not_needed():
    requirements = [
        "numpy>=2.1",
        "scipy (>=1.0)",
        'pytest>=8; extra == "test"',
        "safe_tensors; python_version < '4'",
    ]
    assert installed.needed(requirements) == ["numpy", "scipy", "safe_tensors"]
    assert installed.closure(["a-distribution-that-is-not-there"]) == {}


def test_a_process_that_fails_or_is_not_there_is_one_line(tmp_path):
    with pytest.raises(start.FailureError, match=r"^ValueError: no$"):
        start._run([sys.executable, "-c", "raise ValueError('no')"], {})
    with pytest.raises(start.FailureError, match="No such file"):
        start._run([str(tmp_path / "python")], {})


def test_who_takes_long_has_fewer_rounds(monkeypatch):
    calls = {"short": 0, "long": 0}

    def turn(name):
        calls[name] += 1
        return {"short": 1.0, "long": 6.0}[name]

    times, left_out = start._in_turns(["short", "long"], 7, turn)
    assert calls == {"short": 8, "long": 3}
    assert {name: one["rounds"] for name, one in times.items()} == {"short": 7, "long": 2}
    assert left_out == {}


@pytest.mark.parametrize("options", [["--peers", "caffe"], ["--rounds", "0"], ["--peer-python", "torch"]])
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ")
    assert told.count("\n") == 1
    assert options[1] in told


def test_benchmark_import(benchmark):
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", "import engine"], check=True, cwd=ROOT), rounds=3, warmup_rounds=1
    )
