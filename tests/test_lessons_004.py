"""Do the lessons of lecture 004 show its numbers: sigmoids, bumps, folds, the loss table, and backpropagation?"""

import numpy as np
import pytest
from lesson_pages import page, row

import engine as en
from engine import lessons
from engine.lessons.lecture_004 import bumps

W = (-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2)
LOSS = (1.7436, 1.5913, 1.4339, 1.2539, 1.0576, 0.8747, 0.7353, 0.6206, 0.5726)


def sigmoid(z):
    return (1 + np.tanh(z / 2)) / 2


def engine_of(name, quantity, backend):
    return np.asarray(row(name, quantity, backend.device).engine)


def table_of(name, backend, number=0):
    tables = [part for part in page(name, backend.device).parts if isinstance(part, lessons.Table)]
    return tables[number]


def derivative(function, at):
    """By a step along the imaginary axis: no difference of near numbers, so as exact as the function itself."""
    return function(at + 1e-30j).imag / 1e-30


# -- sigmoid-roles -------------------------------------------------------------------------------------


def test_sigmoids_and_ramps_have_their_places_and_slopes(backend):
    o = engine_of("sigmoid-roles", "o(x) for ten w, b", backend)
    assert o.shape == (10, 241)
    at = {x: round((x + 6) / 0.05) for x in (-3, 0, 1, 3)}
    np.testing.assert_allclose(o[:5, at[1]], [0.006692850924, 0.268941421370, 0.5, 0.731058578630, 0.993307149076])
    np.testing.assert_allclose(o[5:, at[0]], [0.002472623157, 0.047425873178, 0.5, 0.952574126822, 0.997527376843])
    assert o[9, at[-3]] == o[5, at[3]] == 0.5, "b = 6 and b = -6 with w = 2: the middle is at x = -3 and 3"
    slopes = engine_of("sigmoid-roles", "do/dx at x = -b / w", backend)
    np.testing.assert_array_equal(slopes, [-1.25, -0.25, 0.25, 1.25, 0.5, 0.5, 0.5, 0.5, 0.5])
    h = engine_of("sigmoid-roles", "ReLU(w x + b) for ten w, b", backend)
    np.testing.assert_allclose(h[:5, at[-3]], [15, 3, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(h[:5, at[3]], [0, 0, 0, 3, 15], atol=1e-12)
    np.testing.assert_allclose(h[5:, at[1]], [0, 0, 2, 5, 8], atol=1e-12)


# -- bumps ---------------------------------------------------------------------------------------------


def test_the_sum_of_bumps_has_the_slides_heights(backend):
    heights = engine_of("bumps", "y at -3a, -2a, … 4a", backend)
    np.testing.assert_array_equal(heights.round(1), [3.1, 2.7, 1.1, -0.8, -1.2, -1.0, 1.2, 2.1])
    y = engine_of("bumps", "y = 3.1 b(x+3a) + … + 2.1 b(x-4a)", backend)
    x = np.linspace(-4, 5, 901)

    def b(x):
        return sigmoid(20 * x + 10) - sigmoid(20 * x - 10)

    slide = 3.1 * b(x + 3) + 2.7 * b(x + 2) + 1.1 * b(x + 1) - 0.8 * b(x) - 1.2 * b(x - 1)
    slide += -1.0 * b(x - 2) + 1.2 * b(x - 3) + 2.1 * b(x - 4)
    np.testing.assert_allclose(y, slide, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(engine_of("bumps", "b(0), b(±a/2), b(±a)", backend).round(3), [1, 0.5, 0.5, 0, 0])


def test_half_the_width_is_twice_the_bumps_and_about_half_the_error(backend):
    rows = np.array(table_of("bumps", backend).rows)
    np.testing.assert_array_equal(rows[:, 0], [1, 0.5, 0.25, 0.125])
    np.testing.assert_array_equal(rows[:, 1], [8, 16, 32, 64])
    np.testing.assert_array_equal(rows[:, 2], [16, 32, 64, 128])
    x = np.linspace(-4, 5, 901)
    x = x[(x >= -3) & (x <= 4)]
    for a, count, _, largest, mean in rows:
        y = np.zeros_like(x)
        for number in range(int(count)):
            centre = -3.5 + a / 2 + number * a
            offset = (x - centre) / a
            bump = sigmoid(20 * offset + 10) - sigmoid(20 * offset - 10)
            y += bumps.curve(np.array([centre])) * bump
        error = np.abs(y - bumps.curve(x))
        assert error.max() == pytest.approx(largest, abs=1e-12)
        assert error.mean() == pytest.approx(mean, abs=1e-12)
    assert (rows[1:, 3:] / rows[:-1, 3:] < 0.6).all()


def test_the_curve_passes_through_the_slides_heights():
    at_places = bumps.curve(np.arange(-3.0, 5.0))
    np.testing.assert_allclose(at_places, [3.1, 2.7, 1.1, -0.8, -1.2, -1.0, 1.2, 2.1], atol=1e-14)


# -- manifold ------------------------------------------------------------------------------------------


def parted_by_a_line(points, labels):
    """The share on the right side of the least-squares line."""
    with_one = np.column_stack([points, np.ones(len(points))])
    line = np.linalg.lstsq(with_one, 2.0 * labels - 1, rcond=None)[0]
    return ((with_one @ line > 0) == labels).mean()


@pytest.mark.parametrize("seed", range(5))
def test_folding_makes_a_straight_line_enough(seed):
    found = lessons.run("manifold", seed=seed)
    assert found.agrees
    values = {row.quantity: row.engine for row in found.rows}
    train, _ = en.data.load("moons", seed=seed, scaling="standardize")
    assert parted_by_a_line(train.x, train.y) < 0.95
    last = np.array(values["h3, all samples"])
    assert last.shape == (320, 2)
    assert parted_by_a_line(last, train.y) > 0.97
    assert float(values["a straight line in the plane"].split("%")[0]) < 95
    assert float(values["a straight line after the folding"].split("%")[0]) > 99


def test_the_manifolds_layers_are_the_slides_sums(backend):
    found = page("manifold", backend.device)
    model, train = found.pictures[0].arguments
    h = train.x.astype(float)
    for layer in (1, 2, 3):
        weight = model.state_dict()[f"{2 * layer - 2}.weight"].numpy()
        bias = model.state_dict()[f"{2 * layer - 2}.bias"].numpy()
        sums = np.zeros((len(h), 2))
        for i in range(2):
            for j in range(2):
                sums[:, i] += weight[j, i] * h[:, j]
            sums[:, i] += bias[i]
        by_the_printed_matrix = np.tanh(h @ weight.T + bias)
        h = np.tanh(sums)
        given = engine_of("manifold", f"h{layer}, all samples", backend)
        np.testing.assert_allclose(given, h, rtol=0, atol=1e-12)
        assert np.abs(given - by_the_printed_matrix).max() > 0.01
    wrong = row("manifold", "h1 with the matrix of W_ji", backend.device)
    assert wrong.verdict == "slide error"
    assert wrong.engine == wrong.right == "σ[Wᵀ · x + b]"


def test_the_manifolds_options_act():
    def layers(**options):
        found = lessons.run("manifold", **options)
        return {row.quantity: np.array(row.engine) for row in found.rows if row.quantity.startswith("h")}

    few = {"epochs": 3}
    base = layers(**few)["h1, all samples"]
    np.testing.assert_array_equal(base, layers(**few)["h1, all samples"])
    for other in ({"seed": 1}, {"learning_rate": 0.01}, {"data": "xor"}, {"epochs": 4}):
        assert np.abs(layers(**few | other)["h1, all samples"] - base).max() > 1e-3, other
    wide = layers(hidden=(5, 3), **few)
    assert {name: h.shape[1] for name, h in wide.items() if h.ndim} == {"h1, all samples": 5, "h2, all samples": 3}


# -- loss-surface --------------------------------------------------------------------------------------

X, Y = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])


def test_the_loss_table(backend):
    for w, printed in zip(W[:8], LOSS[:8], strict=True):
        o = sigmoid(w * X - 0.5)
        np.testing.assert_allclose(engine_of("loss-surface", f"o1 … o4, w = {w:g}", backend), o, rtol=1e-14)
        assert np.square(Y - o.round(2)).sum() == pytest.approx(printed, abs=1e-12)
        assert engine_of("loss-surface", f"Loss, w = {w:g}", backend) == pytest.approx(printed, abs=1e-12)
    rows = np.array(table_of("loss-surface", backend).rows)
    np.testing.assert_array_equal(rows[:, 0], W)
    np.testing.assert_array_equal(rows[:, 1], LOSS)
    unrounded = [1.7346, 1.6040, 1.4420, 1.2555, 1.0600, 0.8776, 0.7288, 0.6242, 0.5627]
    np.testing.assert_array_equal(rows[:, 3].round(4), unrounded)


@pytest.mark.parametrize(
    ("quantity", "slide", "right"),
    [
        ("b in o = σ(w x + b)", 0, -0.5),
        ("o4, w = 2", 0.78, 0.79),
        ("Loss, w = 2", 0.5726, 0.5683),
        ("Loss, w = 2, nothing rounded", 0.5726, 0.5627),
        ("Loss, w = 0, nothing rounded", 1.0576, 1.0600),
        ("C = (1/n) Σ l, w = 0", 1.0576, 0.2650),
    ],
)
def test_what_the_loss_table_has_wrong(quantity, slide, right, backend):
    found = row("loss-surface", quantity, backend.device)
    assert (found.verdict, found.slide, found.right) == ("slide error", slide, right)
    digits = 2 if abs(right) in (0.5, 0.79) else 4
    assert round(found.engine, digits) == right


def test_the_descent_is_that_of_plain_numpy(backend):
    picture = page("loss-surface", backend.device).pictures[0]
    w, b, path = -2.0, -0.5, []
    for _ in range(300):
        path.append((w, b))
        o = sigmoid(w * X + b)
        pull = -2 / 4 * (Y - o) * o * (1 - o)
        w, b = w - pull @ X, b - pull.sum()
    np.testing.assert_allclose(picture.options["paths"]["descent"], path, rtol=0, atol=1e-12)
    across, along, surface = picture.arguments
    for i, j in ((0, 0), (10, 40), (45, 60)):
        cost = np.square(Y - sigmoid(across[j] * X + along[i])).mean()
        assert surface[i, j] == pytest.approx(cost, abs=1e-14)


def test_the_descents_options_act():
    def path(**options):
        return lessons.run("loss-surface", **options).pictures[0].options["paths"]["descent"]

    assert len(path(epochs=20)) == 20
    far, near = path(epochs=20, learning_rate=2.0), path(epochs=20, learning_rate=0.5)
    np.testing.assert_allclose(np.subtract(far[1], far[0]), 4 * np.subtract(near[1], near[0]), rtol=1e-9)
    wild = lessons.run("loss-surface", learning_rate=500.0, epochs=20)
    assert [row.quantity for row in wild.rows if not row.agrees] == ["C along the descent"]


# -- relu-chain ----------------------------------------------------------------------------------------


def test_the_relu_chain(backend):
    slide = {
        **{"z1, forward": 0.1, "h1, forward": 0.1, "z2, forward": 0.08, "h2, forward": 0.08},
        **{"z3, forward": 0.192, "h3, forward": 0.192},
        **{"∂h3/∂z3": 1, "∂h3/∂z2": -0.1, "∂h3/∂z1": 0.02},
        **{"∂h3/∂w3": 0.08, "∂h3/∂w2": -0.01, "∂h3/∂w1": 0.02},
        **{"∂h3/∂b3": 1, "∂h3/∂b2": -0.1, "∂h3/∂b1": 0.02},
    }
    for quantity, value in slide.items():
        assert engine_of("relu-chain", quantity, backend) == pytest.approx(value, rel=1e-14), quantity
    wrong = row("relu-chain", "σ(z2) = 0.08 is called", backend.device)
    assert (wrong.verdict, wrong.slide, wrong.right, wrong.engine) == ("slide error", "h1", "h2", "h2")


# -- skip-graph ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_skip_graphs_gradients_are_its_derivatives(seed):
    v1, w12, w23, w34, w24, w45 = np.random.default_rng(seed).uniform(-2, 2, 6).round(1)

    def from_z5(z5):
        return sigmoid(z5)

    def from_z4(z4):
        return from_z5(w45 * sigmoid(z4))

    def from_z2(z2, w24=w24):
        v2 = sigmoid(z2)
        return from_z4(w34 * sigmoid(w23 * v2) + w24 * v2)

    v2 = sigmoid(w12 * v1)
    z3 = w23 * v2
    z4 = w34 * sigmoid(z3) + w24 * v2
    by_hand = {
        "∂v5/∂z5": derivative(from_z5, w45 * sigmoid(z4)),
        "∂v5/∂z4": derivative(from_z4, z4),
        "∂v5/∂z3": derivative(lambda z3: from_z4(w34 * sigmoid(z3) + w24 * v2), z3),
        "∂v5/∂z2, both terms": derivative(from_z2, w12 * v1),
        "∂v5/∂z2, sum over routes": derivative(from_z2, w12 * v1),
        "∂v5/∂w24": derivative(lambda w24: from_z2(w12 * v1, w24), w24),
        "∂v5/∂w12": derivative(lambda w12: from_z2(w12 * v1), w12),
    }
    found = {row.quantity: row.engine for row in lessons.run("skip-graph", seed=seed).rows}
    for quantity, value in by_hand.items():
        assert found[quantity] == pytest.approx(value, rel=0, abs=1e-12), quantity
    skip, deep = found["the two routes from z2"]
    assert skip + deep == pytest.approx(by_hand["∂v5/∂z2, both terms"], rel=0, abs=1e-12)
    slope = v2 * (1 - v2)
    assert skip == pytest.approx(by_hand["∂v5/∂z4"] * slope * w24, rel=0, abs=1e-12)
    assert deep == pytest.approx(by_hand["∂v5/∂z3"] * slope * w23, rel=0, abs=1e-12)


def test_the_skip_graphs_routes(backend):
    routes = [route for route, _ in table_of("skip-graph", backend).rows]
    assert routes == ["z2 → v2 → z4 → v4 → z5 → v5", "z2 → v2 → z3 → v3 → z4 → v4 → z5 → v5"]


# -- compute-and-store ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_to_the_gradients_are_the_derivatives(seed):
    x, *parameters = np.random.default_rng(seed).uniform(-2, 2, 7)

    def v3(changed, by=0.0):
        w1, w2, w3, b1, b2, b3 = np.array(parameters, dtype=complex) + by * (np.arange(6) == changed)
        return sigmoid(w3 * sigmoid(w2 * sigmoid(w1 * x + b1) + b2) + b3)

    w1, w2, w3, b1, b2, b3 = (v3(number, 1e-30j).imag / 1e-30 for number in range(6))
    found = {row.quantity: row for row in lessons.run("compute-and-store", seed=seed).rows}
    for quantity, value in {
        **{"∂v3/∂w3, long product": w3, "∂v3/∂w2, long product": w2, "∂v3/∂w1, long product": w1},
        **{"∂v3/∂z3, stored": b3, "∂v3/∂z2, stored": b2, "∂v3/∂z1, stored": b1},  # ∂z/∂b is 1
        **{"∂v3/∂b3 = ∂v3/∂z3": b3, "∂v3/∂b2 = ∂v3/∂z2": b2, "∂v3/∂b1 = ∂v3/∂z1": b1},
        **{"∂v3/∂w3 = ∂v3/∂z3 v2": w3, "∂v3/∂w2 = ∂v3/∂z2 v1": w2},
    }.items():
        assert found[quantity].engine == pytest.approx(value, rel=0, abs=1e-12), quantity
    # Printed for ∂v3/∂w1: the product for w2, and the derivative of v1.
    first = sigmoid(parameters[0] * x + parameters[3])
    for quantity, printed in (
        ("∂v3/∂w1 = σ'(z3) w3 ∂v2/∂w2", w2),
        ("∂v3/∂w1 = ∂v1/∂z1 x", first * (1 - first) * x),
    ):
        assert found[quantity].verdict == "slide error"
        assert found[quantity].slide == pytest.approx(printed, rel=0, abs=1e-12)
        assert found[quantity].engine == pytest.approx(w1, rel=0, abs=1e-12)


def test_factors_grow_with_the_square_or_with_the_depth(backend):
    long, stored = [], []
    for n in range(1, 51):
        chain = [["slope", "input"] for _ in range(n)]  # ∂v_n/∂z_n, times v_(n-1); each layer below adds w and σ'
        products = [["slope", "weight"] * (n - 1 - layer) + chain[layer] for layer in range(n)]
        long.append(sum(map(len, products)))
        stored.append(1 + 2 * (n - 1) + n)  # σ' of the last layer, w σ' of the others, v of each
    np.testing.assert_array_equal(engine_of("compute-and-store", "factors, long products, n = 1 … 50", backend), long)
    once = engine_of("compute-and-store", "factors, compute and store, n = 1 … 50", backend)
    np.testing.assert_array_equal(once, stored)
    assert [(long[n - 1], stored[n - 1]) for n in (1, 3, 50)] == [(2, 2), (12, 8), (2550, 149)]
    ratios = engine_of("compute-and-store", "stored / long product, 50 weights", backend)
    np.testing.assert_allclose(ratios, np.ones(50), rtol=0, atol=1e-12)
