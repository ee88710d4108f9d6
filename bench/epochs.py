"""How long does a training take, and a prediction, beside PyTorch and scikit-learn? MNIST, and the small digits.

Everyone trains the same net from the same first weights (scikit-learn draws its own) on the same float32 arrays, for as
many epochs, in an order that it draws itself: `Trainer.fit`; PyTorch's loop over tensors in memory, sliced by hand;
`MLPClassifier.fit` without stopping early. What is timed is the whole call, with all that a first epoch has to set up;
imports are not. Each contestant is a process of its own; they take turns, round by round, with equal numbers of
threads. The losses and test accuracies that they reach stand beside the times: whoever reaches something else trains
something else.

Prediction is one call for a batch that is there as a tensor: the captured model and the model itself under
`en.no_grad`, PyTorch's under ``torch.no_grad`` and ``torch.inference_mode``; and of the whole test part, array to
array, in batches of 1024: `Trainer.predict`, PyTorch's loop under ``no_grad``, ``predict_proba``.

Without the real files (``--data-dir``), MNIST is made up: points around ten centres, in its shape.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import engine as en
from bench import epochs_report, options
from bench.contest import Contest, FailureError, rounded, spread, take_turns
from bench.data_loading import IMAGES, LABELS, add_data_dir
from bench.peers import Contestant
from bench.peers.epoch import Data, Run, save

CONTESTANTS = {
    "engine": Contestant("engine", None, "engine_epochs", "Trained"),
    "torch": Contestant("PyTorch", "torch", "torch_epochs", "Trained"),
    "sklearn": Contestant("scikit-learn", "sklearn", "sklearn_epochs", "Trained"),
}
PEERS = ("torch", "sklearn")
MNIST_NET = (784, 256, 128, 10)
RUNS = {
    run.name: run
    for run in (
        Run("mnist-dropout", "mnist", MNIST_NET, 128, 0.2, "adam", 1e-3, 1),
        Run("mnist", "mnist", MNIST_NET, 128, 0.0, "adam", 1e-3, 1),
        Run("digits-adam", "digits", (64, 64, 10), 32, 0.0, "adam", 1e-3, 20),
        Run("digits-sgd", "digits", (64, 64, 10), 32, 0.0, "sgd", 0.01, 20),
        Run("digits-adam-long", "digits", (64, 64, 10), 32, 0.0, "adam", 1e-3, 100),
        Run("digits-sgd-long", "digits", (64, 64, 10), 32, 0.0, "sgd", 0.01, 100),
    )
}
BOUNDS = {("mnist-dropout", "torch"): 1.8, ("mnist", "sklearn"): 3.0}
BOUNDS |= {(name, "sklearn"): 10.0 for name in RUNS if name.startswith("digits")}
PREDICTED = "mnist-dropout"  # the net that predicts
BATCHES = (1, 8, 64, 512, 1024, 8192)
BATCH_BOUND, SINGLE_BOUND = 0.95, 3.0  # of PyTorch's time under no_grad to the captured model's; the latter at batch 1
SECONDS = 0.05  # of one block of predictions
ACCURACY, LOGITS = 0.03, 1e-4  # how far apart is still the same
LIMIT = 600.0  # seconds for one training


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser, PEERS)
    add_data_dir(parser, "mnist/ with the official files; synthetic data of that shape without it")
    parser.add_argument(
        "--runs",
        type=options.names_of(tuple(RUNS)),
        default=list(RUNS),
        metavar="NAMES",
        help=f"of {','.join(RUNS)} (default: all)",
    )
    parser.add_argument(
        "--samples", type=options.at_least_one, metavar="N", help="train on the first N only (default: all)"
    )
    options.add_rounds(parser, 5, "of each run")
    options.add_threads(parser)
    options.add_plot(parser, "times and ratios")


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    data_dir: str | Path | None = None,
    runs: Sequence[str] = tuple(RUNS),
    samples: int | None = None,
    rounds: int = 5,
    threads: int = 1,
    plot: Path | None = None,
    batches: Sequence[int] = BATCHES,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """All runs, then predictions; who could not be measured is in ``missing``, with the reason."""
    options.check_plot(plot)
    names = [name for name, one in CONTESTANTS.items() if one.peer is None or one.peer in peers]
    sets, measured, predicted = {}, {}, None
    with (
        Contest(names, dict(peer_python), "cpu", threads, CONTESTANTS) as contest,
        tempfile.TemporaryDirectory() as folder,
    ):
        if "engine" in contest.missing:
            options.fail(f"--suite epochs: {contest.missing['engine']}")
        for run in (RUNS[name] for name in runs):
            place = Path(folder, run.data)
            if run.data not in sets:
                sets[run.data] = write(run.data, place, data_dir, samples)
            measured[run.name] = one_run(contest, run, place, rounds)
            print(epochs_report.line(run.name, measured[run.name]), file=sys.stderr, flush=True)
            if run.name == PREDICTED:
                predicted = _predictions(contest, measured[run.name], rounds, batches, seconds)
        result = {
            "threads": threads,
            "rounds": rounds,
            "dtype": "float32",
            "contestants": {name: {"label": CONTESTANTS[name].label, **contest.facts[name]} for name in contest.facts},
            "missing": {CONTESTANTS[name].label: reason for name, reason in contest.missing.items()},
            "data": sets,
            "runs": measured,
            "prediction": predicted,
        }
    if plot is not None:
        epochs_report.draw(result, plot)
    return result


def report(result: dict[str, Any]) -> str:
    """The result as tables to print."""
    return epochs_report.table(result)


# -- the data ------------------------------------------------------------------------------------------


def write(name: str, folder: Path, data_dir: str | Path | None, samples: int | None) -> dict[str, Any]:
    """Write a set where everyone reads it; what there is to say of it."""
    source, data = _digits() if name == "digits" else _mnist(data_dir)
    if samples is not None:
        data = data._replace(x=data.x[:samples], labels=data.labels[:samples])
    save(folder, data)
    return {"source": source, "samples": len(data.x), "test_samples": len(data.test_x), "features": data.x.shape[1]}


def _mnist(data_dir: str | Path | None) -> tuple[str, Data]:
    folder = None if data_dir is None else Path(data_dir) / "mnist"
    if folder is None or not all((folder / name).is_file() for name in (*IMAGES, *LABELS)):
        why = "no --data-dir" if folder is None else f"the four files of MNIST are not in {folder}"
        return f"synthetic, in MNIST's shape ({why})", synthetic(60_000, 10_000, 784)
    return "MNIST", _of(*en.data.load("mnist", data_dir=data_dir))


def _digits() -> tuple[str, Data]:
    try:
        return "scikit-learn's digits", _of(*en.data.load("digits"))
    except en.EngineError:
        return "synthetic, in the digits' shape (scikit-learn, which has them, is not installed)", synthetic(
            1438, 359, 64
        )


def _of(training: en.data.Dataset, test: en.data.Dataset) -> Data:
    arrays = [
        np.ascontiguousarray(array, kind)
        for part in (training, test)
        for array, kind in ((np.asarray(part.x).reshape(len(part.x), -1), np.float32), (part.y, np.int64))
    ]
    return Data(*arrays)


def synthetic(samples: int, test_samples: int, features: int) -> Data:
    """Points around ten centres, from 0 to 1: the same at every call."""
    generator = np.random.default_rng(0)
    centres = generator.uniform(0, 1, (10, features)).astype(np.float32)
    arrays = []
    for count in (samples, test_samples):
        labels = generator.permutation(np.arange(count) % 10)
        x = generator.standard_normal((count, features), np.float32)
        x *= np.float32(0.5)
        x += centres[labels]
        arrays += [np.clip(x, 0, 1, out=x), labels]
    return Data(*arrays)


# -- measuring -----------------------------------------------------------------------------------------


def one_run(contest: Contest, run: Run, folder: Path, rounds: int) -> dict[str, Any]:
    """Everyone's trainings, with what they reach."""
    left_out: dict[str, str] = {}
    logits: dict[str, Any] = {}
    for name in list(contest.workers):
        try:
            contest.ask(name, "start", LIMIT, folder=str(folder), run=run)
            logits[name] = contest.ask(name, "first_logits")["logits"]
        except FailureError as error:
            left_out[name] = str(error)
    turns, failed = take_turns(list(logits), rounds, lambda name: contest.ask(name, "train", LIMIT))
    reached = {
        name: {
            "seconds": spread([one["seconds"] for one in told]),
            "loss": rounded(statistics.mean(one["loss"] for one in told)),
            "accuracy": rounded(statistics.mean(one["accuracy"] for one in told)),
            "first_logits": _distance(logits["engine"], logits[name]),
        }
        for name, told in turns.items()
    }
    return {
        **run._asdict(),
        "reached": reached,
        "ratio": _ratios(run, reached),
        "left_out": left_out | failed,
    }


