"""How was a tensor computed? Its graph: values at the nodes, derivatives on the edges, routes and their sum, pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import numpy as np

from backends.kernels.pair import Array
from engine.autodiff import Node, reachable
from engine.checks import drawing, notation
from engine.checks.replay import output_of, refuse_changed, same
from engine.checks.reverse import reverse, unit
from engine.errors import ArgumentError, GradientError, unknown_name
from engine.tensor import Tensor

LARGEST = 1_000_000  # elements of a Jacobian that is made without being asked for by `largest=`
MOST_PATHS = 10_000


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


class Graph:
    """The graph of a tensor, as it is when the object is made; later changes of the tensors do not reach its values.

    Attributes:
        nodes: every node after those that it was computed from; the tensor's own is the last.
        edges: in the order of their ends.
        root: the tensor's own node.

    Nodes are named, where a method asks for one, by their Tensor, their name (or label, where only one has it) or the node.
    """

    def __init__(self, tensor: Tensor, largest: int = LARGEST) -> None:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"graph: {type(tensor).__name__} was given; give the Tensor whose computation is asked for.")
        if not tensor.requires_grad:
            raise GradientError(
                "graph: this tensor has no history; make the inputs with requires_grad=True, and compute outside no_grad()."
            )
        self._largest, self._tensor = largest, tensor
        self.nodes: list[GraphNode] = []
        self.edges: list[GraphEdge] = []
        self._known: dict[int, GraphNode] = {}  # by the id of the autodiff Node or of the leaf Tensor
        self._locals: dict[GraphEdge, Any] = {}
        self._swept: tuple[dict[GraphNode, Array], dict[GraphEdge, Array]] | None = None
        recorded = [] if tensor._node is None else reachable(tensor._node)[::-1]
        refuse_changed(recorded)
        if not recorded:
            self._start(tensor, True)
        for node in recorded:
            starts = [
                None if one is None else self._start(one, wanted) for one, wanted in zip(node.inputs, node.needed, strict=True)
            ]
            values = [None if start is None else start.array for start in starts]
            array = output_of(node, values)
            end = self._add("operation", node.operation.label, node.name, array, node)
            for position, (start, wanted) in enumerate(zip(starts, node.needed, strict=True)):
                if start is not None:
                    self.edges.append(GraphEdge(self, start, end, position, wanted))
        self.root = self.nodes[-1]
        if recorded and not same(tensor, self.root.array):
            raise GradientError(
                "graph: computed again, the tensor has another value: an input was changed in place since, or one of your own "
                "operations is random. Make the graph right after the tensor."
            )

    def _add(self, kind: str, label: str, name: str | None, array: Any, source: Any) -> GraphNode:
        node = GraphNode(len(self.nodes), kind, label, name, array, source)
        self.nodes.append(node)
        if isinstance(source, (Node, Tensor)):
            self._known[id(source)] = node
        return node

    def _start(self, source: Any, wanted: bool) -> GraphNode:
        """The node of an operation's input; numbers are a node each."""
        known = self._known.get(id(source)) if isinstance(source, (Node, Tensor)) else None
        if known is not None:
            known.kind = "input" if wanted and known.kind == "constant" else known.kind
            return known
        if not isinstance(source, Tensor):
            return self._add("constant", notation.text(source) or type(source).__name__, None, source, source)
        label = source.name or notation.text(source.numpy()) or notation.shape_text(source.shape)
        return self._add("input" if wanted else "constant", label, source.name, source.array.copy(), source)

    # -- what is where ---------------------------------------------------------------------------------

    def node(self, which: Any) -> GraphNode:
        """The node of a Tensor, of a name, or the node itself."""
        if isinstance(which, GraphNode) and which.position < len(self.nodes) and self.nodes[which.position] is which:
            return which
        if isinstance(which, str):
            found = [node for node in self.nodes if node.name == which] or [node for node in self.nodes if node.label == which]
            if not found:
                raise unknown_name("graph: node", which, {node.title for node in self.nodes})
            if len(found) > 1:
                raise ArgumentError(f"graph: {len(found)} nodes are called {which!r}; give the Tensor, or one of graph.nodes.")
            return found[0]
        if isinstance(which, Tensor):
            known = self._known.get(id(which if which._node is None else which._node))
            if known is not None:
                return known
            called = f"the tensor {which.name!r}" if which.name else f"this tensor of shape {which.shape}"
            raise GradientError(f"graph: {called} is not among the {len(self.nodes)} nodes; see graph.nodes.")
        raise ArgumentError(f"graph: {type(which).__name__} was given for a node; give a Tensor, a name, or one of graph.nodes.")

    def value(self, which: Any) -> Any:
        """What a node computed: a number for a scalar, else an array."""
        array = self.node(which).array
        return _plain(self._tensor.backend.to_host(array) if hasattr(array, "shape") else array)

    def gradient(self, which: Any) -> Any:
        """The derivative of the graph's tensor by a node, by reverse mode: (*tensor shape, *node shape).

        One sweep gives those of all nodes; of a tensor that is no single number each element takes a sweep of its own.
        """
        node = self._differentiable(which)
        if self._tensor.size == 1:
            rows = [self._sweep()[0][node]]
        else:
            self._refuse_large(self.root, node)
            rows = [self._backward(element)[0][node] for element in range(self._tensor.size)]
        host = [np.asarray(self._tensor.backend.to_host(row)) for row in rows]
        return _plain(np.stack(host).reshape(self.root.shape + node.shape)) if host else np.zeros(self.root.shape + node.shape)

    def flow(self, edge: GraphEdge) -> Any:
        """What reverse mode hands back along an edge: the part of its start's gradient that comes by this route; else None."""
        if not edge.differentiable or self._tensor.size != 1:
            return None
        return _plain(np.asarray(self._tensor.backend.to_host(self._sweep()[1][edge])).reshape(edge.start.shape))

    def _sweep(self) -> tuple[dict[GraphNode, Array], dict[GraphEdge, Array]]:
        if self._swept is None:
            self._swept = self._backward(0)
        return self._swept

    def _backward(self, element: int) -> tuple[dict[GraphNode, Array], dict[GraphEdge, Array]]:
        """Reverse mode from one element of the root: every node's gradient, and every edge's share in it."""
        incoming = unit(self._tensor, element)
        gradients: dict[GraphNode, Array] = {self.root: incoming}
        flows: dict[GraphEdge, Array] = {}
        if self._tensor._node is None:
            return gradients, flows
        edges = self._incoming()
        for node, gradient, parts in reverse(self._tensor._node, incoming):
            end = self._known[id(node)]
            gradients[end] = gradient
            for edge in edges[end]:
                if edge.differentiable:
                    flows[edge] = part = parts[edge.input]
                    if edge.start.kind == "input":
                        gradients[edge.start] = gradients[edge.start] + part if edge.start in gradients else part
        return gradients, flows

    def _incoming(self) -> dict[GraphNode, list[GraphEdge]]:
        edges: dict[GraphNode, list[GraphEdge]] = {node: [] for node in self.nodes}
        for edge in self.edges:
            edges[edge.end].append(edge)
        return edges

    def _differentiable(self, which: Any) -> GraphNode:
        node = self.node(which)
        if node.kind == "constant":
            raise GradientError(f"graph: {node.title!r} is a constant, no derivative by it is computed; make it requires_grad=True.")
        return node

    # -- edges and routes ------------------------------------------------------------------------------

    def _refuse_large(self, end: GraphNode, start: GraphNode) -> None:
        count = int(np.prod(end.shape + start.shape, dtype=object))
        if count > self._largest:
            raise ArgumentError(
                f"graph: the derivative of {end.title!r} {end.shape} by {start.title!r} {start.shape} has {count} elements; "
                f"the limit is {self._largest}. Use graph(tensor, largest={count}), or fewer samples."
            )

    def _local(self, edge: GraphEdge) -> Any:
        if not edge.differentiable:
            return None
        if edge not in self._locals:
            self._refuse_large(edge.end, edge.start)
            node = edge.end.source
            backend = node.backend
            output = Tensor.wrap(edge.end.array, backend)
            rows = [backend.to_host(node.gradients(unit(output, i))[edge.input]).reshape(-1) for i in range(output.size)]
            self._locals[edge] = _plain(np.array(rows).reshape(edge.end.shape + edge.start.shape))
        return self._locals[edge]

    def _between(self, start: GraphNode, end: GraphNode) -> list[GraphEdge]:
        """The edges that are on some route from start to end."""
        leads = {end}
        for edge in reversed(self.edges):
            if edge.end in leads and edge.differentiable:
                leads.add(edge.start)
        reached, found = {start}, []
        for edge in self.edges:
            if edge.start in reached and edge.end in leads and edge.differentiable:
                reached.add(edge.end)
                found.append(edge)
        return found

    def paths(self, start: Any, end: Any, limit: int = MOST_PATHS) -> list[Path]:
        """Every route from one node to another, each with the product of its edges.

        Args:
            start, end: Tensors, names or nodes.
            limit: more routes than this are an error: their number can double with every layer.

        Source: lecture 000, "How this graph of derivatives helps".
        """
        return list(self._routes(self._differentiable(start), self._differentiable(end), limit))

    def _routes(self, start: GraphNode, end: GraphNode, limit: int) -> Iterator[Path]:
        edges = self._between(start, end)
        count, _ = _count(edges, start, end)
        if count > limit:
            raise ArgumentError(
                f"graph: there are {count} routes from {start.title!r} to {end.title!r}; the limit is {limit}. Reverse mode needs "
                f"no routes: graph.gradient({start.title!r}); or raise limit=."
            )
        outgoing: dict[GraphNode, list[GraphEdge]] = {}
        for edge in edges:
            outgoing.setdefault(edge.start, []).append(edge)
        route: list[GraphEdge] = []
        waiting = [iter(outgoing.get(start, ()))]
        if start is end:
            yield Path((start,), (), self._product((), start))
            return
        while waiting:
            edge = next(waiting[-1], None)
            if edge is None:
                waiting.pop()
                if route:
                    route.pop()
            elif edge.end is end:
                passed = (*route, edge)
                yield Path((start, *(one.end for one in passed)), passed, self._product(passed, start))
            else:
                route.append(edge)
                waiting.append(iter(outgoing.get(edge.end, ())))

    def _product(self, edges: Sequence[GraphEdge], start: GraphNode) -> Any:
        """The edges' derivatives multiplied from the route's end, as reverse mode does."""
        if not edges:
            self._refuse_large(start, start)
            size = int(np.prod(start.shape))
            return _plain(np.eye(size).reshape(start.shape + start.shape))
        product = edges[-1].derivative
        for edge in reversed(edges[:-1]):
            rank = len(edge.end.shape)
            product = np.tensordot(product, edge.derivative, axes=rank) if rank else np.multiply.outer(product, edge.derivative)
        return _plain(product)

    def derivative(self, start: Any, end: Any, limit: int = MOST_PATHS) -> Any:
        """d end / d start as the sum over all routes of the products of their edges: the lecture's rule.

        Returns:
            A number for scalars, else an array (*end shape, *start shape); 0 where no route leads there.

        >>> import engine as en
        >>> a, b = en.tensor(4.0, requires_grad=True), en.tensor(3.0, requires_grad=True)
        >>> c = a + b
        >>> d = a * c
        >>> graph(d).derivative(a, d), [path.product for path in graph(d).paths(a, d)]
        (11.0, [4.0, 7.0])
        """
        first, last = self._differentiable(start), self._differentiable(end)
        total = _plain(np.zeros(last.shape + first.shape))
        for path in self._routes(first, last, limit):
            total = total + path.product
        return total

    def multiplications(self, start: Any, end: Any) -> Multiplications:
        """How many edge values are multiplied for d end / d start, both ways, each from the incoming gradient 1.

        Args:
            start: a node, or a list of them: the path rule begins anew for each, reverse mode passes every edge once for all.
            end: a node.
        """
        last = self._differentiable(end)
        one_by_one, once = 0, set()
        for which in start if isinstance(start, (list, tuple)) else [start]:
            first = self._differentiable(which)
            edges = self._between(first, last)
            one_by_one += _count(edges, first, last)[1]
            once.update(edges)
        return Multiplications(one_by_one, len(once))

    # -- pictures --------------------------------------------------------------------------------------

    def to_svg(self, labels: str = "gradients") -> str:
        """A picture: values above the edges and gradients below, or with labels="derivatives" the edges' own derivatives."""
        return drawing.svg(notation.picture(self, labels))

    def to_dot(self, labels: str = "gradients") -> str:
        """The same for Graphviz."""
        return notation.dot(notation.picture(self, labels))

    def to_mermaid(self, labels: str = "gradients") -> str:
        """The same for Mermaid, which Markdown pages show."""
        return notation.mermaid(notation.picture(self, labels))

    _repr_svg_ = to_svg  # notebooks show the picture

    def save(self, path: str | FilePath, labels: str = "gradients") -> None:
        """Write the picture; the suffix chooses the form: .svg, .dot (or .gv), .mmd.

        Raises:
            UnknownNameError: another suffix. OSError: the file cannot be written; nothing half-written is left behind.
        """
        writers = {".svg": self.to_svg, ".dot": self.to_dot, ".gv": self.to_dot, ".mmd": self.to_mermaid}
        suffix = FilePath(path).suffix.lower()
        if suffix not in writers:
            raise unknown_name("graph.save: suffix", suffix, writers)
        drawing.write_whole(FilePath(path), writers[suffix](labels))

    def __repr__(self) -> str:
        return f"<Graph of {self.root.title!r}: {len(self.nodes)} nodes, {len(self.edges)} edges>"


