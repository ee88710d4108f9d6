"""How does `engine complete` go? A script that teaches a shell the commands, their options and what these may be."""

import argparse
from collections.abc import Iterator
from typing import Any

from engine import data
from engine.commands import parsing
from engine.commands.report import write

SHELLS = ("bash", "tcsh", "zsh")

_INSTALL = """
to install it:
  bash   engine complete bash > ~/.local/share/bash-completion/completions/engine
         or, without the package bash-completion, to a file that ~/.bashrc sources
  zsh    engine complete zsh > ~/.zfunc/_engine
         and in ~/.zshrc: fpath=(~/.zfunc $fpath); autoload -U compinit; compinit
  tcsh   engine complete tcsh > ~/.engine.tcsh
         and in ~/.tcshrc: source ~/.engine.tcsh

Folders must be there before; the next shell knows it.

examples:
  engine complete bash
"""

# What readers that are no list of names know by heart.
_NAMES = {
    parsing.data: data.names(),
    parsing.device: ("auto", "cpu", "cuda"),
    parsing.class_weight: ("balanced",),
    parsing.widths: ("none",),
    parsing.yes_or_no: ("yes", "no"),
}
_FILES, _FOLDERS = ("FILE", "INPUT"), ("DIR", "RUN")  # in what stands for a value

# shtab knows lists and files, and not either: these functions do. tcsh has none, and completes files there.
_EITHER = {"bash": "_engine_name_or_file", "zsh": "_engine_name_or_file", "tcsh": "f"}
_FUNCTIONS = {
    "bash": '_engine_name_or_file() {\n  compgen -W "%s" -- "$1"\n  compgen -f -- "$1"\n}',
    "zsh": "_engine_name_or_file() {\n  _alternative 'names:data set:(%s)' 'files:file:_files'\n}",
    "tcsh": "",
}


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "complete",
        help="a script for completion in the shell",
        description="Print a script by which a shell completes commands, options and their values.",
        epilog=_INSTALL,
    )
    parser.set_defaults(run=run)
    parser.add_argument("shell", metavar="SHELL", type=parsing.OneOf("shell", SHELLS), help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    write(script(arguments.shell) + "\n")
    return 0


def script(shell: str) -> str:
    """The script for a shell."""
    import shtab  # here: no other command needs it

    from engine.commands import make_parser  # here: it imports this module

    parser = make_parser()
    for action in _actions(parser):
        names = getattr(action.type, "names", _NAMES.get(action.type, ()))
        kinds = str(action.metavar)
        file = any(kind in kinds for kind in _FILES)
        # Only of this parser: in others readers judge the values, with errors of their own.
        if file and (names or "INPUT" in kinds):
            action.complete = _EITHER
        elif file:
            action.complete = shtab.FILE
        elif any(kind in kinds for kind in _FOLDERS):
            action.complete = shtab.DIRECTORY
        elif names:
            action.choices = names
    functions = _FUNCTIONS[shell].replace("%s", " ".join(data.names()))
    text: str = shtab.complete(parser, shell=shell, preamble=functions)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """Every option and every argument of a parser and of the commands below."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
        else:
            yield action
