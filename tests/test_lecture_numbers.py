"""Does the engine's core compute the numbers that the lectures print for graphs, gradients and Jacobians?"""

import numpy as np
import pytest
from differences import assert_close

import engine as en


def leaf(value, name=None):
    return en.tensor(np.array(value, "float64"), requires_grad=True, name=name)


def test_lecture_autograd():
    a, b = leaf(4.0), leaf(3.0)
    c = a + b
    c.retain_grad()
    d = a * c
    d.retain_grad()
    d.backward()
    assert [t.grad.item() for t in (a, b, c, d)] == [11.0, 4.0, 4.0, 1.0]
    first = leaf(4.0)
    (first + 3.0).backward()
    assert first.grad.item() == 1.0


def test_lecture_product_of_sum():
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    q.retain_grad()
    f = q * z
    f.backward()
    assert f.item() == -12.0
    assert [t.grad.item() for t in (x, y, z, q)] == [-4.0, -4.0, 3.0, -4.0]


def test_lecture_sigmoid_neuron():
    w, x = leaf([2.0, -3.0, -3.0]), leaf([-1.0, -2.0])
    gates = [w[0] * x[0] + w[1] * x[1] + w[2]]
    gates.append(gates[-1] * -1.0)
    gates.append(gates[-1].exp())
    gates.append(gates[-1] + 1.0)
    gates.append(1.0 / gates[-1])
    for gate in gates:
        gate.retain_grad()
    gates[-1].backward()
    np.testing.assert_allclose([gate.item() for gate in gates], [1.0, -1.0, 0.368, 1.368, 0.731], atol=5e-4)
    np.testing.assert_allclose([gate.grad.item() for gate in gates], [0.197, -0.197, -0.534, -0.534, 1.0], atol=1e-3)
    np.testing.assert_allclose(w.grad.numpy(), [-0.197, -0.393, 0.197], atol=5e-4)
    np.testing.assert_allclose(x.grad.numpy(), [0.393, -0.590], atol=5e-4)
    fused_w, fused_x = leaf([2.0, -3.0, -3.0]), leaf([-1.0, -2.0])
    (fused_w[0] * fused_x[0] + fused_w[1] * fused_x[1] + fused_w[2]).sigmoid().backward()
    assert_close(fused_w.grad.numpy(), w.grad.numpy(), tolerance=1e-12)
    assert_close(fused_x.grad.numpy(), x.grad.numpy(), tolerance=1e-12)


def test_lecture_relu_chain():
    w = [leaf(value) for value in (0.1, -0.2, -0.1)]
    b = [leaf(value) for value in (0.0, 0.1, 0.2)]
    h, z, hidden = en.tensor(np.array(1.0)), [], []
    for weight, bias in zip(w, b, strict=True):
        z.append(weight * h + bias)
        z[-1].retain_grad()
        h = z[-1].relu()
        hidden.append(h.item())
    h.backward()
    np.testing.assert_allclose(hidden, [0.1, 0.08, 0.192], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in z], [0.02, -0.1, 1.0], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in w], [0.02, -0.01, 0.08], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in b], [0.02, -0.1, 1.0], rtol=1e-12)


def test_lecture_skip_graph():
    """dv5/dz2 = dv5/dz4 s'(z2) w24 + dv5/dz3 s'(z2) w23."""
    weights = np.random.default_rng(0).normal(size=8)
    w12, w13, w23, w24, w34, w35, w45, v1 = (leaf(value) for value in weights)
    z2 = w12 * v1
    v2 = z2.sigmoid()
    z3 = w13 * v1 + w23 * v2
    v3 = z3.sigmoid()
    z4 = w24 * v2 + w34 * v3
    v4 = z4.sigmoid()
    z5 = w35 * v3 + w45 * v4
    for z in (z2, z3, z4, z5):
        z.retain_grad()
    z5.sigmoid().backward()
    slope = v2.item() * (1 - v2.item())
    by_hand = z4.grad.item() * slope * w24.item() + z3.grad.item() * slope * w23.item()
    assert z2.grad.item() == pytest.approx(by_hand, rel=1e-12)
    s5 = z5.sigmoid().item()
    s3, s4 = (v.item() * (1 - v.item()) for v in (v3, v4))
    dz5 = s5 * (1 - s5)
    dz4 = dz5 * w45.item() * s4
    dz3 = (dz5 * w35.item() + dz4 * w34.item()) * s3
    assert z4.grad.item() == pytest.approx(dz4, rel=1e-12)
    assert z3.grad.item() == pytest.approx(dz3, rel=1e-12)


def test_lecture_hidden_gradients():
    """dL/dw_kj and dL/dw_ji of a 3-4-2 sigmoid net with a squared loss, written out index by index."""
    generator = np.random.default_rng(0)
    x, t = generator.normal(size=3), generator.normal(size=2)
    hidden, out = generator.normal(size=(3, 4)), generator.normal(size=(4, 2))
    wj, wk = leaf(hidden), leaf(out)
    y = (en.tensor(x[None]) @ wj).sigmoid() @ wk
    y = y.sigmoid()
    en.SquaredError(factor=0.5)(y, t[None]).backward()

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    z = sigmoid(x @ hidden)
    o = sigmoid(z @ out)
    by_hand_k, by_hand_j = np.zeros((4, 2)), np.zeros((3, 4))
    for k in range(2):
        delta_k = (o[k] - t[k]) * o[k] * (1 - o[k])
        for j in range(4):
            by_hand_k[j, k] = delta_k * z[j]
            for i in range(3):
                by_hand_j[i, j] += delta_k * out[j, k] * z[j] * (1 - z[j]) * x[i]
    assert_close(wk.grad.numpy(), by_hand_k, tolerance=1e-12)
    assert_close(wj.grad.numpy(), by_hand_j, tolerance=1e-12)


