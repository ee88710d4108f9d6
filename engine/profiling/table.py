"""How does a profile look as text? Two tables, of operations and of layers, and a few lines of facts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.profiling.result import Profile

_WIDTH = 100  # columns of a terminal
_LEAST = 12  # of a text, where the table is too wide
_LONGEST = 40  # of a name that stands alone
_TIMES = (("s", 1.0), ("ms", 1e3), ("us", 1e6))
_AMOUNTS = (("", 1.0), ("k", 1e-3), ("M", 1e-6), ("G", 1e-9), ("T", 1e-12))
PYTHON = "Python and the rest"


class Unit:
    """One unit for a column of numbers, with as many decimals as show four digits of the largest."""

    def __init__(self, units: Sequence[tuple[str, float]], values: Sequence[float | None]) -> None:
        largest = max((one for one in values if one is not None), default=0.0)
        fitting = [(name, factor) for name, factor in units if largest * factor >= 1]
        self.name, self.factor = (
            min(fitting, key=lambda one: largest * one[1]) if fitting else max(units, key=lambda one: one[1])
        )
        shown = largest * self.factor
        self.decimals = 1 if shown >= 100 else 2 if shown >= 10 else 3
        if units is _AMOUNTS and self.factor == 1:
            self.decimals = 0

    def show(self, value: float | None) -> str:
        """The number in this unit; "-" where there is none."""
        return "-" if value is None else f"{value * self.factor:,.{self.decimals}f}" if value else "0"


def table(profile: "Profile") -> str:
    """Operations, layers and facts."""
    time = Unit(_TIMES, [profile.seconds])
    runs = "once" if profile.repeats == 1 else f"median of {profile.repeats}"
    lines = [f"{headline(profile, shortened(profile.step))}, {runs}", ""]
    if profile.operations:
        lines += [*_operations(profile, time), ""]
    if profile.parts:
        lines += [*_parts(profile, time), ""]
    return "\n".join([*lines, *_facts(profile)])


def headline(profile: "Profile", name: str) -> str:
    """The name of a step and its time; where it is captured, the time by itself is that of the function."""
    how = "" if profile.recorded_seconds is None else " eagerly"
    where = f" on {', '.join(profile.devices)}" if profile.devices else ""
    return f"{name}: {duration(profile.seconds)}{how}{where}"


def duration(seconds: float) -> str:
    """A time with its unit.

    >>> duration(0.00123), duration(0.5e-6)
    ('1.230 ms', '0.500 us')
    """
    unit = Unit(_TIMES, [seconds])
    return f"{unit.show(seconds)} {unit.name}"


def amount(value: float, unit: str) -> str:
    """A large number with the thousands' letter and its unit.

    >>> amount(1_234_567, "B"), amount(12, "B")
    ('1.235 MB', '12 B')
    """
    fitting = Unit(_AMOUNTS, [value])
    return f"{fitting.show(value)} {fitting.name}{unit}"


def share(part: float, whole: float) -> str:
    """A part in percent."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _operations(profile: "Profile", time: Unit) -> list[str]:
    rows = profile.operations
    each = Unit(_TIMES, [one.seconds_per_call for one in rows])
    moved, work = Unit(_AMOUNTS, [one.bytes for one in rows]), Unit(_AMOUNTS, [one.flops for one in rows])
    bytes_rate = Unit((("G", 1e-9),), [one.bytes_per_second for one in rows])
    flops_rate = Unit((("G", 1e-9),), [one.flops_per_second for one in rows])
    head = ("operation", "in", "calls", f"total {time.name}", "share", f"each {each.name}")
    cells = [(*head, f"{moved.name}B", "GB/s", f"{work.name}FLOP", "GFLOP/s")]
    cells += [
        (
            one.name,
            one.precision,
            f"{one.calls:g}",
            time.show(one.seconds),
            share(one.seconds, profile.seconds),
            each.show(one.seconds_per_call),
            moved.show(one.bytes),
            bytes_rate.show(one.bytes_per_second),
            work.show(one.flops),
            flops_rate.show(one.flops_per_second),
        )
        for one in rows
    ]
    return _laid_out(cells, [*_ends(profile, time, sum(one.calls for one in rows))], texts=2)


