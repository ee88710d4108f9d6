"""How well does it learn on real sets? The recipes that the bounds are given for, each as one command line.

Every recipe is trained by `engine train` as written, seed by seed; what counts is the mean over the seeds. The figures
of PyTorch beside them are for the same recipes (data, widths, losses, steps), measured elsewhere; they are not measured
again here.
"""

import argparse
import contextlib
import io
import json
import shlex
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.data_loading import add_data_dir
from engine import commands

SEEDS = (0, 1, 2)


class Recipe(NamedTuple):
    """A command line, what is measured, its lower bound, and what PyTorch reaches."""

    line: str
    measure: str
    bound: float
    pytorch: float | None


_CIFAR = "--data DIR/cifar-10/data_batch_1.bin --test DIR/cifar-10/test_batch.bin --scaling standardize"
RECIPES = {
    "mnist": Recipe(
        "--data mnist --hidden 256,128 --dropout 0.2 --optimizer adam --learning-rate 1e-3 --batch-size 128 "
        "--epochs 10 --data-dir DIR",
        "accuracy",
        0.977,
        0.980,
    ),
    "cifar-10, linear, hinge": Recipe(
        f"{_CIFAR} --hidden none --loss hinge --l2 1e-2 --optimizer adam --learning-rate 1e-4 --batch-size 128 "
        "--epochs 20",
        "accuracy",
        0.355,
        0.367,
    ),
    "cifar-10, 512-256": Recipe(
        f"{_CIFAR} --hidden 512,256 --dropout 0.3 --optimizer adam --learning-rate 3e-4 --batch-size 128 --epochs 20",
        "accuracy",
        0.465,
        0.480,
    ),
    "california housing": Recipe(
        "--data DIR/uci/california_housing.csv --target median_house_value --impute median --hidden 64,64 --epochs 30",
        "r2",
        0.75,
        None,
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    add_data_dir(parser, "mnist/, cifar-10/, uci/")


def measure(data_dir: Path | None) -> dict[str, Any]:
    """Every recipe with every seed: what it reaches on its test part, and how long it takes."""
    if data_dir is None:
        raise SystemExit("bench: --data-dir: it is needed, or the variable ENGINE_DATA.")
    return {name: {**recipe._asdict(), **_train(recipe, data_dir)} for name, recipe in RECIPES.items()}


def _train(recipe: Recipe, data_dir: Path) -> dict[str, Any]:
    reached, seconds = [], []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            place = str(Path(folder, "run"))
            line = shlex.split(recipe.line.replace("DIR", str(data_dir)))
            start = time.perf_counter()
            code = commands.main(["train", *line, "--seed", str(seed), "--json", "--output", place, "--device", "cpu"])
            seconds.append(time.perf_counter() - start)
        if code:
            raise SystemExit(f"bench: engine train {recipe.line}: it failed.")
        reached.append(json.loads(printed.getvalue())["test"][recipe.measure])
    return {"reached": reached, "mean": statistics.mean(reached), "seconds": statistics.median(seconds)}


def report(result: dict[str, Any]) -> str:
    """The result as a table."""
    lines = [f"{'recipe':<26}{'measure':<10}{'mean':>8}{'bound':>8}{'PyTorch':>9}{'seconds':>9}  seeds {SEEDS}"]
    for name, one in result.items():
        pytorch = "" if one["pytorch"] is None else f"{one['pytorch']:.3f}"
        each = ", ".join(f"{value:.4f}" for value in one["reached"])
        lines.append(
            f"{name:<26}{one['measure']:<10}{one['mean']:>8.4f}{one['bound']:>8.3f}{pytorch:>9}"
            f"{one['seconds']:>9.1f}  {each}"
        )
    return "\n".join(lines)
