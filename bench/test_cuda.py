"""Does the suite for GPUs measure cell by cell, go on where it was stopped, compare like with like? pytest bench."""

import json
import time

import pytest

from bench import cuda, cuda_report
from bench.__main__ import main
from bench.contest import Contest, FailureError
from bench.peers.engine_step import Graphs, Rates
from bench.peers.step import Cell, Events, MissingError, Step, make_arrays, save, steps_of_call
from bench.peers.worker import microseconds

QUICK = {"peers": (), "rounds": 1, "threads": 1, "device": "cpu"}


@pytest.fixture
def alone(monkeypatch):
    """The engine's captured and eager steps alone, and no rates: two processes."""
    few = {name: cuda.CONTESTANTS[name] for name in ("captured", "eager")}
    monkeypatch.setattr(cuda, "CONTESTANTS", few)
    monkeypatch.setattr(cuda, "limits", lambda *_: {"product_size": 8, "products": {}, "copy": None})


class Marked(Step):
    """Steps that take no time, and a GPU's clock that counts them."""

    def __init__(self, between, wait=0.0):
        self.between, self.wait, self.runs = between, wait, []
        self.multiple = 4

    def reset(self):
        self.runs = []

    def run(self, steps):
        self.runs.append(steps)

    def synchronize(self, last):
        time.sleep(self.wait)

    def events(self):
        class Mark:
            def record(self):
                pass

        return Events(Mark(), Mark(), lambda begin, end: self.between)


# -- cells -------------------------------------------------------------------------------------------------


def test_the_cells_go_from_64_to_8192_wide_and_from_batch_32_to_65536():
    assert len(cuda.CELLS) == len({cell.name for cell in cuda.CELLS}) == (1 + 6 * 4) * 3
    assert {max(cell.sizes) for cell in cuda.CELLS} == {64, 256, 784, 1024, 2048, 4096, 8192}
    assert {cell.batch for cell in cuda.CELLS} == {32, 128, 512, 8192, 65536}
    assert {cell.precision for cell in cuda.CELLS} == {"float32", "tf32", "bfloat16"}


def test_eight_cells_are_fixed():
    assert len(cuda.FIXED) == 8
    assert [cell.name for cell in cuda.FIXED][:2] == ["784-256-128-10@128/adam", "64x3-10@32/adam"]


def test_flops_and_bytes_by_hand():
    cell = Cell("3-4-2", (3, 4, 2), 5, "adam")
    # 5x3 @ 3x4 has 60 products, twice (no gradient flows to the batch); 5x4 @ 4x2 has 40, three times.
    assert cuda.flops(cell) == 2 * (2 * 60 + 3 * 40)
    weights = 3 * 4 + 4 + 4 * 2 + 2
    assert cuda.traffic(cell) == 4 * (10 * weights + 6 * 5 * (4 + 2) + 2 * 5 * 3)
    assert cuda.traffic(cell._replace(optimizer="sgd")) == cuda.traffic(cell) - 4 * 2 * weights


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("all", 75),
        ("fixed", 8),
        ("tiny", 4),
        ("1024x3-10", 12),
        ("1024x3-10/tf32", 4),
        ("@8192", 18),
        ("@8192/bfloat16", 6),
        ("64x3-10@32/float32", 1),
        ("/float32", 25),
        ("fixed,fixed/tf32", 8),
    ],
)
def test_cells_are_chosen_by_net_batch_and_precision(text, count):
    assert len(cuda._cells(text)) == count


