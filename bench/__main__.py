"""How fast is it on this machine? `python -m bench --suite eager` prints a table, `--json FILE` keeps it.

`python -m bench compare OLD NEW` tells what changed between two results of the suite `steps`. `python -m bench --device
cuda` alone is the suite `cuda`, which measures one cell after another and goes on where it was stopped.

Run from the repository's root. A suite is a module with `measure()`, which returns plain values, and `report(result)`,
which turns them into a table; `add_options(parser)`, where it has some, adds what `measure` is given by name.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

from bench import (
    accuracy,
    cuda,
    data_loading,
    eager_step,
    epochs,
    memory,
    operations,
    options,
    scaling,
    start,
    steps,
    steps_report,
)
from bench.facts import facts

SUITES: dict[str, ModuleType] = {
    "accuracy": accuracy,
    "cuda": cuda,
    "data": data_loading,
    "eager": eager_step,
    "epochs": epochs,
    "memory": memory,
    "operations": operations,
    "scaling": scaling,
    "start": start,
    "steps": steps,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write where asked; 2 where the file cannot be written."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["compare"]:
        return compare(arguments[1:])
    common = options.Parser(prog="python -m bench", add_help=False)
    common.add_argument("--suite", choices=sorted(SUITES), default="eager", help="what to measure (default: eager)")
    common.add_argument("--json", type=Path, metavar="FILE", help="write the result there, with the machine's facts")
    name = common.parse_known_args(arguments)[0].suite
    if not any(word.startswith("--suite") for word in arguments) and _on_gpu(arguments):
        name = "cuda"
        common.set_defaults(suite=name)
    suite = SUITES[name]
    question = (suite.__doc__ or "").partition("\n")[0]
    parser = options.Parser(prog=f"python -m bench --suite {name}", description=question, parents=[common])
    if hasattr(suite, "add_options"):
        suite.add_options(parser)
    given = parser.parse_args(arguments)
    if given.json is not None and not given.json.absolute().parent.is_dir():
        print(f"bench: --json {given.json}: the folder {given.json.absolute().parent} does not exist.", file=sys.stderr)
        return 2
    result = suite.measure(**{name: value for name, value in vars(given).items() if name not in ("suite", "json")})
    print(suite.report(result))
    if given.json is not None:
        try:
            given.json.write_text(json.dumps({"suite": given.suite, **facts(), "result": result}, indent=2) + "\n")
        except OSError as error:
            print(f"bench: --json {given.json}: {error.strerror}.", file=sys.stderr)
            return 2
    return 0


def _on_gpu(arguments: list[str]) -> bool:
    """Whether a GPU is asked for."""
    parser = options.Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--device", default="")
    return parser.parse_known_args(arguments)[0].device.startswith("cuda")


def compare(arguments: list[str]) -> int:
    """Print what changed between two results; 2 where they cannot be read."""
    parser = options.Parser(prog="python -m bench compare", description="What changed between two results.")
    parser.add_argument("old", type=Path, help="what --suite steps --json wrote before")
    parser.add_argument("new", type=Path, help="and now")
    given = parser.parse_args(arguments)
    try:
        print(steps_report.compare(given.old, given.new))
    except ValueError as error:
        print(f"bench: compare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
