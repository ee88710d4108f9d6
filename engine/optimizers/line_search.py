"""How far should a step go? A line search for the strong Wolfe conditions.

    loss(t) <= loss(0) + c1 t slope(0)        |slope(t)| <= c2 |slope(0)|

Source: Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6, with cubic interpolation.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

ENOUGH_DECREASE = 1e-4  # c1
ENOUGH_FLATNESS = 0.9  # c2
EVALUATIONS = 25


class Point(NamedTuple):
    """How far along the direction, the loss there, and its derivative along the direction."""

    length: float
    loss: float
    slope: float


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, first: float) -> Point:
    """A point that fulfils both conditions, or the best one found in 25 evaluations."""
    before, point = start, evaluate(first)
    for count in range(1, EVALUATIONS):
        rises = point.loss > start.loss + ENOUGH_DECREASE * point.length * start.slope or not math.isfinite(point.loss)
        if rises or (count > 1 and point.loss >= before.loss):
            return _zoom(evaluate, start, before, point, EVALUATIONS - count)
        if abs(point.slope) <= -ENOUGH_FLATNESS * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(evaluate, start, point, before, EVALUATIONS - count)
        before, point = point, evaluate(2 * point.length)
    return before


def _zoom(evaluate: Callable[[float], Point], start: Point, low: Point, high: Point, evaluations: int) -> Point:
    """Narrow an interval whose end ``low`` is the best point so far and falls towards ``high``."""
    for _ in range(evaluations):
        if abs(high.length - low.length) < 1e-12 * max(1.0, low.length):
            break
        point = evaluate(_between(low, high))
        enough = point.loss <= start.loss + ENOUGH_DECREASE * point.length * start.slope
        if not enough or point.loss >= low.loss or not math.isfinite(point.loss):
            high = point
            continue
        if abs(point.slope) <= -ENOUGH_FLATNESS * start.slope:
            return point
        if point.slope * (high.length - low.length) >= 0:
            high = low
        low = point
    return low


def _between(low: Point, high: Point) -> float:
    """Where the cubic through both points and slopes is lowest, kept a tenth of the interval away from its ends."""
    span = high.length - low.length
    middle = low.length + span / 2
    if not (math.isfinite(high.loss) and math.isfinite(high.slope)):
        return middle
    first = low.slope + high.slope - 3 * (low.loss - high.loss) / (low.length - high.length)
    square = first * first - low.slope * high.slope
    if square < 0:
        return middle
    root = math.copysign(math.sqrt(square), span)
    divisor = high.slope - low.slope + 2 * root
    if divisor == 0:
        return middle
    lowest = high.length - span * (high.slope + root - first) / divisor
    margin = 0.1 * abs(span)
    return min(max(lowest, min(low.length, high.length) + margin), max(low.length, high.length) - margin)
