"""Forward and backward with real numbers: every gradient of three ReLU neurons in a row, on paper.

    z₁ = w₁ x  + b₁     h₁ = σ(z₁)          σ(z) = max(0, z),   σ'(z) = 1 where z > 0
    z₂ = w₂ h₁ + b₂     h₂ = σ(z₂)          w = (0.1, -0.2, -0.1)
    z₃ = w₃ h₂ + b₃     h₃ = σ(z₃)          b = (0, 0.1, 0.2),   x = 1

    ∂h₃/∂z₃ = 1
    ∂h₃/∂z₂ = ∂h₃/∂z₃ · ∂z₃/∂h₂ · ∂h₂/∂z₂ = (1)(-0.1)(1)    = -0.1
    ∂h₃/∂z₁ = ∂h₃/∂z₂ · ∂z₂/∂h₁ · ∂h₁/∂z₁ = (-0.1)(-0.2)(1) =  0.02

    ∂h₃/∂w₃ = ∂h₃/∂z₃ · h₂ = (1)(0.08)   =  0.08        ∂h₃/∂b₃ = ∂h₃/∂z₃ · 1
    ∂h₃/∂w₂ = ∂h₃/∂z₂ · h₁ = (-0.1)(0.1) = -0.01        ∂h₃/∂b₂ = ∂h₃/∂z₂ · 1
    ∂h₃/∂w₁ = ∂h₃/∂z₁ · x  = (0.02)(1)   =  0.02        ∂h₃/∂b₁ = ∂h₃/∂z₁ · 1

Lecture 004, "Forward pass" and "Backward pass, compute all the gradients".
"""

import engine as en
from engine.lessons.page import Page


def run(page: Page) -> None:
    def leaf(name: str, value: float) -> en.Tensor:
        return en.tensor(value, name=name, requires_grad=True, dtype="float64", device=page.device)

    x = en.tensor(1.0, name="x", dtype="float64", device=page.device)
    w1, w2, w3 = leaf("w1", 0.1), leaf("w2", -0.2), leaf("w3", -0.1)
    b1, b2, b3 = leaf("b1", 0.0), leaf("b2", 0.1), leaf("b3", 0.2)

    # Forward pass.
    z1 = w1 * x + b1
    h1 = z1.relu()
    z2 = w2 * h1 + b2
    h2 = z2.relu()
    z3 = w3 * h2 + b3
    h3 = z3.relu()
    named = {"z1": z1, "h1": h1, "z2": z2, "h2": h2, "z3": z3, "h3": h3}
    for name, tensor in named.items():
        tensor.name = name
        tensor.retain_grad()
    for name, slide in zip(named, (0.1, 0.1, 0.08, 0.08, 0.192, 0.192), strict=True):
        page.compare(f"{name}, forward", slide, named[name], tolerance=1e-12)
    reason = "The second layer's output is h2; h1 = 0.1 is the first layer's."
    page.correct("σ(z2) = 0.08 is called", "h1", "h2", h2.name, reason=reason)

    # Backward pass: the z first, from the end, then what hangs on them.
    h3.backward()
    for name, tensor, slide in (("z3", z3, 1), ("z2", z2, -0.1), ("z1", z1, 0.02)):
        page.compare(f"∂h3/∂{name}", slide, tensor.grad, tolerance=1e-12)
    for weight, slide in ((w3, 0.08), (w2, -0.01), (w1, 0.02)):
        page.compare(f"∂h3/∂{weight.name}", slide, weight.grad, tolerance=1e-12)
    for bias, slide in ((b3, 1), (b2, -0.1), (b1, 0.02)):
        page.compare(f"∂h3/∂{bias.name}", slide, bias.grad, tolerance=1e-12)

    page.draw("Values above the edges, gradients of h3 below", en.plot.graph, h3)
    page.draw("Each edge has its own derivative", en.plot.graph, h3, labels="derivatives")
