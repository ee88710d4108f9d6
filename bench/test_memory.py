"""Are arrays counted, nothing else, and is a training that allocates found out? pytest bench."""

import json
import tracemalloc

import numpy as np
import pytest

from bench import epochs, memory
from bench.__main__ import main
from bench.peers.engine_memory import Steps, Watch, arrays_traced

TINY = ["--suite", "memory", "--steps", "30", "--threads", "1"]


def test_arrays_are_traced_and_nothing_else():
    with arrays_traced():
        before, _ = tracemalloc.get_traced_memory()
        held = [bytearray(1000) for _ in range(100)]
        assert tracemalloc.get_traced_memory()[0] == before
        array = np.empty(12_345, np.uint8)
        assert tracemalloc.get_traced_memory()[0] == before + 12_345
        del array
        assert tracemalloc.get_traced_memory() == (before, before + 12_345)
    assert len(held) == 100
    assert not tracemalloc.is_tracing()


def test_growth_and_peak_are_told_from_step_two_and_from_step_twenty_on():
    watch, kept = Watch(), []
    with arrays_traced():
        for step in range(1, 31):
            if step == 1:
                kept.append(np.empty(1_000_000, np.uint8))  # before what is counted
            if step == 3:
                kept.append(np.empty(500, np.uint8))
            if step == 4:
                np.empty(9000, np.uint8)
            if step == 22:
                kept.append(np.empty(20, np.uint8))
                np.empty(300, np.uint8)
            watch.stepped()
    assert watch.told() == {
        "steps": 30,
        "from": {"2": {"growth": 520, "peak": 9500}, "20": {"growth": 20, "peak": 320}},
    }


@pytest.mark.parametrize("way", ["captured", "trainer"])
def test_a_training_that_settles_does_not_grow(way):
    told = getattr(Steps("cpu"), way)([8, 6, 4], 5, "adam", 60)
    assert told["steps"] == 60
    assert 0 < told["loss"] < 10
    assert told["from"]["20"]["growth"] <= 0
    assert told["from"]["20"]["peak"] < memory.PEAK_BOUND


def test_the_command_prints_a_table_and_names_who_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(epochs, "_mnist", lambda data_dir: ("synthetic, small", epochs.synthetic(400, 100, 784)))
    whole = memory.measure
    monkeypatch.setattr(memory, "measure", lambda **options: whole(**options, nets=["2-8-2@1/sgd"]))
    path = tmp_path / "result.json"
    missing = ["--peer-python", f"torch={tmp_path / 'python'}"]
    assert main([*TINY, *missing, "--json", str(path)]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert list(result["steps"]["rows"]) == ["2-8-2@1/sgd captured", "2-8-2@1/sgd trainer"]
    assert all(row["steps"] == 30 for row in result["steps"]["rows"].values())
    run = result["run"]
    assert set(run["missing"]) == {"PyTorch"}
    assert printed.count("missing: PyTorch") == 1
    assert 10 < run["measured"]["engine"]["before_megabytes"] < run["measured"]["engine"]["peak_megabytes"] < 1000
    assert run["data_megabytes"] == pytest.approx(500 * (784 * 4 + 8) / 1e6, abs=0.1)


def test_what_is_above_the_bound_is_told():
    inside, above = {"growth": 0, "peak": 4095}, {"growth": 8, "peak": 4000}
    rows = {
        name: {"steps": 9, "note": None, "from": {"2": one, "20": one}} for name, one in (("a", inside), ("b", above))
    }
    run = {"sizes": [2, 2], "dropout": 0.0, "optimizer": "sgd", "batch": 1, "data": {"source": "synthetic"}}
    run |= {"data_megabytes": 1.0, "measured": {}, "missing": {}, "ratio": None}
    printed = memory.report({"threads": 1, "steps": {"bound": 4096, "rows": rows}, "run": run}).splitlines()
    assert printed[2].endswith("within the bound")
    assert printed[3].endswith("above the bound")


@pytest.mark.parametrize("options", [["--steps", "29"], ["--peers", "jax"], ["--samples", "x"]])
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ")
    assert told.count("\n") == 1
    assert options[1] in told
