"""Computation graph: nodes are computed values, edges say what a value is computed from.

    nodes:  x₁, x₂, z₁, z₂, z₃, a
    edges:  x₁ → z₁, x₂ → z₁, ...         we need x₁ and x₂ to compute z₁

    each node is a neuron:  1. take a linear combination of the inputs
                            2. apply an activation function

    zᵢ = σ(w₀,ᵢ + w₁,ᵢ x₁ + w₂,ᵢ x₂)      one of three lines around a triangle
    a  = σ(v₀ + v₁ z₁ + v₂ z₂ + v₃ z₃)    inside all three?

Lecture 000, "Computation Graph", "Multi-Layer Perceptron", "Why Neuron?".
"""

import math

import numpy as np

import engine as en
from engine.lessons.page import Page

# w₀, w₁, w₂ of the three lines; v₀, v₁, v₂, v₃ of what combines them.
LINES = [(4.0, 1.0, 5.0), (4.0, -8.0, -4.0), (4.0, 8.0, -4.0)]
TOGETHER = (-25.0, 10.0, 10.0, 10.0)


class Neuron(en.Operation):
    """σ(w₀ + w₁x₁ + w₂x₂ + ...) as one node of the graph."""

    def __init__(self, w):
        self.w = w

    def forward(self, *inputs):
        combination = self.w[0]
        for w, x in zip(self.w[1:], inputs, strict=True):
            combination = combination + w * x
        activation = 1 / (1 + math.e**-combination)
        return activation, activation

    def backward(self, activation, incoming_gradient, needed):
        slope = activation * (1 - activation) * incoming_gradient
        return tuple(w * slope for w in self.w[1:])


def run(page: Page) -> None:
    # One sample, a node for each neuron: the slide's picture.
    x1, x2 = (
        en.tensor(value, name=name, requires_grad=True, dtype="float64", device=page.device)
        for name, value in {"x₁": 0.3, "x₂": -0.6}.items()
    )
    z1, z2, z3 = (en.apply(Neuron(w), x1, x2) for w in LINES)
    a = en.apply(Neuron(TOGETHER), z1, z2, z3)
    for tensor, name in zip((z1, z2, z3, a), ("z₁", "z₂", "z₃", "a"), strict=True):
        tensor.name = name
    graph = en.graph(a)

    nodes = ", ".join(node.name for node in graph.nodes)
    page.check("nodes", "x₁, x₂, z₁, z₂, z₃, a", nodes, nodes == "x₁, x₂, z₁, z₂, z₃, a")
    page.compare("edges: 3 · 2 to z, 3 to a", 9, len(graph.edges), tolerance=0)
    for name, slide in {"z₁": "x₁, x₂", "a": "z₁, z₂, z₃"}.items():
        needed = ", ".join(edge.start.name for edge in graph.edges if edge.end.name == name)
        page.check(f"what {name} is computed from", slide, needed, needed == slide)

    def sigma(s):
        return 1 / (1 + np.exp(-s))

    z = np.array([sigma(w0 + w1 * 0.3 + w2 * -0.6) for w0, w1, w2 in LINES])
    values = [graph.value(name) for name in ("z₁", "z₂", "z₃")]
    page.compare("zᵢ = σ(w₀,ᵢ + w₁,ᵢ x₁ + w₂,ᵢ x₂)", z, values, tolerance=1e-12)
    v0, *v = TOGETHER
    page.compare("a = σ(v₀ + v₁ z₁ + v₂ z₂ + v₃ z₃)", sigma(v0 + v @ z), a, tolerance=1e-12)

    # A few samples at once, a node for each layer.
    network = en.Sequential(en.Linear(2, 3), en.Sigmoid(), en.Linear(3, 1), en.Sigmoid())
    network.to(dtype="float64", device=page.device)
    w0, *w = np.transpose(LINES)
    network[0].load_state_dict({"weight": np.array(w), "bias": w0})
    network[2].load_state_dict({"weight": np.array(v)[:, None], "bias": np.array([v0])})
    samples = np.array([[0.3, -0.6], [0.0, 0.0], [0.8, 0.5], [-0.9, -0.9]])
    inputs = en.tensor(samples, name="x", requires_grad=True, device=page.device)
    output = network(inputs)
    output.name = "a"
    page.compare("a of this sample in a batch of four", a.item(), output[0, 0], tolerance=1e-12)

    columns = ("x₁", "x₂", "z₁", "z₂", "z₃", "a")
    features = network[1](network[0](inputs)).numpy()
    numbers = np.column_stack([samples, features, output.numpy()]).round(3)
    page.table("Four samples: a is near 1 only inside all three lines", columns, numbers)
    page.draw("A node for each neuron, one sample: values above the edges", en.plot.graph, graph)
    caption = "The same network, a node for each layer, four samples at once"
    page.draw(caption, en.plot.graph, en.graph(output))
