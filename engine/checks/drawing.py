"""How does a graph become a picture? SVG written by hand: boxes, circles, arrows, and labels out of the way."""

import html
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from engine.checks.layout import layout
from engine.checks.notation import GRADIENT, Picture, PictureEdge, PictureNode

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
SIZE, SMALL = 20, 17  # of the text in nodes and at edges
HEIGHT, MARGIN = 46.0, 28.0
COLUMN_GAP, ROW_GAP = 92.0, 84.0
LABEL_GAP, WIDEST_WEDGE = 44.0, 340.0  # what of an edge's width its labels leave free; how far a fan is widened
INK, LINE = "#1a1a1a", "#5a5a5a"
FILLS = {"input": "#e8f1fa", "constant": "#f2f2f2", "operation": "#ffffff"}
PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8)  # where along an edge its labels may be
MOST_EDGES = 400  # up to this many, labels look for a free place


def svg(picture: Picture) -> str:
    """The picture as an SVG document."""
    sizes = [_size(node) for node in picture.nodes]
    ends = [(edge.start, edge.end) for edge in picture.edges]
    placed = layout(sizes, ends, COLUMN_GAP, ROW_GAP, _lengths(picture.edges))
    routes = [
        _trimmed(route, picture.nodes[edge.start], sizes[edge.start], picture.nodes[edge.end], sizes[edge.end])
        for route, edge in zip(placed.routes, picture.edges, strict=True)
    ]
    curves = [_curve(route, shift) for route, shift in zip(routes, _parallel(picture.edges), strict=True)]
    boxes = [_around(centre, *size) for centre, size in zip(placed.centres, sizes, strict=True)]
    labels = _labels(picture, curves, boxes)
    drawn = [_path(curve) for curve in curves]
    drawn += [
        _node(node, centre, size) for node, centre, size in zip(picture.nodes, placed.centres, sizes, strict=True)
    ]
    for anchor_above, anchor_below, edge in labels:
        for anchor, text, color in zip(
            (anchor_above, anchor_below), (edge.above, edge.below), picture.colors, strict=True
        ):
            if text:
                drawn.append(_text(text, anchor, SMALL, color, halo=True))
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    for curve in curves:
        top, bottom = min(top, *(y for _, y in curve)), max(bottom, *(y for _, y in curve))
    for above, below, _ in labels:
        top, bottom = min(top, above[1] - SMALL), max(bottom, below[1] + SMALL)
    legend, width = _legend(picture, left, bottom + 34)
    right = max(right, left + width)
    view = (left - MARGIN, top - MARGIN, right - left + 2 * MARGIN, bottom + 34 - top + 2 * MARGIN)
    numbers = " ".join(f"{one:.1f}" for one in view)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{numbers}" width="{view[2]:.0f}" height="{view[3]:.0f}" '
            f'font-family="{FONT}" role="img">',
            f"<title>{_escaped(picture.title)}</title>",
            '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 1 L10 5 L0 9 Z" fill="{LINE}"/></marker></defs>',
            f'<rect x="{view[0]:.1f}" y="{view[1]:.1f}" width="{view[2]:.1f}" height="{view[3]:.1f}" fill="#ffffff"/>',
            *drawn,
            *legend,
            "</svg>",
            "",
        ]
    )


# -- nodes -----------------------------------------------------------------------------------------------


def _width(text: str, size: float) -> float:
    """About how wide a text is, in the widest of the fonts that may be there."""
    return 0.62 * size * len(text)


def _size(node: PictureNode) -> tuple[float, float]:
    if node.kind == "end":
        return _width(node.title, SIZE) + 8, HEIGHT
    below = 22 * (bool(node.caption) + bool(node.total))  # noted under the node, so rows make room for it
    return max(
        HEIGHT, _width(node.title, SIZE) + 22, _width(node.total, SMALL) + 20 if node.total else 0
    ), HEIGHT + below


def _shape_width(node: PictureNode) -> float:
    return max(HEIGHT, _width(node.title, SIZE) + 22)


def _node(node: PictureNode, centre: Point, size: tuple[float, float]) -> str:
    x, y = centre
    inside = _text(node.title, (x, y), SIZE, INK, bold=node.kind != "operation") if node.title else ""
    if node.kind == "end":
        return inside
    width = _shape_width(node)
    rounding = HEIGHT / 2 if node.kind == "operation" else 9
    dashes = ' stroke-dasharray="5 4"' if node.kind == "constant" else ""
    shape = (
        f'<rect x="{x - width / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{width:.1f}" height="{HEIGHT:.1f}" '
        f'rx="{rounding:.1f}" fill="{FILLS[node.kind]}" stroke="{INK}" stroke-width="1.6"{dashes}/>'
    )
    below = []
    if node.caption:
        below.append(_text(node.caption, (x, y + HEIGHT / 2 + 15), SMALL, INK, bold=True, halo=True))
    if node.total:
        line = y + HEIGHT / 2 + 15 + 21 * len(below)
        below.append(_text(f"Σ {node.total}", (x, line), SMALL, GRADIENT, halo=True))
    return f"<g><title>{_escaped(node.details)}</title>{shape}{inside}{''.join(below)}</g>"


