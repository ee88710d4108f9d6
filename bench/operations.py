"""How long does each operation take by itself, forward and backward? The engine, eager, beside PyTorch, eager.

Every operation, layer, loss and optimizer of the engine, on (rows, columns) of float32, at a few sizes. Forward is one
call with its record for the gradient; backward is what forward and backward take together, less that. Each contestant
is a process of its own; they take turns, round by round, with equal numbers of threads. What the two compute is
compared before it is timed, gradients too: where they differ, there is no ratio.

The rates of matrix products, into arrays that are there, are the limit of whatever is made of them.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from typing import Any

from bench import options
from bench.contest import Contest, FailureError, rounded, spread, take_turns
from bench.peers import Contestant
from bench.peers.operation import FAMILIES

CONTESTANTS = {
    "engine": Contestant("engine eager", None, "engine_operations", "Eager"),
    "torch": Contestant("PyTorch eager", "torch", "torch_operations", "Eager"),
}
PEERS = ("torch",)
SIZES = ((8, 16), (128, 256), (512, 1024))
PRODUCTS = ((32, 64, 64), (64, 784, 100), (128, 784, 256), (256, 784, 512), (512, 1024, 1024), (1024, 2048, 2048))
SECONDS = 0.005  # of one block
TOLERANCE = 1e-4  # of the sums that are compared, relative to the sum of magnitudes
KINDS = ("forward", "backward")


def _size(text: str) -> tuple[int, int]:
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) >= 2 and int(columns) >= 2):
        raise argparse.ArgumentTypeError(f"{text}: give ROWSxCOLUMNS, each at least 2, such as 128x256")
    return int(rows), int(columns)


def _sizes(text: str) -> list[tuple[int, int]]:
    return [_size(word.strip()) for word in text.split(",")]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser, PEERS)
    parser.add_argument(
        "--families",
        type=options.names_of(tuple(FAMILIES)),
        default=list(FAMILIES),
        metavar="NAMES",
        help=f"of {','.join(FAMILIES)} (default: all)",
    )
    shown = ",".join(f"{rows}x{columns}" for rows, columns in SIZES)
    parser.add_argument(
        "--sizes", type=_sizes, default=list(SIZES), metavar="SIZES", help=f"rows x columns (default: {shown})"
    )
    options.add_rounds(parser, 7, "of each family at each size")
    options.add_threads(parser)


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    families: Sequence[str] = tuple(FAMILIES),
    sizes: Sequence[tuple[int, int]] = SIZES,
    rounds: int = 7,
    threads: int = 1,
    seconds: float = SECONDS,
    products: Sequence[tuple[int, int, int]] = PRODUCTS,
) -> dict[str, Any]:
    """All families at all sizes; who could not be measured is in ``missing``, with the reason."""
    names = [name for name, one in CONTESTANTS.items() if one.peer is None or one.peer in peers]
    rows = []
    with Contest(names, dict(peer_python), "cpu", threads, CONTESTANTS) as contest:
        if "engine" in contest.missing:
            options.fail(f"--suite operations: {contest.missing['engine']}")
        for size in sizes:
            for family in families:
                rows += _family(contest, family, size, rounds, seconds)
        rates, failed = take_turns(
            list(contest.workers),
            rounds,
            lambda name: contest.ask(name, "products", shapes=products, seconds=4 * seconds)["gigaflops"],
        )
        return {
            "threads": threads,
            "rounds": rounds,
            "dtype": "float32",
            "contestants": {name: {"label": CONTESTANTS[name].label, **contest.facts[name]} for name in contest.facts},
            "missing": {CONTESTANTS[name].label: reason for name, reason in (contest.missing | failed).items()},
            "products": [
                {
                    "shape": list(shape),
                    "gigaflops": {name: rounded(statistics.median(r[at] for r in one)) for name, one in rates.items()},
                }
                for at, shape in enumerate(products)
            ],
            "operations": rows,
            "ratio_mean": {
                f"{height}x{width}": {
                    kind: _mean([one["ratio"].get(kind) for one in rows if one["size"] == [height, width]])
                    for kind in KINDS
                }
                for height, width in sizes
            },
        }


def _family(contest: Contest, family: str, size: tuple[int, int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"rows": size[0], "columns": size[1], "names": FAMILIES[family]}
    sums: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name in contest.workers:
        try:
            sums[name] = contest.ask(name, "check", **asked)["sums"]
        except FailureError as error:
            left_out[name] = str(error)
    turns, failed = take_turns(
        list(sums), rounds, lambda name: contest.ask(name, "time", **asked, seconds=seconds)["microseconds"]
    )
    left_out |= failed
    rows = []
    for operation in FAMILIES[family]:
        times: dict[str, dict[str, Any]] = {}
        for name, told in turns.items():
            if operation in sums[name]:
                forward = [one[operation]["forward"] for one in told]
                both = [one[operation]["both"] for one in told]
                times[name] = {"forward": spread(forward)}
                if None not in both:
                    pairs = zip(both, forward, strict=True)
                    times[name]["backward"] = spread([max(whole - part, 0.0) for whole, part in pairs])
        same = {name: _same(sums["engine"].get(operation), sums[name][operation]) for name in times if name != "engine"}
        rows.append(
            {
                "family": family,
                "operation": operation,
                "size": list(size),
                "microseconds": times,
                "same": same,
                "ratio": _ratios(times, same),
                "left_out": left_out,
            }
        )
    return rows


def _same(ours: list[float] | None, theirs: list[float] | None) -> bool | None:
    """Do two libraries' sums agree: each pair is a sum and the sum of magnitudes. None where chance is drawn."""
    if ours is None or theirs is None:
        return None
    if len(ours) != len(theirs):
        return False
    return all(
        abs(own - other) <= TOLERANCE * max(abs(ours[number | 1]), 1e-6)
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True))
    )


