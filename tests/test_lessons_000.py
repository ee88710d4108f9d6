"""Do the lessons of lecture 000 find what plain NumPy, or a calculation by hand, finds?"""

import math

import lesson_pages
import numpy as np
import pytest

import engine as en
from engine import lessons


def found(name, quantity, backend):
    """What the engine found, in the row of that name."""
    return lesson_pages.row(name, quantity, backend.device).engine


def picture(page, caption):
    """The one picture whose caption begins so."""
    (one,) = [picture for picture in page.pictures if picture.caption.startswith(caption)]
    return one


def table(page, title):
    (one,) = [part for part in page.parts if isinstance(part, lessons.Table) and part.title.startswith(title)]
    return one.rows


def sigma(s):
    return 1 / (1 + np.exp(-s))


# -- least squares -------------------------------------------------------------------------------------


def samples_of(page):
    return picture(page, "Both lines lie on each other").options["points"]["samples"]


def path_of(page):
    return picture(page, "The loss is a bowl").options["paths"]["gradient descent"]


def test_least_squares_is_the_straight_line_through_the_samples(backend):
    x, y = samples_of(lesson_pages.page("least-squares", backend.device))
    slope, bias = np.polyfit(x, y, 1)
    assert found("least-squares", "parameters for d = 1: d + 1", backend) == 2
    w = found("least-squares", "w = (XᵀX)⁻¹Xᵀy, by descent", backend)
    np.testing.assert_allclose(w, [bias, slope], atol=1e-6)
    smallest = np.mean((bias + slope * x - y) ** 2)
    assert found("least-squares", "L(w) = 1/ℓ ‖Xw - y‖² there", backend) == pytest.approx(smallest, abs=1e-6)


def test_least_squares_descends_along_the_gradient(backend):
    page = lesson_pages.page("least-squares", backend.device)
    (x, y), path = samples_of(page), path_of(page)
    b, w = -1.0, -1.0
    for step in range(4):
        np.testing.assert_allclose(path[step], [b, w], atol=1e-12)
        error = b + w * x - y
        b, w = b - 0.3 * 2 * np.mean(error), w - 0.3 * 2 * np.mean(error * x)


def test_least_squares_measures_the_inverse_and_the_step():
    rows = table(lesson_pages.page("least-squares"), "What it costs")
    assert [row[0] for row in rows] == [10, 20, 50, 100, 200, 500]
    assert all(min(row[1:]) > 0 for row in rows)


def test_least_squares_follows_its_options():
    default = lesson_pages.page("least-squares")
    assert len(path_of(default)) == 151
    slow = lessons.run("least-squares", learning_rate=0.1, epochs=7)
    assert len(path_of(slow)) == 8
    np.testing.assert_allclose(path_of(slow)[1] + 1, (path_of(default)[1] + 1) / 3, rtol=1e-12)
    assert not slow.agrees, "seven small steps do not reach the minimum"
    other = lessons.run("least-squares", seed=1)
    assert other.agrees
    assert not np.array_equal(samples_of(other)[0], samples_of(default)[0])


# -- linear classifier ---------------------------------------------------------------------------------


@pytest.fixture
def digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    return en.data.load("digits", seed=0)[1]


