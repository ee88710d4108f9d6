"""How does a lesson look in a browser? A self-contained page each, and an index by deck; they open offline."""

import base64
import html
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from engine import __version__, plot
from engine.errors import EngineError
from engine.files import write_whole
from engine.lessons import DECKS, Lesson, get
from engine.lessons.page import Page, Picture, Row, Table, shown

INDEX = "index.html"

_STYLE = """
:root { --ink: #1c1c1c; --faint: #5a5a5a; --line: #d4d4d4; --paper: #fff; --shade: #f4f6f8; --link: #005a9c;
  --yes: #00664a; --no: #a02c00; --error: #8a5a00; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 72rem; color: var(--ink);
  background: var(--paper); font: 1.125rem/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  overflow-wrap: break-word; }
a { color: var(--link); }
nav, footer { color: var(--faint); font-size: 1rem; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
h1 { font-size: clamp(1.7rem, 4vw, 2.5rem); line-height: 1.2; margin: 1.2rem 0 .3rem; }
h2 { font-size: 1.45rem; margin: 2.4rem 0 .7rem; }
.point { font-size: 1.35rem; margin: 0 0 1.2rem; color: var(--faint); }
pre { background: var(--shade); border-radius: .4rem; padding: 1rem 1.2rem; overflow-x: auto; line-height: 1.5;
  font-family: "DejaVu Sans Mono", "Cascadia Mono", Menlo, Consolas, monospace; }
pre.formula { font-size: 1.15rem; }
pre.code { font-size: .95rem; }
figure { margin: 1.6rem 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--faint); margin-top: .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .4rem 0 1.6rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.2rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; font-size: 1rem; }
td.number { font-variant-numeric: tabular-nums; }
.wide table { min-width: min(100%, 28rem); }
table.rows td:first-child { min-width: 11rem; } table.rows td:nth-child(2) { min-width: 9rem; }
table.rows td:nth-child(n+4) { white-space: nowrap; }
.yes { color: var(--yes); font-weight: 600; } .no { color: var(--no); font-weight: 600; }
.slide-error { color: var(--error); font-weight: 600; }
tr.told td { border: 0; } tr.reason td { color: var(--faint); padding-left: 1.5rem; }
ol.lessons { list-style: none; padding: 0; } ol.lessons li { padding: .45rem 0; border-bottom: 1px solid var(--line); }
ol.lessons .state { font-size: 1rem; font-weight: 400; } .unseen { color: var(--faint); }
@media (max-width: 45rem) {
  table.rows thead { position: absolute; left: -99rem; }
  table.rows, table.rows tbody, table.rows tr, table.rows td { display: block; }
  table.rows tr { padding: .7rem 0; border-bottom: 1px solid var(--line); }
  table.rows tr.told { border: 0; padding-bottom: 0; } table.rows tr.reason { padding-top: 0; }
  table.rows tr.reason td:first-child { font-weight: 400; padding: 0; }
  table.rows td { border: 0; padding: 0; } table.rows td:first-child { font-weight: 600; }
  table.rows td[data-name] { display: inline-block; margin-right: 1.2rem; min-width: 0; }
  table.rows td[data-name]::before { content: attr(data-name) ": "; color: var(--faint); font-size: 1rem; }
  pre.formula, pre.code { font-size: .9rem; padding: .8rem; }
}
"""

_ICON = "data:,"  # none: without this line a browser asks for one


