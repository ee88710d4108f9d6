"""How was a tensor computed? Its graph: values at nodes, derivatives on edges, routes and their sum, pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from backends.kernels.pair import Array
from engine.autodiff import Node, reachable
from engine.checks import drawing, notation
from engine.checks.parts import GraphEdge, GraphNode, Multiplications, Path, between, count_routes, walk
from engine.checks.replay import output_of, refuse_changed, same
from engine.checks.reverse import reverse, unit
from engine.errors import ArgumentError, GradientError, unknown_name
from engine.files import write_whole
from engine.tensor import Tensor

LARGEST = 1_000_000  # elements of a Jacobian that is made without being asked for by `largest=`
MOST_PATHS = 10_000


class Graph:
    """The graph of a tensor, as it is when the object is made; later changes of the tensors do not reach its values.

    Derivatives and gradients are computed when they are first looked at. Where an input that they need was changed in
    place in the meantime (by an optimizer's step, for instance), they are refused: look before.

    Attributes:
        nodes: every node after those that it was computed from; the tensor's own is the last.
        edges: in the order of their ends.
        root: the tensor's own node.

    Where a method asks for a node, give its Tensor, its name (or label, where only one node has it), or the node.
    """

    def __init__(self, tensor: Tensor, largest: int = LARGEST) -> None:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"graph: {type(tensor).__name__} was given; give the Tensor whose computation is asked for."
            )
        if not tensor.requires_grad:
            raise GradientError(
                "graph: this tensor has no history; make the inputs with requires_grad=True, outside no_grad()."
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
                None if one is None else self._start(one, wanted)
                for one, wanted in zip(node.inputs, node.needed, strict=True)
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
                "graph: computed again, the tensor has another value: an input was changed in place since, or an "
                "operation of your own is random. Make the graph right after the tensor."
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
            found = [node for node in self.nodes if node.name == which] or [
                node for node in self.nodes if node.label == which
            ]
            if not found:
                raise unknown_name("graph: node", which, {node.title for node in self.nodes})
            if len(found) > 1:
                raise ArgumentError(
                    f"graph: {len(found)} nodes are called {which!r}; give the Tensor, or one of graph.nodes."
                )
            return found[0]
        if isinstance(which, Tensor):
            known = self._known.get(id(which if which._node is None else which._node))
            if known is not None:
                return known
            called = f"the tensor {which.name!r}" if which.name else f"this tensor of shape {which.shape}"
            raise GradientError(f"graph: {called} is not among the {len(self.nodes)} nodes; see graph.nodes.")
        raise ArgumentError(
            f"graph: {type(which).__name__} was given for a node; give a Tensor, a name, or one of graph.nodes."
        )

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
        return (
            _plain(np.stack(host).reshape(self.root.shape + node.shape))
            if host
            else np.zeros(self.root.shape + node.shape)
        )

    def flow(self, edge: GraphEdge) -> Any:
        """What reverse mode hands back along an edge: this edge's part in its start's gradient.

        None where the start is a constant, or the graph's tensor is no single number.
        """
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
            raise GradientError(
                f"graph: {node.title!r} is a constant, no derivative by it is computed; make it requires_grad=True."
            )
        return node

    # -- edges and routes ------------------------------------------------------------------------------

    def _refuse_large(self, end: GraphNode, start: GraphNode) -> None:
        count = int(np.prod(end.shape + start.shape, dtype=object))
        if count > self._largest:
            raise ArgumentError(
                f"graph: the derivative of {end.title!r} {end.shape} by {start.title!r} {start.shape} has {count} "
                f"elements; the limit is {self._largest}. Use graph(tensor, largest={count}), or fewer samples."
            )

    def _local(self, edge: GraphEdge) -> Any:
        if not edge.differentiable:
            return None
        if edge not in self._locals:
            self._refuse_large(edge.end, edge.start)
            node = edge.end.source
            backend = node.backend
            output = Tensor.wrap(edge.end.array, backend)
            rows = [
                backend.to_host(node.gradients(unit(output, i))[edge.input]).reshape(-1) for i in range(output.size)
            ]
            self._locals[edge] = _plain(np.array(rows).reshape(edge.end.shape + edge.start.shape))
        return self._locals[edge]

    def paths(self, start: Any, end: Any, limit: int = MOST_PATHS) -> list[Path]:
        """Every route from one node to another, each with the product of its edges.

        Args:
            start, end: Tensors, names or nodes.
            limit: more routes than this are an error: their number can double with every layer.

        Source: lecture 000, "How this graph of derivatives helps".
        """
        return list(self._routes(self._differentiable(start), self._differentiable(end), limit))

    def _routes(self, start: GraphNode, end: GraphNode, limit: int) -> Iterator[Path]:
        edges = between(self.edges, start, end)
        count, _ = count_routes(edges, start, end)
        if count > limit:
            raise ArgumentError(
                f"graph: {count} routes lead from {start.title!r} to {end.title!r}; the limit is {limit}. "
                f"Reverse mode needs none of them: graph.gradient({start.title!r}); or raise limit=."
            )
        for route in walk(edges, start, end):
            yield Path((start, *(edge.end for edge in route)), route, self._product(route, start))

    def _product(self, edges: Sequence[GraphEdge], start: GraphNode) -> Any:
        """The edges' derivatives multiplied from the route's end, as reverse mode does."""
        if not edges:
            self._refuse_large(start, start)
            size = int(np.prod(start.shape))
            return _plain(np.eye(size).reshape(start.shape + start.shape))
        product = edges[-1].derivative
        for edge in reversed(edges[:-1]):
            rank = len(edge.end.shape)
            product = (
                np.tensordot(product, edge.derivative, axes=rank)
                if rank
                else np.multiply.outer(product, edge.derivative)
            )
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
            start: a node, or a list: the path rule begins anew for each, reverse mode passes every edge once for all.
            end: a node.
        """
        last = self._differentiable(end)
        one_by_one, once = 0, set()
        for which in start if isinstance(start, (list, tuple)) else [start]:
            first = self._differentiable(which)
            edges = between(self.edges, first, last)
            one_by_one += count_routes(edges, first, last)[1]
            once.update(edges)
        return Multiplications(one_by_one, len(once))

    # -- pictures --------------------------------------------------------------------------------------

    def to_svg(self, labels: str = "gradients") -> str:
        """A picture: values above the edges, gradients below; with labels="derivatives" the edges' own derivatives."""
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
            UnknownNameError: another suffix. FileError: it cannot be written; nothing half-written is left behind.
        """
        writers = {".svg": self.to_svg, ".dot": self.to_dot, ".gv": self.to_dot, ".mmd": self.to_mermaid}
        suffix = FilePath(path).suffix.lower()
        if suffix not in writers:
            raise unknown_name("graph.save: suffix", suffix, writers)
        write_whole(path, writers[suffix](labels).encode())

    def __repr__(self) -> str:
        return f"<Graph of {self.root.title!r}: {len(self.nodes)} nodes, {len(self.edges)} edges>"


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