def _text(text: str, at: Point, size: int, color: str, bold: bool = False, halo: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    outline = ' stroke="#ffffff" stroke-width="5" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    shown = _escaped(text.replace("-", "−") if any(one.isdigit() for one in text) else text)
    return (
        f'<text x="{at[0]:.1f}" y="{at[1] + 0.35 * size:.1f}" font-size="{size}" text-anchor="middle" fill="{color}"'
        f"{weight}{outline}>{shown}</text>"
    )


def _escaped(text: str) -> str:
    """Text for XML, without the control characters that XML has no way to write."""
    return html.escape("".join(one if one.isprintable() else " " for one in text))


def _legend(picture: Picture, left: float, y: float) -> tuple[list[str], float]:
    """What the texts above and below edges are, and how wide that line is."""
    drawn, x = [], left
    for line, color in zip(picture.legend, picture.colors, strict=True):
        if line:
            drawn.append(
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{SMALL - 1}" fill="{color}">{_escaped(line)}</text>'
            )
            x += _width(line, SMALL - 1) + 20
    return drawn, x - left


# -- edges -----------------------------------------------------------------------------------------------


def _parallel(edges: Sequence[PictureEdge]) -> list[float]:
    """How far each edge bends aside: those between the same two nodes fan out."""
    groups: dict[tuple[int, int], list[int]] = {}
    for number, edge in enumerate(edges):
        groups.setdefault((edge.start, edge.end), []).append(number)
    shifts = [0.0] * len(edges)
    for group in groups.values():
        widest = max(_label_width(edges[number]) for number in group)
        apart = max(140.0, 110.0 + 0.35 * widest)  # wide labels meet the bent ends of an edge unless it bends more
        for place, number in enumerate(group):
            shifts[number] = apart * (place - (len(group) - 1) / 2)
    return shifts


def _trimmed(
    route: Sequence[Point],
    start: PictureNode,
    size: tuple[float, float],
    end: PictureNode,
    end_size: tuple[float, float],
) -> list[Point]:
    """The route from the start's border to the end's."""
    first = _border(route[0], route[1], _shape_width(start), start.kind)
    last = _border(route[-1], route[-2], end_size[0] if end.kind == "end" else _shape_width(end), end.kind)
    return [first, *route[1:-1], last]


def _border(centre: Point, toward: Point, width: float, kind: str) -> Point:
    """Where the line from a node's centre leaves the node."""
    dx, dy = toward[0] - centre[0], toward[1] - centre[1]
    side = math.copysign(1.0, dx)
    if kind == "operation" and width <= HEIGHT + 1:
        length = math.hypot(dx, dy) or 1.0
        return centre[0] + dx / length * HEIGHT / 2, centre[1] + dy / length * HEIGHT / 2
    rise = max(-HEIGHT / 4, min(HEIGHT / 4, dy * 0.12))
    return centre[0] + side * width / 2, centre[1] + (0.0 if kind == "end" else rise)


def _curve(route: Sequence[Point], shift: float) -> list[Point]:
    """Points along an edge: straight, bent aside by shift, or smooth through its places in the layers between."""
    if len(route) == 2:
        (x0, y0), (x1, y1) = route
        steps = 12 if shift else 1
        return [
            (x0 + (x1 - x0) * t, y0 + (y1 - y0) * t + shift * 2 * t * (1 - t) * 1.0)
            for t in (i / steps for i in range(steps + 1))
        ]
    points: list[Point] = [route[0]]
    for number in range(len(route) - 1):
        (x0, y0), (x1, y1) = route[number], route[number + 1]
        slope0, slope1 = _slope(route, number), _slope(route, number + 1)
        for i in range(1, 13):
            t = i / 12
            # Hermite's cubic: through the places, with the slope of the chord around each.
            a, b = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
            y = a * y0 + b * (x1 - x0) * slope0 + (1 - a) * y1 - t * t * (1 - t) * (x1 - x0) * slope1
            points.append((x0 + (x1 - x0) * t, y + shift * 2 * t * (1 - t)))
    return points


def _slope(route: Sequence[Point], number: int) -> float:
    before, after = route[max(0, number - 1)], route[min(len(route) - 1, number + 1)]
    return (after[1] - before[1]) / ((after[0] - before[0]) or 1.0)


def _path(curve: Sequence[Point]) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in curve)
    return f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="1.8" marker-end="url(#arrow)"/>'


def _lengths(edges: Sequence[PictureEdge]) -> list[float]:
    """How wide each edge must be for its labels; wider in a fan, whose edges leave them a wedge only."""
    fan = Counter(edge.end for edge in edges)
    lengths = []
    for edge in edges:
        width = _label_width(edge)
        wedge = min(1.8 * width + 30, WIDEST_WEDGE) if fan[edge.end] > 2 else 0.0
        lengths.append(max(width + LABEL_GAP, wedge))
    return lengths


