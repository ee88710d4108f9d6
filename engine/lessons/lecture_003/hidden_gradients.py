"""Hidden gradients: the error reaches a hidden weight through every output that its unit feeds.

    a_j = Σᵢ w_ji xᵢ + w_j0      z_j = h(a_j)       hidden layer, j = 1 .. M
    a_k = Σⱼ w_kj z_j + w_k0     y_k = h(a_k)       output layer, h = σ in both
    L   = Σₖ (y_k − y'_k)²                          y' is the ground-truth label

    ∂L/∂w_kj = ∂L/∂y_k · ∂y_k/∂a_k · ∂a_k/∂w_kj
             = 2 (y_k − y'_k) · σ(a_k) (1 − σ(a_k)) · z_j

    ∂L/∂w_ji = ∂L/∂z_j · ∂z_j/∂a_j · ∂a_j/∂w_ji
             = [ Σₖ ∂L/∂y_k · ∂y_k/∂a_k · w_kj ] · σ(a_j) (1 − σ(a_j)) · xᵢ

    w_kj ← w_kj − η ∂L/∂w_kj     w_ji ← w_ji − η ∂L/∂w_ji

Lecture 003, "Computing gradient for each weight" to "Gradient for hidden layer weights".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def run(page: Page, *, hidden: int = 3, learning_rate: float = 0.5, seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    x, truth = generator.uniform(-1, 1, 2), np.array([1.0, 0.0])  # D = 2 inputs, K = 2 outputs
    shapes = ((hidden, 2), (hidden,), (2, hidden), (2,))
    w_ji, w_j0, w_kj, w_k0 = weights = [generator.normal(0, 1, shape) for shape in shapes]

    # The engine: forward as on the slide, one call backward.
    inputs, labels = (en.tensor(one, device=page.device) for one in (x, truth))
    parameters = [en.Parameter(one, device=page.device) for one in weights]
    a_hidden = parameters[0] @ inputs + parameters[1]
    z = a_hidden.sigmoid()
    a_output = parameters[2] @ z + parameters[3]
    y = a_output.sigmoid()
    loss = ((y - labels) ** 2).sum()
    for node in (a_hidden, z, a_output, y):
        node.retain_grad()
    loss.backward()

    # By hand, in NumPy.
    a_j = w_ji @ x + w_j0
    z_j = 1 / (1 + np.exp(-a_j))
    a_k = w_kj @ z_j + w_k0
    y_k = 1 / (1 + np.exp(-a_k))
    dL_dyk = 2 * (y_k - truth)
    dL_dak = dL_dyk * y_k * (1 - y_k)
    dL_dwkj = np.outer(dL_dak, z_j)
    dL_dzj = w_kj.T @ dL_dak  # over all outputs k that unit j feeds
    dL_daj = dL_dzj * z_j * (1 - z_j)
    dL_dwji = np.outer(dL_daj, x)

    page.compare("L = Σₖ (y_k − y'_k)²", np.sum((y_k - truth) ** 2), loss, tolerance=1e-12)
    page.compare("∂L/∂y_k = 2 (y_k − y'_k)", dL_dyk, y.grad, tolerance=1e-12)
    page.compare("∂L/∂a_k", dL_dak, a_output.grad, tolerance=1e-12)
    page.compare("∂L/∂w_kj", dL_dwkj, parameters[2].grad, tolerance=1e-12)
    page.compare("∂L/∂w_k0", dL_dak, parameters[3].grad, tolerance=1e-12)
    page.compare("∂L/∂z_j", dL_dzj, z.grad, tolerance=1e-12)
    page.compare("∂L/∂a_j", dL_daj, a_hidden.grad, tolerance=1e-12)
    page.compare("∂L/∂w_ji", dL_dwji, parameters[0].grad, tolerance=1e-12)
    page.compare("∂L/∂w_j0", dL_daj, parameters[1].grad, tolerance=1e-12)

    # The first hidden unit alone, so that its two routes to L can be seen.
    unit = en.tensor(z_j[0], requires_grad=True, name="z₁", device=page.device)
    parts = []
    for k, index in enumerate("₁₂"):
        others = en.tensor(a_k[k] - w_kj[k, 0] * z_j[0], name="others", device=page.device)
        weight = en.tensor(w_kj[k, 0], name=f"w{index}₁", device=page.device)
        label = en.tensor(truth[k], name=f"y'{index}", device=page.device)
        a = weight * unit + others
        output = a.sigmoid()
        a.name, output.name = f"a{index}", f"y{index}"
        parts.append((output - label) ** 2)
    single = parts[0] + parts[1]
    single.name = "L"
    graph = en.graph(single)
    total = graph.derivative(unit, single)
    page.compare("∂L/∂z₁, sum over both routes", dL_dzj[0], total, tolerance=1e-12)
    page.table(
        "Routes from the first hidden unit to the loss",
        ("route", "∂L/∂y_k · ∂y_k/∂a_k · w_k1"),
        [
            (" → ".join(node.name for node in route.nodes if node.name), route.product)
            for route in graph.paths(unit, single)
        ],
    )
    page.draw(
        "Values above, gradients below: what comes back through both outputs adds up at z₁",
        en.plot.graph,
        graph,
    )

    en.SGD(parameters, learning_rate=learning_rate).step()
    new_kj, new_ji = w_kj - learning_rate * dL_dwkj, w_ji - learning_rate * dL_dwji
    page.compare("w_kj − η ∂L/∂w_kj", new_kj, parameters[2], tolerance=1e-12)
    page.compare("w_ji − η ∂L/∂w_ji", new_ji, parameters[0], tolerance=1e-12)
