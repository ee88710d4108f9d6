"""How is a command line read? A parser whose errors are one line with the nearest names, and the types of values."""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from engine.data.augmentation import read as read_augmentation
from engine.data.loading import is_name
from engine.errors import EngineError, UnknownNameError, unknown_name

LARGEST = 10**9  # of whole numbers: above it are typing errors, and what no memory holds


class UsageError(EngineError):
    """A command line that cannot be followed; the message begins with the program's name."""


class Formatter(argparse.HelpFormatter):
    """Help with room for the options, and each default after its option, where it has one of its own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs fill the lines; those that are laid out, with lines that begin with a space, stay as they are."""
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            one if "\n " in one else argparse.HelpFormatter._fill_text(self, one, width, indent) for one in paragraphs
        )

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if not action.option_strings or default is None or default is False or default == argparse.SUPPRESS:
            return text
        return f"{text} (default: {default:g})" if isinstance(default, float) else f"{text} (default: {default})"


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` with one line, instead of printing its usage and leaving."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **settings}, allow_abbrev=False)
        # What begins so is a value and no option: -1e-3, and -2,-1.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(,.*)?$", re.I)

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
        first = str(args[0]) if args else ""
        if self._subparsers is not None and first.startswith("-") and first not in self._option_string_actions:
            self.error(self._stranger(first))  # before the command is missed that would have followed
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
            low = f" above {least:g}" if above else f" from {least:g}"
            high = "" if most == math.inf else f" and below {most:g}" if below else f" to {most:g}"
            finite = "finite numbers" if least == -math.inf else f"numbers{low}"
            raise argparse.ArgumentTypeError(f"{text!r} was given; allowed are {finite}{high}")
        return value

    return read


class OneOf:
    """One of these names, in whatever case, with - or _; ``names`` lists them, for completion."""

    def __init__(self, kind: str, names: Iterable[str]) -> None:
        self.kind, self.names = kind, tuple(names)

    def __call__(self, text: str) -> str:
        for name in self.names:
            if _plain(name) == _plain(text):
                return name
        raise argparse.ArgumentTypeError(str(unknown_name(self.kind, text, self.names)))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


class OrWord:
    """This word, or what ``read`` takes."""

    def __init__(self, word: str, read: Callable[[str], Any]) -> None:
        self.word, self.read = word, read
        self.names = (word, *getattr(read, "names", ()))

    def __call__(self, text: str) -> Any:
        if text == self.word:
            return text
        try:
            return self.read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(
                f'{error}, and "{self.word}"' if " was given; " in str(error) else str(error)
            ) from None


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


def betas(text: str) -> list[float]:
    """Two decays, from 0 and below 1: 0.9,0.999."""
    try:
        first, second = (number(0, 1, below=True)(part) for part in text.split(","))
    except (argparse.ArgumentTypeError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; allowed are two numbers from 0 and below 1 with a comma, such as 0.9,0.999"
        ) from None
    return [first, second]


def path(text: str) -> str:
    """A path: what an empty variable of the shell leaves is none, and would be taken for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("'' was given; allowed is a path")
    return text


def data(text: str) -> str:
    """The name of a data set, or a path."""
    try:
        is_name(path(text))
    except UnknownNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def names(text: str) -> list[str]:
    """Names with commas between them."""
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} was given; allowed are names or numbers of columns with commas")
    return found


def yes_or_no(text: str) -> bool:
    """yes or no."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} was given; allowed are yes and no")
    return text == "yes"


def separator(text: str) -> str:
    """One character, or the words tab and space."""
    found = {"tab": "\t", "space": " "}.get(text, text)
    if len(found) != 1 or found in '"\r\n' or found.isalnum():
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; allowed are one character that is no letter, digit or quote, tab, and space"
        )
    return found


def image_size(text: str) -> list[int]:
    """Height x width: 32x48."""
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} was given; allowed is height x width in pixels, such as 32x32")
    return [int(found[1]), int(found[2])]


def augmentation(text: str) -> str:
    """Augmentations with commas between them, as they are written."""
    try:
        read_augmentation(text)
    except EngineError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
