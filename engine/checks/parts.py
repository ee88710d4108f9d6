"""What is a graph made of? Nodes, edges with their derivatives, and the routes along them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.checks import notation

if TYPE_CHECKING:
    from engine.checks.graph import Graph


class GraphNode:
    """A value of the graph: what an operation gave, or a leaf.

    Attributes:
        kind: "operation", "input" (a leaf that requires a gradient) or "constant" (a number, or a tensor without one).
        label: the operation's sign or name; of a leaf its name, or its value or shape.
        name: the tensor's name, if it has one.
        shape: of the value.
        position: in `Graph.nodes`.
    """

    def __init__(self, position: int, kind: str, label: str, name: str | None, array: Any, source: Any) -> None:
        self.position, self.kind, self.label, self.name = position, kind, label, name
        self.shape: tuple[int, ...] = getattr(array, "shape", ())
        self.array = array  # on the node's device, or a Python number
        self.source = source  # the autodiff Node or the leaf

    @property
    def title(self) -> str:
        """What a person calls it: its name, else its label."""
        return self.name or self.label

    def __repr__(self) -> str:
        return f"<{self.kind} {self.title!r} {self.shape}>" if self.shape else f"<{self.kind} {self.title!r}>"


class GraphEdge:
    """A dependency: the end was computed from the start.

    Attributes:
        start, end: its nodes.
        input: which input of the end's operation the start is, from 0.
        differentiable: whether a gradient passes; none does to constants.
    """

    def __init__(self, graph: "Graph", start: GraphNode, end: GraphNode, input: int, differentiable: bool) -> None:
        self._graph, self.start, self.end, self.input, self.differentiable = graph, start, end, input, differentiable

    @property
    def derivative(self) -> Any:
        """The derivative of the end by the start alone: a number for scalars, else an array (*end shape, *start shape).

        Computed when it is looked at; None where the start is a constant.
        """
        return self._graph._local(self)

    def __repr__(self) -> str:
        return f"<edge {self.start.title} -> {self.end.title}>"


class Path(NamedTuple):
    """One route along edges, and the product of their derivatives: (*last node's shape, *first node's shape)."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    product: Any

    def __str__(self) -> str:
        route = " -> ".join(node.title for node in self.nodes)
        return f"{route}: {notation.text(self.product) or 'shape ' + str(np.shape(self.product))}"


class Multiplications(NamedTuple):
    """How many edge values are multiplied: along every route by itself, or by reverse mode, each once."""

    paths: int
    reverse: int


def between(edges: Sequence[GraphEdge], start: GraphNode, end: GraphNode) -> list[GraphEdge]:
    """Of a graph's edges, in the order of their ends, those that are on some route from start to end."""
    leads = {end}
    for edge in reversed(edges):
        if edge.end in leads and edge.differentiable:
            leads.add(edge.start)
    reached, found = {start}, []
    for edge in edges:
        if edge.start in reached and edge.end in leads and edge.differentiable:
            reached.add(edge.end)
            found.append(edge)
    return found


def count_routes(edges: Sequence[GraphEdge], start: GraphNode, end: GraphNode) -> tuple[int, int]:
    """How many routes lead from start to end over the edges between them, and how many edges they have together."""
    routes, lengths = {start: 1}, {start: 0}
    for edge in edges:  # in the order of their ends, so a start's count is complete
        routes[edge.end] = routes.get(edge.end, 0) + routes[edge.start]
        lengths[edge.end] = lengths.get(edge.end, 0) + lengths[edge.start] + routes[edge.start]
    return routes.get(end, 0), lengths.get(end, 0)


def walk(edges: Sequence[GraphEdge], start: GraphNode, end: GraphNode) -> Iterator[tuple[GraphEdge, ...]]:
    """Every route from start to end over the edges between them; from a node to itself the one without edges."""
    if start is end:
        yield ()
        return
    outgoing: dict[GraphNode, list[GraphEdge]] = {}
    for edge in edges:
        outgoing.setdefault(edge.start, []).append(edge)
    route: list[GraphEdge] = []
    waiting = [iter(outgoing.get(start, ()))]
    while waiting:
        following = next(waiting[-1], None)
        if following is None:
            waiting.pop()
            if route:
                route.pop()
        elif following.end is end:
            yield (*route, following)
        else:
            route.append(following)
            waiting.append(iter(outgoing[following.end]))