def _count(edges: Sequence[GraphEdge], start: GraphNode, end: GraphNode) -> tuple[int, int]:
    """How many routes lead from start to end over these edges, and how many edges they have together."""
    routes, lengths = {start: 1}, {start: 0}
    for edge in edges:  # in the order of their ends, so a start's count is complete
        routes[edge.end] = routes.get(edge.end, 0) + routes[edge.start]
        lengths[edge.end] = lengths.get(edge.end, 0) + lengths[edge.start] + routes[edge.start]
    return routes.get(end, 0), lengths.get(end, 0)


def _plain(array: Any) -> Any:
    """A Python number for a scalar."""
    return array.item() if getattr(array, "shape", None) == () else array


def graph(tensor: Tensor, largest: int = LARGEST) -> Graph:
    """The graph of how a tensor was computed.

    Args:
        tensor: the result of operations on tensors that require a gradient.
        largest: how many elements a derivative of one node by another may have; derivatives are made when looked at.

    Raises:
        GradientError: the tensor has no history, or something that it was computed from was changed in place since.

    >>> import engine as en
    >>> x = en.tensor(3.0, requires_grad=True, name="x")
    >>> g = graph(x * x)
    >>> g, g.edges[0].derivative, g.gradient("x")
    (<Graph of '*': 2 nodes, 2 edges>, 3.0, 6.0)
    """
    return Graph(tensor, largest)
