"""Product of a sum: a gate knows its own derivatives; the chain rule brings in the rest.

    f(x, y, z) = (x + y) z         x = −2,  y = 5,  z = −4

    q = x + y = 3                  ∂q/∂x = 1       ∂q/∂y = 1
    f = q z   = −12                ∂f/∂q = z       ∂f/∂z = q

    ∂f/∂x = ∂f/∂q · ∂q/∂x          ∂f/∂y = ∂f/∂q · ∂q/∂y

Lecture 002, "A simple example"; "Global and local gradients".
"""

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    x, y, z = (
        en.tensor(value, requires_grad=True, name=name, dtype="float64", device=page.device)
        for name, value in (("x", -2.0), ("y", 5.0), ("z", -4.0))
    )
    q = x + y
    f = q * z
    q.name, f.name = "q", "f"
    q.retain_grad()
    f.backward()
    page.compare("q = x + y", 3, q, tolerance=0)
    page.compare("f = q z", -12, f, tolerance=0)

    graph = en.graph(f)
    page.compare("∂q/∂x", 1, graph.derivative(x, q), tolerance=0)
    page.compare("∂q/∂y", 1, graph.derivative(y, q), tolerance=0)
    page.compare("∂f/∂q = z", -4, q.grad, tolerance=0)
    page.compare("∂f/∂z = q", 3, z.grad, tolerance=0)
    page.compare("∂f/∂x", -4, x.grad, tolerance=0)
    page.compare("∂f/∂y", -4, y.grad, tolerance=0)

    # What comes in is the global gradient; times the local one it goes on.
    incoming = {"f": 1.0, "q": q.grad.item()}
    rows = []
    for edge in reversed(graph.edges):
        start, end = edge.start.title, edge.end.title
        rows.append((f"{start} → {end}", incoming[end], edge.derivative, graph.flow(edge)))
    page.table("Backwards, gate by gate", ("edge", "comes in", "local", "goes on"), rows)
    page.draw("Values above the edges, gradients below", en.plot.graph, graph)
    page.draw("The local gradients alone", en.plot.graph, graph, labels="derivatives")