def _ratios(times: dict[str, dict[str, Any]], same: dict[str, bool | None]) -> dict[str, float]:
    """Of the fastest peer's median to the engine's, forward and backward."""
    ratios = {}
    for kind in KINDS:
        peers = [
            times[name][kind]["median"] for name, equal in same.items() if equal is not False and kind in times[name]
        ]
        own = times.get("engine", {}).get(kind, {}).get("median")
        if peers and own:
            ratios[kind] = rounded(min(peers) / own)
    return ratios


def _mean(ratios: Sequence[float | None]) -> float | None:
    known = [ratio for ratio in ratios if ratio]
    return rounded(math.exp(statistics.mean(map(math.log, known)))) if known else None


# -- the table -----------------------------------------------------------------------------------------


def _time(one: dict[str, Any] | None) -> str:
    return "-" if one is None else f"{one['median']:.4g}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def report(result: dict[str, Any]) -> str:
    """The result as a table to print."""
    who = result["contestants"]
    lines = [
        f"Operations one by one, {result['dtype']}, {result['threads']} threads each: microseconds, medians of "
        f"{result['rounds']} rounds, forward and backward.",
        "ratio: PyTorch / engine; above 1 the engine is faster. *: gives other values, no ratio.",
        "",
        f"{'operation':<32}{'size':>10}"
        + "".join(f"{one['label'] + ' fwd':>20}{'bwd':>10}" for one in who.values())
        + f"{'ratio fwd':>12}{'bwd':>8}",
    ]
    family = None
    for row in result["operations"]:
        if row["family"] != family:
            family = row["family"]
            lines.append(f"-- {family}")
        shown = f"{row['operation']:<32}{'x'.join(map(str, row['size'])):>10}"
        for name in who:
            times = row["microseconds"].get(name, {})
            mark = "*" if row["same"].get(name) is False else ""
            shown += f"{_time(times.get('forward')) + mark:>20}{_time(times.get('backward')):>10}"
        lines.append(shown + f"{_ratio(row['ratio'].get('forward')):>12}{_ratio(row['ratio'].get('backward')):>8}")
    lines.append("")
    for size, means in result["ratio_mean"].items():
        lines.append(
            f"geometric mean of the ratios at {size}: forward {_ratio(means['forward'])}, "
            f"backward {_ratio(means['backward'])}"
        )
    lines += ["", f"{'matrix product (m, k) (k, n)':<32}" + "".join(f"{one['label']:>18}" for one in who.values())]
    for one in result["products"]:
        rates = "".join(f"{_rate(one['gigaflops'].get(name)):>18}" for name in who)
        lines.append(f"{' x '.join(map(str, one['shape'])):<32}{rates}")
    lines.append("")
    for one in who.values():
        facts = ", ".join(f"{key} {value}" for key, value in one.items() if key not in ("label", "version"))
        lines.append(f"{one['label']}: {one['version']}; {facts}")
    lines += [f"missing: {label}: {reason}" for label, reason in result["missing"].items()]
    reasons = {
        f"{who[name]['label']}, {row['family']} at {'x'.join(map(str, row['size']))}: left out: {reason}": None
        for row in result["operations"]
        for name, reason in row["left_out"].items()
    }
    return "\n".join([*lines, *reasons])


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} GFLOP/s"
