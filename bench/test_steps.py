"""Does the suite time the same work of everyone, and say who is missing? pytest bench."""

import json
import os

import pytest

from bench import contest, steps, steps_report
from bench.__main__ import main
from bench.peers import CONTESTANTS, PEERS
from bench.peers.engine_step import Captured, Eager, Products
from bench.peers.step import load, make_arrays, save
from bench.peers.worker import microseconds

TINY = ["--suite", "steps", "--cells", "64-64-10", "--rounds", "2", "--threads", "1"]


@pytest.fixture
def written():
    """A result as it is written to a file, of one cell and two contestants."""

    def make(captured, peer, **changes):
        def times(median):
            return {"median": median, "quartiles": [median * 0.99, median * 1.01], "fastest": median}

        cell = {
            "microseconds": {"captured": times(captured), "jax": times(peer)},
            "ratio": peer / captured,
            "eager_ratio": None,
            "best_peer": "jax",
            "losses": {"captured": {"same": True, "largest_difference": 0.0}, "jax": {"same": True, "reason": None}},
            "notes": {},
            "left_out": {},
        }
        contestants = {name: {"label": CONTESTANTS[name].label, "version": "1"} for name in ("captured", "jax")}
        result = {"threads": 2, "device": "cpu", "contestants": contestants, "cells": {"2-8-2@1/sgd": cell}}
        return {"suite": "steps", "processor": "one", "result": result, **changes}

    return make


def test_there_are_fourteen_cells():
    assert len(steps.CELLS) == len({cell.name for cell in steps.CELLS}) == 14
    assert {cell.optimizer for cell in steps.CELLS} == {"sgd", "adam"}


def test_everyone_reads_the_same_arrays(tmp_path):
    made = make_arrays(steps.CELLS[2])
    save(tmp_path / "arrays.npz", made)
    read = load(str(tmp_path / "arrays.npz"))
    assert [one.shape for one in (read.x, read.labels)] == [(32, 64), (32,)]
    for ours, theirs in zip([made.x, made.labels, *made.pairs[1]], [read.x, read.labels, *read.pairs[1]], strict=True):
        assert ours.tobytes() == theirs.tobytes()
        assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("cell", steps.CELLS[:4], ids=lambda cell: cell.name)
def test_a_reset_starts_again_and_the_captured_step_is_replayed(cell):
    arrays = make_arrays(cell)
    losses = []
    for kind in (Eager, Captured):
        contestant = kind(cell, arrays, "cpu")
        for _ in range(2):
            contestant.reset()
            losses.append([contestant.value(contestant.step()) for _ in range(6)])
        assert contestant.note() is None
    assert losses[0] == losses[1] == losses[2] == losses[3]
    assert losses[0][-1] < losses[0][0]


def test_the_products_are_those_of_the_step():
    products = Products(steps.CELLS[6], make_arrays(steps.CELLS[6]), "cpu")  # 784-256-128-10 at batch 128
    shapes = [(left.shape, right.shape) for left, right, _ in products.calls]
    forward = [((128, 784), (784, 256)), ((128, 256), (256, 128)), ((128, 128), (128, 10))]
    last, middle = (
        [((128, 10), (10, 128)), ((128, 128), (128, 10))],
        [((128, 128), (128, 256)), ((256, 128), (128, 128))],
    )
    assert shapes[:3] == forward
    assert sorted(shapes[3:]) == sorted([*last, *middle, ((784, 128), (128, 256))])
    assert microseconds(products, 3) > 0


