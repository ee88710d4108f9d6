"""A connection that skips a layer: where a value is used twice, its gradients add up.

    v₁ → v₂ → v₃ → v₄ → v₅  and, past v₃,  v₂ → v₄        vⱼ = σ(zⱼ),  σ' = σ (1 - σ)

    z₂ = w₁₂ v₁     z₃ = w₂₃ v₂     z₄ = w₃₄ v₃ + w₂₄ v₂     z₅ = w₄₅ v₄

    ∂v₅/∂z₅ = σ'(z₅)
    ∂v₅/∂z₄ = ∂v₅/∂z₅ σ'(z₄) w₄₅
    ∂v₅/∂z₃ = ∂v₅/∂z₄ σ'(z₃) w₃₄
    ∂v₅/∂z₂ = ∂v₅/∂z₄ σ'(z₂) w₂₄ + ∂v₅/∂z₃ σ'(z₂) w₂₃     a term for each edge from v₂

Lecture 004, the two slides before "back propagation algorithm".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, seed: int = 0) -> None:
    drawn = np.random.default_rng(seed).uniform(-2, 2, 6).round(1)
    names = ("v1", "w12", "w23", "w34", "w24", "w45")
    v1, w12, w23, w34, w24, w45 = (
        en.tensor(value, name=name, requires_grad=True, dtype="float64", device=page.device)
        for name, value in zip(names, drawn.tolist(), strict=True)
    )
    z2 = w12 * v1
    v2 = z2.sigmoid()
    z3 = w23 * v2
    v3 = z3.sigmoid()
    z4 = w34 * v3 + w24 * v2
    v4 = z4.sigmoid()
    z5 = w45 * v4
    v5 = z5.sigmoid()
    inner = {"z2": z2, "z3": z3, "z4": z4, "z5": z5, "v2": v2, "v3": v3, "v4": v4, "v5": v5}
    for name, tensor in inner.items():
        tensor.name = name
        tensor.retain_grad()
    v5.backward()

    # The slide's formulas, from the end: each uses what the one before it stored.
    def slope(v: en.Tensor) -> float:
        return v.item() * (1 - v.item())

    dz5 = slope(v5)
    dz4 = dz5 * slope(v4) * w45.item()
    dz3 = dz4 * slope(v3) * w34.item()
    through_v4 = dz4 * slope(v2) * w24.item()
    through_v3 = dz3 * slope(v2) * w23.item()
    page.compare("∂v5/∂z5", dz5, z5.grad, tolerance=1e-12)
    page.compare("∂v5/∂z4", dz4, z4.grad, tolerance=1e-12)
    page.compare("∂v5/∂z3", dz3, z3.grad, tolerance=1e-12)
    page.compare("∂v5/∂z2, both terms", through_v4 + through_v3, z2.grad, tolerance=1e-12)

    graph = en.graph(v5)
    routes = sorted(graph.paths(z2, v5), key=lambda route: len(route.nodes))
    products = [route.product for route in routes]
    page.compare("the two routes from z2", [through_v4, through_v3], products, tolerance=1e-12)
    page.compare("∂v5/∂z2, sum over routes", sum(products), z2.grad, tolerance=1e-12)
    page.compare("∂v5/∂w24", dz4 * v2.item(), w24.grad, tolerance=1e-12)
    page.compare("∂v5/∂w12", (through_v4 + through_v3) * v1.item(), w12.grad, tolerance=1e-12)

    named = [" → ".join(node.name for node in route.nodes if node.name) for route in routes]
    rows = list(zip(named, products, strict=True))
    page.table("Routes from z2 to v5", ("route", "product of its edges"), rows)
    caption = "Values above, gradients below; at v2 the gradients of two edges add up"
    page.draw(caption, en.plot.graph, graph)
    page.draw("The derivative on each edge", en.plot.graph, graph, labels="derivatives")