@dataclass(frozen=True)
class Outcome:
    """How a lesson ended: its page, or the reason why there is none.

    Attributes:
        page: what it found; None where it did not run to its end.
        reason: why not.
        skipped: whether it needs something that is not at hand, so that nothing is wrong.
    """

    page: Page | None
    reason: str = ""
    skipped: bool = False

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong: every row agrees, or the lesson was skipped."""
        return self.skipped or (self.page is not None and self.page.agrees)


def write_lesson(
    folder: FilePath, lesson: Lesson, page: Page, previous: str | None = None, following: str | None = None
) -> FilePath:
    """Draw the pictures and write ``NAME.html`` into the folder, which is there; its path.

    Args:
        folder: where the other pages and the index are, too.
        lesson, page: what was run, and what it found.
        previous, following: names of the lessons whose pages are linked as those before and after.
    """
    path = folder / f"{lesson.name}.html"
    write_whole(path, _lesson(lesson, page, previous, following).encode())
    return path


def write_index(folder: FilePath, outcomes: Mapping[str, Outcome]) -> FilePath:
    """Write the index: the lessons of this run with how they ended, the pages of earlier ones as links; its path."""
    path = folder / INDEX
    write_whole(path, _index(folder, outcomes).encode())
    return path


# -- a lesson ------------------------------------------------------------------------------------------


def _lesson(lesson: Lesson, page: Page, previous: str | None, following: str | None) -> str:
    near = "".join(
        f"<a href='{name}.html'>{word}: {_text(get(name).title)}</a>"
        for word, name in (("Previous", previous), ("Next", following))
        if name is not None
    )
    parts = [
        f"<nav><a href='{INDEX}'>All lessons</a>{near}<span>Lecture {lesson.deck}, "
        f"{_text(DECKS[lesson.deck].title)}</span></nav>",
        f"<h1>{_text(lesson.title)}</h1><p class='point'>{_text(_capital(lesson.point))}</p>",
        f"<pre class='formula'>{_text(lesson.formula)}</pre><p>{_text(lesson.source)}</p>",
        "<h2>The slide and the engine</h2>",
        _rows(page.rows),
        *(_part(part) for part in page.parts),
        f"<h2>The code</h2>{_code(lesson.code)}",
        f"<footer><span>{_text(ran(page))}</span><span>engine {__version__}</span>"
        f"<span>{_text(command(lesson, page))}</span></footer>",
    ]
    return _document(f"{lesson.title} - lecture {lesson.deck}", "\n".join(parts))


def ran(page: Page) -> str:
    """How long a lesson took, and where.

    >>> page = Page("cpu")
    >>> page.seconds = 0.0123
    >>> ran(page)
    'ran for 0.012 s on cpu'
    """
    return f"ran for {page.seconds or 0.0:.2g} s on {page.device}"


def command(lesson: Lesson, page: Page) -> str:
    """The command line that runs it so again."""
    words = [f"python -m engine lesson {lesson.name}"]
    for name, value in page.options.items():
        given = ",".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else value
        words.append(f"--{name.replace('_', '-')} {given}")
    return " ".join(words)


def tally(page: Page) -> str:
    """How many rows agree, and how many of them against the slide.

    >>> page = Page()
    >>> page.compare("one", 1, 1.0, tolerance=0)
    >>> page.compare("two", 2, 2.5, tolerance=0.1)
    >>> tally(page)
    '1 of 2 rows agree'
    """
    errors = sum(row.verdict == "slide error" for row in page.rows)
    found = f", {errors} slide error{'s' * (errors > 1)} found" if errors else ""
    return f"{sum(row.agrees for row in page.rows)} of {len(page.rows)} rows agree{found}"


def _rows(rows: Sequence[Row]) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("quantity", "slide", "engine", "difference", "agrees"))
    body = "\n".join(_row(row) for row in rows)
    return f"<table class='rows'><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _row(row: Row) -> str:
    verdict = f"<span class='{row.verdict.replace(' ', '-')}'>{row.verdict}</span>"
    cells = [f"<td>{_text(row.quantity)}</td>"]
    for name, text in (("slide", shown(row.slide)), ("engine", shown(row.engine)), ("difference", distance(row))):
        label = f" data-name='{name}'" if text else ""
        cells.append(f"<td class='number'{label}>{_text(text)}</td>")
    cells.append(f"<td data-name='agrees'>{verdict}</td>")
    if not row.reason:
        return f"<tr>{''.join(cells)}</tr>"
    why = f"right: {shown(row.right)}. {row.reason}"
    return f"<tr class='told'>{''.join(cells)}</tr>\n<tr class='reason'><td colspan='5'>{_text(why)}</td></tr>"


def distance(row: Row) -> str:
    """The difference and how large it may be.

    >>> page = Page()
    >>> page.compare("f", 0.731, 0.7310586, tolerance=0.0005)
    >>> distance(page.rows[0])
    '5.9e-05 ≤ 0.0005'
    """
    if row.difference is None or row.tolerance is None:
        return ""
    allowed = ("≤ " if row.difference <= row.tolerance else "> ") + f"{row.tolerance:g}"
    return f"{row.difference:.2g}" + f" {allowed}" * bool(row.tolerance) + " of it" * row.relative


def _part(part: str | Table | Picture) -> str:
    if isinstance(part, str):
        return f"<p>{_text(part)}</p>"
    if isinstance(part, Picture):
        return _figure(part)
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in part.columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td class='number'>{_text(shown(cell))}</td>" for cell in row) + "</tr>" for row in part.rows
    )
    return (
        f"<div class='wide'><table><caption>{_text(part.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _figure(picture: Picture) -> str:
    caption = _text(picture.caption)
    if picture.function is not plot.graph and not plot.available():
        return f'<p>No picture, since matplotlib is not installed (pip install "chalkgrad[plots]"): {caption}</p>'
    drawn = picture.draw()
    if isinstance(drawn, str):
        kind, content = "svg+xml", drawn.encode()
    else:
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png")
        kind, content = "png", buffer.getvalue()
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return f"<figure><img src='{source}' alt='{caption}'><figcaption>{caption}</figcaption></figure>"


def _code(code: str) -> str:
    """Python with its words in colours."""
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console(record=True, file=io.StringIO(), width=120, color_system="truecolor", force_terminal=True)
    console.print(Syntax(code, "python", theme="xcode", background_color="default", word_wrap=False))
    marked = console.export_html(code_format="{code}", inline_styles=True)
    lines = re.sub(r"; background-color: #\w+", "", marked).rstrip().splitlines()
    return "<pre class='code'>" + "\n".join(line.rstrip() for line in lines) + "</pre>"


# -- the index -----------------------------------------------------------------------------------------


def _index(folder: FilePath, outcomes: Mapping[str, Outcome]) -> str:
    parts = ["<h1>The lectures' examples</h1>", f"<p class='point'>{_text(_total(outcomes))}</p>"]
    for number, deck in DECKS.items():
        entries = "\n".join(f"<li>{_entry(folder, name, outcomes.get(name))}</li>" for name in deck.lessons)
        parts.append(f"<h2>Lecture {number}: {_text(deck.title)}</h2>\n<ol class='lessons'>\n{entries}\n</ol>")
    parts.append(f"<footer><span>engine {__version__}</span><span>python -m engine lesson --all</span></footer>")
    return _document("The lectures' examples", "\n".join(parts))


def _entry(folder: FilePath, name: str, outcome: Outcome | None) -> str:
    lesson = get(name)
    title, written = _text(lesson.title), (folder / f"{name}.html").exists()
    link = f"<a href='{name}.html'>{title}</a>" if written else title
    state, mark = "", "unseen"
    if outcome is not None and outcome.page is not None:
        mark = "yes" if outcome.page.agrees else "no"
        state = f"{tally(outcome.page)}, {outcome.page.seconds or 0.0:.2g} s on {outcome.page.device}"
    elif outcome is not None:
        mark = "unseen" if outcome.skipped else "no"
        state = f"{'skipped' if outcome.skipped else 'failed'}: {outcome.reason}"
    elif not written:
        state = f"not run: python -m engine lesson {name}"
    state = f"<br><span class='state {mark}'>{_text(state)}</span>" if state else ""
    return f"{link}: {_text(lesson.point)}{state}"


def _total(outcomes: Mapping[str, Outcome]) -> str:
    pages = [outcome.page for outcome in outcomes.values() if outcome.page is not None]
    rows = sum(len(page.rows) for page in pages)
    agreeing = sum(row.agrees for page in pages for row in page.rows)
    skipped = sum(outcome.skipped for outcome in outcomes.values())
    left = f", {skipped} skipped" if skipped else ""
    return f"{agreeing} of {rows} compared values agree, in {len(pages)} lesson{'s' * (len(pages) != 1)}{left}."


# -- both ----------------------------------------------------------------------------------------------


def _document(title: str, body: str) -> str:
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{_text(title)}</title>\n<link rel='icon' href='{_ICON}'>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def folder_for(path: str | os.PathLike[str]) -> FilePath:
    """The folder, made where it is missing.

    Raises:
        EngineError: it cannot be made, or something else has its name.
    """
    folder = FilePath(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder}: no folder can be made: {error.strerror}. Name another place.") from None
    return folder
