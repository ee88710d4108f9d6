"""How are measured steps shown? A table, a picture, and the difference between two results."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

WIDTH = 14


def _time(one: dict[str, Any] | None) -> str:
    """Median, and half the distance between the quartiles in percent of it."""
    if one is None:
        return "-"
    low, high = one["quartiles"]
    median = one["median"]
    shown = f"{median:.2f}" if median < 100 else f"{median:.1f}" if median < 1000 else f"{median:.0f}"
    return f"{shown} ±{(high - low) / 2 / median:.0%}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def line(name: str, cell: dict[str, Any]) -> str:
    """One cell, while the others are still to come."""
    times = "  ".join(f"{who} {one['median']:.5g}" for who, one in cell["microseconds"].items())
    return f"{name}: {times}  ratio {_ratio(cell['ratio'])}"


def table(result: dict[str, Any]) -> str:
    """Microseconds of everyone at every cell, who was left out and why, and the ratios."""
    who = result["contestants"]
    lines = [
        f"One training step, {result['dtype']}, on {result['device']}, {result['threads']} threads each: microseconds, "
        f"medians of {result['rounds']} rounds ± half the distance of the quartiles.",
        "ratio: the fastest peer / engine captured; above 1 the engine is faster. *: computes something else, no peer.",
        "",
        f"{'net@batch/optimizer':<25}" + "".join(f"{one['label']:>{WIDTH + 2}}" for one in who.values())
        + f"{'ratio':>7}{'eager':>7}  fastest peer",
    ]  # fmt: skip
    for name, cell in result["cells"].items():
        row = f"{name:<25}"
        for contestant in who:
            other = cell["losses"].get(contestant, {"same": True})["same"] or contestant == "products"
            row += f"{_time(cell['microseconds'].get(contestant)) + (' ' if other else '*'):>{WIDTH + 2}}"
        best = who[cell["best_peer"]]["label"] if cell["best_peer"] else "-"
        lines.append(f"{row}{_ratio(cell['ratio']):>7}{_ratio(cell['eager_ratio']):>7}  {best}")
    means = f"{_ratio(result['ratio_mean']):>7}{_ratio(result['eager_ratio_mean']):>7}"
    lines += [f"{'geometric mean':<{25 + (WIDTH + 2) * len(who)}}{means}", ""]
    for one in who.values():
        facts = ", ".join(f"{key} {value}" for key, value in one.items() if key not in ("label", "version"))
        lines.append(f"{one['label']}: {one['version']}; {facts}")
    lines += [f"missing: {label}: {reason}" for label, reason in result["missing"].items()]
    lines += ["", *_remarks(result)]
    return "\n".join(lines)


def _remarks(result: dict[str, Any]) -> list[str]:
    """Who computes the same, who does not, and what else there is to say of cells."""
    lines = []
    for contestant, one in result["contestants"].items():
        compared = [cell["losses"][contestant] for cell in result["cells"].values() if contestant in cell["losses"]]
        differences = [loss["largest_difference"] for loss in compared if "largest_difference" in loss]
        if differences:
            lines.append(f"{one['label']}: losses of the first steps differ by at most {max(differences):.1e}")
        reasons: dict[str, list[str]] = {}
        for name, cell in result["cells"].items():
            loss = cell["losses"].get(contestant, {})
            for text in (
                loss.get("reason") if contestant != "products" else None,
                None if loss.get("same", True) or "reason" in loss else "its losses differ from the engine's",
                cell["notes"].get(contestant),
                f"left out: {cell['left_out'][contestant]}" if contestant in cell["left_out"] else None,
            ):
                if text is not None:
                    reasons.setdefault(text, []).append(name)
        lines += [f"{one['label']}: {text} ({', '.join(names)})" for text, names in reasons.items()]
    return lines


def draw(result: dict[str, Any], path: Path) -> None:
    """Bars of the ratio by cell, each with the name of the fastest peer."""
    from matplotlib.figure import Figure  # only where a picture is drawn

    cells = {name: cell for name, cell in result["cells"].items() if cell["ratio"] is not None}
    figure = Figure(figsize=(2 + 0.75 * max(len(cells), 4), 5), layout="constrained")
    axes = figure.subplots()
    places = range(len(cells))
    for shift, kind, label, color in (
        (-0.2, "ratio", "captured", "#0072b2"),
        (0.2, "eager_ratio", "eager", "#b3cde3"),
    ):
        heights = [cell[kind] or 0 for cell in cells.values()]
        axes.bar([place + shift for place in places], heights, 0.4, label=f"engine, {label}", color=color)
    for place, cell in zip(places, cells.values(), strict=True):
        text = result["contestants"][cell["best_peer"]]["label"]
        axes.annotate(
            f"{cell['ratio']:.2f} {text}", (place - 0.2, cell["ratio"]), (0, 3), textcoords="offset points",
            rotation=90, ha="center", va="bottom", fontsize=7,
        )  # fmt: skip
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks(list(places), list(cells), rotation=40, ha="right", fontsize=8)
    axes.margins(y=0.35)
    axes.set_ylabel("time of the fastest peer / ours")
    mean = _ratio(result["ratio_mean"])
    axes.set_title(f"One training step on {result['device']}, {result['threads']} threads; geometric mean {mean}")
    axes.legend()
    figure.savefig(path, dpi=150)


def compare(old: Path, new: Path) -> str:
    """What changed from one result to the next: the engine's steps, and those of the peers as a check.

    Raises:
        ValueError: a file is no result of this suite, or the two have no cell in common; one line.
    """
    before, after = _read(old), _read(new)
    shared = [name for name in before["result"]["cells"] if name in after["result"]["cells"]]
    if not shared:
        raise ValueError(f"{old}, {new}: they have no cell in common.")
    lines = [
        f"{key}: {before.get(key)} -> {after.get(key)}: times of different machines cannot be compared"
        for key in ("processor", "system", "cores")
        if before.get(key) != after.get(key)
    ]
    for key in ("threads", "device"):
        if before["result"][key] != after["result"][key]:
            lines.append(f"{key}: {before['result'][key]} -> {after['result'][key]}")
    for who, one in after["result"]["contestants"].items():
        pairs = {
            name: [side["result"]["cells"][name]["microseconds"].get(who) for side in (before, after)]
            for name in shared
        }
        pairs = {name: pair for name, pair in pairs.items() if None not in pair}
        if not pairs:
            continue
        lines += ["", f"{one['label']:<25}{'old':>{WIDTH}}{'new':>{WIDTH}}{'new/old':>9}"]
        factors = []
        for name, (first, second) in pairs.items():
            factors.append(second["median"] / first["median"])
            apart = second["quartiles"][1] < first["quartiles"][0] or first["quartiles"][1] < second["quartiles"][0]
            word = ("" if not apart else "faster" if factors[-1] < 1 else "slower") or "within the spread"
            lines.append(f"{name:<25}{_time(first):>{WIDTH}}{_time(second):>{WIDTH}}{factors[-1]:>9.3f}  {word}")
        mean = math.exp(statistics.mean(map(math.log, factors)))
        lines.append(f"{'geometric mean':<{25 + 2 * WIDTH}}{mean:>9.3f}")
    lines += ["", f"{'fastest peer / ours':<25}{'old':>{WIDTH}}{'new':>{WIDTH}}"]
    for name in shared:
        ratios = [_ratio(side["result"]["cells"][name]["ratio"]) for side in (before, after)]
        lines.append(f"{name:<25}{ratios[0]:>{WIDTH}}{ratios[1]:>{WIDTH}}")
    return "\n".join(lines).strip("\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text())
        if read["suite"] == "steps":
            return dict(read)
        problem = f"it holds the suite {read['suite']}; steps is what can be compared"
    except OSError as error:
        problem = str(error.strerror)
    except (ValueError, KeyError, TypeError):
        problem = "it is no result that python -m bench wrote"
    raise ValueError(f"{path}: {problem}.")
