"""How are a GPU's measured steps shown? A table beside its limits, for the terminal and in Markdown."""

from collections.abc import Sequence
from typing import Any

from bench.contest import with_spread

WIDTH = 16


def line(name: str, cell: dict[str, Any]) -> str:
    """One cell, while the others are still to come."""
    times = "  ".join(f"{who} {one['median']:.5g}" for who, one in cell["microseconds"].items())
    return f"{name}: {times or 'nobody could'}  ratio {_ratio(cell['ratio'])}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def limit_times(result: dict[str, Any], cell: dict[str, Any]) -> tuple[float | None, float | None]:
    """Microseconds that the cell's products, and its reading and writing, take at the measured rates."""
    product, copy = result["limits"]["products"].get(cell["precision"]), result["limits"]["copy"]
    return (
        None if product is None else cell["flops"] / product["rate"] * 1e6,
        None if copy is None else cell["bytes"] / copy["rate"] * 1e6,
    )


def rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The titles, and the texts of each cell."""
    who = result["contestants"]
    titles = ["net@batch/optimizer", *(one["label"] for one in who.values()), "products", "memory", "of products"]
    titles += ["ratio", "eager", "fastest peer"]
    made = []
    for name, cell in result["cells"].items():
        row = [name]
        for contestant in who:
            time = cell["microseconds"].get(contestant)
            same = cell["losses"].get(contestant, {"same": True})["same"]
            row.append("-" if time is None else with_spread(time) + ("" if same else "*"))
        product, memory = limit_times(result, cell)
        own = cell["microseconds"].get(cell["best_own"])
        row += ["-" if one is None else f"{one:.4g}" for one in (product, memory)]
        row.append("-" if own is None or product is None else f"{product / own['median']:.0%}")
        row += [_ratio(cell["ratio"]), _ratio(cell["eager_ratio"])]
        made.append([*row, who[cell["best_peer"]]["label"] if cell["best_peer"] else "-"])
    return titles, made


def table(result: dict[str, Any]) -> str:
    """Microseconds of everyone at every cell beside the limits, who was left out and why, and the ratios."""
    lines = [
        f"One training step on {result['device']} ({result.get('machine', 'unknown')}): microseconds, medians of "
        f"{result.get('rounds', 0)} rounds ± half the distance of the quartiles.",
        "products, memory: what the step's products, and its reading and writing, take at the rates measured here.",
        "of products: that limit / the engine's fastest. ratio: the fastest peer / the engine's fastest; eager: "
        "PyTorch eager / the same.",
        "*: computes something else, no peer.",
        "",
    ]
    titles, made = rows(result)
    widths = [max(len(row[column]) for row in [titles, *made]) for column in range(len(titles))]
    for row in [titles, *made]:
        cells = [one.rjust(width) for one, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    lines += ["", *_limits(result)]
    for one in result["contestants"].values():
        known = ", ".join(
            f"{key} {value}" for key, value in one.items() if key not in ("label", "version", "precision")
        )
        lines.append(f"{one['label']}: {one['version']}; {known}")
    lines += [f"missing: {label}: {reason}" for label, reason in result["missing"].items()]
    lines += _remarks(result)
    if result.get("waiting"):
        waiting = result["waiting"]
        lines.append(f"not measured yet: {len(waiting)} cells, {waiting[0]} first; --resume goes on.")
    return "\n".join(lines)


def _limits(result: dict[str, Any]) -> list[str]:
    known = result.get("limits")
    if known is None:
        return []
    size = known["product_size"]
    found = [
        f"{precision} {one['rate'] / 1e12:.4g} TFLOP/s ({one['by']})" for precision, one in known["products"].items()
    ]
    made = [f"rates: products of {size}x{size}: {', '.join(found) or 'none'}"]
    if known["copy"] is not None:
        made.append(
            f"rates: a copy of {known['copy_megabytes']} MiB: {known['copy']['rate'] / 1e9:.4g} GB/s, read and written "
            f"({known['copy']['by']})"
        )
    return made


def _remarks(result: dict[str, Any]) -> list[str]:
    """What else there is to say of cells: who was left out, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, cell in result["cells"].items():
        for contestant, text in [*cell["notes"].items(), *cell["left_out"].items()]:
            label = result["contestants"].get(contestant, {"label": contestant})["label"]
            reasons.setdefault((label, text), []).append(name)
    return [f"{label}: {text} ({_few(names)})" for (label, text), names in reasons.items()]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
