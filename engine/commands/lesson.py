"""How does `engine lesson` go? The worked examples of the lectures: listed, run, and written as pages."""

import argparse
import json
import textwrap
import time
from typing import TYPE_CHECKING, Any

from engine import lessons
from engine.commands import downloads, options, parsing, report
from engine.errors import ArgumentError, EngineError
from engine.lessons import web
from engine.lessons.page import shown

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = "lessons"  # where --all writes, if nothing is said
CHOICES = ("data", "hidden", "learning_rate", "epochs", "seed")

_ABOUT = """
The worked examples of five lectures on back-propagation. Each prints the slide's numbers beside the engine's, and says
whether they agree; --output writes a page with the formulas, the code and the pictures. Without a name they are listed.
"""


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "lesson",
        usage="%(prog)s [LESSON | --all] [option ...]",
        help="the lectures' worked examples, checked and drawn",
        description=_ABOUT,
        epilog="examples:\n  engine lesson\n  engine lesson xor\n  engine lesson xor --hidden 8 --output out/\n"
        "  engine lesson --all --output out/\n",
    )
    parser.add_argument(
        "name",
        metavar="LESSON",
        nargs="?",
        type=parsing.OneOf("lesson", lessons.names()),
        help="one of those that engine lesson lists",
    )
    parser.add_argument("--all", action="store_true", help="all of them; what is not at hand is skipped")
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=parsing.path,
        help=f"write a page for each lesson, and an index (default with --all: {FOLDER})",
    )
    options.add_device(parser)
    options.add_data_dir(parser, "as in train; --all downloads nothing")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    group = parser.add_argument_group("of one lesson, where it has them")
    group.add_argument("--data", metavar="NAME", type=parsing.data, help="another data set")
    group.add_argument("--hidden", metavar="N,N,...", type=parsing.widths, help="widths of the hidden layers")
    group.add_argument("--learning-rate", metavar="X", type=parsing.number(above=True), help="size of a step")
    group.add_argument("--epochs", metavar="N", type=parsing.whole(1), help="passes over the data")
    group.add_argument("--seed", metavar="N", type=parsing.whole(0), help="what chance follows from")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List, or run one or all."""
    chosen = {name: getattr(arguments, name) for name in CHOICES if getattr(arguments, name) is not None}
    if arguments.name is None and not arguments.all:
        return _list(arguments, chosen)
    if arguments.name is not None and arguments.all:
        raise ArgumentError(f"{arguments.name} and --all were given; give one of them.")
    if arguments.all and chosen:
        raise _alone(chosen)
    return _every(arguments) if arguments.all else _one(arguments, chosen)


def _alone(chosen: dict[str, Any]) -> ArgumentError:
    option = next(iter(chosen)).replace("_", "-")
    return ArgumentError(f"--{option} is of one lesson; name it: engine lesson NAME --{option} VALUE.")


def _list(arguments: argparse.Namespace, chosen: dict[str, Any]) -> int:
    if chosen:
        raise _alone(chosen)
    if arguments.output is not None:
        raise ArgumentError("--output was given and no lesson; name one, or give --all.")
    found = {number: [lessons.get(name) for name in deck.lessons] for number, deck in lessons.DECKS.items()}
    if arguments.json:
        listed = [
            {key: getattr(lesson, key) for key in ("name", "deck", "title", "point", "options")}
            for deck in found.values()
            for lesson in deck
        ]
        report.write(json.dumps(listed) + "\n")
        return 0
    output = report.Output(quiet=False)
    width = max(map(len, lessons.names()))
    for number, deck in found.items():
        output.print(f"lecture {number}: {lessons.DECKS[number].title}")
        for lesson in deck:
            output.print(f"  {lesson.name:<{width}}  {lesson.title}: {lesson.point}")
    return 0


# -- one -----------------------------------------------------------------------------------------------


def _one(arguments: argparse.Namespace, chosen: dict[str, Any]) -> int:
    lesson = lessons.get(arguments.name)
    given = _fitting(lesson, chosen)
    folder = None if arguments.output is None else web.folder_for(arguments.output)
    backend, device = report.choose_device(arguments.device)
    output = report.Output(quiet=arguments.json)
    with downloads.shown() as progress:
        page = lessons.run(
            lesson.name, backend.device, data_dir=arguments.data_dir, download=True, progress=progress, **given
        )
    written = None
    if folder is not None:
        written = web.write_lesson(folder, lesson, page)
        web.write_index(folder, {lesson.name: web.Outcome(page)})
    if arguments.json:
        where = {} if written is None else {"written": str(written)}
        report.write(json.dumps({"lesson": lesson.name, **page.to_dict(), **where}) + "\n")
    else:
        _tell(output, lesson, page, device)
        if page.options:
            output.print(f"run     {web.command(lesson, page)}")
        output.print(f"page    {written}" if written else _unseen(page))
    return 0 if page.agrees else 1


def _fitting(lesson: lessons.Lesson, chosen: dict[str, Any]) -> dict[str, Any]:
    """The options as the lesson takes them."""
    given = dict(chosen)
    for name in given:
        if name not in lesson.options:
            has = [option.replace("_", "-") for option in lesson.options]
            known = f"it has --{', --'.join(has)}" if has else "it has no options of its own"
            raise ArgumentError(f"lesson {lesson.name} has no --{name.replace('_', '-')}; {known}.")
    if isinstance(lesson.options.get("hidden"), int) and "hidden" in given:
        if len(given["hidden"]) != 1:
            widths = ",".join(map(str, given["hidden"])) or "none"
            raise ArgumentError(f"--hidden {widths}: lesson {lesson.name} has one hidden layer; give one width.")
        given["hidden"] = given["hidden"][0]
    return given


def _tell(output: report.Output, lesson: lessons.Lesson, page: lessons.Page, device: str) -> None:
    output.print(f"{lesson.title}: {lesson.point}\n\n{textwrap.indent(lesson.formula, '  ')}\n\n{lesson.source}\n")
    output.print(_table(page))
    for row in page.rows:
        if row.reason:
            output.print(f"{row.quantity}: right is {shown(row.right)}. {row.reason}\n")
    for part in page.parts:
        if isinstance(part, str):
            output.print(part + "\n")
        elif isinstance(part, lessons.Table):
            output.print(part.title)
            output.print(_listed(part))
    output.print(f"{web.tally(page)}; {web.ran(page)}{device.removeprefix(page.device)}")


def _table(page: lessons.Page) -> "Table":
    table = _empty(("quantity", "slide", "engine", "difference", "agrees"))
    for row in page.rows:
        table.add_row(row.quantity, shown(row.slide), shown(row.engine), web.distance(row), row.verdict)
    return table


def _listed(part: lessons.Table) -> "Table":
    table = _empty(part.columns)
    for row in part.rows:
        table.add_row(*map(shown, row))
    return table


def _empty(columns: tuple[str, ...]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAVY, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _unseen(page: lessons.Page) -> str:
    count = len(page.pictures)
    return f"{count} picture{'s' * (count != 1)}: --output DIR draws them"


# -- all -----------------------------------------------------------------------------------------------


def _every(arguments: argparse.Namespace) -> int:
    folder = web.folder_for(arguments.output or FOLDER)
    backend, device = report.choose_device(arguments.device)
    output = report.Output(quiet=arguments.json)
    output.print(f"device  {device}")
    outcomes: dict[str, web.Outcome] = {}
    width, start = max(map(len, lessons.names())), time.perf_counter()
    before: str | None = None
    waiting: tuple[lessons.Lesson, lessons.Page] | None = None  # written when the lesson after it is known
    try:
        for name in lessons.names():
            outcomes[name] = outcome = _outcome(name, backend.device, arguments.data_dir)
            output.print(f"  {name:<{width}}  {_told(outcome)}")
            if outcome.page is not None:
                if waiting is not None:
                    web.write_lesson(folder, *waiting, before, name)
                    before = waiting[0].name
                waiting = lessons.get(name), outcome.page
        if waiting is not None:
            web.write_lesson(folder, *waiting, before)
    finally:
        written = web.write_index(folder, outcomes)
    pages = [outcome.page for outcome in outcomes.values() if outcome.page is not None]
    if arguments.json:
        found = {name: _summed(outcome) for name, outcome in outcomes.items()}
        report.write(json.dumps({"written": str(written), "lessons": found}) + "\n")
    else:
        rows = sum(len(page.rows) for page in pages)
        output.print(
            f"{len(pages)} lessons, {rows} rows, {len(outcomes) - len(pages)} skipped or failed, "
            f"{report.duration(time.perf_counter() - start)}; index {written}"
        )
    return 0 if all(outcome.fine for outcome in outcomes.values()) else 1


def _outcome(name: str, device: str, data_dir: str | None) -> web.Outcome:
    try:
        page = lessons.run(name, device, data_dir=data_dir)
    except lessons.NotAtHandError as error:
        return web.Outcome(None, str(error), skipped=True)
    except EngineError as error:
        return web.Outcome(None, str(error))
    return web.Outcome(page)


def _told(outcome: web.Outcome) -> str:
    if outcome.page is None:
        return f"{'skipped' if outcome.skipped else 'failed'}: {outcome.reason}"
    wrong = [row.quantity for row in outcome.page.rows if not row.agrees]
    return f"{web.tally(outcome.page)}, {outcome.page.seconds:.2g} s" + (f"; not: {', '.join(wrong)}" if wrong else "")


def _summed(outcome: web.Outcome) -> dict[str, Any]:
    if outcome.page is None:
        return {"skipped" if outcome.skipped else "failed": outcome.reason}
    return outcome.page.to_dict()
