"""Derivative graph: multiply along a path, add the paths; reverse mode uses every edge only once.

    z₁ = x₁ · x₂      h₁ = z₁ · z₂      p = h₁ · h₂          x₁ = 2,  x₂ = 3
    z₂ = x₁ + x₂      h₂ = z₁ - z₂

    ∂p/∂x₁ = ∂p/∂h₁ ∂h₁/∂z₁ ∂z₁/∂x₁ + ∂p/∂h₁ ∂h₁/∂z₂ ∂z₂/∂x₁
           + ∂p/∂h₂ ∂h₂/∂z₁ ∂z₁/∂x₁ + ∂p/∂h₂ ∂h₂/∂z₂ ∂z₂/∂x₁          four paths

    reuse:   ∂p/∂z₁ = ∂p/∂h₁ ∂h₁/∂z₁ + ∂p/∂h₂ ∂h₂/∂z₁
             ∂p/∂x₁ = ∂p/∂z₁ ∂z₁/∂x₁ + ∂p/∂z₂ ∂z₂/∂x₁

Lecture 000, "Chain rule", "Derivatives computation graph", "Let's go deeper",
"How this graph of derivatives helps", "We can reuse previous computations".
"""

import math

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    def number(name: str, value: float) -> en.Tensor:
        options = {"dtype": "float64", "device": page.device}
        return en.tensor(value, name=name, requires_grad=True, **options)

    # Simple functions, and the chain rule for h = f · g.
    x = number("x", 1.5)
    f, g, log = x**2, x.exp(), x.log()
    page.compare("dx²/dx = 2x at 1.5", 3, en.graph(f).gradient(x), tolerance=1e-12)
    page.compare("deˣ/dx = eˣ at 1.5", math.exp(1.5), en.graph(g).gradient(x), tolerance=1e-12)
    page.compare("d ln(x)/dx = 1/x at 1.5", 1 / 1.5, en.graph(log).gradient(x), tolerance=1e-12)
    rule = math.exp(1.5) * 3 + 1.5**2 * math.exp(1.5)
    product = en.graph(f * g).gradient(x)
    page.compare("x² · eˣ: g ∂f/∂x + f ∂g/∂x", rule, product, tolerance=1e-12)

    # A little bit more composite.
    x1, x2 = number("x₁", 2.0), number("x₂", 3.0)
    z1, z2 = x1 * x2, x1 + x2
    h1, h2 = z1 * z2, z1 - z2
    p = h1 * h2
    for tensor, name in zip((z1, z2, h1, h2, p), ("z₁", "z₂", "h₁", "h₂", "p"), strict=True):
        tensor.name = name
        tensor.retain_grad()
    graph = en.graph(p)
    p.backward()

    # Each edge is a derivative.
    by_hand = {"∂z₁/∂x₁": 3, "∂z₁/∂x₂": 2, "∂z₂/∂x₁": 1, "∂z₂/∂x₂": 1}
    by_hand |= {"∂h₁/∂z₁": 5, "∂h₁/∂z₂": 6, "∂h₂/∂z₁": 1, "∂h₂/∂z₂": -1}
    by_hand |= {"∂p/∂h₁": 1, "∂p/∂h₂": 30}
    edges = {f"∂{edge.end.name}/∂{edge.start.name}": edge for edge in graph.edges}
    values = [edges[name].derivative for name in by_hand]
    page.compare("the 10 edges", [*by_hand.values()], values, tolerance=0)

    # The rule of the paths, and reverse mode.
    paths = sorted(graph.paths(x1, p), key=lambda path: [node.name for node in path.nodes[::-1]])
    page.compare("paths from x₁ to p", 4, len(paths), tolerance=0)
    products = [path.product for path in paths]
    page.compare("products of their edges", [15, 6, 90, -30], products, tolerance=0)
    page.compare("∂p/∂x₁, sum over paths", 81, graph.derivative(x1, p), tolerance=0)
    page.compare("∂p/∂x₁, reverse mode", 81, x1.grad, tolerance=0)
    page.compare("∂p/∂x₂, sum over paths", 46, graph.derivative(x2, p), tolerance=0)
    page.compare("∂p/∂x₂, reverse mode", 46, x2.grad, tolerance=0)
    reused = [z1.grad.item(), z2.grad.item()]
    page.compare("∂p/∂z₁ and ∂p/∂z₂, reused", [35, -24], reused, tolerance=0)

    # 2 inputs · 4 paths · 3 edges, against 10 edges.
    count = graph.multiplications([x1, x2], p)
    page.compare("multiplications, path by path", 2 * 4 * 3, count.paths, tolerance=0)
    page.compare("multiplications, reverse mode", 10, count.reverse, tolerance=0)

    routes = [(" → ".join(node.name for node in path.nodes), path.product) for path in paths]
    routes.append(("sum", graph.derivative(x1, p)))
    page.table("Paths from x₁ to p", ("path", "product of its edges"), routes)
    taken = [edge for path in (*paths, *graph.paths(x2, p)) for edge in path.edges]
    uses = [(name, e.derivative, taken.count(e), graph.flow(e)) for name, e in edges.items()]
    columns = ("edge", "value", "times on a path", "handed back by reverse mode, once")
    page.table("What each edge is used for", columns, uses)
    caption = "Each edge is the derivative of its end by its start"
    page.draw(caption, en.plot.graph, graph, labels="derivatives")
    caption = "Reverse mode: each Σ is summed once, and used again by every edge on its left"
    page.draw(caption, en.plot.graph, graph)
