"""Does scripts/check_gpu.py answer without a GPU, and report truly with one? A fake GPU stands in for it here."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import fake_cublaslt
import numpy as np
import parity
import pytest
from fake_device import FakeBackend, GraphingBackend

from backends import cuda, cupy_backend
from backends.devices import _backends
from bench import cuda as bench_cuda
from engine.recording import blocks

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_gpu.py"
TESTS = """
import pytest

@pytest.mark.gpu
@pytest.mark.parametrize("number", range(3))
def test_right(number):
    pass

@pytest.mark.gpu
def test_skipped():
    pytest.skip("not here")

def test_of_the_cpu():
    raise AssertionError("not marked: not run")
"""
CONFIGURATION = "[pytest]\nmarkers =\n    gpu: needs a GPU\n"


class FakeGpu(FakeBackend):
    """The fake device under a GPU's name."""

    def describe(self):
        return {"device": self.device, "processor": "NVIDIA Fake-200", "memory": "1 GiB", "CUDA": "runtime 13.0"}


@pytest.fixture
def script(monkeypatch):
    """The script as a module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    specification = importlib.util.spec_from_file_location("check_gpu_under_test", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def gpu(script, monkeypatch):
    """The script on a machine with a fake GPU: few cases, short rounds, small nets, tests that pass."""
    gpu = FakeGpu()
    monkeypatch.setitem(_backends, "cuda", gpu)
    monkeypatch.setattr(cupy_backend, "problem", lambda: None)
    some = [one for one in parity.cases() if one.name in ("layer Tanh", "loss Huber", "optimizer Adam")]
    monkeypatch.setattr(parity, "cases", lambda: some)
    monkeypatch.setattr(script, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(script, "NETS", (((4, 3, 2), 5),))
    monkeypatch.setattr(script, "run_tests", lambda: passed(script))
    monkeypatch.setattr(script._fused, "build", lambda: None)
    monkeypatch.setattr(script._many, "STEPS", 3)
    monkeypatch.setattr(script._many, "EPOCHS", 2)
    monkeypatch.setattr(script._many, "CASES", script._many.CASES[:2])
    monkeypatch.setattr(script._cells, "ROUNDS", 1)
    monkeypatch.setattr(script._products, "SIZES", ((5, 4, 3),))
    monkeypatch.setattr(script._products, "call_milliseconds", lambda *call: 1.0)
    monkeypatch.setattr(script._copies, "NETS", (((4, 3, 2), 5),))
    few = {name: bench_cuda.CONTESTANTS[name] for name in ("eager", "captured")}
    monkeypatch.setattr(bench_cuda, "CONTESTANTS", few)
    monkeypatch.setattr(bench_cuda, "FIXED", bench_cuda.TINY[:1])
    measure = bench_cuda.measure
    monkeypatch.setattr(bench_cuda, "measure", lambda *peers, **given: measure(*peers, **{**given, "device": "cpu"}))
    return gpu


def passed(script, **changes):
    return {**script.counted(None), "passed": 3, "ok": True, "left_out": {}, "seconds": 1.0, "ended": "", **changes}


def folder_of_tests(tmp_path, text=TESTS):
    (tmp_path / "pytest.ini").write_text(CONFIGURATION)
    (tmp_path / "test_some.py").write_text(text)
    return tmp_path


# -- without a GPU -----------------------------------------------------------------------------------------


def run(*arguments, **variables):
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


@pytest.mark.skipif(cupy_backend.problem() is None, reason="there is a GPU here")
def test_without_a_gpu_it_says_what_is_missing_in_one_line(tmp_path):
    answer = run("--output", str(tmp_path / "results"))
    assert answer.returncode == 2
    assert answer.stderr == f"check_gpu: no GPU to check: {cupy_backend.problem()}\n"
    assert answer.stdout == ""
    assert not (tmp_path / "results").exists()


def test_help():
    answer = run("--help")
    assert answer.returncode == 0
    assert "--output DIR" in answer.stdout
    assert "--device" in answer.stdout


def test_an_unknown_option_is_bad_usage():
    assert run("--no-such-option").returncode == 2


def test_a_module_that_is_missing_is_named(script, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pytest", None)
    assert script.main([]) == 2
    assert capsys.readouterr().err == (
        "check_gpu: pytest is not installed; Python, NumPy, CuPy and pytest are needed.\n"
    )  # fmt: skip


def test_a_second_gpu_that_is_not_there_is_one_line(script, gpu, capsys):
    assert script.main(["--device", "no-such-device"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_line(script, gpu, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert script.main(["--output", str(tmp_path / "file" / "results")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- with one ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("definitions_alone")
def test_where_everything_passes_the_report_says_so(script, gpu, tmp_path, capsys):
    assert script.main(["--output", str(tmp_path / "results")]) == 0
    paths = sorted((tmp_path / "results").iterdir())
    assert [path.suffix for path in paths] == [".json", ".md"]
    assert all(re.fullmatch(r"gpu-check-\d{4}-\d\d-\d\d-nvidia-fake-200", path.stem) for path in paths)
    report = json.loads(paths[0].read_text())
    assert report["passed"] is True
    assert report["machine"]["GPU"] == "NVIDIA Fake-200"
    assert report["machine"]["NumPy"] == np.__version__
    assert {"driver", "CuPy", "Python", "CUDA"} <= set(report["machine"])
    assert [(row["case"], row["dtype"]) for row in report["parity"]] == [
        (case, dtype)
        for case in ("layer Tanh", "loss Huber", "optimizer Adam")
        for dtype in ("float64", "float32")
    ]  # fmt: skip
    assert all(row["ok"] and row["difference"] == 0 and row["first_layer"] is None for row in report["parity"])
    rounded = (f"products in {precision}" for precision in ("tf32", "bfloat16", "float16"))
    assert [(row["case"], row["how"]) for row in report["replays"]] == [
        (case, how)
        for case in ("layer Tanh", "loss Huber", "optimizer Adam", *rounded)
        for how in ("calls", "graphs")
    ]  # fmt: skip
    assert all(row["replayed"] > 0 and row["poisoned"] > 0 and row["where"] is None for row in report["replays"])
    assert all(row["launches"] == 0 for row in report["replays"])  # it can keep nothing as a graph
    assert [row["case"] for row in report["many"]] == [one[0] for one in script._many.CASES]
    assert all(row["steps_of_a_graph"] is None for row in report["many"])
    assert len(report["products"]) == 4 * 2
    assert {row["way"] for row in report["products"]} == {"the definition"}
    assert [row["cell"] for row in report["cells"]] == ["16x3-10@8/adam"]
    assert report["cells"][0]["microseconds"]["captured"]["median"] > 0
    assert report["cells"][0]["products"] > 0
    assert [row["dtype"] for row in report["training"]] == ["float64", "float32"]
    assert all(row["cpu"] == row["gpu"] and row["cpu"]["test_accuracy"] > 0.9 for row in report["training"])
    assert [row["net"] for row in report["timings"]] == ["4-3-2"]
    assert report["fused"] == []
    assert report["machine"]["fused"] == "none; for 0 kernels"
    assert all(row["cpu_milliseconds"] > 0 and row["gpu_milliseconds"] > 0 for row in report["timings"])
    text = paths[1].read_text()
    assert "Everything passed" in text
    assert "| optimizer Adam | float32 | 20 | 0.0e+00 | 1e-05 |" in text
    assert re.search(r"\| optimizer Adam \| graphs \| 8 \| \d \| \d+ \|  \| 0.* \| ok \|", text)
    assert "| 16x3-10@8/adam | " in text
    printed = capsys.readouterr().out
    assert "Everything passed" in printed
    assert str(paths[0]) in printed


def test_one_that_differs_fails_the_whole_and_is_told_with_its_first_layer(script, gpu, tmp_path, capsys, monkeypatch):
    true = FakeGpu.to_host
    monkeypatch.setattr(FakeGpu, "to_host", lambda self, array: true(self, array) * (1 + 1e-3))
    assert script.main(["--output", str(tmp_path)]) == 1
    report = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert report["passed"] is False
    assert not any(row["ok"] for row in report["parity"])
    assert report["parity"][0]["first_layer"] == "0 (Linear)"
    printed = capsys.readouterr().out
    assert "DIFFERS  layer Tanh (float64" in printed
    assert "the first layer whose output differs is 0 (Linear)" in printed
    assert "Something did not pass" in next(tmp_path.glob("*.md")).read_text()


def test_a_part_that_breaks_does_not_hide_the_others(script, gpu, tmp_path, monkeypatch):
    def broken(self, shape, dtype):
        raise RuntimeError("the card | is\nfull")

    monkeypatch.setattr(FakeGpu, "empty", broken)
    assert script.main(["--output", str(tmp_path)]) == 1
    report = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert all(row["ok"] for row in report["cells"])
    for part in ("parity", "replays", "many", "training", "products", "timings", "copies"):
        assert all("RuntimeError: the card | is\nfull" in row["error"] for row in report[part])
    lines = next(tmp_path.glob("*.md")).read_text().splitlines()
    assert sum("the card \\| is full" in line for line in lines) == 6 + 12 + 2 + 2 + 8 + 1 + 1


@pytest.mark.parametrize("cost", [0, 100])
def test_products_are_told_with_their_way(script, machine, monkeypatch, cost):
    machine["cost_of_odd"] = cost
    machine.costs((2, 2, 2, 2), (9, 9, 9, 9) if cost else (1, 1, 1, 1))
    monkeypatch.setattr(script._products, "SIZES", ((6, 8, 3),))
    backend = fake_cublaslt.Backend(machine)
    backend.products = backend.rounded.products
    rows = script._products.run(backend)
    assert all(row["ok"] and row["teraflops"] > 0 for row in rows)
    told = [row["way"] for row in rows if row["precision"] in ("float32", "bfloat16")]
    lie = "rows in longer copies" if cost else "rows as they lie"
    beside = "the product alone" if cost else "all within"
    # No row is longer for float32; the gradient of a bias is not within a product of rounded numbers.
    assert told == [f"rows as they lie, {beside}"] * 2 + [f"{lie}, {beside}", f"{lie}, the product alone"]
    assert len(script._products.rows(rows)[1]) == len(rows)
    assert script._products.summary(rows).startswith("float32 up to ")


def test_tests_that_failed_fail_the_whole(script, gpu, tmp_path, monkeypatch, capsys):
    failed = passed(script, ok=False, failed=1, failures=["test_some::test_wrong: 1 is not 2"], output="all of it")
    monkeypatch.setattr(script, "run_tests", lambda: failed)
    assert script.main(["--output", str(tmp_path)]) == 1
    assert "test_some::test_wrong: 1 is not 2" in next(tmp_path.glob("*.md")).read_text()
    assert "all of it" in capsys.readouterr().out


def test_a_replay_that_differs_fails_the_whole(script, gpu, tmp_path, monkeypatch, capsys):
    import replays

    true = replays.Side.step

    def frozen(self, *batch):  # a number of Python's, which a recording keeps as it was
        self.calls = getattr(self, "calls", 0) + 1
        return true(self, *batch) * float(self.calls)

    monkeypatch.setattr(replays.Side, "step", frozen)
    assert script.main(["--output", str(tmp_path)]) == 1
    report = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert not any(row["ok"] for row in report["replays"])
    assert all(row["ok"] for row in report["parity"])
    assert "the loss after step" in next(tmp_path.glob("*.md")).read_text()
    assert "is not the eager step's (graphs)" in capsys.readouterr().out


def test_data_that_the_gpu_does_not_hold_is_trained_on_in_three_ways(script, gpu, capsys):
    sent = gpu.to_it.sent
    (row,) = script._copies.run(gpu)
    steps = (script._copies.EPOCHS + 1) * script._copies.BATCHES
    assert gpu.to_it.sent - sent == steps  # one of the ways
    assert row["ok"]
    assert row["where"] == []
    assert all(row[way] > 0 for way in ("on the GPU", "beside", "before"))
    assert script._copies.summary([row]).startswith("4-3-2 at 5: on the GPU ")
    assert script._copies.rows([row])[1][0][-1] == "ok"
    assert not {"memory", "lane"} & vars(gpu).keys()
    follow = gpu.to_it.follow
    gpu.to_it.follow = lambda mark: None if mark == sent + steps + 3 else follow(mark)  # a batch that comes too late
    (row,) = script._copies.run(gpu)
    assert not row["ok"]
    assert script._copies.rows([row])[1][0][-1] != "ok"
    assert "DIFFERS  4-3-2" in capsys.readouterr().out


def test_cells_that_nobody_can_measure_or_no_time_is_left_for_are_told(script, gpu, monkeypatch):
    (row,) = script._cells.run(gpu, 0.0)
    assert (row["cell"], row["ok"], row["error"]) == ("16x3-10@8/adam", False, "no time was left for it")
    cells = {
        name: {"microseconds": {}, "left_out": {"captured": reason}, "flops": 1, "bytes": 1, "precision": "tf32"}
        for name, reason in (("a", "the engine's products have no precision tf32"), ("b", "out of memory"))
    }
    result = {"cells": cells, "waiting": [], "limits": {"products": {}, "copy": None}}
    monkeypatch.setattr(bench_cuda, "measure", lambda *_, **given: result)
    rows = script._cells.run(gpu, 60.0)
    assert [(row["cell"], row["ok"]) for row in rows] == [("a", True), ("b", False)]
    assert script._cells.summary(rows[:1]) == "1 in precisions that the engine does not have"
    assert [row[-1] for row in script._cells.rows(rows)[1]] == [row["error"] for row in rows]

    def fail(*_, **given):
        raise SystemExit(2)

    monkeypatch.setattr(bench_cuda, "measure", fail)
    assert script._cells.run(gpu, 60.0) == [{"cell": "all", "ok": False, "error": "SystemExit: 2"}]


@pytest.fixture
def graphing(script, monkeypatch):
    """A fake GPU that makes one launch of many steps, soon; the parts of the script that look at that."""
    monkeypatch.setattr(script._many, "STEPS", 40)
    monkeypatch.setattr(script._many, "EPOCHS", 3)
    monkeypatch.setattr(script._many, "CASES", script._many.CASES[1:3])
    monkeypatch.setattr(blocks, "TIMED", 4)
    some = [one for one in parity.cases() if one.name in ("layer Tanh", "optimizer LBFGS")]
    monkeypatch.setattr(parity, "cases", lambda: some)
    backend = GraphingBackend()
    monkeypatch.setitem(_backends, backend.device, backend)
    return backend


def test_graphs_are_told_of(script, graphing):
    rows = [row for row in script._replays.run(graphing) if row["case"] in ("layer Tanh", "optimizer LBFGS")]
    assert [(row["case"], row["how"], row["ok"], row["launches"]) for row in rows] == [
        *[("layer Tanh", how, True, int(how == "graphs")) for how in ("calls", "graphs")],
        *[("optimizer LBFGS", how, True, 0) for how in ("calls", "graphs")],
    ]
    assert script._replays.rows(rows)[1][1][-2:] == ["1", "ok"]
    rows = script._many.run(graphing)
    assert [row["ok"] for row in rows] == [True, True]
    assert all(row["steps_of_a_graph"] in blocks.SIZES and row["microseconds"]["1"] > 0 for row in rows)
    assert re.fullmatch(r"Adam, clipping.*: \d+; batch norm, dropout: \d+", script._many.summary(rows))


def test_graphs_that_are_wrong_fail_the_whole_though_the_numbers_are_right(script, graphing, monkeypatch, capsys):
    monkeypatch.setattr(graphing, "taken", lambda steps: steps[:-1])
    rows = [row for row in script._replays.run(graphing) if row["case"] in ("layer Tanh", "optimizer LBFGS")]
    assert [row["ok"] for row in rows] == [True, False, True, True]
    assert "did not compute what its kernels do one by one" in script._replays.rows(rows)[1][1][-1]
    rows = script._many.run(graphing)
    assert not any(row["ok"] for row in rows)
    assert all("did not compute" in row["error"] for row in rows)
    assert capsys.readouterr().out.count("DIFFERS") >= 3


def test_infinite_differences_are_written_as_words(script):
    row = {"difference": float("inf"), "where": [float("nan"), 1.5, 2]}
    assert script.finite(row) == {"difference": "inf", "where": ["nan", 1.5, 2]}


# -- fused kernels -------------------------------------------------------------------------------------------


def test_fused_kernels_are_timed_beside_the_definitions(script, emulated, monkeypatch):
    monkeypatch.setattr(script._fused, "TIMED", tuple((*one[:2], (6, 5)) for one in script._fused.TIMED))
    monkeypatch.setattr(script._fused, "ROUND_SECONDS", 0.0)
    backend = FakeBackend(cuda.overrides())
    rows = script._fused.time(backend)
    assert len(rows) == 10
    assert all(row["ok"] and row["fused_milliseconds"] > 0 and row["cupy_milliseconds"] > 0 for row in rows)
    assert re.fullmatch(
        r"CuPy takes [\d.]+ to [\d.]+ times as long, [\d.]+ in the median", script.summary("fused", rows)
    )
    assert script.fused_cells(rows[0])[:2] == ["GELU.forward", "6x5"]
    emulated.number("fails").value = 700
    rows = script._fused.time(backend)
    assert not any(row["ok"] for row in rows)
    assert "error 700" in script.fused_cells(rows[0])[-1]
    assert script.summary("fused", rows) == "10 of 10 did not pass"


@pytest.fixture
def source(script, monkeypatch, tmp_path):
    """A folder with the source of compiled C, and nothing built there; what would be run to build it."""
    (tmp_path / "backends" / "native").mkdir(parents=True)
    (tmp_path / "backends" / "native" / "kernels.c").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(script._fused, "ROOT", tmp_path)
    commands = []

    def run(command, **options):
        commands.append(command)
        Path(command[command.index("-o") + 1]).write_text("")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(script._fused.subprocess, "run", run)
    monkeypatch.setattr(script._fused.shutil, "which", lambda name: f"/bin/{name}")
    return commands


@pytest.mark.skipif(
    not (Path(sysconfig.get_path("include")) / "Python.h").exists(), reason="Python's headers are not installed"
)
def test_compiled_c_is_built_where_it_is_not(script, source, tmp_path):
    assert script._fused.build() is None
    assert script._fused.build() is None
    (command,) = source
    assert command[0] == "/bin/cc"
    assert {"-ffp-contract=off", "-DPy_LIMITED_API=0x030B0000", "backends/native/kernels.c"} <= set(command)
    built = tmp_path / "backends" / "native" / "_kernels.abi3.so"
    os.utime(built, (1, 1))
    assert script._fused.build() is None  # it was older than its source
    assert len(source) == 2


def test_why_compiled_c_cannot_be_built_is_told(script, source, monkeypatch):
    monkeypatch.setattr(script._fused.sysconfig, "get_path", lambda name: "/nowhere")
    assert script._fused.build() == "Python's headers (Python.h) are not installed"
    monkeypatch.setattr(script._fused.shutil, "which", lambda name: None)
    assert script._fused.build() == "there is no C compiler"
    assert source == []


# -- the tests that it runs ----------------------------------------------------------------------------------


def test_tests_marked_gpu_are_run_and_counted(script, tmp_path):
    result = script.run_tests(folder_of_tests(tmp_path))
    assert (result["passed"], result["failed"], result["skipped"]) == (3, 0, 1)
    assert result["ok"]
    assert result["left_out"] == {}


def test_a_failure_is_named_with_its_reason(script, tmp_path):
    wrong = "\n@pytest.mark.gpu\ndef test_wrong():\n    raise ValueError('the reason')\n"
    result = script.run_tests(folder_of_tests(tmp_path, TESTS + wrong))
    assert (result["passed"], result["failed"]) == (3, 1)
    assert not result["ok"]
    assert [line.split("::")[1] for line in result["failures"]] == ["test_wrong: ValueError: the reason"]
    assert "the reason" in result["output"]


def test_a_file_that_needs_what_is_not_installed_is_left_out_and_named(script, tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import numpy, a_module_that_is_not_there\nfrom another_one.part import x\n"
    )
    result = script.run_tests(folder_of_tests(tmp_path))
    assert result["ok"]
    assert result["left_out"] == {"test_other.py": ["a_module_that_is_not_there", "another_one"]}
    assert "left out: test_other.py (needs a_module_that_is_not_there, another_one)" in script.summary("tests", result)


def test_no_test_that_passes_is_a_failure(script, tmp_path):
    result = script.run_tests(folder_of_tests(tmp_path, "def test_of_the_cpu():\n    pass\n"))
    assert result["passed"] == 0
    assert not result["ok"]


def test_tests_that_take_too_long_are_stopped(script, tmp_path):
    slow = "import time\nimport pytest\n@pytest.mark.gpu\ndef test_slow():\n    time.sleep(60)\n"
    result = script.run_tests(folder_of_tests(tmp_path, slow), seconds=2)
    assert result["ended"] == "stopped after 2 seconds"
    assert not result["ok"]


def test_every_file_of_tests_can_be_looked_through(script):
    files = sorted((ROOT / "tests").glob("test_*.py"))
    assert files
    for path in files:
        assert isinstance(script.missing_modules(path), list)