def test_lecture_two_layer():
    """x.mm(w1).clamp(min=0).mm(w2), sum of squares, rate 1e-6, 500 steps: the trajectory of plain NumPy."""
    n, d_in, h, d_out, rate = 64, 1000, 100, 10, 1e-6
    generator = np.random.default_rng(
        2
    )  # at this rate some starts overshoot in the first steps: this one falls at once
    x, y = generator.normal(size=(n, d_in)), generator.normal(size=(n, d_out))
    w1, w2 = generator.normal(size=(d_in, h)), generator.normal(size=(h, d_out))
    tensors = [en.tensor(value) for value in (x, y)]
    weights = [en.tensor(value, requires_grad=True) for value in (w1, w2)]
    losses, plain = [], []
    for _ in range(500):
        prediction = tensors[0].mm(weights[0]).clamp(min=0).mm(weights[1])
        loss = (prediction - tensors[1]).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with en.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.zero_grad()
        hidden = x @ w1
        active = np.maximum(hidden, 0)
        difference = active @ w2 - y
        plain.append(np.square(difference).sum())
        dactive = 2 * difference @ w2.T
        dactive[hidden < 0] = 0
        w2 -= rate * active.T @ (2 * difference)
        w1 -= rate * x.T @ dactive
    assert np.all(np.diff(losses) < 0)
    np.testing.assert_allclose(losses, plain, rtol=1e-4)


def test_lecture_xor():
    """OR, NAND and AND of sigmoids with the slides' weights, composed into XOR."""
    a, b = en.tensor(np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]))
    either = (20 * a + 20 * b - 10).sigmoid()
    not_both = (-20 * a - 20 * b + 30).sigmoid()
    both = (20 * either + 20 * not_both - 30).sigmoid()
    np.testing.assert_allclose(either.numpy(), [0, 1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(not_both.numpy(), [1, 1, 1, 0], atol=1e-4)
    np.testing.assert_allclose((20 * a + 20 * b - 30).sigmoid().numpy(), [0, 0, 0, 1], atol=1e-4)
    np.testing.assert_allclose(both.numpy(), [0, 1, 1, 0], atol=1e-4)


def test_lecture_weight_penalties():
    """The same score; L2 prefers the spread weights, L1 does not care."""
    x = en.tensor([1.0, 1.0, 1.0, 1.0])
    one, spread = leaf([1.0, 0.0, 0.0, 0.0]), leaf([0.25, 0.25, 0.25, 0.25])
    x = x.to(dtype="float64")
    assert (x @ one).item() == (x @ spread).item() == 1.0
    assert (one**2).sum().item() == 1.0
    assert (spread**2).sum().item() == 0.25
    assert abs(one).sum().item() == abs(spread).sum().item() == 1.0
    assert (0.5 * one**2 + abs(one)).sum().item() == 1.5
    assert (0.5 * spread**2 + abs(spread)).sum().item() == 1.125


def rows_of_the_jacobian(function, x):
    rows = []
    for position in range(function(x).size):
        x.zero_grad()
        incoming = np.zeros(function(x).shape)
        incoming.flat[position] = 1.0
        function(x).backward(incoming)
        rows.append(x.grad.numpy())
    return np.array(rows)


def test_lecture_jacobian():
    generator = np.random.default_rng(0)
    w, v = generator.normal(size=(3, 4)), generator.normal(size=(2, 3))
    x = leaf(generator.normal(size=4))
    np.testing.assert_array_equal(rows_of_the_jacobian(lambda x: en.tensor(w) @ x, x), w)  # y = W x
    row = leaf(generator.normal(size=3))
    np.testing.assert_array_equal(rows_of_the_jacobian(lambda x: x @ w, row), w.T)  # y = x W
    np.testing.assert_allclose(rows_of_the_jacobian(lambda x: en.tensor(v) @ (en.tensor(w) @ x), x), v @ w, rtol=1e-14)
    rows = leaf(generator.normal(size=(2, 3)))  # Y = X W: dY_i / dX_j is 0 for i != j
    jacobian = rows_of_the_jacobian(lambda x: x @ w, rows).reshape(2, 4, 2, 3)
    for i in range(2):
        for j in range(2):
            np.testing.assert_array_equal(jacobian[i, :, j], w.T if i == j else np.zeros((4, 3)))
    weight = leaf(w)  # t_ijk = x_k where i = j
    values = generator.normal(size=4)
    jacobian = rows_of_the_jacobian(lambda weight: weight @ values, weight)
    np.testing.assert_array_equal(jacobian, np.einsum("ij,k->ijk", np.eye(3), values))
