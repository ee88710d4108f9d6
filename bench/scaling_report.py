"""How is shown what time and memory follow? Tables, and curves."""

from pathlib import Path
from typing import Any

from bench.contest import with_spread


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def table(result: dict[str, Any]) -> str:
    """A table for each part."""
    lines = [
        f"Time and memory of the engine, {result['dtype']}, {result['threads']} threads: medians of {result['rounds']} "
        "rounds ± half the distance of the quartiles;",
        "memory of the process's own (RssAnon), the peak above what was there before, weights included.",
    ]
    for name, part in result["parts"].items():
        lines.append("")
        if "points" in part:
            lines += _mapped(part) if name == "mapped" else _points(name, part)
        else:
            lines.append(name)
        lines += [
            f"  left out: {'' if which == 'all' else which + ': '}{why}" for which, why in part["left_out"].items()
        ]
    return "\n".join(lines)


def _points(name: str, part: dict[str, Any]) -> list[str]:
    lines = [
        f"{name}: {part['net']}",
        f"  {name:>10}{'us a sample':>18}{'us a step':>18}{'MB':>10}{'bytes a sample':>16}{'weights':>12}",
    ]
    for value, one in part["points"].items():
        step = with_spread(one["step"]) if "step" in one else "-"
        lines.append(
            f"  {int(value):>10}{with_spread(one['sample']):>18}{step:>18}{_number(one['megabytes'], '.1f'):>10}"
            f"{_number(one.get('bytes_a_sample'), '.0f'):>16}{_number(one.get('weights'), 'd'):>12}"
        )
        if one.get("note"):
            lines.append(f"  {'':>10}  {one['note']}")
    if part.get("ratio") is not None:
        lines.append(f"  slowest sample / fastest: {part['ratio']:.2f}    at most {part['bound']:.2f} is allowed")
    return lines


def _mapped(part: dict[str, Any]) -> list[str]:
    lines = [
        f"mapped: {part['net']}; a .npy of {part['bytes'] / 1e9:.2f} GB, {part['samples']} samples, from a warm page "
        "cache",
        f"  {'':>10}{'us a sample':>18}{'peak MB':>10}",
    ]
    for name, one in part["points"].items():
        lines.append(f"  {name:>10}{with_spread(one['sample']):>18}{_number(one['peak_megabytes'], '.0f'):>10}")
    if part["rate"] is not None:
        lines.append(f"  rate, mapped / in memory: {part['rate']:.2f}    at least {part['rate_bound']:.2f} is wanted")
    if part["memory_share"] is not None:
        lines.append(
            f"  peak / size of the file: {part['memory_share']:.3f}    at most {part['memory_bound']:.2f} is allowed"
        )
    return lines


def draw(result: dict[str, Any], path: Path) -> None:
    """Above the microseconds of a sample, below the memory, each against batch, width, depth and rows."""
    from matplotlib.figure import Figure  # only where a picture is drawn
    from matplotlib.ticker import LogLocator, NullLocator

    parts = {name: part for name, part in result["parts"].items() if name != "mapped" and part["points"]}
    figure = Figure(figsize=(1 + 3.7 * max(len(parts), 1), 6), layout="constrained")
    grid = figure.subplots(2, max(len(parts), 1), squeeze=False)
    for column, (name, part) in enumerate(parts.items()):
        values = [int(value) for value in part["points"]]
        points = list(part["points"].values())
        above, below = grid[:, column]
        medians = [one["sample"]["median"] for one in points]
        low = [one["sample"]["quartiles"][0] for one in points]
        high = [one["sample"]["quartiles"][1] for one in points]
        above.plot(values, medians, marker="o", color="#0072b2")
        above.fill_between(values, low, high, alpha=0.3, color="#0072b2")
        above.set_title(part["net"], fontsize=8)
        known = [(value, one["megabytes"]) for value, one in zip(values, points, strict=True) if one["megabytes"]]
        below.plot([value for value, _ in known], [size for _, size in known], marker="o", color="#d55e00")
        for axes in (above, below):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(values, [f"{value:,}" for value in values], rotation=45)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_xlabel(name)
            axes.grid(alpha=0.3)
        if name == "rows" and medians:
            above.set_ylim(min(low) / 2, max(high) * 2)
    grid[0, 0].set_ylabel("microseconds a sample")
    grid[1, 0].set_ylabel("megabytes")
    figure.savefig(path, dpi=150)