def _ends(profile: "Profile", time: Unit, calls: float) -> list[tuple[str, ...]]:
    """The last rows of the table of operations, which make up the step."""
    parts = (("all operations", profile.kernel_seconds), (PYTHON, profile.python_seconds), ("step", profile.seconds))
    return [
        (name, "", f"{calls:g}" if not number else "", time.show(seconds), share(seconds, profile.seconds), *[""] * 5)
        for number, (name, seconds) in enumerate(parts)
    ]


def _parts(profile: "Profile", time: Unit) -> list[str]:
    rows = profile.parts
    rate = Unit((("G", 1e-9),), [one.flops_per_second for one in rows])
    cells = [("layer", "kind", "calls", *(f"{one} {time.name}" for one in ("forward", "backward", "total")))]
    cells[0] = (*cells[0], "share", "GFLOP/s")
    for one in rows:
        both = one.backward_seconds or one.kind
        split = (time.show(one.forward_seconds), time.show(one.backward_seconds)) if both else ("", "")
        calls = f"{one.calls:g}" if one.kind else ""
        total = time.show(one.seconds), share(one.seconds, profile.seconds), rate.show(one.flops_per_second)
        cells.append((one.name, one.kind, calls, *split, *total))
    python = time.show(profile.python_seconds), share(profile.python_seconds, profile.seconds)
    return _laid_out(cells, [(PYTHON, *[""] * 4, *python, "")], texts=2)


def _facts(profile: "Profile") -> list[str]:
    facts = []
    if profile.product_flops_per_second is not None:
        facts.append(
            f"matrix products   {share(profile.product_seconds, profile.seconds)} of the step, "
            f"{profile.product_flops_per_second / 1e9:,.4g} GFLOP/s"
        )
    if profile.flops_per_second is not None:
        facts.append(
            f"known work        {amount(profile.flops, 'FLOP')} a step, {profile.flops_per_second / 1e9:,.4g} GFLOP/s "
            "over the whole step"
        )
    arrays = f"{profile.allocated_arrays:,g} array{'s' * (profile.allocated_arrays != 1)}"
    facts.append(f"allocated         {amount(profile.allocated_bytes, 'B')} in {arrays} a step")
    if profile.recorded_seconds is not None:
        times = profile.alone_seconds / profile.recorded_seconds if profile.recorded_seconds else 0.0
        facts.append(
            f"recorded          {duration(profile.recorded_seconds)} a step by en.capture, {times:.2f} times as fast"
        )
    if profile.alone_seconds < 0.95 * profile.seconds:
        facts.append(
            f"unwatched         {duration(profile.alone_seconds)} a step where nobody waits for each operation"
        )
    if not profile.operations:
        facts.append("no operation of the engine ran")
    return facts


def _laid_out(rows: Sequence[tuple[str, ...]], ends: Sequence[tuple[str, ...]], texts: int) -> list[str]:
    """A header, rows and last rows with rules between them; the first columns are texts, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, *ends, strict=True)]
    for column in reversed(range(texts)):  # a kind is shortened before a name
        over = sum(widths) + 2 * (len(widths) - 1) - _WIDTH
        widths[column] -= min(max(over, 0), max(widths[column] - _LEAST, 0))
    lines = ["  ".join(_cells(row, widths, texts)).rstrip() for row in (*rows, *ends)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return [lines[0], rule, *lines[1 : len(rows)], rule, *lines[len(rows) :]]


def _cells(row: tuple[str, ...], widths: Sequence[int], texts: int) -> list[str]:
    return [
        shortened(cell, width).ljust(width) if column < texts else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def shortened(text: str, width: int = _LONGEST) -> str:
    """The start and the end of a text that is too long, with ~ between them.

    >>> shortened("encoder.attention.query", 15)
    'encoder~n.query'
    """
    return text if len(text) <= width else f"{text[: (width - 1) // 2]}~{text[len(text) - width // 2 :]}"
