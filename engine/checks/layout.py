"""Where is every node of a drawn graph? Layers from left to right, few crossings, short edges."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[int, int]

ROUNDS = 12


@dataclass
class Layout:
    """Centres of nodes, and for each edge the points it runs through (its ends included)."""

    centres: list[tuple[float, float]]
    routes: list[list[tuple[float, float]]]


def layout(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[Edge],
    column_gap: float,
    row_gap: float,
    lengths: Sequence[float] = (),
) -> Layout:
    """Place nodes of a graph without circles, whose last node is the only one that no edge leaves.

    Layers by the longest path to the last node, so that leaves stand right before what uses them; edges over several
    layers get a place in each; in a layer the order by barycentres of the neighbours (Sugiyama, Tagawa and Toda, 1981),
    then heights that bring neighbours as near as the gaps allow.

    Args:
        sizes: (width, height) of each node; every edge leads from a smaller number to a larger one.
        lengths: how wide each edge is at least, for what is written at it; without them, as wide as the gap.
    """
    columns = _columns(len(sizes), edges)
    heights = [height for _, height in sizes]
    chains: list[list[int]] = []  # each edge as the nodes and in-between places it runs through
    for start, end in edges:
        between = list(range(len(columns), len(columns) + columns[end] - columns[start] - 1))
        columns += range(columns[start] + 1, columns[end])
        heights += [row_gap * 0.1] * len(between)
        chains.append([start, *between, end])
    before: list[list[int]] = [[] for _ in columns]
    after: list[list[int]] = [[] for _ in columns]
    for chain in chains:
        for one, other in pairwise(chain):
            before[other].append(one)
            after[one].append(other)
    layers = _ordered(_first_order(columns, before), before, after)
    crossings = [_crossings(pair, after) for pair in pairwise(layers)]
    gaps = [column_gap * (2.4 if crossed else 1) for crossed in crossings]  # room to tell edges that cross apart
    for length, (start, *between, _) in zip(lengths, chains, strict=False):
        if not between:
            gaps[columns[start]] = max(gaps[columns[start]], length)
    y = _heights(layers, heights, row_gap * (1.6 if any(crossings) else 1), before, after)
    x = _centres(layers, sizes, gaps)
    points = [(x[column], y[place]) for place, column in enumerate(columns)]
    return Layout(points[: len(sizes)], [[points[place] for place in chain] for chain in chains])


def _columns(count: int, edges: Sequence[Edge]) -> list[int]:
    to_end = [0] * count
    for start, end in sorted(edges, key=lambda edge: -edge[1]):
        to_end[start] = max(to_end[start], to_end[end] + 1)
    longest = max(to_end, default=0)
    return [longest - distance for distance in to_end]


def _first_order(columns: Sequence[int], before: Sequence[Sequence[int]]) -> list[list[int]]:
    """Layers in the order in which a walk back from the end meets the places: trees have no crossings then."""
    layers: list[list[int]] = [[] for _ in range(max(columns) + 1)]
    last = columns.index(max(columns))
    seen, waiting = {last}, [last]
    while waiting:
        place = waiting.pop()
        layers[columns[place]].append(place)
        for one in reversed(before[place]):
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return layers


def _ordered(
    layers: list[list[int]], before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]
) -> list[list[int]]:
    """The best order of a few rounds of barycentres to the right and to the left."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    for turn in range(ROUNDS):
        if fewest == 0:
            break
        neighbours = before if turn % 2 == 0 else after
        rank = {place: position for layer in layers for position, place in enumerate(layer)}
        for layer in layers if turn % 2 == 0 else reversed(layers):
            layer.sort(key=lambda place: _mean([rank[one] for one in neighbours[place]], rank[place]))
            rank.update((place, position) for position, place in enumerate(layer))
        crossings = _crossings(layers, after)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(layers: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges cross between neighbouring layers."""
    total = 0
    for layer, following in pairwise(layers):
        rank = {place: position for position, place in enumerate(following)}
        ends: list[int] = []
        for place in layer:
            for end in sorted((-rank[one] for one in after[place]), reverse=True):  # edges of one place do not cross
                total += bisect_left(ends, end)
                insort(ends, end)
    return total


def _heights(
    layers: Sequence[Sequence[int]],
    heights: Sequence[float],
    row_gap: float,
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
) -> list[float]:
    """Each place as near to its neighbours as the gaps allow; leaves give way, so that chains run straight."""
    y = [0.0] * len(heights)
    for layer in layers:
        height = 0.0
        for place in layer:
            height += heights[place] / 2
            y[place] = height
            height += heights[place] / 2 + row_gap
        for place in layer:  # layers stand around a common middle
            y[place] -= (height - row_gap) / 2
    weights = [1.0 if after[place] and not before[place] else 8.0 for place in range(len(heights))]
    only_leaves = [
        all(not before[one] for one in before[place]) and len(after[place]) == 1 for place in range(len(heights))
    ]
    for turn in range(ROUNDS):
        to_right = turn % 2 == 0
        for layer in layers if to_right else reversed(layers):
            wanted = []
            for place in layer:
                near = before[place] if to_right else after[place]
                near = (*before[place], *after[place]) if turn >= ROUNDS - 4 or not near else near
                # What only leaves lead to stands in their middle; elsewhere leaves hardly count.
                pulls = [8.0 if only_leaves[place] else weights[one] for one in near]
                wanted.append(
                    sum(y[one] * pull for one, pull in zip(near, pulls, strict=True)) / sum(pulls) if near else y[place]
                )
            gaps = [(heights[one] + heights[other]) / 2 + row_gap for one, other in pairwise(layer)]
            for place, height in zip(layer, _apart(wanted, gaps, [weights[place] for place in layer]), strict=True):
                y[place] = height
    return y


def _apart(wanted: Sequence[float], gaps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The heights nearest to those wanted (least squares) that keep the order and the gaps: pool adjacent violators."""
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # (weighted sum, weight, count) of places as near as the gaps allow
    for height, offset, weight in zip(wanted, offsets, weights, strict=False):
        total, heavy, count = (height - offset) * weight, weight, 1
        while pools and pools[-1][0] / pools[-1][1] > total / heavy:
            other, more, number = pools.pop()
            total, heavy, count = total + other, heavy + more, count + number
        pools.append((total, heavy, count))
    levels = [total / heavy for total, heavy, count in pools for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=False)]


def _centres(
    layers: Sequence[Sequence[int]], sizes: Sequence[tuple[float, float]], gaps: Sequence[float]
) -> list[float]:
    """The middle of each column: columns are as wide as their widest node."""
    centres, edge = [], 0.0
    for layer, gap in zip(layers, (*gaps, 0.0), strict=True):
        width = max((sizes[place][0] for place in layer if place < len(sizes)), default=0.0)
        centres.append(edge + width / 2)
        edge += width + gap
    return centres


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