def test_the_command_measures_peers_and_names_the_missing_ones(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn, the peer that is measured here, is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib, which draws the ratios, is not installed")
    path, picture = tmp_path / "result.json", tmp_path / "result.png"
    missing = ["--peers", "sklearn,torch", "--peer-python", f"torch={tmp_path / 'python'}"]
    assert main([*TINY, *missing, "--json", str(path), "--plot", str(picture)]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert picture.stat().st_size > 1000
    assert set(result["contestants"]) == {"captured", "many", "eager", "products", "sklearn"}
    assert set(result["missing"]) == {"PyTorch eager", "torch.compile"}
    assert printed.count("missing: ") == 2
    assert list(result["cells"]) == ["64-64-10@32/sgd", "64-64-10@32/adam"]
    for cell in result["cells"].values():
        assert cell["left_out"] == {}
        assert cell["best_peer"] == "sklearn"
        assert cell["losses"]["captured"] == {"same": True, "largest_difference": 0.0}
        assert cell["losses"]["sklearn"]["largest_difference"] < 1e-4
        assert cell["last_loss"] < cell["first_loss"]
        medians = {name: one["median"] for name, one in cell["microseconds"].items()}
        assert cell["ratio"] == pytest.approx(medians["sklearn"] / medians["captured"], rel=1e-3)
        assert medians["captured"] < medians["eager"]


@pytest.mark.parametrize("peer", PEERS)
def test_each_peer_computes_what_the_engine_computes(peer, tmp_path):
    names = ["eager", *(name for name, one in CONTESTANTS.items() if one.peer == peer)]
    answers = {}
    with contest.Contest(names, {}, "cpu", 1) as together:
        if peer in {CONTESTANTS[name].peer for name in together.missing}:
            pytest.skip(together.missing[names[1]])
        for cell in (steps.CELLS[3], steps.CELLS[2]):  # Adam, then SGD
            save(tmp_path / "arrays.npz", make_arrays(cell))
            answers[cell.optimizer] = dict(together.build(cell._asdict(), tmp_path / "arrays.npz"))
            assert len(together.time(names[1], 2, 3)) == 3
    for optimizer, told in answers.items():
        for name in names[1:]:
            if (peer, optimizer) == ("thinc", "sgd"):
                assert "momentum" in told[name]["incomparable"]
            else:
                assert told[name]["losses"] == pytest.approx(told["eager"]["losses"], abs=1e-4)


def test_a_process_that_ends_is_left_out_and_begins_again(tmp_path):
    cell = steps.CELLS[2]
    save(tmp_path / "arrays.npz", make_arrays(cell))
    with contest.Contest(["eager"], {}, "cpu", 1) as alone:
        assert len(dict(alone.build(cell._asdict(), tmp_path / "arrays.npz"))["eager"]["losses"]) == 20
        alone.workers["eager"].process.kill()
        with pytest.raises(contest.FailureError, match="its process ended"):
            alone.time("eager", 2, 1)
        assert "losses" in dict(alone.build(cell._asdict(), tmp_path / "arrays.npz"))["eager"]
        told = dict(alone.build(cell._asdict(), tmp_path / "missing.npz"))["eager"]
        assert told.startswith("FileNotFoundError: ")
        with pytest.raises(contest.FailureError, match="it took more than"):
            alone.workers["eager"].ask(0.01, cell=steps.CELLS[-1]._asdict(), arrays=str(tmp_path / "arrays.npz"))


def test_threads_are_the_same_for_everyone():
    with contest.Contest(["eager"], {}, "cpu", 3) as alone:
        environment = f"/proc/{alone.workers['eager'].process.pid}/environ"
        if not os.path.exists(environment):
            pytest.skip("only Linux shows a process's variables")
        with open(environment, "rb") as file:
            variables = dict(line.split("=", 1) for line in file.read().decode().split("\0") if line)
    assert {variables[name] for name in contest.THREAD_VARIABLES} == {"3"}


def test_losses_that_differ_make_no_peer():
    same = steps._comparison({"losses": [2.0, 1.0]}, [2.0, 1.0005])
    other = steps._comparison({"losses": [2.0, 1.0]}, [2.0, 1.1])
    assert (same["same"], other["same"]) == (True, False)
    timed = {name: {"median": value} for name, value in (("captured", 2.0), ("jax", 1.0), ("torch", 5.0))}
    assert steps._ratios(timed, {"captured": same, "jax": other, "torch": same}) == {
        "best_peer": "torch",
        "ratio": 2.5,
        "eager_ratio": None,
    }


def test_compare_tells_what_changed(tmp_path, capsys, written):
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, captured, processor in zip(files, (30.0, 10.0), ("one", "other"), strict=True):
        file.write_text(json.dumps(written(captured, 20.0, processor=processor)))
    assert main(["compare", *map(str, files)]) == 0
    printed = capsys.readouterr().out
    assert "processor: one -> other" in printed
    rows = [line for line in printed.split("\n") if line.startswith("2-8-2@1/sgd")]
    assert rows[0].split()[-2:] == ["0.333", "faster"]
    assert rows[1].endswith("within the spread")
    assert rows[2].split()[-2:] == ["0.67", "2.00"]


@pytest.mark.parametrize(
    "content", [None, "[]", "{", '{"suite": "eager"}', '{"suite": "steps", "result": {"cells": {}}}']
)
def test_what_cannot_be_compared_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    assert main(["compare", str(path), str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--cells", "3-3-3"],
        ["--cells", "2-8-2/lion"],
        ["--peers", "theano"],
        ["--peer-python", "torch"],
        ["--rounds", "0"],
        ["--threads", "x"],
        ["--plot", "/does/not/exist/plot.png"],
        ["--device", "nowhere"],
    ],
)
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, "--peers", "none", *options])
    assert ended.value.code == 2
    assert "bench" in capsys.readouterr().err


def test_a_picture_names_the_fastest_peer(tmp_path, written):
    pytest.importorskip("matplotlib", reason="matplotlib, which draws the ratios, is not installed")
    result = written(10.0, 20.0)["result"] | {"ratio_mean": 2.0}
    steps_report.draw(result, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1000
