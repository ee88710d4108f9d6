"""Does the suite time the same operations of everyone, and compare what they give? pytest bench."""

import json
import time

import numpy as np
import pytest

from bench import operations
from bench.__main__ import main
from bench.contest import Contest
from bench.peers.engine_operations import Eager
from bench.peers.operation import FAMILIES, make_arrays, microseconds

NAMES = [name for family in FAMILIES.values() for name in family]
TINY = ["--suite", "operations", "--sizes", "4x6", "--rounds", "1", "--threads", "1"]


@pytest.fixture
def engine():
    return Eager("cpu")


def test_the_engine_has_every_operation_that_is_named(engine):
    assert list(engine.make_cases(make_arrays(4, 6))) == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_sums_are_those_of_output_and_gradient(engine):
    arrays = make_arrays(4, 6)
    incoming = np.cos(np.arange(24, dtype=np.float32)).reshape(4, 6)
    sums = engine.check(4, 6, ["multiply", "sum", "Dropout", "SGD"])["sums"]

    def expected(*values):
        return pytest.approx([total for one in values for total in (one.sum(), np.abs(one).sum())], rel=1e-5)

    assert sums["multiply"] == expected(arrays.x * arrays.z, incoming * arrays.z)
    assert sums["sum"] == expected(arrays.x.sum(), np.ones((4, 6)))
    assert sums["SGD"] == expected(arrays.x - 1e-3 * arrays.z)
    assert sums["Dropout"] is None


def test_a_call_that_takes_a_millisecond_takes_a_millisecond():
    assert microseconds(lambda: time.sleep(0.001), 0.01) == pytest.approx(1000, rel=0.5)


def test_every_operation_is_timed(engine):
    times = engine.time(4, 6, NAMES, 1e-6)["microseconds"]
    assert list(times) == NAMES
    assert all(one["forward"] > 0 for one in times.values())
    without = [name for name, one in times.items() if one["both"] is None]
    assert without == list(FAMILIES["optimizers"])
    rates = engine.products([(8, 16, 4), (64, 64, 64)], 1e-4)["gigaflops"]
    assert 0 < rates[0] < rates[1]


def test_the_command_prints_a_table_and_names_who_is_missing(tmp_path, capsys):
    path = tmp_path / "result.json"
    missing = ["--peer-python", f"torch={tmp_path / 'python'}"]
    assert main([*TINY, "--families", "shapes,optimizers", *missing, "--json", str(path)]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert set(result["missing"]) == {"PyTorch eager"}
    assert printed.count("missing: PyTorch eager") == 1
    assert [row["operation"] for row in result["operations"]] == [*FAMILIES["shapes"], *FAMILIES["optimizers"]]
    assert all(row["ratio"] == {} and row["left_out"] == {} for row in result["operations"])
    assert all(f"{row['operation']} " in printed for row in result["operations"])
    assert printed.count("GFLOP/s") == len(operations.PRODUCTS)


def test_pytorch_computes_what_the_engine_computes():
    with Contest(["engine", "torch"], {}, "cpu", 1, operations.CONTESTANTS) as both:
        if "torch" in both.missing:
            pytest.skip(both.missing["torch"])
        sums = {name: both.ask(name, "check", rows=32, columns=64, names=NAMES)["sums"] for name in both.workers}
    assert set(sums["engine"]) - set(sums["torch"]) == {"Lion"}
    different = [name for name, one in sums["torch"].items() if operations._same(sums["engine"][name], one) is False]
    assert different == []


def test_what_differs_has_no_ratio():
    assert operations._same([1.0, 2.0], [1.00001, 2.0])
    assert operations._same([0.0, 2.0], [1e-5, 2.0])  # sums that cancel out are judged by the magnitudes
    assert not operations._same([1.0, 2.0], [1.01, 2.0])
    assert operations._same(None, None) is None
    times = {name: {"forward": {"median": value}} for name, value in (("engine", 2.0), ("torch", 6.0))}
    assert operations._ratios(times, {"torch": True}) == {"forward": 3.0}
    assert operations._ratios(times, {"torch": None}) == {"forward": 3.0}
    assert operations._ratios(times, {"torch": False}) == {}


@pytest.mark.parametrize(
    "options", [["--families", "magic"], ["--sizes", "4"], ["--sizes", "1x4"], ["--peers", "jax"], ["--rounds", "0"]]
)
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ")
    assert told.count("\n") == 1
    assert options[1] in told


@pytest.mark.parametrize("name", ["matmul", "relu", "Linear", "CrossEntropy"])
def test_benchmark(benchmark, engine, name):
    case = engine.make_cases(make_arrays(32, 64))[name]
    benchmark.pedantic(engine._both(case), rounds=20, iterations=50, warmup_rounds=2)
