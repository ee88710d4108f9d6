"""How is a graph put into words? Numbers and shapes as short text, what a picture shows, and it as DOT and Mermaid."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import unknown_name

if TYPE_CHECKING:
    from engine.checks.graph import Graph
    from engine.checks.parts import GraphNode

VALUE, GRADIENT, DERIVATIVE = (
    "#0060a8",
    "#c24a00",
    "#00704f",
)  # told apart by the colour-blind, and dark enough on white
LABELS = ("gradients", "derivatives")
SIGNS = {"*": "×", "-": "−"}


@dataclass
class PictureNode:
    """A node as it is drawn.

    Attributes:
        kind: "input", "constant", "operation" or "end" (the name at the arrow that leaves the graph).
        title: the text inside.
        caption: the text below: an operation's name.
        total: the gradient, where it is the sum over several edges.
        details: everything about the node in one line.
    """

    kind: str
    title: str
    caption: str = ""
    total: str = ""
    details: str = ""


@dataclass
class PictureEdge:
    """An edge as it is drawn, between nodes by their place in the list, with the texts above and below it."""

    start: int
    end: int
    above: str
    below: str


@dataclass
class Picture:
    """Everything that a drawing of a graph shows.

    Attributes:
        title: what the graph is of.
        colors: of the texts above and below edges.
        legend: what these texts are.
    """

    title: str
    nodes: list[PictureNode]
    edges: list[PictureEdge]
    colors: tuple[str, str]
    legend: tuple[str, str]


def number(value: Any) -> str:
    """A number with three digits, whole ones in full."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if not np.isfinite(value):
        return str(float(value))
    size = abs(value)
    if size < 1e6 and value == int(value):
        return str(int(value))
    if size >= 1e6 or size < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{value:.0f}" if size >= 1e3 else f"{value:.3g}"


def text(value: Any) -> str:
    """A number, or up to three in brackets; "" where there are more, or something else."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.size > 3 or array.size == 0:
        return ""
    numbers = ", ".join(number(one) for one in array.reshape(-1))
    return {0: numbers, 1: f"[{numbers}]"}.get(array.ndim, "")


def shape_text(shape: tuple[int, ...]) -> str:
    """(64, 10) as 64×10, (64,) as 64 numbers: what a picture says of an array that is too large for it."""
    return f"{shape[0]} numbers" if len(shape) == 1 else "×".join(str(length) for length in shape)


def picture(graph: "Graph", labels: str) -> Picture:
    """What is drawn of a graph: numbers where there are few, shapes elsewhere."""
    if labels not in LABELS:
        raise unknown_name("graph: labels", labels, LABELS)
    derivatives, scalar = labels == "derivatives", graph.root.array.size == 1
    leaving = dict.fromkeys(graph.nodes, 0)
    for edge in graph.edges:
        leaving[edge.start] += edge.differentiable
    nodes = [_node(graph, node, sums=leaving[node] > 1 and scalar and not derivatives) for node in graph.nodes]
    edges = []
    for edge in graph.edges:
        above, below = _signal(graph, edge.start), text(graph.flow(edge)) if edge.differentiable and scalar else ""
        if derivatives:
            above, below = _local(edge) if edge.differentiable else "", ""
        edges.append(PictureEdge(edge.start.position, edge.end.position, above, below))
    name = graph.root.name or "the result"
    last = PictureEdge(graph.root.position, len(graph.nodes), _signal(graph, graph.root), "1" if scalar else "")
    legend = ["above: value", f"below: gradient of {name}" if scalar else ""]
    if derivatives:
        last.above = last.below = ""
        legend = ["derivative of the end by the start", ""]
    if any(node.total for node in nodes):
        legend[1] += ", Σ: summed over the edges that leave"
    title = f"Computation graph of {name}: {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    colors = (DERIVATIVE if derivatives else VALUE, GRADIENT)
    return Picture(
        title, [*nodes, PictureNode("end", graph.root.name or "")], [*edges, last], colors, (legend[0], legend[1])
    )


def _signal(graph: "Graph", node: "GraphNode") -> str:
    return text(graph.value(node)) or shape_text(node.shape)


def _local(edge: Any) -> str:
    """An edge's derivative, or its shape: large ones are not computed for a picture."""
    shape = edge.end.shape + edge.start.shape
    return text(edge.derivative) if np.prod(shape) <= 3 and len(shape) <= 1 else shape_text(shape)


