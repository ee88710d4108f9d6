"""What can be chosen in several suites? Peers and their environments, rounds, threads, where a picture goes."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from bench.peers import PEERS


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fail(text: str) -> NoReturn:
    """End with one line and code 2."""
    print(f"bench: {text}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    """One that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """End with that line and code 2."""
        fail(f"{message}. See {self.prog} --help.")


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of at least 1")
    return int(text)


def above_zero(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: give a number above 0")
    return value


def names_of(allowed: Sequence[str], none: bool = False) -> Callable[[str], list[str]]:
    """Of names with commas between them, the list; every one is among the allowed ones."""

    def read(text: str) -> list[str]:
        words = [] if none and text == "none" else [word.strip() for word in text.split(",")]
        unknown = [word for word in words if word not in allowed]
        if unknown:
            others = ", or none" if none else ""
            raise argparse.ArgumentTypeError(f"{unknown[0]}: choose from {', '.join(allowed)}{others}")
        return list(dict.fromkeys(words))

    return read


def peer_python(text: str) -> tuple[str, str]:
    """PEER=PYTHON as (peer, python)."""
    peer, _, python = text.partition("=")
    if peer not in PEERS or not python:
        raise argparse.ArgumentTypeError(f"{text}: give PEER=PYTHON, PEER one of {', '.join(PEERS)}")
    return peer, python


def add_peers(parser: argparse.ArgumentParser, peers: Sequence[str] = PEERS) -> None:
    """Who is compared with the engine, and where they are installed."""
    parser.add_argument(
        "--peers",
        type=names_of(peers, none=True),
        default=list(peers),
        metavar="NAMES",
        help=f"of {','.join(peers)} (default: all), or none",
    )
    parser.add_argument(
        "--peer-python",
        type=peer_python,
        action="append",
        default=[],
        metavar="PEER=PYTHON",
        help="take a peer from another environment, by its Python; once for each such peer",
    )


def add_rounds(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    """How often everything is measured."""
    parser.add_argument(
        "--rounds", type=at_least_one, default=default, metavar="N", help=f"{what} (default: {default})"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """How many threads each contestant has."""
    parser.add_argument(
        "--threads", type=at_least_one, default=cores(), metavar="N", help="of each (default: all cores)"
    )


def add_plot(parser: argparse.ArgumentParser, what: str) -> None:
    """Where a picture goes."""
    parser.add_argument("--plot", type=Path, metavar="FILE", help=f"draw {what} there")


def check_plot(plot: Path | None) -> None:
    """End with 2 before anything is measured where no picture could be drawn after it."""
    if plot is None:
        return
    if not plot.absolute().parent.is_dir():
        fail(f"--plot {plot}: the folder {plot.absolute().parent} does not exist.")
    if importlib.util.find_spec("matplotlib") is None:
        fail(f"--plot {plot}: needs matplotlib. pip install matplotlib.")