def _distance(ours: Any, theirs: Any) -> float | None:
    """How far apart the logits of the first weights are; None where they cannot be given."""
    if theirs is None:
        return None
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def _ratios(run: Run, reached: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each peer's median to the engine's; whether it trained the same; the bound, where there is one."""
    ours = reached.get("engine")
    ratios = {}
    for name, one in reached.items():
        if name == "engine" or ours is None:
            continue
        alike = one["first_logits"] is None or one["first_logits"] <= LOGITS
        ratios[name] = {
            "ratio": rounded(one["seconds"]["median"] / ours["seconds"]["median"]),
            "same": alike and abs(one["accuracy"] - ours["accuracy"]) <= ACCURACY,
            "bound": BOUNDS.get((run.name, name)),
        }
    return ratios


def _predictions(
    contest: Contest, run: dict[str, Any], rounds: int, batches: Sequence[int], seconds: float
) -> dict[str, Any]:
    names = list(run["reached"])
    turns, left_out = take_turns(
        names, rounds, lambda name: contest.ask(name, "predict", batches=batches, seconds=seconds)
    )
    times: dict[str, dict[str, Any]] = {}
    for name, told in turns.items():
        for way in told[0]["microseconds"]:
            times[f"{name} {way}"] = {
                batch: spread([one["microseconds"][way][batch] for one in told])
                for batch in told[0]["microseconds"][way]
            }
    ratios = {}
    if {"engine captured", "torch no_grad"} <= set(times):
        for batch, own in times["engine captured"].items():
            other = times["torch no_grad"][batch]["median"]
            bound = SINGLE_BOUND if batch == "1" else BATCH_BOUND
            ratios[batch] = {"ratio": rounded(other / own["median"]), "bound": bound}
    return {
        "net": run["name"],
        "batches": list(batches),
        "microseconds": times,
        "whole": {name: spread([one["whole"] for one in told]) for name, told in turns.items()},
        "ratio": ratios,
        "left_out": left_out,
    }
