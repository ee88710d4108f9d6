"""Sigmoid node: backward multiplies what comes in by the node's own derivative, σ(1 - σ).

    forward_pass(inputs)                        1 / (1 + exp(-inputs))
    backward_pass(inputs, incoming_gradient)    sigmoid * (1 - sigmoid) * incoming_gradient

    ∂L/∂s = ∂σ/∂s · ∂L/∂σ = sigmoid * (1 - sigmoid) · ∂L/∂σ

    In a neuron, s = αx₁ + βx₂ and z = σ(s):

    ∂L/∂α = ∂L/∂z · ∂σ/∂s · x₁
    ∂L/∂β = ∂L/∂z · ∂σ/∂s · x₂

Lecture 000, "How chain rule helps to train a neuron", "Forward pass interface",
"Backward pass interface".
"""

import math

import numpy as np

import engine as en
from engine.lessons.page import Page


def forward_pass(inputs):
    return 1.0 / (1 + np.exp(-inputs))


def backward_pass(inputs, incoming_gradient):
    sigmoid = 1.0 / (1 + np.exp(-inputs))
    return sigmoid * (1 - sigmoid) * incoming_gradient


class SigmoidNode(en.Operation):
    """The same as a node of the graph: backward gets what forward kept."""

    def forward(self, inputs):
        sigmoid = 1.0 / (1 + math.e**-inputs)
        return sigmoid, sigmoid

    def backward(self, sigmoid, incoming_gradient, needed):
        return (sigmoid * (1 - sigmoid) * incoming_gradient,)


def run(page: Page, *, seed: int = 0) -> None:
    inputs = np.linspace(-4, 4, 9)
    incoming_gradient = np.random.default_rng(seed).normal(size=9)
    output, gradient = forward_pass(inputs), backward_pass(inputs, incoming_gradient)
    incoming = en.tensor(incoming_gradient, device=page.device)

    s = en.tensor(inputs, requires_grad=True, device=page.device)
    sigmoid = s.sigmoid()
    sigmoid.backward(incoming)
    page.compare("forward_pass(inputs)", output, sigmoid, tolerance=1e-12)
    page.compare("backward_pass(inputs, incoming_gradient)", gradient, s.grad, tolerance=1e-12)

    s = en.tensor(inputs, requires_grad=True, device=page.device)
    node = en.apply(SigmoidNode(), s)
    node.backward(incoming)
    page.compare("a node of your own, forward", output, node, tolerance=1e-12)
    page.compare("a node of your own, backward", gradient, s.grad, tolerance=1e-12)
    report = en.gradcheck(lambda s: en.apply(SigmoidNode(), s), [s])
    off = f"off by {report.largest_error:.0e}"
    page.check("its backward, against (f(s + h) - f(s - h)) / 2h", "equal", off, report.ok)

    # In a neuron: descent needs ∂L/∂α and ∂L/∂β. Here L = (z - 1)².
    values = {"x₁": 2.0, "x₂": -1.0, "α": 0.5, "β": 0.3}
    x1, x2, alpha, beta = (
        en.tensor(value, name=name, requires_grad=True, dtype="float64", device=page.device)
        for name, value in values.items()
    )
    z = (alpha * x1 + beta * x2).sigmoid()
    loss = (z - 1) ** 2
    z.name, loss.name = "z", "L"
    loss.backward()
    by_hand = forward_pass(0.5 * 2.0 + 0.3 * -1.0)
    dL_ds = 2 * (by_hand - 1) * by_hand * (1 - by_hand)
    page.compare("z = σ(αx₁ + βx₂)", by_hand, z, tolerance=1e-12)
    page.compare("∂L/∂α = ∂L/∂z · ∂σ/∂s · x₁", dL_ds * 2.0, alpha.grad, tolerance=1e-12)
    page.compare("∂L/∂β = ∂L/∂z · ∂σ/∂s · x₂", dL_ds * -1.0, beta.grad, tolerance=1e-12)

    rows = np.stack([inputs, output, incoming_gradient, gradient], axis=1).round(3)
    columns = ("inputs", "sigmoid", "incoming gradient", "gradient handed back")
    page.table("One node, nine inputs", columns, rows)
    axis = np.linspace(-6, 6, 201)
    page.draw(
        "σ(1 - σ) is 1/4 at most, and almost 0 far out: what is handed back shrinks",
        en.plot.curves,
        axis,
        {"σ(s), forward": forward_pass(axis), "σ(1 - σ), backward of 1": backward_pass(axis, 1.0)},
        title="The sigmoid node",
        x_label="s",
        y_label="σ, σ(1 - σ)",
    )
    page.draw("A neuron: values above the edges, gradients below", en.plot.graph, en.graph(loss))
