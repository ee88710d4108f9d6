"""Automatic differentiation: multiply along every route, add the routes: any derivative is there.

    a = 4,  b = 3,  c = a + b = 7,  d = a * c = 28

    ∂d/∂a = 1 · c + (1 · a) · 1 = 2a + b = 11        two routes: straight, and through c
    ∂d/∂b = (1 · a) · 1         = a      = 4
    ∂d/∂c = 1 · a               = a      = 4
    ∂c/∂a = 1,  ∂d/∂d = 1

Lecture 001, "Computational Graph" to "The Backwards Pass".
"""

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    a = en.tensor(4.0, requires_grad=True, name="a", dtype="float64", device=page.device)
    b = en.tensor(3.0, requires_grad=True, name="b", dtype="float64", device=page.device)
    c = a + b
    d = a * c
    c.name, d.name = "c", "d"
    c.retain_grad()
    d.backward()
    page.compare("c = a + b", 7, c, tolerance=0)
    page.compare("d = a · c", 28, d, tolerance=0)

    # The backward pass has visited every node once; the graph follows every route.
    graph = en.graph(d)
    page.compare("∂d/∂a, backward pass", 11, a.grad, tolerance=0)
    page.compare("∂d/∂b, backward pass", 4, b.grad, tolerance=0)
    page.compare("∂d/∂c, backward pass", 4, c.grad, tolerance=0)
    page.compare("∂d/∂a, sum over routes", 11, graph.derivative(a, d), tolerance=0)
    page.compare("∂d/∂b, sum over routes", 4, graph.derivative(b, d), tolerance=0)
    page.compare("∂c/∂a", 1, graph.derivative(a, c), tolerance=0)
    page.compare("∂d/∂d", 1, graph.derivative(d, d), tolerance=0)

    routes = []
    for path in sorted(graph.paths(a, d), key=lambda path: len(path.nodes)):
        routes.append((" → ".join(node.title for node in path.nodes), path.product))
    page.table("Routes from a to d", ("route", "product of its edges"), routes)
    page.draw("Each edge with its derivative", en.plot.graph, graph, labels="derivatives")
    page.draw("Values above the edges, gradients below", en.plot.graph, graph)
