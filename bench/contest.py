"""Who is timed next? The processes of all contestants, of which one works at a time."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.peers import CONTESTANTS, Contestant

ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
T = TypeVar("T")
START_SECONDS, BUILD_SECONDS, TIME_SECONDS = 120.0, 300.0, 120.0  # a process that takes longer is given up


class FailureError(Exception):
    """A contestant did not do what it was asked; the text says why."""


class Worker:
    """One contestant's process."""

    def __init__(self, one: Contestant, python: str, device: str, threads: int) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
        try:
            self.process = subprocess.Popen(
                [python, "-m", "bench.peers.worker", one.module, one.kind, device, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=ROOT,
                env={**os.environ, **variables},
            )
        except OSError as error:
            self._errors.close()
            raise FailureError(f"{python}: {error.strerror}") from None
        try:
            self.facts: dict[str, str] = self._answer(START_SECONDS)["facts"]
        except FailureError:
            self.close()
            raise

    def ask(self, limit: float = TIME_SECONDS, **question: Any) -> dict[str, Any]:
        """Its answer; FailureError where it has none, or is not there any more."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise FailureError(self._end(0.0, False)) from None
        return self._answer(limit)

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(limit, give_up)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            raise FailureError(self._end(limit, late.is_set()))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise FailureError(" ".join(answer["error"].split())[:300])
        return answer

    def _end(self, limit: float, late: bool) -> str:
        code = self.process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        what = f"it took more than {limit:g} seconds" if late else f"its process ended with code {code}"
        return f"{what}: {last}"[:300] if last and not late else what

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._errors.close()


class Contest:
    """All contestants that can take part here, and, of those that cannot, why."""

    def __init__(
        self,
        names: Sequence[str],
        pythons: Mapping[str, str],
        device: str,
        threads: int,
        contestants: Mapping[str, Contestant] = CONTESTANTS,
    ) -> None:
        self.device, self.threads, self.pythons, self.contestants = device, threads, pythons, contestants
        self.workers: dict[str, Worker] = {}
        self.missing: dict[str, str] = {}
        self.facts: dict[str, dict[str, str]] = {}
        for name in names:
            self._start(name)

    def _start(self, name: str) -> None:
        one = self.contestants[name]
        python = self.pythons.get(one.peer or "", sys.executable)
        try:
            self.workers[name] = Worker(one, python, self.device, self.threads)
            self.facts[name] = self.workers[name].facts
        except FailureError as error:
            self.missing[name] = str(error)

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def build(
        self,
        cell: Mapping[str, Any],
        arrays: Path,
        names: Sequence[str] | None = None,
        limit: float = BUILD_SECONDS,
        **given: Any,
    ) -> Iterator[tuple[str, dict[str, Any] | str]]:
        """Each contestant at a cell: what it says, or why it cannot. A process that ended before begins again."""
        for name in list(self.workers) if names is None else names:
            try:
                yield name, self._ready(name).ask(limit, cell=cell, arrays=str(arrays), **given)
            except FailureError as error:
                yield name, str(error)

    def _ready(self, name: str) -> Worker:
        """A contestant's process, begun again where it had ended."""
        if name in self.workers and not self.workers[name].alive:
            self.workers.pop(name).close()
            self._start(name)
        if name not in self.workers:
            raise FailureError(self.missing[name])
        return self.workers[name]

    def end(self, name: str) -> None:
        """Let a contestant's process end, with all the memory that it holds; it begins again when it is needed."""
        if name in self.workers:
            self.workers[name].close()

    def ask(self, name: str, task: str, limit: float = TIME_SECONDS, **given: Any) -> dict[str, Any]:
        """What a contestant answers to a task; FailureError where it cannot."""
        return self._ready(name).ask(limit, task=task, **given)

    def time(self, name: str, steps: int, blocks: int) -> list[float]:
        """Microseconds a step, one value a block."""
        values: list[float] = self.workers[name].ask(steps=steps, blocks=blocks)["microseconds"]
        return values


def take_turns(
    names: Sequence[str], rounds: int, turn: Callable[[str], T]
) -> tuple[dict[str, list[T]], dict[str, str]]:
    """What everyone's turns gave, one value a round; and, of those who failed, why. Nobody always follows the same."""
    given: dict[str, list[T]] = {name: [] for name in names}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        order = [name for name in names if name not in left_out]
        shift = number % max(len(order), 1)
        for name in order[shift:] + order[:shift]:
            try:
                given[name].append(turn(name))
            except FailureError as error:
                left_out[name] = str(error)
    return {name: values for name, values in given.items() if name not in left_out}, left_out


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and the smallest of some times, to five digits."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else list(values) * 3
    return {
        "median": rounded(statistics.median(values)),
        "quartiles": [rounded(low), rounded(high)],
        "fastest": rounded(min(values)),
    }


def with_spread(one: dict[str, Any]) -> str:
    """A spread as text: the median, and half the distance between the quartiles in percent of it."""
    low, high = one["quartiles"]
    median = one["median"]
    return f"{median:{'.4g' if median < 10_000 else '.0f'}} ±{(high - low) / 2 / median:.0%}"


def rounded(value: float) -> float:
    """The number to five digits."""
    return float(f"{value:.5g}")