@pytest.mark.parametrize("wrong", [["--cells", "3x3"], ["--cells", "fixed/float8"], ["--minutes", "0"]])
def test_wrong_options_end_with_two(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--suite", "cuda", "--device", "cpu", *wrong])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "measured"),
    [
        (["--device", "cuda"], True),
        (["--device=cuda:1"], True),
        (["--suite", "cuda"], True),
        (["--suite", "eager"], False),
        ([], False),
    ],
)
def test_a_gpu_without_a_suite_is_this_suite(words, measured, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(cuda, "measure", lambda **given: asked.append(given) or {})
    monkeypatch.setattr(cuda, "report", lambda result: "told")
    monkeypatch.setattr("bench.eager_step.measure", dict)
    monkeypatch.setattr("bench.eager_step.report", lambda result: "other")
    assert main(words) == 0
    assert capsys.readouterr().out == ("told\n" if measured else "other\n")
    assert len(asked) == measured
    if measured:
        assert asked[0]["device"].startswith("cuda")
        assert asked[0]["cells"] == cuda.CELLS


# -- time ----------------------------------------------------------------------------------------------------


def test_steps_are_whole_calls_of_many_and_timed_by_the_gpus_clock():
    step = Marked(between=80.0)  # milliseconds
    step.wait = 0.08
    assert microseconds(step, 5) == pytest.approx(80_000 / 8)
    assert step.runs == [4, 8]


def test_work_that_the_clock_does_not_see_is_timed_by_the_wall():
    assert Marked(between=1.0, wait=0.02).seconds(4) >= 0.02


def test_a_call_of_many_steps_holds_few_bytes():
    small, large = (make_arrays(Cell("", sizes, batch, "sgd")) for sizes, batch in (((4, 2), 2), ((2048, 2), 4096)))
    assert (steps_of_call(small), steps_of_call(large)) == (100, 2)


# -- measured --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_each_cell_is_written_at_once_and_the_next_call_goes_on(tmp_path, monkeypatch):
    path, written = tmp_path / "cuda.json", []
    true = cuda._write
    monkeypatch.setattr(cuda, "_write", lambda *given: true(*given) or written.append(len(given[1]["cells"])))
    first = cuda.measure(cells=cuda.TINY[:1], resume=path, **QUICK)
    assert (list(first["cells"]), first["waiting"]) == (["16x3-10@8/adam"], [])
    held = json.loads(path.read_text())
    assert (held["suite"], held["result"]["device"]) == ("cuda", "cpu")
    second = cuda.measure(cells=cuda.TINY[:2], resume=path, **QUICK)
    assert list(second["cells"]) == ["16x3-10@8/adam", "16x3-10@32/adam"]
    assert second["cells"]["16x3-10@8/adam"] == held["result"]["cells"]["16x3-10@8/adam"]
    assert written == [1, 1, 2, 2]
    assert json.loads(path.read_text())["result"]["cells"].keys() == second["cells"].keys()
    cell = second["cells"]["16x3-10@32/adam"]
    assert cell["losses"]["captured"] == {"same": True, "largest_difference": 0.0}
    assert cell["last_loss"] < cell["first_loss"]
    assert cell["left_out"] == {}
    assert cell["best_own"] == "captured"
    assert cell["ratio"] is cell["best_peer"] is None
    text = cuda.report(second)
    assert "16x3-10@32/adam" in text
    assert "not measured yet" not in text
    third = cuda.measure(cells=cuda.TINY[:2], resume=path, **QUICK)  # nothing is left to do, and no process begins
    assert third["cells"].keys() == second["cells"].keys()


def test_some_contestants_alone(monkeypatch):
    monkeypatch.setattr(cuda, "limits", lambda *_: {"product_size": 8, "products": {}, "copy": None})
    (cell,) = cuda.measure(cells=cuda.TINY[:1], ways=("eager", "graphs", "jax"), **QUICK)["cells"].values()
    assert set(cell["microseconds"]) == {"eager"}
    assert cell["left_out"] == {"graphs": "there are no CUDA graphs on a CPU"}


@pytest.mark.usefixtures("alone")
def test_when_the_time_is_up_it_ends_and_says_what_waits(tmp_path):
    path = tmp_path / "cuda.json"
    result = cuda.measure(cells=cuda.TINY, resume=path, minutes=1e-6, **QUICK)
    assert result["cells"] == {}
    assert len(result["waiting"]) == 4
    assert "not measured yet: 4 cells, 16x3-10@8/adam first" in cuda.report(result)
    assert json.loads(path.read_text())["result"]["waiting"] == result["waiting"]


@pytest.mark.usefixtures("alone")
def test_a_cell_that_the_end_of_the_time_cut_is_not_kept(tmp_path, monkeypatch):
    with Contest(["eager"], {}, "cpu", 1, cuda.CONTESTANTS) as contest:
        assert cuda._measure_cell(contest, cuda.TINY[0], 1, time.monotonic()) is None
        assert cuda._measure_cell(contest, cuda.TINY[0], 1, time.monotonic() + 60) is not None
    monkeypatch.setattr(cuda, "_measure_cell", lambda *_: None)
    assert cuda.measure(cells=cuda.TINY[:1], minutes=1, **QUICK)["waiting"] == ["16x3-10@8/adam"]


@pytest.mark.usefixtures("alone")
def test_large_cells_have_the_memory_to_themselves(monkeypatch):
    monkeypatch.setattr(cuda, "SMALL", 0)
    with Contest(["captured", "eager"], {}, "cpu", 1, cuda.CONTESTANTS) as contest:
        for _ in range(2):
            measured = cuda._measure_cell(contest, cuda.TINY[0], 1, time.monotonic() + 60)
            assert set(measured["microseconds"]) == {"captured", "eager"}
            assert measured["losses"]["captured"]["same"]
            assert not any(worker.alive for worker in contest.workers.values())


@pytest.mark.usefixtures("alone")
def test_a_precision_that_the_engine_lacks_leaves_it_out_and_says_so(monkeypatch):
    monkeypatch.setitem(cuda.TOLERANCES, "float8", 1.0)
    result = cuda.measure(cells=[cuda.TINY[0]._replace(precision="float8")], **QUICK)
    (cell,) = result["cells"].values()
    assert set(cell["left_out"]) == {"captured", "eager"}
    assert all("float8" in reason for reason in cell["left_out"].values())
    assert "engine captured: " in cuda.report(result)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("content", ["{", "[]", '{"suite": "steps", "result": {"cells": {}}}', '{"suite": "cuda"}'])
def test_a_file_of_something_else_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "cuda.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        cuda.measure(cells=cuda.TINY[:1], resume=path, **QUICK)
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_text() == content


@pytest.mark.usefixtures("alone")
def test_another_device_another_processor_and_no_folder_are_told(tmp_path, capsys):
    path = tmp_path / "cuda.json"
    for changed, word in (({"device": "cuda"}, "--device cuda"), ({"machine": "another GPU"}, "another GPU")):
        result = {"device": "cpu", "contestants": {}, "missing": {}, "cells": {}, **changed}
        path.write_text(json.dumps({"suite": "cuda", "result": result}))
        with pytest.raises(SystemExit):
            cuda.measure(cells=cuda.TINY[:1], resume=path, **QUICK)
        assert word in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cuda.measure(cells=cuda.TINY[:1], resume=tmp_path / "no" / "cuda.json", **QUICK)
    assert "does not exist" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(cuda, "CONTESTANTS", {"eager": cuda.CONTESTANTS["eager"]})
    with pytest.raises(SystemExit):
        cuda.measure(**{**QUICK, "device": "nowhere"})
    assert "--device nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, one in cuda.CONTESTANTS.items() if one.peer is not None])
def test_each_peer_computes_what_the_engine_computes(name, tmp_path):
    with Contest(["eager", name], {}, "cpu", 1, cuda.CONTESTANTS) as together:
        if name in together.missing:
            pytest.skip(together.missing[name])
        cell = cuda.TINY[0]
        save(tmp_path / "arrays.npz", make_arrays(cell))
        told = dict(together.build(cell._asdict(), tmp_path / "arrays.npz", losses=8))
        assert told[name]["losses"] == pytest.approx(told["eager"]["losses"], abs=1e-4)
        assert len(together.time(name, 3, 2)) == 2
        narrow = dict(together.build(cuda.TINY[2]._asdict(), tmp_path / "arrays.npz", [name], losses=8))
        assert narrow[name]["losses"] != told[name]["losses"]
        assert narrow[name]["losses"] == pytest.approx(told["eager"]["losses"], rel=5e-2)


# -- limits and ratios -----------------------------------------------------------------------------------------


def test_the_rates_of_this_machine_are_measured():
    found = cuda.limits(["engine"], {}, "cpu", 1)
    assert found["products"].keys() == {"float32"}
    assert found["products"]["float32"]["rate"] > 1e8
    assert found["copy"]["rate"] > 1e7
    assert found["copy"]["by"] == "arrays of the engine"
    with pytest.raises(MissingError, match="float32 alone"):
        Rates("cpu").operands("tf32", 4)


def test_a_cpu_has_no_graphs():
    with pytest.raises(MissingError, match="no CUDA graphs"):
        Graphs(cuda.TINY[0], make_arrays(cuda.TINY[0]), "cpu")


def test_a_process_that_was_ended_begins_again(tmp_path):
    with Contest(["engine"], {}, "cpu", 1, cuda.RATES) as contest:
        contest.end("engine")
        contest.end("nobody")
        assert contest.ask("engine", "copy", megabytes=1, seconds=0.001)["rate"] > 0
        with pytest.raises(FailureError, match="float32 alone"):
            contest.ask("engine", "product", precision="bfloat16", size=4, seconds=0.001)


def test_a_ratio_is_the_fastest_peers_time_over_our_fastest():
    timed = {
        name: {"median": value} for name, value in (("captured", 2.0), ("many", 1.0), ("torch", 9.0), ("jax", 0.5))
    }
    losses = {name: {"same": name != "jax"} for name in timed}
    assert cuda._ratios(timed, losses) == {"best_peer": "torch", "best_own": "many", "ratio": 9.0, "eager_ratio": 9.0}


def test_the_report_shows_limits_and_what_is_no_peer():
    time_of = {"median": 100.0, "quartiles": [99.0, 101.0], "fastest": 99.0}
    contestants = {name: {"label": cuda.CONTESTANTS[name].label, "version": "1"} for name in ("captured", "jax")}
    cell = {
        "precision": "float32", "flops": 2_000_000, "bytes": 1_000_000, "best_peer": None, "best_own": "captured",
        "microseconds": {"captured": time_of, "jax": time_of}, "ratio": None, "eager_ratio": None,
        "losses": {"captured": {"same": True}, "jax": {"same": False}}, "notes": {}, "left_out": {"torch": "no"},
    }  # fmt: skip
    rate = {"rate": 4e10, "by": "PyTorch"}
    result = {
        "device": "cuda",
        "machine": "a GPU",
        "rounds": 3,
        "contestants": contestants,
        "missing": {"JAX scan": "x"},
    }
    result["cells"] = {f"net{number}": cell for number in range(6)}
    result["limits"] = {"product_size": 8, "products": {"float32": rate}, "copy": rate, "copy_megabytes": 1}
    assert cuda_report.limit_times(result, cell) == (pytest.approx(50.0), pytest.approx(25.0))
    text = cuda.report(result)
    assert text.splitlines()[6].split() == ["net0", "100", "±1%", "100", "±1%*", "50", "25", "50%", "-", "-", "-"]
    assert "float32 0.04 TFLOP/s (PyTorch)" in text
    assert "40 GB/s" in text
    assert "missing: JAX scan: x" in text
    assert "torch: no (net0, net1, net2 and 3 more)" in text
    result["limits"] = {"product_size": 8, "products": {}, "copy": None}
    assert cuda_report.limit_times(result, cell) == (None, None)
    assert "rates: products of 8x8: none" in cuda.report(result)
