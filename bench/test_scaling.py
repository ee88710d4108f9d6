"""Does the suite measure each point, and say of what it cannot measure why? pytest bench."""

import collections
import json

import pytest

from bench import data_loading, scaling
from bench.__main__ import main
from bench.peers.engine_scaling import Point

TINY = ["--suite", "scaling", "--rounds", "1", "--threads", "1", "--quick"]
POINTS = {"batch": (1, 4), "width": (4, 8), "depth": (1, 2), "rows": (1000, 3000)}


def test_the_command_measures_every_part(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib, which draws the curves, is not installed")
    monkeypatch.setattr(scaling, "QUICK", POINTS)
    monkeypatch.setattr(scaling, "SECONDS", 0.001)
    path, picture = tmp_path / "result.json", tmp_path / "result.png"
    files = ["--json", str(path), "--plot", str(picture)]
    assert main([*TINY, "--mapped-gigabytes", "0.003", *files]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert picture.stat().st_size > 1000
    assert list(result["parts"]) == list(scaling.PARTS)
    for name, values in POINTS.items():
        part = result["parts"][name]
        assert part["left_out"] == {}
        assert list(part["points"]) == [str(value) for value in values]
        assert all(one["sample"]["median"] > 0 for one in part["points"].values())
    assert result["parts"]["batch"]["points"]["1"]["weights"] == 785 * 256 + 257 * 128 + 129 * 10
    for one in result["parts"]["batch"]["points"].values():
        assert one["step"]["median"] == pytest.approx(one["sample"]["median"] * one["batch"], rel=1e-3)
    mapped = result["parts"]["mapped"]
    assert mapped["samples"] == 11718
    times = {name: one["sample"]["median"] for name, one in mapped["points"].items()}
    assert mapped["rate"] == pytest.approx(times["in memory"] / times["mapped"], rel=1e-3)
    # Both trained the same.
    assert mapped["points"]["mapped"]["loss"] == pytest.approx(mapped["points"]["in memory"]["loss"], rel=1e-5)
    assert "slowest sample / fastest" in printed
    assert "rate, mapped / in memory" in printed


def test_what_there_is_no_room_for_is_left_out_and_said(tmp_path, monkeypatch):
    little = tmp_path / "meminfo"
    little.write_text("MemTotal:       1000000 kB\nMemAvailable:    600000 kB\n")
    monkeypatch.setattr(scaling, "MEMORY", little)
    result = scaling.measure(["rows", "mapped"], rounds=1, points={"rows": (1000, 10_000_000)}, seconds=0.001)
    assert list(result["parts"]["rows"]["points"]) == ["1000"]
    printed = scaling.report(result)
    assert printed.count("of memory; 0.6 are available") == 2
    full = collections.namedtuple("Usage", "free")(1_000_000)
    monkeypatch.setattr(scaling.shutil, "disk_usage", lambda folder: full)
    assert "GB free" in scaling.report(scaling.measure(["mapped"], rounds=1))


@pytest.mark.skipif(not data_loading.memory_is_told(), reason="only Linux tells a process's own memory")
def test_a_larger_batch_takes_more_memory():
    sizes = [Point("cpu").build_step([1000, 10], batch, "adam")["megabytes"] for batch in (10, 10_000)]
    assert sizes[1] - sizes[0] > 30  # the batch alone is 40 MB


@pytest.mark.parametrize(
    "options", [["--parts", "height"], ["--mapped-gigabytes", "-1"], ["--rounds", "x"], ["--plot", "/no/x.png"]]
)
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ")
    assert told.count("\n") == 1
    assert options[1] in told


@pytest.mark.parametrize("batch", [1, 32, 128])
def test_benchmark(benchmark, batch):
    point = Point("cpu")
    point.build_step((64, 64, 10), batch, "adam")
    point.contestant.reset()
    benchmark.pedantic(point.contestant.step, rounds=20, iterations=20, warmup_rounds=2)
