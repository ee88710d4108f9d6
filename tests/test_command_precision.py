"""Does a run keep the precision that it was begun with, and do the commands say which it is?"""

import csv
import json
import tomllib

import numpy as np
import pytest

from backends.kernels.rounding import DROPPED
from engine import runs
from engine.commands import build
from engine.layers.linear import precision_of
from engine.runs import Run

TINY = ("train", "--data", "moons", "--samples", "60", "--hidden", "8", "--epochs", "2", "--batch-size", "8")


@pytest.mark.parametrize("precision", DROPPED)
def test_a_run_keeps_its_precision(precision, engine, here):
    code, printed, said = engine(*TINY, "--precision", precision, "--output", "run")
    assert (code, said) == (0, "")
    assert f"model   2-8-1, relu, products in {precision} (" in printed
    assert tomllib.loads((here / "run" / runs.CONFIG).read_text())["model"]["precision"] == precision
    model = build.trained_model(Run.open("run"))
    assert precision_of(model) == precision
    assert model[0].weight.dtype == "float32"
    tested = printed.splitlines()[-1]
    code, printed, _ = engine("evaluate", "run", "--device", "cpu")
    assert (code, printed.splitlines()[-1]) == (0, tested)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_predictions_are_made_in_it(precision, engine, here):
    assert engine(*TINY, "--precision", precision, "--output", "run", "--quiet")[0] == 0
    np.savetxt(here / "points.csv", np.array([[0.3, -0.7], [1.5, 0.25]]), delimiter=",")
    answers = []
    for _ in range(2):
        code, printed, said = engine("predict", "run", "points.csv", "--device", "cpu")
        assert (code, said) == (0, "")
        answers.append(printed)
        config = here / "run" / runs.CONFIG  # the same weights, in float32 from now on
        config.write_text(config.read_text().replace(f'"{precision}"', '"float32"'))
    assert len(answers[0].splitlines()) == len(answers[1].splitlines()) == 3
    assert answers[0] != answers[1]


@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_resumed_is_as_uninterrupted(precision, engine, here):
    line = (*TINY[:-4], "--batch-size", "8", "--precision", precision, "--device", "cpu", "--quiet")
    assert engine(*line, "--epochs", "4", "--output", "whole")[0] == 0
    assert engine(*line, "--epochs", "2", "--output", "parts")[0] == 0
    assert engine("resume", "parts", "--epochs", "4", "--quiet", "--device", "cpu")[0] == 0
    whole, parts = (Run.open(name) for name in ("whole", "parts"))
    for one, other in zip(*(build.trained_model(run).parameters() for run in (whole, parts)), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_skipped_steps_are_told(engine, here, monkeypatch):
    monkeypatch.setattr("engine.scaling.START", 2.0**23)
    line = (*TINY[:-1], "1", "--precision", "float16", "--output", "run")
    code, printed, said = engine(*line)
    assert (code, said) == (0, "")
    (first, *_) = [one for one in printed.splitlines() if one.startswith("epoch 1/")]
    result = json.loads((here / "run" / runs.RESULT).read_text())
    assert first.endswith(" skipped")
    assert result["precision"] == "float16"
    assert result["skipped"] > 0
    assert f"{result['skipped']} of {result['skipped'] + result['steps']}" in printed
    with open(here / "run" / runs.HISTORY) as file:
        assert sum(float(row["skipped"]) for row in csv.DictReader(file)) == result["skipped"]
    assert engine("resume", "run", "--epochs", "3", "--quiet")[0] == 0


def test_summary_and_profile_say_it(engine):
    size = ("--inputs", "4", "--outputs", "2", "--hidden", "8", "--precision", "bfloat16")
    code, printed, _ = engine("summary", *size)
    assert code == 0
    assert "float32, products in bfloat16" in printed
    code, printed, _ = engine("profile", *size, "--batch-size", "4", "--repeats", "2", "--device", "cpu", "--json")
    found = {one["name"]: one["precision"] for one in json.loads(printed)["operations"]}
    assert found["RoundedLinear.forward"] == found["RoundedLinear.backward"] == found["Round.forward"] == "bfloat16"
    assert found["ReLU.forward"] == found["Adam.update"] == "float32"


def test_help_lists_them(engine):
    _, printed, _ = engine("train", "--help")
    assert all(name in printed for name in DROPPED)