def test_linear_classifier_by_the_slides_formulas(backend, digits):
    page = lesson_pages.page("linear-classifier", backend.device)
    w = picture(page, "Each w_k is a template").arguments[0].reshape(10, 64)
    total, right = 0.0, 0
    for x, y in zip(digits.x.astype(float), digits.y, strict=True):
        z = [float(np.dot(w[k], x)) for k in range(10)]
        right += z.index(max(z)) == y
        total -= z[y] - math.log(sum(math.exp(one) for one in z))
    accuracy = found("linear-classifier", "accuracy 1/ℓ Σ [a(xᵢ) = yᵢ], test", backend)
    assert accuracy == pytest.approx(right / len(digits), abs=1e-12)
    loss = found("linear-classifier", "L(w) = - Σᵢ log σ(zᵢ)_yᵢ, test", backend)
    assert loss == pytest.approx(total, abs=1e-4)
    part, mean, share = table(page, "The classifier on digits")[1]
    assert (part, share) == ("test", accuracy)
    assert mean == pytest.approx(loss / len(digits), rel=1e-9)
    assert accuracy > 0.93
    assert mean < 0.3
    assert found("linear-classifier", "parameters: K · d", backend) == 10 * 64
    assert found("linear-classifier", "cross-entropy of w = 0: log K", backend) == pytest.approx(math.log(10))

    z = [float(np.dot(w[k], digits.x[0].astype(float))) for k in range(10)]
    powers = [math.exp(one) for one in z]
    np.testing.assert_allclose(found("linear-classifier", "logits z of a test sample", backend), z, atol=1e-6)
    softmax = [power / sum(powers) for power in powers]
    np.testing.assert_allclose(found("linear-classifier", "softmax σ(z)", backend), softmax, atol=1e-6)
    for quantity in ("- Σ_k [y = k] log σ(z)_k", "- log σ(z)_y"):
        value = found("linear-classifier", quantity, backend)
        assert value == pytest.approx(-math.log(softmax[digits.y[0]]), abs=1e-6)
    matrix = picture(page, "Which class is taken for which").arguments[0]
    assert np.trace(matrix) == right
    assert matrix.sum() == len(digits)
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(digits.y))


@pytest.mark.usefixtures("digits")
def test_linear_classifier_tells_that_its_loss_has_no_bias():
    row = lesson_pages.row("linear-classifier", "what the loss depends on")
    assert (row.verdict, row.slide, row.right, row.engine) == ("slide error", "w, b", "w", "w")


@pytest.mark.usefixtures("digits")
def test_linear_classifier_follows_its_options():
    def losses(**options):
        page = lessons.run("linear-classifier", **options)
        assert page.agrees
        return table(page, "The classifier on")[0][1]

    default = table(lesson_pages.page("linear-classifier"), "The classifier on digits")[0][1]
    assert losses(epochs=2) > losses(epochs=4) > default
    assert losses(epochs=2, learning_rate=0.05) > losses(epochs=2)
    assert losses(epochs=2, seed=1) != losses(epochs=2)
    iris = lessons.run("linear-classifier", data="iris")
    assert iris.rows[0].engine == 3 * 4
    assert len(iris.pictures) == 1, "four features are no picture"


# -- descents ------------------------------------------------------------------------------------------


def by_hand(learning_rate=0.1, eps=1e-4):
    """The slides' three loops in plain NumPy."""
    random = np.random.default_rng(0)
    x1 = random.uniform(0, 2, 100)
    noise = random.normal(0, 0.3, 100)
    x, y = np.column_stack([np.ones(100), x1]), 1 + 2 * x1 + noise
    paths = {}
    for name, m in {"batch": 100, "stochastic": 1, "mini-batch": 10}.items():
        w, path, t = np.array([4.0, -1.0]), [np.array([4.0, -1.0])], 0
        while len(path) < 2 or np.linalg.norm(path[-1] - path[-2]) >= eps:
            t += 1
            i = range(100) if m == 100 else random.integers(0, 100, m)
            gradient = sum(2 * (w @ x[j] - y[j]) * x[j] for j in i) / m
            w = w - learning_rate / (1 if m == 100 else 1 + t / 100) * gradient
            path.append(w)
        paths[name] = np.array(path)
    return x, y, paths


def paths_of(page):
    return picture(page, "One valley, three ways down").options["paths"]


def test_descents_take_the_slides_steps_until_the_slides_rule_fires(backend):
    x, y, paths = by_hand()
    found_paths = paths_of(lesson_pages.page("descents", backend.device))
    for name, path in paths.items():
        assert found_paths[name].shape == path.shape, name
        np.testing.assert_allclose(found_paths[name], path, atol=1e-9, err_msg=name)
    assert found("descents", "stop=StepBelow(ε): steps", backend) == len(paths["batch"]) - 1
    np.testing.assert_allclose(found("descents", "stop=StepBelow(ε): w", backend), paths["batch"][-1], atol=1e-9)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(paths["batch"][-1], best, atol=5e-3)