def _node(graph: "Graph", node: "GraphNode", sums: bool) -> PictureNode:
    gradient = ""
    if node.kind != "constant" and graph.root.array.size == 1:
        gradient = text(np.reshape(graph.gradient(node), node.shape))
    details = f"{node.kind} {node.title}: {_signal(graph, node)}" + (f", gradient {gradient}" if gradient else "")
    title, caption = node.title, ""
    if node.kind == "operation":
        title = "^" + node.label[2:] if node.label.startswith("**") else SIGNS.get(node.label, node.label)
        caption = (
            node.name or "" if node is not graph.root else ""
        )  # the root's name stands at the arrow that leaves it
    return PictureNode(node.kind, title, caption, gradient if sums else "", details)


# -- for other programs ----------------------------------------------------------------------------------


def dot(picture: Picture) -> str:
    """The picture in Graphviz's language."""
    lines = [
        "digraph computation {",
        f'  graph [rankdir=LR, label="{_quoted(picture.title)}", fontname="Helvetica"];',
        '  node [fontname="Helvetica"]; edge [fontname="Helvetica"];',
    ]
    shapes = {
        "input": 'shape=box, style="rounded"',
        "constant": 'shape=box, style="rounded,dashed"',
        "operation": "shape=circle",
    }
    for position, node in enumerate(picture.nodes):
        label = "\\n".join(_quoted(part) for part in (node.title, node.caption, _total(node)) if part)
        lines.append(
            f'  n{position} [label="{label}", {shapes.get(node.kind, "shape=plaintext")}, '
            f'tooltip="{_quoted(node.details)}"];'
        )
    for edge in picture.edges:
        parts = zip((edge.above, edge.below), picture.colors, strict=True)
        label = "<br/>".join(f'<font color="{color}">{html.escape(part)}</font>' for part, color in parts if part)
        lines.append(f"  n{edge.start} -> n{edge.end}" + (f" [label=<{label}>];" if label else ";"))
    return "\n".join([*lines, "}", ""])


def mermaid(picture: Picture) -> str:
    """The picture in Mermaid's language."""
    lines = ["flowchart LR"]
    forms = {"input": '(["{}"])', "constant": '["{}"]', "operation": '(("{}"))', "end": '["{}"]'}
    for position, node in enumerate(picture.nodes):
        title = f"{node.caption}: {node.title}" if node.caption else node.title  # circles are as wide as one line
        label = "<br/>".join(_entities(part) for part in (title, _total(node)) if part)
        lines.append(f"  n{position}{forms[node.kind].format(label or ' ')}")
    for edge in picture.edges:
        parts = zip((edge.above, edge.below), picture.colors, strict=True)
        # <font>, because Mermaid takes the semicolon from an entity that follows the word "style" and a colour.
        label = "<br/>".join(f"<font color='{color}'>{_entities(part)}</font>" for part, color in parts if part)
        lines.append(f"  n{edge.start} -->" + (f'|"{label}"|' if label else "") + f" n{edge.end}")
    end = len(picture.nodes) - 1
    lines.append(f"  style n{end} fill:none,stroke:none")
    return "\n".join([*lines, ""])


def _total(node: PictureNode) -> str:
    return f"Σ {node.total}" if node.total else ""


def _quoted(part: str) -> str:
    return part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _entities(part: str) -> str:
    """Every sign that Mermaid, Markdown or HTML could read as its own, by its number."""
    return "".join(one if one.isalnum() or one in " .,×−" else f"#{ord(one)};" for one in part)
