"""What does a person see? Lines and tables, on the terminal and in the run's log, and the plain last line."""

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import backends
from backends import Backend
from engine.layers import Layer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 100  # of the log, and of output that is no terminal

_SHOWN = {"r2": "R2", "mae": "mean absolute error", "f1": "F1"}


class Output:
    """Where lines go: to standard output unless quiet, and to the log once there is one.

    Args:
        quiet: whether standard output gets nothing.
    """

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console  # here, so that --help and errors need not wait for it

        self.quiet = quiet
        self.console = Console(quiet=quiet, highlight=False, markup=False, emoji=False)
        if not self.console.is_terminal:
            self.console = _plain(None, quiet)
        self._before = io.StringIO()  # what is printed before there is a log
        self._log = _plain(self._before, False)

    @property
    def live(self) -> bool:
        """Whether a moving bar can be shown."""
        return self.console.is_terminal and not self.quiet

    def print(self, line: "str | Table") -> None:
        """One line or one table."""
        with naming("standard output"):
            self.console.print(line, soft_wrap=isinstance(line, str))
        self._log.print(line, soft_wrap=isinstance(line, str))

    def note(self, line: str) -> None:
        """One line for the log alone."""
        self._log.print(line, soft_wrap=True)

    def log_to(self, file: TextIO) -> None:
        """From now on to this file; what was printed before there was one is written there first."""
        file.write(self._before.getvalue())
        self._before = io.StringIO()
        self._log.file = file

    def close_log(self) -> None:
        """No more lines come."""
        self._log.file.close()


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """A block that writes to this place only: an error of the system, which knows no name, gets it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or place
        raise


def write(text: str) -> None:
    """All of standard output that is not an `Output`'s."""
    with naming("standard output"):
        sys.stdout.write(text)
        sys.stdout.flush()


def _plain(file: TextIO | None, quiet: bool) -> "Console":
    from rich.console import Console

    return Console(
        file=file,
        quiet=quiet,
        width=WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None,
        force_terminal=False,
    )


def choose_device(name: str) -> tuple[Backend, str]:
    """The backend of a device option, and the words that tell which it is, and why it is not a GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # says why a GPU is not used: said here, in the header
        backend = backends.get(name)
    if name != "auto" or backend.device != "cpu":
        return backend, backend.device
    return backend, f"cpu (no CUDA: {no_cuda()})"


def no_cuda() -> str:
    """Why CUDA is not used, without the advice that follows it."""
    from backends import cupy_backend

    return (cupy_backend.problem() or "not asked for").split(". ")[0].rstrip(".")


def parameter_count(model: Layer) -> int:
    """How many numbers are trained."""
    return sum(parameter.size for parameter in model.parameters())


def describe_model(table: Mapping[str, Any]) -> str:
    """The widths from input to output, and what is between them: 64-128-10, relu."""
    widths = "-".join(str(width) for width in (_product(table["inputs"]), *table["hidden"], table["outputs"]))
    parts = [widths]
    if table["hidden"]:
        parts += [_activation(table)]
        parts += ["batch norm"] if table["batch_norm"] else []
        parts += [f"dropout {table['dropout']:g}"] if table["dropout"] else []
        depth = table.get("stochastic_depth")
        parts += [f"stochastic depth {depth:g}"] if depth else []
    precision = table["precision"]
    parts += [] if precision == "float32" else [precision if precision == "float64" else f"products in {precision}"]
    return ", ".join(parts)


def _activation(table: Mapping[str, Any]) -> str:
    """Its name, and the parameter that was chosen for it: leaky-relu 0.2, maxout of 3."""
    name: str = table["activation"]
    for setting in ("negative_slope", "elu_alpha"):
        if table.get(setting) is not None:
            return f"{name} {table[setting]:g}"
    return name if table.get("pieces") is None else f"{name} of {table['pieces']}"


def _product(lengths: Sequence[int]) -> int:
    result = 1
    for length in lengths:
        result *= length
    return result


def number(value: float) -> str:
    """A measured value: four places, or four digits where that would show nothing.

    >>> number(0.97222), number(0.0000123), number(1234.5)
    ('0.9722', '1.23e-05', '1234.5000')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 or value != value else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(3.14), duration(75), duration(3700)
    ('3.1 s', '1:15 min', '1:01:40 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def name_of(measure: str) -> str:
    """What a measure is called in tables and lines."""
    if measure.startswith("validation_"):
        return "validation " + name_of(measure.removeprefix("validation_"))
    return _SHOWN.get(measure, measure.replace("_", " "))


def result_table(columns: Mapping[str, Mapping[str, float]], further: Mapping[str, str]) -> "Table":
    """Measures as rows, parts of the data as columns, and further facts below."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAVY, pad_edge=False)
    table.add_column("")
    for part in columns:
        table.add_column(part, justify="right")
    for measure in next(iter(columns.values())):
        table.add_row(name_of(measure), *(number(values[measure]) for values in columns.values()))
    table.add_section()
    for fact, value in further.items():
        table.add_row(fact, *[""] * (len(columns) - 1), value)
    return table


def last_line(measured: Mapping[str, float], part: str = "test") -> str:
    """The plain line that ends `train` and `evaluate`: test accuracy 0.9722."""
    measure = "accuracy" if "accuracy" in measured else "loss"
    return f"{part} {measure} {measured[measure]:.4f}"


def finish(measured: Mapping[str, float], result: Mapping[str, Any], *, as_json: bool, part: str = "test") -> None:
    """The end of standard output: the plain line, or the whole result as one JSON object."""
    write((json.dumps(result) if as_json else last_line(measured, part)) + "\n")
