"""Jacobian: the derivative of every output by every input, in one matrix or one block of numbers.

    y = W x      dy/dx = W       ∂yᵢ/∂xⱼ = wᵢⱼ
    y = x W      dy/dx = Wᵀ      ∂yᵢ/∂xⱼ = wⱼᵢ;  W itself, where rows index inputs
    y = W x      dy/dW = T       tᵢⱼₖ = ∂yᵢ/∂wₖⱼ = xⱼ if i = k, else 0;  (4 × 3 × 4)
    Y = X W                      ∂Yᵢ/∂Xᵢ as of y = x W;  ∂Yᵢ/∂Xⱼ = 0 if i ≠ j
    y = V W x    dy/dx = V W     dy/dz · dz/dx

Lecture 001, "Derivatives with respect to a vector" to "The chain rule".
"""

import numpy as np

import engine as en
from engine.lessons.page import Page


def numbered(rows: int, columns: int) -> np.ndarray:
    """A matrix whose numbers tell their places: w₂,₃ is 23."""
    return np.add.outer(10.0 * np.arange(1, rows + 1), np.arange(1, columns + 1))


def run(page: Page) -> None:
    def tensor(values):
        return en.tensor(values, dtype="float64", device=page.device)

    # y = W x, a column: four outputs of three inputs.
    W, x = numbered(4, 3), np.array([1.0, 2.0, 3.0])
    dy_dx = en.jacobian(lambda x: tensor(W) @ x, tensor(x)).numpy()
    page.compare("y = W x: ∂y₂/∂x₃ = w₂,₃", 23, dy_dx[1, 2], tolerance=0)
    page.compare("y = W x: dy/dx = W", W, dy_dx, tolerance=0)

    # y = x W, a row: the slide gives W again.
    across = numbered(3, 4)
    dy_dx = en.jacobian(lambda x: x @ tensor(across), tensor(x)).numpy()
    why = {"reason": "With a row for each output, as on the slide before, it is Wᵀ, and not W."}
    page.correct("y = x W: shape of dy/dx", (3, 4), (4, 3), dy_dx.shape, tolerance=0, **why)
    page.correct("y = x W: ∂y₂/∂x₃", 23, 32, dy_dx[1, 2], tolerance=0, **why)
    page.compare("y = x W: dy/dx, rows index outputs", across.T, dy_dx, tolerance=0)
    page.compare("y = x W: dy/dx, rows index inputs", across, dy_dx.T, tolerance=0)

    # dy/dW: the engine has the indices of y, then those of W: dy_dW[i, k, j] is ∂yᵢ/∂wₖⱼ.
    dy_dW = en.jacobian(lambda weight: weight @ tensor(x), tensor(W)).numpy()
    t = dy_dW.transpose(0, 2, 1)
    pattern = [[[x[j] if i == k else 0 for k in range(4)] for j in range(3)] for i in range(4)]
    page.compare("∂y₂/∂w₁,₃", 0, dy_dW[1, 0, 2], tolerance=0)
    page.compare("∂y₂/∂w₂,₃ = x₃", 3, dy_dW[1, 1, 2], tolerance=0)
    page.correct(
        "where ∂y₂/∂W is not 0",
        [[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]],
        [[0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]],
        (dy_dW[1] != 0).astype(int),
        tolerance=0,
        reason="The slide says W's second column; the sum of y₂ has its second row, w₂,ⱼ.",
    )
    page.compare("tᵢⱼₖ = ∂yᵢ/∂wₖⱼ", pattern, t, tolerance=0)
    page.correct(
        "t₂,₂,₃ in the drawn T: ∂y₂/∂w₂,₃",
        0,
        3,
        dy_dW[1, 1, 2],
        tolerance=0,
        reason="xⱼ if i = k is for ∂yᵢ/∂wₖⱼ; the T that is drawn has ∂yᵢ/∂wⱼₖ: xₖ if i = j.",
    )
    compact = [dy_dW[i, i] for i in range(4)]
    page.compare("∂yᵢ/∂Wᵢ = x, for each i", np.tile(x, (4, 1)), compact, tolerance=0)

    # Y = X W: three samples, one a row.
    X = numbered(3, 3)
    dY_dX = en.jacobian(lambda rows: rows @ tensor(across), tensor(X)).numpy()
    own = dY_dX[1, :, 1, :].T
    others = [dY_dX[i, :, j, :] for i in range(3) for j in range(3) if i != j]
    page.compare("Y = X W: ∂Y₂/∂X₂, rows index inputs", across, own, tolerance=0)
    page.compare("Y = X W: ∂Yᵢ/∂Xⱼ if i ≠ j", np.zeros((6, 4, 3)), others, tolerance=0)

    # y = V W x: the chain rule multiplies Jacobians.
    V = numbered(2, 4)
    first, second, start = tensor(W), tensor(V), tensor(x).requires_grad_()
    z = first @ start
    y = second @ z
    for one, name in zip((first, second, start, z, y), "WVxzy", strict=True):
        one.name = name
    graph = en.graph(y)
    page.compare("y = V W x: dz/dx = W", W, graph.derivative(start, z), tolerance=0)
    page.compare("y = V W x: dy/dz = V", V, graph.derivative(z, y), tolerance=0)
    page.compare("y = V W x: dy/dx = V W", V @ W, graph.derivative(start, y), tolerance=0)

    page.say("Every matrix here has numbers that tell their places: w₂,₃ = 23; and x = (1, 2, 3).")
    page.draw(
        "Only row i of W reaches yᵢ; there the derivative is x = (1, 2, 3)",
        en.plot.images,
        dy_dW,
        [f"∂y{i}/∂W" for i in "₁₂₃₄"],
        title="dy/dW of y = W x",
        diverging=True,
    )
    page.draw(
        "A sample's outputs depend on this sample alone: blocks of Wᵀ on the diagonal",
        en.plot.images,
        dY_dX.reshape(1, 12, 9),
        ["∂Y/∂X, 12 × 9"],
        title="dY/dX of Y = X W",
        diverging=True,
    )
    page.draw("The chain rule: W, then V", en.plot.graph, graph, labels="derivatives")
