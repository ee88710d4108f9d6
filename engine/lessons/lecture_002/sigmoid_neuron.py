"""Sigmoid neuron: split into gates that anyone can differentiate, and multiplied back together.

    f(w, x) = 1 / (1 + e^−(w₀x₀ + w₁x₁ + w₂))        w = (2, −3, −3),  x = (−1, −2)

    f(x) = eˣ     df/dx = eˣ               f(x) = a x      df/dx = a
    f(x) = 1/x    df/dx = −1/x²            f(x) = c + x    df/dx = 1

    all gates after s as one:  σ(s) = 1 / (1 + e⁻ˢ)        dσ/ds = (1 − σ(s)) σ(s)

Lecture 002, "Another example".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    def leaf(name, value):
        place = {"dtype": "float64", "device": page.device}
        return en.tensor(value, requires_grad=True, name=name, **place)

    w0, w1, w2 = leaf("w₀", 2.0), leaf("w₁", -3.0), leaf("w₂", -3.0)
    x0, x1 = leaf("x₀", -1.0), leaf("x₁", -2.0)
    gates = [w0 * x0, w1 * x1]
    gates.append(gates[0] + gates[1])
    gates.append(gates[-1] + w2)
    gates.append(gates[-1] * -1.0)
    gates.append(gates[-1].exp())
    gates.append(gates[-1] + 1.0)
    gates.append(1.0 / gates[-1])
    names = ("w₀x₀", "w₁x₁", "w₀x₀ + w₁x₁", "s", "−s", "e⁻ˢ", "1 + e⁻ˢ", "f")
    for gate, name in zip(gates, names, strict=True):
        gate.name = name
        gate.retain_grad()
    f = gates[-1]
    f.backward()
    page.compare("f", 0.731, f, tolerance=0.0005)
    for printed, weight in (-0.197, w0), (-0.393, w1), (0.197, w2), (0.393, x0), (-0.590, x1):
        page.compare(f"∂f/∂{weight.name}", printed, weight.grad, tolerance=0.0005)

    # Gate by gate: forward the value, backward the gradient, by the four rules.
    e = np.exp(-1.0)
    values = (-2.0, 6.0, 4.0, 1.0, -1.0, e, 1 + e, 1 / (1 + e))
    below = -1 / (1 + e) ** 2  # of 1/x
    gradients = (*[below * e * -1.0] * 4, below * e, below * 1.0, below, 1.0)
    for name, gate, value, gradient in zip(names, gates, values, gradients, strict=True):
        found = (gate.item(), gate.grad.item())
        page.compare(f"{name}: value, gradient", (value, gradient), found, tolerance=1e-12)

    s = leaf("s", 1.0)
    s.sigmoid().backward()
    page.compare("dσ/ds = (1 − σ(s)) σ(s)", 0.197, s.grad, tolerance=0.0005)

    graph = en.graph(f)
    edges = [edge for edge in reversed(graph.edges) if edge.differentiable]
    incoming = {gate.name: gate.grad.item() for gate in gates}
    rows = []
    for edge in edges:
        start, end = edge.start.title, edge.end.title
        numbers = (incoming[end], edge.derivative, graph.flow(edge))
        rows.append((f"{start} → {end}", *(f"{number:.3f}" for number in numbers)))
    page.table("Backwards, gate by gate", ("edge", "comes in", "local", "goes on"), rows)
    page.draw("Values above the edges, gradients below", en.plot.graph, graph)
