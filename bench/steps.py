"""How long does one training step take, beside other libraries? 14 nets, from 2-8-2 at batch 1 to 2048x3-10 at 1024.

A step is forward, softmax cross-entropy, backward and update, in float32, with ReLU: on the same batch, from the same
first weights, with equal numbers of threads. Each contestant is a process of its own; they take turns, round by round,
and only one works at a time. Before it is timed, each one's losses of the first 20 steps are compared with the
engine's: whoever computes something else is shown, but is no peer of that cell.

The ratio of a cell is the fastest peer's median over that of the engine's captured step: above 1, the engine is faster.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import options, steps_report
from bench.contest import Contest, spread, take_turns
from bench.peers import CONTESTANTS, PEERS
from bench.peers.step import BETAS, EPSILON, LEARNING_RATES, MOMENTUM, Cell, make_arrays, save

NETS = {  # "1024x3-10": three hidden layers of 1024, as many inputs
    "2-8-2": ((2, 8, 2), 1),
    "64-64-10": ((64, 64, 10), 32),
    "784-100-10": ((784, 100, 10), 64),
    "784-256-128-10": ((784, 256, 128, 10), 128),
    "784-512-512-10": ((784, 512, 512, 10), 256),
    "1024x3-10": ((1024, 1024, 1024, 1024, 10), 512),
    "2048x3-10": ((2048, 2048, 2048, 2048, 10), 1024),
}
CELLS = [Cell(net, *shape, optimizer) for net, shape in NETS.items() for optimizer in LEARNING_RATES]
REFERENCE = "eager"  # whose losses the others' are compared with
TOLERANCE = 1e-3  # of the losses, relative to the largest; float32 rounds differently in every order of summation
BLOCK_SECONDS, ROUND_SECONDS = 0.05, 0.1
MOST_STEPS, MOST_BLOCKS = 400, 5  # a net that has trained for longer has velocities that are no ordinary numbers


def _cells(text: str) -> list[Cell]:
    chosen = []
    for word in text.split(","):
        net, _, optimizer = word.strip().partition("/")
        found = [cell for cell in CELLS if cell.net == net and optimizer in ("", cell.optimizer)]
        if not found:
            raise argparse.ArgumentTypeError(f"{word}: choose from {', '.join(NETS)}, each with /sgd, /adam or both")
        chosen += [cell for cell in found if cell not in chosen]
    return chosen


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser)
    parser.add_argument(
        "--cells", type=_cells, default=CELLS, metavar="NETS", help="such as 2-8-2,64-64-10/adam (default: all 14)"
    )
    options.add_rounds(parser, 15, "of each cell")
    options.add_threads(parser)
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default), cuda or cuda:1")
    options.add_plot(parser, "the ratios")


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    cells: Sequence[Cell] = tuple(CELLS),
    rounds: int = 15,
    threads: int = 1,
    device: str = "cpu",
    plot: Path | None = None,
) -> dict[str, Any]:
    """All cells, one after the other; who could not be measured is in ``missing``, with the reason."""
    options.check_plot(plot)
    names = [name for name, one in CONTESTANTS.items() if one.peer is None or one.peer in peers]
    with Contest(names, dict(peer_python), device, threads) as contest, tempfile.TemporaryDirectory() as folder:
        if REFERENCE in contest.missing:
            options.fail(f"--device {device}: {contest.missing[REFERENCE]}")
        measured = {}
        for cell in cells:
            arrays = Path(folder, "arrays.npz")
            save(arrays, make_arrays(cell))
            measured[cell.name] = _measure_cell(contest, cell, arrays, rounds)
            print(steps_report.line(cell.name, measured[cell.name]), file=sys.stderr, flush=True)
        result = {
            "device": device,
            "threads": threads,
            "rounds": rounds,
            "dtype": "float32",
            "optimizers": {
                "sgd": {"learning_rate": LEARNING_RATES["sgd"], "momentum": MOMENTUM},
                "adam": {"learning_rate": LEARNING_RATES["adam"], "betas": BETAS, "eps": EPSILON},
            },
            "contestants": {name: {"label": CONTESTANTS[name].label, **contest.facts[name]} for name in contest.facts},
            "missing": {CONTESTANTS[name].label: reason for name, reason in contest.missing.items()},
            "cells": measured,
            **{f"{kind}_mean": _geometric_mean(measured, kind) for kind in ("ratio", "eager_ratio")},
        }
    if plot is not None:
        steps_report.draw(result, plot)
    return result


def _measure_cell(contest: Contest, cell: Cell, arrays: Path, rounds: int) -> dict[str, Any]:
    told: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name, answer in contest.build(cell._asdict(), arrays):
        if isinstance(answer, str):
            left_out[name] = answer
        else:
            told[name] = answer
    times, failed = take_turns(
        list(told),
        rounds,
        lambda name: statistics.median(contest.time(name, *_plan(told[name]["microseconds"]))),
    )
    left_out |= failed
    timed = {name: spread(values) for name, values in times.items()}
    reference = told.get(REFERENCE, {}).get("losses")
    losses = {name: _comparison(told[name], reference) for name in timed}
    return {
        "net": cell.net,
        "sizes": cell.sizes,
        "batch": cell.batch,
        "optimizer": cell.optimizer,
        "microseconds": timed,
        "first_loss": reference and reference[0],
        "last_loss": reference and reference[-1],
        "losses": losses,
        "notes": {name: one["note"] for name, one in told.items() if one["note"]},
        "left_out": left_out,
        **_ratios(timed, losses),
    }


def _plan(microseconds: float) -> tuple[int, int]:
    """Steps a block and blocks a round: much of a round for small nets, little more than one step for large ones."""
    seconds = microseconds / 1e6
    steps = min(max(round(BLOCK_SECONDS / seconds), 2), MOST_STEPS)
    return steps, min(max(round(ROUND_SECONDS / (steps * seconds)), 1), MOST_BLOCKS)


def _comparison(told: dict[str, Any], reference: list[float] | None, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Does it compute what the engine computes: the largest difference between the losses of the first steps."""
    if told["losses"] is None or reference is None:
        return {"same": False, "reason": told["incomparable"] or "the engine's losses are not known"}
    difference = max(abs(own - other) for own, other in zip(told["losses"], reference, strict=True))
    return {"same": difference <= tolerance * max(map(abs, reference)), "largest_difference": difference}


def _ratios(timed: dict[str, dict[str, Any]], losses: dict[str, dict[str, Any]]) -> dict[str, Any]:
    peers = [name for name in timed if CONTESTANTS[name].peer is not None and losses[name]["same"]]
    best = min(peers, key=lambda name: timed[name]["median"], default=None)

    def ratio(own: str) -> float | None:
        return None if best is None or own not in timed else round(timed[best]["median"] / timed[own]["median"], 4)

    return {"best_peer": best, "ratio": ratio("captured"), "eager_ratio": ratio("eager")}


def _geometric_mean(measured: dict[str, dict[str, Any]], kind: str) -> float | None:
    ratios = [one[kind] for one in measured.values() if one[kind] is not None]
    return round(math.exp(statistics.mean(map(math.log, ratios))), 4) if ratios else None


def report(result: dict[str, Any]) -> str:
    """The result as a table to print."""
    return steps_report.table(result)
