"""How is a command line read? A parser whose errors are one line with the nearest names, and the types of values."""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from engine.errors import EngineError, UnknownNameError, unknown_name

T = TypeVar("T")

LARGEST = 10**9  # of whole numbers: above it are typing errors, and what no memory holds


class UsageError(EngineError):
    """A command line that cannot be followed; the message begins with the program's name."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with room for the options, and each default after its option, where it has one of its own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if not action.option_strings or default is None or default is False or default == argparse.SUPPRESS:
            return text
        return f"{text} (default: {default:g})" if isinstance(default, float) else f"{text} (default: {default})"


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` with one line, instead of printing its usage and leaving."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **settings}, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument (--?[\w-]+/)*", "", message)
        choice = re.match(r"COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice is not None:
            message = str(unknown_name("command", choice[1], re.findall(r"[\w-]+", choice[2])))
        message = message.replace("the following arguments are required:", "still needed:")
        raise UsageError(
            f"{self.prog}: {message.rstrip('.')}{'' if message.endswith('?') else '.'} See {self.prog} --help."
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, left = super().parse_known_args(args, namespace)
        if left:  # named here, by the command that knows its options, and not by the parser above it
            self.error(self._stranger(str(left[0])))
        return found, left

    def _stranger(self, given: str) -> str:
        if not given.startswith("-"):
            return f"{given!r} was not expected"
        name = given.partition("=")[0]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        near += [option for option in known if option.startswith(name) and option not in near][:2]
        return f"option {name} is unknown" + (f"; did you mean {' or '.join(near)}?" if near else "")


# -- types of values ----------------------------------------------------------------------------------------


def whole(least: int) -> Callable[[str], int]:
    """A whole number from ``least`` to `LARGEST`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= LARGEST:
            end = f" to {LARGEST}" if number > LARGEST else ""
            raise argparse.ArgumentTypeError(f"{text!r} was given; allowed are whole numbers from {least}{end}")
        return number

    return read


def number(least: float = 0.0, most: float = math.inf, *, above: bool = False, below: bool = False) -> Any:
    """A finite number from ``least`` to ``most``; ``above`` and ``below`` leave the ends out."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        inside = (value > least if above else value >= least) and (value < most if below else value <= most)
        if not inside or not math.isfinite(value):
            low = f"above {least:g}" if above else f"from {least:g}"
            high = "" if most == math.inf else f" and below {most:g}" if below else f" to {most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} was given; allowed are numbers {low}{high}")
        return value

    return read


def one_of(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """One of these names."""
    allowed = tuple(names)

    def read(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(str(unknown_name(kind, text, allowed)))
        return text

    return read


def known_to(look_up: Callable[[str], Any]) -> Callable[[str], str]:
    """A name that this function finds."""

    def read(text: str) -> str:
        try:
            look_up(text)
        except UnknownNameError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return read


def or_word(word: str, read: Callable[[str], T]) -> Callable[[str], T | str]:
    """This word, or what ``read`` takes."""

    def either(text: str) -> T | str:
        if text == word:
            return text
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(
                f'{error}, and "{word}"' if " was given; " in str(error) else str(error)
            ) from None

    return either


def widths(text: str) -> list[int]:
    """Widths of layers: 256,128; "none" for no hidden layer."""
    if text == "none":
        return []
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1 or max(numbers) > LARGEST:
        raise argparse.ArgumentTypeError(
            f'{text!r} was given; allowed are whole numbers from 1 with commas, such as 256,128, and "none"'
        )
    return numbers


def device(text: str) -> str:
    """The name of a device; whether it is there is seen when it is used."""
    if not re.fullmatch(r"cpu|auto|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is unknown; allowed are cpu, cuda, cuda:N and auto")
    return text


def class_weight(text: str) -> str | list[float]:
    """ "balanced", or one number for each class."""
    if text == "balanced":
        return text
    try:
        return [number()(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f'{text!r} was given; allowed are "balanced" and numbers from 0 with commas, such as 1,2.5'
        ) from None