def _label_width(edge: PictureEdge) -> float:
    return max(_width(edge.above, SMALL), _width(edge.below, SMALL))


# -- labels ----------------------------------------------------------------------------------------------


def _labels(
    picture: Picture, curves: Sequence[Sequence[Point]], boxes: Sequence[Box]
) -> list[tuple[Point, Point, PictureEdge]]:
    """For each edge where its labels stand: above and below it, where they hide least."""
    options = [
        [_beside(edge, curve, place) for place in PLACES] for edge, curve in zip(picture.edges, curves, strict=True)
    ]
    chosen = [each[0] for each in options]
    if len(curves) <= MOST_EDGES:
        samples = [_dense(curve) for curve in curves]
        regions = [_region(curve) for curve in curves]
        near = [_near(number, regions, samples, boxes) for number in range(len(curves))]
        for _ in range(3):  # each looks for the best place given where the others are
            for number, (others, hidden, lines) in enumerate(near):
                texts = [box for other in others for box in _text_boxes(picture.edges[other], chosen[other], 0)]
                costs = [
                    _cost(picture.edges[number], pair, [*hidden, *texts], lines) + preference
                    for preference, pair in enumerate(options[number])
                ]
                chosen[number] = options[number][costs.index(min(costs))]
    return [(above, below, edge) for (above, below), edge in zip(chosen, picture.edges, strict=True)]


def _region(curve: Sequence[Point]) -> Box:
    """Where an edge's labels can be."""
    xs, ys = [x for x, _ in curve], [y for _, y in curve]
    return min(xs) - 80, min(ys) - 80, max(xs) + 80, max(ys) + 80


def _near(
    number: int, regions: Sequence[Box], samples: Sequence[Sequence[Point]], boxes: Sequence[Box]
) -> tuple[list[int], list[Box], list[Point]]:
    """What may be in the way of an edge's labels: other edges, boxes of nodes, points of other edges."""
    region = regions[number]
    others = [other for other, one in enumerate(regions) if other != number and _overlap(region, one)]
    lines = [point for other in others for point in samples[other] if _inside(point, region)]
    return others, [box for box in boxes if _overlap(region, box)], lines


def _text_boxes(edge: PictureEdge, pair: tuple[Point, Point], around: float) -> list[Box]:
    return [_box(at, text, around) for at, text in zip(pair, (edge.above, edge.below), strict=True) if text]


def _cost(edge: PictureEdge, pair: tuple[Point, Point], others: Sequence[Box], lines: Sequence[Point]) -> float:
    """How much an edge's labels would hide of boxes and lines, and how near they would come to them."""
    wide, tight = _text_boxes(edge, pair, 12), _text_boxes(edge, pair, 3)
    hidden = sum(_overlap(one, other) for one in _text_boxes(edge, pair, 5) for other in others)
    near = sum(_inside(point, box) for box in wide for point in lines)
    return 0.2 * hidden + 3 * near + 12 * sum(_inside(point, box) for box in tight for point in lines)


def _beside(edge: PictureEdge, curve: Sequence[Point], place: float) -> tuple[Point, Point]:
    """Points above and below an edge at a share of its way, so far off that a text there does not touch it."""
    (x, y), slope = _at(curve, place)
    length = math.hypot(1, slope)
    across = (slope / length, -1 / length)  # the direction from the edge upward

    def off(text: str) -> float:
        return abs(across[0]) * _width(text, SMALL) / 2 + abs(across[1]) * SMALL * 0.5 + 6

    above, below = off(edge.above), -off(edge.below)
    return (x + across[0] * above, y + across[1] * above), (x + across[0] * below, y + across[1] * below)


def _at(curve: Sequence[Point], share: float) -> tuple[Point, float]:
    """The point at a share of an edge's width, and the slope there."""
    x = curve[0][0] + (curve[-1][0] - curve[0][0]) * share
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= x <= x1:
            slope = (y1 - y0) / ((x1 - x0) or 1.0)
            return (x, y0 + (x - x0) * slope), slope
    return curve[len(curve) // 2], 0.0


def _dense(curve: Sequence[Point]) -> list[Point]:
    return [_at(curve, i / 24)[0] for i in range(25)]


def _around(centre: Point, width: float, height: float) -> Box:
    """A node's box; the notes below it make it higher downward only."""
    return centre[0] - width / 2, centre[1] - HEIGHT / 2, centre[0] + width / 2, centre[1] - HEIGHT / 2 + height


def _box(centre: Point, text: str, around: float) -> Box:
    width, height = _width(text, SMALL) / 2 + around, SMALL / 2 + around
    return centre[0] - width, centre[1] - height, centre[0] + width, centre[1] + height


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _inside(point: Point, box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]
