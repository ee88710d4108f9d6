"""Compute and store: keep ∂v/∂z of every layer, and the cost grows with the depth, not its square.

    v₁ = σ(z₁) = σ(w₁ x  + b₁)
    v₂ = σ(z₂) = σ(w₂ v₁ + b₂)
    v₃ = σ(z₃) = σ(w₃ v₂ + b₃)

    Long products, each weight's anew             Compute and store, from the last layer
    ∂v₃/∂w₃ = σ'(z₃) v₂                           ∂v₃/∂z₃ = σ'(z₃)
    ∂v₃/∂w₂ = σ'(z₃) w₃ σ'(z₂) v₁                 ∂v₃/∂z₂ = ∂v₃/∂z₃ w₃ σ'(z₂)
    ∂v₃/∂w₁ = σ'(z₃) w₃ σ'(z₂) w₂ σ'(z₁) x        ∂v₃/∂z₁ = ∂v₃/∂z₂ w₂ σ'(z₁)
                                                  ∂v₃/∂wⱼ = ∂v₃/∂zⱼ vⱼ₋₁
                                                  ∂v₃/∂bⱼ = ∂v₃/∂zⱼ

    Factors for the weights of n layers
    2 + 4 + … + 2n = n (n + 1)                    2n + (n - 1) = 3n - 1

Lecture 004, "problem!! : long mathematical expression" and "Compute and store strategy".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page

DEPTH = 50


def run(page: Page, *, seed: int = 0) -> None:
    names = ("x", "w1", "w2", "w3", "b1", "b2", "b3")
    drawn = np.random.default_rng(seed).uniform(-2, 2, len(names)).tolist()
    x, w1, w2, w3, b1, b2, b3 = (
        en.tensor(value, True, dtype="float64", device=page.device, name=name)
        for name, value in zip(names, drawn, strict=True)
    )
    z1 = w1 * x + b1
    v1 = z1.sigmoid()
    z2 = w2 * v1 + b2
    v2 = z2.sigmoid()
    z3 = w3 * v2 + b3
    v3 = z3.sigmoid()
    for name, tensor in {"z1": z1, "v1": v1, "z2": z2, "v2": v2, "z3": z3, "v3": v3}.items():
        tensor.name = name
        tensor.retain_grad()
    v3.backward()

    # Numbers for the slide's formulas: each long product begins again at the end of the network.
    slope1, slope2, slope3 = ((v * (1 - v)).item() for v in (v1, v2, v3))  # σ' = σ (1 - σ)
    weight2, weight3 = w2.item(), w3.item()
    long3 = slope3 * v2.item()
    long2 = slope3 * weight3 * slope2 * v1.item()
    long1 = slope3 * weight3 * slope2 * weight2 * slope1 * x.item()
    page.compare("∂v3/∂w3, long product", long3, w3.grad, tolerance=1e-12)
    page.compare("∂v3/∂w2, long product", long2, w2.grad, tolerance=1e-12)
    page.compare("∂v3/∂w1, long product", long1, w1.grad, tolerance=1e-12)
    wrong = slope3 * weight3 * (slope2 * v1.item())
    reason = "The derivative by w1 needs ∂v2/∂w1: the slide carries w2 over from the line above."
    quantity = "∂v3/∂w1 = σ'(z3) w3 ∂v2/∂w2"
    page.correct(quantity, wrong, long1, w1.grad, tolerance=1e-12, reason=reason)

    # Compute and store: each line uses the one above it.
    stored3 = slope3
    stored2 = stored3 * weight3 * slope2
    stored1 = stored2 * weight2 * slope1
    page.compare("∂v3/∂z3, stored", stored3, z3.grad, tolerance=1e-12)
    page.compare("∂v3/∂z2, stored", stored2, z2.grad, tolerance=1e-12)
    page.compare("∂v3/∂z1, stored", stored1, z1.grad, tolerance=1e-12)
    page.compare("∂v3/∂w3 = ∂v3/∂z3 v2", stored3 * v2.item(), w3.grad, tolerance=1e-12)
    page.compare("∂v3/∂w2 = ∂v3/∂z2 v1", stored2 * v1.item(), w2.grad, tolerance=1e-12)
    wrong, right = slope1 * x.item(), stored1 * x.item()
    reason = "What is stored for z1 is the derivative of the output: ∂v3/∂z1 x."
    page.correct("∂v3/∂w1 = ∂v1/∂z1 x", wrong, right, w1.grad, tolerance=1e-12, reason=reason)
    for name, stored, b in (("3", stored3, b3), ("2", stored2, b2), ("1", stored1, b1)):
        page.compare(f"∂v3/∂b{name} = ∂v3/∂z{name}", stored, b.grad, tolerance=1e-12)

    # The same chain with 50 layers: its graph counts the factors of both ways.
    en.seed(seed)
    layers = [en.Linear(1, 1, dtype="float64", device=page.device) for _ in range(DEPTH)]
    weights = [layer.weight for layer in layers]
    v = [en.tensor([[1.0]], dtype="float64", device=page.device)]
    for layer in layers:
        v.append(layer(v[-1]).sigmoid())
    graph, n = en.graph(v[-1]), np.arange(1, DEPTH + 1)
    counts = [graph.multiplications(weights[:depth], v[depth]) for depth in n]
    anew, once = [count.paths for count in counts], [count.reverse for count in counts]
    page.compare("factors, long products, n = 1 … 50", n * (n + 1), anew, tolerance=0)
    page.compare("factors, compute and store, n = 1 … 50", 3 * n - 1, once, tolerance=0)

    v[-1].backward()
    products = [graph.paths(weight, v[-1])[0].product.item() for weight in weights]
    ratios = [weight.grad.item() / one for weight, one in zip(weights, products, strict=True)]
    quantity = "stored / long product, 50 weights"
    page.compare(quantity, np.ones(DEPTH), ratios, tolerance=1e-12)

    rows = [(depth, anew[depth - 1], once[depth - 1]) for depth in (1, 2, 3, 10, 20, 50)]
    columns = ("layers n", "long products", "compute and store")
    page.table("Factors multiplied for the gradients of all weights", columns, rows)
    lines = {"long products: n (n + 1)": anew, "compute and store: 3n - 1": once}
    named = {"x_label": "depth n / layers", "y_label": "multiplications"}
    title = "Gradients of a chain of n layers"
    page.draw("Quadratic against linear", en.plot.curves, n, lines, title=title, **named)
    caption = "A weight's long product: all the edges from it to v3"
    page.draw(caption, en.plot.graph, v3, labels="derivatives")
