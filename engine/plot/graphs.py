"""How does a computation graph look? The picture that `engine.checks.graph` draws, in its three forms."""

import os

from engine.checks.graph import Graph, graph as graph_of
from engine.plot.style import Path
from engine.tensor import Tensor


def graph(tensor_or_graph: Tensor | Graph, path: Path | None = None, *, labels: str = "gradients") -> str:
    """The graph of how a tensor was computed, drawn; it needs no matplotlib.

    Args:
        tensor_or_graph: the tensor, or its `engine.graph`.
        path: where to write the picture; .svg, .dot (or .gv) for Graphviz, .mmd for Mermaid.
        labels: "gradients" has values above the edges and gradients below, "derivatives" the edges' own derivatives.

    Returns:
        The picture as SVG.

    Raises:
        ArgumentError: it is no tensor. GradientError: it has no history.
        UnknownNameError: the labels, or the path's ending. FileError: the file cannot be written.

    >>> import engine as en
    >>> a, b = en.tensor(4.0, requires_grad=True, name="a"), en.tensor(3.0, requires_grad=True, name="b")
    >>> graph(a * (a + b)).startswith("<svg")
    True
    """
    drawn = tensor_or_graph if isinstance(tensor_or_graph, Graph) else graph_of(tensor_or_graph)
    if path is not None:
        drawn.save(os.fspath(path), labels)
    return drawn.to_svg(labels)