def test_descents_tell_that_the_gradient_is_the_means(backend):
    x, y, paths = by_hand()
    row = lesson_pages.row("descents", "batch: w¹ = w⁰ - η ∇L(w⁰)", backend.device)
    assert row.verdict == "slide error"
    gradients = 2 * (x @ [4.0, -1.0] - y)[:, None] * x
    np.testing.assert_allclose(row.slide, [4.0, -1.0] - 0.1 * gradients.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(row.right, [4.0, -1.0] - 0.1 * gradients.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(row.engine, paths["batch"][1], atol=1e-12)


def test_descents_count_their_gradients():
    page, (_, _, paths) = lesson_pages.page("descents"), by_hand()
    rows = {row[0]: row[1:3] for row in table(page, "ℓ = 100")}
    sizes = {"batch": 100, "stochastic": 1, "mini-batch": 10}
    assert rows == {name: (sizes[name], len(path) - 1) for name, path in paths.items()}
    curves = picture(page, "Before batch descent")
    seen, heights = curves.arguments
    after_one_pass = np.searchsorted(seen, 100)
    assert heights["stochastic"][after_one_pass] < heights["batch"][after_one_pass] / 5
    last = 100 * (len(paths["batch"]) - 1)
    assert seen[-1] == last
    assert np.isnan(heights["stochastic"][-1])
    assert heights["batch"][-1] < 1e-5


def test_descents_from_the_disk_are_those_from_memory(backend):
    row = lesson_pages.row("descents", "w, data read from the disk at every step", backend.device)
    assert row.slide == row.engine
    assert row.tolerance == 0
    np.testing.assert_allclose(row.engine, [1.0, 2.0], atol=0.3)


def test_descents_follow_their_options():
    default = paths_of(lesson_pages.page("descents"))
    short = lessons.run("descents", epochs=2)
    assert {name: len(path) - 1 for name, path in paths_of(short).items()} == {
        "batch": 2,
        "mini-batch": 20,
        "stochastic": 200,
    }
    fired = {row.quantity: row.agrees for row in short.rows if "at the end" in row.quantity}
    assert not any(fired.values()), "none of them is at rest so early"
    slow = paths_of(lessons.run("descents", learning_rate=0.05, epochs=3))
    np.testing.assert_allclose(slow["batch"][1] - slow["batch"][0], (default["batch"][1] - default["batch"][0]) / 2)
    other = lessons.run("descents", seed=1)
    assert other.agrees
    assert len(paths_of(other)["stochastic"]) != len(default["stochastic"])


# -- logistic regression -------------------------------------------------------------------------------


def line_of(page):
    return picture(page, "The line d(x) = 0").options["lines"]["d(x) = 0"]


def test_logistic_regression_is_descent_on_the_logistic_loss(backend):
    page = lesson_pages.page("logistic-regression", backend.device)
    samples = picture(page, "The line d(x) = 0").arguments[1]
    x, y = samples.x, 2 * samples.y - 1
    features, w = np.column_stack([np.ones(len(x)), x]), np.zeros(3)
    for _ in range(200):  # the gradient of log(1 + exp(-y d)) by d is -y σ(-y d)
        w = w + 0.5 * np.mean((y * sigma(-y * (features @ w)))[:, None] * features, axis=0)
    np.testing.assert_allclose(line_of(page), w, atol=1e-9)
    d = features @ w
    np.testing.assert_allclose(found("logistic-regression", "d(x) = w₀ + w₁x₁ + w₂x₂", backend), d, atol=1e-9)
    probability = found("logistic-regression", "σ(d(x)) = 1 / (1 + exp(-d))", backend)
    np.testing.assert_allclose(probability, sigma(d), atol=1e-9)
    assert found("logistic-regression", "samples where sign(d) = +1 means σ(d) > 1/2", backend) == 150
    half = found("logistic-regression", "σ(d) at two points of the line", backend)
    np.testing.assert_allclose(half, [0.5, 0.5], atol=1e-12)
    right = found("logistic-regression", "samples on the right side of it", backend)
    assert right == f"{np.mean(np.where(d > 0, 1, -1) == y):.1%}"


def test_logistic_regression_follows_its_options():
    default = np.array(line_of(lesson_pages.page("logistic-regression")))
    one = np.array(line_of(lessons.run("logistic-regression", epochs=1)))
    faster = np.array(line_of(lessons.run("logistic-regression", epochs=1, learning_rate=1.0)))
    np.testing.assert_allclose(faster, 2 * one, rtol=1e-12)
    assert np.linalg.norm(default) > np.linalg.norm(one)
    other = lessons.run("logistic-regression", seed=1)
    assert other.agrees
    assert not np.allclose(line_of(other), default)


# -- triangle ------------------------------------------------------------------------------------------


def test_triangle_has_the_slides_features_and_answers(backend):
    middle = found("triangle", "z in the middle of the triangle", backend)
    np.testing.assert_allclose(middle, [0.7, 0.7, 0.7], atol=1e-9)
    assert found("triangle", "y where z is (0.6, 0.3, 0.8)", backend) == -1
    assert found("triangle", "y where z is (0.7, 0.7, 0.7)", backend) == 1


def test_triangles_given_lines_are_its_sides():
    page = lesson_pages.page("triangle")
    lines = picture(page, "Three lines that were given").options["lines"].values()
    corners = [(-0.9, -0.8), (0.9, -0.8), (0.0, 0.9)]
    for number, (w0, w1, w2) in enumerate(lines):
        values = [w0 + w1 * x1 + w2 * x2 for x1, x2 in corners]
        assert values[number] == pytest.approx(0, abs=1e-9)
        assert values[(number + 1) % 3] == pytest.approx(0, abs=1e-9)
        assert values[(number + 2) % 3] > 1, "the inside is above 0"
    features = table(page, "New features")
    assert [row[-1] for row in features] == ["+1", "+1", "-1", "-1", "-1"]
    for x1, x2, *z, y in features:
        assert (min(z) > 0.5) == (y == "+1"), (x1, x2)


def test_triangle_needs_three_lines(backend):
    page = lesson_pages.page("triangle", backend.device)
    rows = dict(table(page, "Test samples on their side"))
    one, gentle, middling, steep, learned = rows.values()
    assert one < 0.75
    assert gentle < middling < steep
    assert steep > 0.9
    assert learned > 0.9
    model, test = picture(page, "The same network").arguments
    w, w0, v, v0 = (parameter.numpy() for parameter in model.parameters())
    logit = sigma(test.x @ w + w0) @ v + v0
    assert learned == pytest.approx(np.mean((logit[:, 0] > 0) == (test.y == 1)))


def test_triangle_follows_its_options():
    def learned(**options):
        page = lessons.run("triangle", **{"epochs": 3, **options})
        return picture(page, "The same network").options["lines"]

    default = learned()
    assert len(default) == 3
    assert len(learned(hidden=5)) == 5
    for changed in ({"epochs": 4}, {"learning_rate": 0.1}, {"seed": 1}):
        assert not np.allclose(learned(**changed)["z1 = 1/2"], default["z1 = 1/2"]), changed


# -- computation graph ---------------------------------------------------------------------------------


def test_computation_graph_has_the_slides_nodes_and_edges(backend):
    assert found("computation-graph", "nodes", backend) == "x₁, x₂, z₁, z₂, z₃, a"
    assert found("computation-graph", "edges: 3 · 2 to z, 3 to a", backend) == 9
    assert found("computation-graph", "what z₁ is computed from", backend) == "x₁, x₂"
    assert found("computation-graph", "what a is computed from", backend) == "z₁, z₂, z₃"


def test_computation_graph_computes_the_network_by_hand(backend):
    # x = (0.3, -0.6): 4 + 0.3 - 5 · 0.6,  4 - 8 · 0.3 + 4 · 0.6,  4 + 8 · 0.3 + 4 · 0.6
    z = sigma(np.array([1.3, 4.0, 8.8]))
    np.testing.assert_allclose(found("computation-graph", "zᵢ = σ(w₀,ᵢ + w₁,ᵢ x₁ + w₂,ᵢ x₂)", backend), z, atol=1e-12)
    a = sigma(10 * z.sum() - 25)
    for quantity in ("a = σ(v₀ + v₁ z₁ + v₂ z₂ + v₃ z₃)", "a of this sample in a batch of four"):
        assert found("computation-graph", quantity, backend) == pytest.approx(a, abs=1e-12)
    rows = table(lesson_pages.page("computation-graph", backend.device), "Four samples")
    np.testing.assert_allclose(rows[0], [0.3, -0.6, *z, a], atol=5.01e-4)
    np.testing.assert_allclose(rows[1][2:5], [sigma(4.0)] * 3, atol=5.01e-4)
    assert [row[-1] > 0.5 for row in rows] == [True, True, False, False]


def test_computation_graphs_neuron_has_the_right_gradient(backend):
    graph = picture(lesson_pages.page("computation-graph", backend.device), "A node for each neuron").arguments[0]
    z = sigma(np.array([1.3, 4.0, 8.8]))
    a = sigma(10 * z.sum() - 25)
    by_z = a * (1 - a) * 10 * z * (1 - z)
    assert graph.gradient("x₁") == pytest.approx(by_z @ [1.0, -8.0, 8.0], abs=1e-12)
    assert graph.gradient("x₂") == pytest.approx(by_z @ [5.0, -4.0, -4.0], abs=1e-12)


# -- fits ----------------------------------------------------------------------------------------------


def points_of(page):
    return picture(page, "Degree 1 misses the bend").options["points"]


@pytest.mark.parametrize("degree", [1, 4, 15])
def test_fits_are_the_polynomials_of_least_squares(degree, backend):
    points = points_of(lesson_pages.page("fits", backend.device))
    polynomial = np.polynomial.Legendre.fit(*points["training"], degree, domain=[-1, 1])
    for part, (x, y) in points.items():
        error = np.mean((polynomial(x) - y) ** 2)
        assert found("fits", f"degree {degree}, {part} error", backend) == pytest.approx(error, rel=1e-5)


def test_fits_underfit_fit_and_overfit():
    page = lesson_pages.page("fits")
    errors = {row[0]: row[1:3] for row in table(page, "Mean squared errors")}
    assert list(errors) == list(range(1, 16))
    assert min(errors[1]) > 2 * max(errors[4])
    assert errors[15][0] < errors[4][0]
    assert errors[15][1] > 10 * errors[4][1]
    points = points_of(page)
    assert len(points["training"][0]) == 18
    assert len(points["validation"][0]) == 17
    assert not set(points["training"][0]) & set(points["validation"][0])
    _x, lines = picture(page, "Degree 1 misses the bend").arguments
    assert list(lines) == ["degree 1", "degree 4", "degree 15"]
    np.testing.assert_allclose(np.diff(lines["degree 1"], 2), 0, atol=1e-12)


def test_fits_follow_their_options():
    def error(**options):
        return table(lessons.run("fits", **options), "Mean squared errors")[0][1]

    default = table(lesson_pages.page("fits"), "Mean squared errors")[0][1]
    assert error(epochs=1) > error(epochs=2) > default
    assert error(epochs=1, learning_rate=0.1) > error(epochs=1)
    assert error(seed=1) != default


# -- derivative graph ----------------------------------------------------------------------------------

SLIDES_EDGES = ("z₁x₁", "z₁x₂", "z₂x₁", "z₂x₂", "h₁z₁", "h₁z₂", "h₂z₁", "h₂z₂", "ph₁", "ph₂")


def p_of(x1, x2):
    z1, z2 = x1 * x2, x1 + x2
    return z1 * z2 * (z1 - z2)


def routes(end, start):
    """All paths of the slide's graph, by following its edges."""
    if end == start:
        return [[]]
    into = [edge for edge in SLIDES_EDGES if edge.startswith(end)]
    return [[edge, *rest] for edge in into for rest in routes(edge[len(end) :], start)]


def test_derivative_graph_is_the_derivative_both_ways(backend):
    h = 1e-4
    for name, slope in {
        "x₁": (p_of(2 + h, 3) - p_of(2 - h, 3)) / (2 * h),
        "x₂": (p_of(2, 3 + h) - p_of(2, 3 - h)) / (2 * h),
    }.items():
        ways = [found("derivative-graph", f"∂p/∂{name}, {way}", backend) for way in ("sum over paths", "reverse mode")]
        assert ways[0] == ways[1] == pytest.approx(slope, abs=1e-5)
    assert found("derivative-graph", "∂p/∂x₁, reverse mode", backend) == 81
    assert found("derivative-graph", "∂p/∂x₂, reverse mode", backend) == 46
    # z₁ = 6, z₂ = 5, p = z₁²z₂ - z₁z₂²
    reused = found("derivative-graph", "∂p/∂z₁ and ∂p/∂z₂, reused", backend)
    assert reused == [2 * 6 * 5 - 5**2, 6**2 - 2 * 6 * 5]


def test_derivative_graph_has_four_paths_and_ten_edges(backend):
    values = dict(zip(SLIDES_EDGES, [3, 2, 1, 1, 5, 6, 1, -1, 1, 30], strict=True))
    assert found("derivative-graph", "the 10 edges", backend) == list(values.values())
    paths = routes("p", "x₁")
    assert found("derivative-graph", "paths from x₁ to p", backend) == len(paths) == 4
    products = [math.prod(values[edge] for edge in path) for path in paths]
    assert found("derivative-graph", "products of their edges", backend) == products
    assert sum(products) == 81


def test_derivative_graph_counts_multiplications(backend):
    every = [edge for start in ("x₁", "x₂") for path in routes("p", start) for edge in path]
    assert found("derivative-graph", "multiplications, path by path", backend) == len(every) == 24
    assert found("derivative-graph", "multiplications, reverse mode", backend) == len(set(every)) == 10
    rows = table(lesson_pages.page("derivative-graph", backend.device), "What each edge is used for")
    used = {row[0].replace("∂", "").replace("/", ""): row[2] for row in rows}
    assert used == {edge: every.count(edge) for edge in SLIDES_EDGES}
    handed = {row[0]: row[3] for row in rows}
    assert handed["∂z₁/∂x₁"] + handed["∂z₂/∂x₁"] == 81
    assert handed["∂z₁/∂x₂"] + handed["∂z₂/∂x₂"] == 46


def test_derivative_graph_knows_the_simple_functions(backend):
    square, power = 1.5**2, math.e**1.5
    assert found("derivative-graph", "dx²/dx = 2x at 1.5", backend) == pytest.approx(3.0, abs=1e-12)
    assert found("derivative-graph", "deˣ/dx = eˣ at 1.5", backend) == pytest.approx(power, abs=1e-12)
    assert found("derivative-graph", "d ln(x)/dx = 1/x at 1.5", backend) == pytest.approx(2 / 3, abs=1e-12)
    rule = found("derivative-graph", "x² · eˣ: g ∂f/∂x + f ∂g/∂x", backend)
    assert rule == pytest.approx(power * 3 + square * power, abs=1e-12)


# -- sigmoid node --------------------------------------------------------------------------------------


def test_sigmoid_node_forward_and_backward(backend):
    inputs, incoming = np.arange(-4.0, 5.0), np.random.default_rng(0).normal(size=9)
    output = np.array([1 / (1 + math.exp(-s)) for s in inputs])
    # cosh in place of the slide's product: σ(1 - σ) = 1 / (2 cosh(s/2))²
    gradient = incoming / (2 * np.cosh(inputs / 2)) ** 2
    for forward, backward in (
        ("forward_pass(inputs)", "backward_pass(inputs, incoming_gradient)"),
        ("a node of your own, forward", "a node of your own, backward"),
    ):
        np.testing.assert_allclose(found("sigmoid-node", forward, backend), output, atol=1e-12)
        np.testing.assert_allclose(found("sigmoid-node", backward, backend), gradient, atol=1e-12)


def test_sigmoid_node_in_a_neuron(backend):
    def loss(alpha, beta):
        return (1 / (1 + math.exp(-(alpha * 2.0 - beta * 1.0))) - 1) ** 2

    h = 1e-6
    by_alpha = (loss(0.5 + h, 0.3) - loss(0.5 - h, 0.3)) / (2 * h)
    by_beta = (loss(0.5, 0.3 + h) - loss(0.5, 0.3 - h)) / (2 * h)
    assert found("sigmoid-node", "z = σ(αx₁ + βx₂)", backend) == pytest.approx(1 / (1 + math.exp(-0.7)), abs=1e-12)
    assert found("sigmoid-node", "∂L/∂α = ∂L/∂z · ∂σ/∂s · x₁", backend) == pytest.approx(by_alpha, abs=1e-8)
    assert found("sigmoid-node", "∂L/∂β = ∂L/∂z · ∂σ/∂s · x₂", backend) == pytest.approx(by_beta, abs=1e-8)


def test_sigmoid_node_draws_its_incoming_gradient_by_seed():
    first, other = (table(lessons.run("sigmoid-node", seed=seed), "One node") for seed in (0, 1))
    assert [row[:2] for row in first] == [row[:2] for row in other]
    assert [row[2:] for row in first] != [row[2:] for row in other]
