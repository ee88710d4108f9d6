"""What does a person see of a download? A bar on a terminal, else a line when a file begins; on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.data.catalog import Progress

_MEGABYTE = 1_000_000


@contextmanager
def shown() -> Iterator[Progress]:
    """What is told of downloads while this lasts. However it ends, the terminal has its cursor back."""
    bars = _Bars() if sys.stderr.isatty() else None
    try:
        yield _Lines() if bars is None else bars
    finally:
        if bars is not None:
            bars.stop()


class _Lines:
    """A line for each file."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if name not in self._names:
            self._names.add(name)
            size = "" if total is None else f" ({total / _MEGABYTE:.1f} MB)"
            print(f"downloading {name}{size}", file=sys.stderr)


class _Bars:
    """A bar for each file, which go together in the end."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def stop(self) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
