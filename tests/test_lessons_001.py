"""Do the lessons of lecture 001 come to its numbers? XOR, notation, autograd, circle, Jacobians, two layers."""

import numpy as np
import pytest
from lesson_pages import REDUCED, page, row

import engine as en
from engine import lessons


def engine_of(name, quantity, backend):
    return np.array(row(name, quantity, backend.device).engine)


def tables(name, device="cpu"):
    return {part.title: part for part in page(name, device).parts if isinstance(part, lessons.Table)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# -- xor -----------------------------------------------------------------------------------------------


def test_xor_is_composed_of_or_and_nand(backend):
    quantities = ("OR of 00, 01, 10, 11", "NAND of 00, 01, 10, 11", "AND of 00, 01, 10, 11", "XOR of 00, 01, 10, 11")
    truth = [[0, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    for quantity, right in zip(quantities, truth, strict=True):
        found = row("xor", quantity, backend.device)
        assert found.slide == right
        np.testing.assert_allclose(found.engine, right, rtol=0, atol=1e-4)
    # 1 / (1 + e^10) is the 0 of the slide.
    assert engine_of("xor", quantities[0], backend)[0] == pytest.approx(4.5397868702434395e-05, rel=1e-12)
    np.testing.assert_allclose(
        engine_of("xor", "XOR as a 2-2-1 network", backend), engine_of("xor", quantities[3], backend), rtol=1e-12
    )


def test_xor_is_learned_from_data(backend):
    assert engine_of("xor", "XOR learned, 00, 01, 10, 11", backend).tolist() == [0, 1, 1, 0]
    learned = page("xor", backend.device).pictures[2].arguments[0]
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    (w1, b1), (w2, b2) = ((part.weight.numpy(), part.bias.numpy()) for part in (learned[0], learned[2]))
    assert w1.shape == (2, 4)
    assert ((sigmoid(corners @ w1 + b1) @ w2 + b2)[:, 0] > 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_xor_is_learned_from_every_seed(seed):
    assert lessons.run("xor", seed=seed).agrees


def test_options_of_xor():
    def learned(**options):
        *_, regions, history = lessons.run("xor", **options).pictures
        return regions.arguments[0], history.arguments[0]

    model, history = learned(epochs=3)
    wide, _ = learned(epochs=3, hidden=7)
    assert (model[0].out_features, wide[0].out_features, len(history)) == (4, 7, 3)
    for other in ({"seed": 1}, {"learning_rate": 0.2}):
        assert learned(epochs=3, **other)[1]["loss"] != history["loss"]


# -- notation ------------------------------------------------------------------------------------------


def test_shapes_of_a_3_4_1_network(backend):
    shapes = {"A[0]": [5, 3], "W[1]": [3, 4], "b[1]": [4], "Z[1]": [5, 4]}
    shapes |= {"A[1]": [5, 4], "W[2]": [4, 1], "b[2]": [1], "Z[2]": [5, 1]}
    for letter, shape in shapes.items():
        found = row("notation", f"shape of {letter}", backend.device)
        assert found.slide == found.engine == shape
    (table,) = tables("notation", backend.device).values()
    assert table.rows == ((1, "5 × 3", "3 × 4", "4", "5 × 4"), (2, "5 × 4", "4 × 1", "1", "5 × 1"))


def test_a_layer_is_a_product_a_bias_and_a_sigmoid(backend):
    """The same draws again, and every neuron by its own sum."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((5, 3))
    before = x
    for number, (k, n) in enumerate(((3, 4), (4, 1)), 1):
        w, b = generator.standard_normal((k, n)), generator.standard_normal(n)
        z = [[sum(before[i, p] * w[p, q] for p in range(k)) + b[q] for q in range(n)] for i in range(5)]
        if number == 1:
            z11 = engine_of("notation", "z₁[1] of one sample, term by term", backend)
            assert z11 == pytest.approx(z[0][0], rel=1e-12)
            np.testing.assert_allclose(engine_of("notation", "a₁[1] = σ(z₁[1])", backend), sigmoid(z[0][0]))
            for form in ("z[1] = W[1]ᵀ x + b[1], a column", "z[1]ᵀ = xᵀ W[1] + b[1]ᵀ, a row"):
                np.testing.assert_allclose(engine_of("notation", form, backend), z[0], rtol=1e-12)
        before = sigmoid(np.array(z))
        quantity = f"A[{number}] = σ(A[{number - 1}] W[{number}] + B[{number}])"
        np.testing.assert_allclose(engine_of("notation", quantity, backend), before, rtol=1e-12)
    np.testing.assert_allclose(engine_of("notation", "the whole network, engine's layers", backend), before, rtol=1e-12)


def test_weights_of_the_row_notation_are_columns():
    found = row("notation", "shape of W[1] in row notation")
    assert (found.slide, found.right, found.engine, found.verdict) == ([4, 3], [3, 4], [3, 4], "slide error")


def test_options_of_notation():
    deep = lessons.run("notation", hidden=(6, 2))
    assert deep.agrees
    shapes = {found.quantity: found.engine for found in deep.rows if found.quantity.startswith("shape of W[")}
    assert [shapes[f"shape of W[{number}]"] for number in (1, 2, 3)] == [[3, 6], [6, 2], [2, 1]]
    assert lessons.run("notation", seed=1).rows[0].engine != page("notation").rows[0].engine


# -- autograd ------------------------------------------------------------------------------------------


def test_autograd(backend):
    numbers = {"c = a + b": 7, "d = a · c": 28, "∂c/∂a": 1, "∂d/∂d": 1, "∂d/∂c, backward pass": 4}
    for way in ("backward pass", "sum over routes"):
        numbers |= {f"∂d/∂a, {way}": 11, f"∂d/∂b, {way}": 4}
    found = {one.quantity: one.engine for one in page("autograd", backend.device).rows}
    assert found == numbers
    (routes,) = tables("autograd", backend.device).values()
    assert sorted(product for _, product in routes.rows) == [4, 7]  # 1 · a through c, and c


# -- circle --------------------------------------------------------------------------------------------


def descent_on_a_circle(epochs, rate=0.1, seed=0):
    """Plain NumPy: gradients of the mean loss by hand, weights before each epoch, and what is found."""
    options = {"samples": 600, "centre": (1.0, -0.5), "radius": 2.0, "seed": seed, "dtype": "float64"}
    data, _ = en.data.load("circle", **options)
    w, gradients = np.array([1.0, 0.0, 0.0]), []
    for _ in range(epochs):
        offset = data.x - w[1:]
        error = sigmoid((offset**2).sum(axis=1) - w[0] ** 2) - data.y
        gradients.append([(error * slope).mean() for slope in (-2 * w[0], *(-2 * offset.T))])
        w = w - rate * np.array(gradients[-1])
    return data, gradients, w


def test_one_sample_of_the_circle(backend):
    data, _, _ = descent_on_a_circle(0)
    x1, x2 = data.x[0]
    slopes = engine_of("circle", "∂z/∂w₀, ∂z/∂w₁, ∂z/∂w₂", backend)
    np.testing.assert_allclose(slopes, [-2, -2 * x1, -2 * x2], rtol=1e-12)
    y_hat = sigmoid(x1**2 + x2**2 - 1)
    loss = -np.log(y_hat if data.y[0] else 1 - y_hat)
    assert engine_of("circle", "Loss of one sample", backend) == pytest.approx(loss, rel=1e-12)


def test_gradients_of_samples_add_up_to_that_of_the_batch(backend):
    _, gradients, _ = descent_on_a_circle(2)
    found = row("circle", "gradients by sample, as a batch", backend.device)
    assert found.difference <= found.tolerance == 1e-12
    np.testing.assert_allclose(found.slide, gradients, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.engine, gradients, rtol=0, atol=1e-12)


def test_centre_and_radius_are_found(backend):
    _, _, (radius, *centre) = descent_on_a_circle(REDUCED["circle"]["epochs"])
    found = row("circle", "radius found, |w₀|", backend.device)
    assert found.slide == 2.0
    assert found.engine == pytest.approx(radius, rel=1e-9)
    assert abs(found.engine - 2.0) < 0.1
    found = row("circle", "centre found, (w₁, w₂)", backend.device)
    assert found.slide == [1.0, -0.5]
    np.testing.assert_allclose(found.engine, centre, rtol=1e-9)
    np.testing.assert_allclose(found.engine, [1.0, -0.5], rtol=0, atol=0.1)


def test_slide_errors_of_the_circle(backend):
    step = row("circle", "the step that lowers the loss", backend.device)
    assert (step.slide, step.engine) == ("w + rate · grad / m", "w − rate · grad / m")
    data, ((*gradient,), *_), _ = descent_on_a_circle(1)

    def loss(w):
        z = ((data.x - w[1:]) ** 2).sum(axis=1) - w[0] ** 2
        return (np.logaddexp(0, z) - data.y * z).mean()

    start, gradient = np.array([1.0, 0.0, 0.0]), np.array(gradient)
    (table,) = tables("circle", backend.device).values()
    losses = [loss(start), loss(start + 0.01 * gradient), loss(start - 0.01 * gradient)]
    np.testing.assert_allclose([value for _, value in table.rows], losses, rtol=1e-9)
    assert losses[2] < losses[0] < losses[1]
    border = row("circle", "ŷ where z = 0.5", backend.device)
    assert (border.slide, border.verdict) == (0.5, "slide error")
    assert border.engine == pytest.approx(0.6224593312018546, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_circle_is_found_from_every_seed(seed):
    assert lessons.run("circle", seed=seed, epochs=150).agrees


def test_options_of_the_circle():
    for options in ({"seed": 3}, {"learning_rate": 0.05}, {"epochs": 20}):
        run = lessons.run("circle", **{"epochs": 40, **options})
        names = {"learning_rate": "rate"}
        _, _, w = descent_on_a_circle(**{"epochs": 40, **{names.get(key, key): one for key, one in options.items()}})
        found = next(one for one in run.rows if one.quantity.startswith("centre found"))
        np.testing.assert_allclose(found.engine, w[1:], rtol=1e-9)


# -- vectorised ----------------------------------------------------------------------------------------


def test_a_batch_is_one_pass_and_has_the_gradient_of_the_loop(backend):
    found = row("vectorised", "gradient / m of 1024 samples", backend.device)
    assert len(found.engine) == 2 * 8 + 8 + 8 + 1
    np.testing.assert_allclose(found.engine, found.slide, rtol=0, atol=1e-12)
    assert np.abs(found.engine).max() > 1e-3
    passes = [row("vectorised", f"passes of an epoch, {way}", backend.device) for way in ("per sample", "as a batch")]
    assert [one.engine for one in passes] == [1024, 1]
    (table,) = tables("vectorised", backend.device).values()
    times = [[float(one) for one in line[1:3]] for line in table.rows]
    assert [line[0] for line in table.rows] == [1, 4, 16, 64, 256, 1024]
    assert times[-1][0] > 5 * times[-1][1]  # measured; it is in the hundreds
    assert float(table.rows[-1][3].split()[0]) == pytest.approx(times[-1][0] / times[-1][1], rel=0.02)


def test_the_vectorised_gradient_by_hand():
    """Of the 2-8-1 network: mean over the samples of (ŷ − y) times the slopes of tanh."""
    data, _ = en.data.load("circle", samples=2048, seed=0, dtype="float64")
    x, y = data.x[:1024], data.y[:1024, None]
    en.seed(0)
    first, second = en.Linear(2, 8), en.Linear(8, 1)
    w1, w2 = (layer.weight.numpy().astype(float) for layer in (first, second))
    hidden = np.tanh(x @ w1)
    error = sigmoid(hidden @ w2) - y
    back = error @ w2.T * (1 - hidden**2)
    by_hand = [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
    found = row("vectorised", "gradient / m of 1024 samples").engine
    np.testing.assert_allclose(found, np.concatenate([one.ravel() for one in by_hand]) / 1024, rtol=0, atol=1e-12)


def test_options_of_vectorised():
    wide = lessons.run("vectorised", hidden=12, epochs=1)
    assert wide.agrees
    assert len(wide.rows[0].engine) == 4 * 12 + 1
    assert lessons.run("vectorised", seed=1, epochs=1).rows[0].engine != page("vectorised").rows[0].engine


# -- jacobian ------------------------------------------------------------------------------------------

W = [[11, 12, 13], [21, 22, 23], [31, 32, 33], [41, 42, 43]]
ACROSS = [[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34]]


def test_jacobians_are_exact(backend):
    exact = {
        "y = W x: ∂y₂/∂x₃ = w₂,₃": 23,
        "y = W x: dy/dx = W": W,
        "y = x W: dy/dx, rows index outputs": [[11, 21, 31], [12, 22, 32], [13, 23, 33], [14, 24, 34]],
        "y = x W: dy/dx, rows index inputs": ACROSS,
        "∂y₂/∂w₁,₃": 0,
        "∂y₂/∂w₂,₃ = x₃": 3,
        "∂yᵢ/∂Wᵢ = x, for each i": [[1, 2, 3]] * 4,
        "Y = X W: ∂Y₂/∂X₂, rows index inputs": ACROSS,
        "Y = X W: ∂Yᵢ/∂Xⱼ if i ≠ j": np.zeros((6, 4, 3)).tolist(),
        "y = V W x: dz/dx = W": W,
        "y = V W x: dy/dz = V": [[11, 12, 13, 14], [21, 22, 23, 24]],
        "y = V W x: dy/dx = V W": [[1350, 1400, 1450], [2390, 2480, 2570]],
    }
    for quantity, numbers in exact.items():
        found = row("jacobian", quantity, backend.device)
        assert found.slide == found.engine == numbers
        assert found.tolerance == 0


def test_the_derivative_by_a_matrix_has_three_axes(backend):
    t = engine_of("jacobian", "tᵢⱼₖ = ∂yᵢ/∂wₖⱼ", backend)
    assert t.shape == (4, 3, 4)
    for i, j, k in np.ndindex(t.shape):
        assert t[i, j, k] == (j + 1 if i == k else 0)


def test_slide_errors_of_the_jacobian(backend):
    wrong = {
        "y = x W: shape of dy/dx": ([3, 4], [4, 3]),
        "y = x W: ∂y₂/∂x₃": (23, 32),
        "where ∂y₂/∂W is not 0": ([[0, 1, 0]] * 4, [[0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]]),
        "t₂,₂,₃ in the drawn T: ∂y₂/∂w₂,₃": (0, 3),
    }
    for quantity, (slide, right) in wrong.items():
        found = row("jacobian", quantity, backend.device)
        assert (found.slide, found.right, found.engine, found.verdict) == (slide, right, right, "slide error")


# -- two-layer -----------------------------------------------------------------------------------------


def two_layers(epochs, rate=1e-6, seed=2):
    """The losses, by plain NumPy: derivatives of Σ (max(0, x w₁) w₂ − y)² by hand."""
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((64, 1000)), generator.standard_normal((64, 10))
    w1, w2 = generator.standard_normal((1000, 100)), generator.standard_normal((100, 10))
    losses = []
    for _ in range(epochs):
        z = x @ w1
        error = np.where(z > 0, z, 0) @ w2 - y
        losses.append(np.sum(error * error))
        back = np.where(z > 0, 2 * error @ w2.T, 0)
        w1, w2 = w1 - rate * x.T @ back, w2 - rate * 2 * np.where(z > 0, z, 0).T @ error
    return np.array(losses), w1, w2


def shown_losses(run):
    return np.array(run.pictures[0].arguments[1]["engine"])


def test_two_layers_take_the_way_of_plain_numpy(backend):
    epochs = REDUCED["two-layer"]["epochs"]
    losses, w1, w2 = two_layers(epochs)
    found = shown_losses(page("two-layer", backend.device))
    assert len(found) == epochs
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    share = row("two-layer", "loss of each step, as a share of NumPy's", backend.device)
    assert share.slide == [1.0] * epochs
    assert share.difference <= share.tolerance == 1e-4
    for name, weight in (("w₁", w1), ("w₂", w2)):
        norm = engine_of("two-layer", f"‖{name}‖ after the last step", backend)
        assert norm == pytest.approx(np.sqrt(np.sum(weight * weight)), rel=1e-4)


def test_the_loss_falls_at_every_one_of_500_steps():
    run = lessons.run("two-layer")
    losses = shown_losses(run)
    assert len(losses) == 500
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 1e-6 * losses[0]
    np.testing.assert_allclose(losses, two_layers(500)[0], rtol=1e-4)
    assert run.agrees
    assert run.rows[0].engine == 500
    assert next(one for one in run.rows if one.quantity == "the loss falls").engine == "at every step"


def test_slide_errors_of_the_listing(backend):
    steps = row("two-layer", "steps of: for t in (500)", backend.device)
    assert (steps.slide, steps.right, steps.engine) == (0, 60, 60)
    shape = row("two-layer", "shape of the loss", backend.device)
    assert (shape.slide, shape.engine, shape.verdict) == ("(1,)", "()", "slide error")


def test_options_of_two_layers():
    run = lessons.run("two-layer", seed=0, epochs=8)  # from here the first steps overshoot
    losses = shown_losses(run)
    np.testing.assert_allclose(losses, two_layers(8, seed=0)[0], rtol=1e-9)
    assert (np.flatnonzero(np.diff(losses) > 0) + 1).tolist() == [2, 3]
    assert next(one for one in run.rows if one.quantity == "the loss falls").engine == "at every step after step 3"
    slow = shown_losses(lessons.run("two-layer", learning_rate=5e-7, epochs=8))
    np.testing.assert_allclose(slow, two_layers(8, rate=5e-7)[0], rtol=1e-9)
