"""What does the command line offer? The commands, and how what goes wrong is told: one line and an exit code."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from engine import __version__
from engine.commands import complete, evaluate, info, lesson, predict, profile, resume, summary, train
from engine.commands.parsing import Parser, UsageError
from engine.commands.wording import in_options
from engine.errors import ArgumentError, DataError, DeviceError, DtypeError, EngineError, ShapeError
from engine.runs import one_line

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_BAD_INPUT = (UsageError, ArgumentError, DataError, ShapeError, DtypeError, DeviceError)
_EXAMPLES = """
examples:
  engine train                                 train on the digits
  engine resume runs/digits-1                  go on with a run that was stopped
  engine evaluate runs/digits-1                test a run again
  engine predict runs/digits-1 digits          what it says of each test sample
  engine lesson                                the lectures' worked examples
  engine info                                  devices and versions
  engine complete bash                         for completion with the tabulator key

engine COMMAND --help tells more. ENGINE_DEBUG=1 shows where an error came from.
"""


def make_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="engine", description="Train neural networks on NumPy or CuPy.", epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"engine {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in (train, resume, evaluate, predict, summary, profile, lesson, info, complete):
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code.

    0: done. 1: failed while running. 2: bad usage or input, or a device that is not there. 130: interrupted.
    """
    with _streams():
        return _run(list(sys.argv[1:] if argv is None else argv))


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """A block in which standard output and error are there, also where whoever started this closed them."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _run(given: Sequence[str]) -> int:
    name = "engine"
    try:
        arguments = make_parser().parse_args(given)
        name = f"engine {arguments.command}"
        # Numbers that overflow are looked for and told by the trainer, in words.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.showwarning = lambda message, *_, **__: print(
                f"{name}: warning: {one_line(message)}.", file=sys.stderr
            )
            code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as leave:  # --help and --version
        return leave.code if isinstance(leave.code, int) else DONE
    except UsageError as error:
        return _told(str(error), BAD_INPUT)
    except _BAD_INPUT as error:
        return _told(f"{name}: {in_options(error)}", BAD_INPUT)
    except EngineError as error:
        return _told(f"{name}: {in_options(error)}", FAILED)
    except BrokenPipeError:  # who read standard output has seen enough
        _flush_or_forget()
        return FAILED
    except OSError as error:
        _flush_or_forget()
        # What is written into files by name has been told with the name by the one who wrote it.
        return _told(f"{name}: {error.filename or 'standard output'}: {error.strerror or error}", FAILED)
    except MemoryError as error:
        return _told(f"{name}: out of memory: {error}. Use a smaller model or batch size.", FAILED)
    except KeyboardInterrupt as error:
        return _told(f"{name}: {str(error) or 'interrupted'}", INTERRUPTED)
    except Exception as error:
        problem = f"{type(error).__name__}: {one_line(error)}. This should not happen; ENGINE_DEBUG=1 shows where"
        return _told(f"{name}: {problem}", FAILED)


def _told(message: str, code: int) -> int:
    if os.environ.get("ENGINE_DEBUG"):
        raise
    print(one_line(message) + ".", file=sys.stderr)
    return code


def _flush_or_forget() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # What is still buffered cannot be written; without this the interpreter would complain of it on its way out.
        with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
