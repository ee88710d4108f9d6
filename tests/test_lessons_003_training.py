"""Does lecture 003 train as it says? Penalised argmin, triplets, numeric gradients, learning rates, hidden weights."""

import lesson_pages
import numpy as np
import pytest

import engine as en
from engine import lessons
from engine.lessons.lecture_003 import triplet


def engine_of(page):
    return {row.quantity: row.engine for row in page.rows}


def table_of(page, title):
    (found,) = [part for part in page.parts if isinstance(part, lessons.Table) and part.title == title]
    return found


# -- penalised argmin ----------------------------------------------------------------------------------


def test_the_size_of_w_moves_the_optimum_from_3_to_1(backend):
    page = lesson_pages.page("penalised-argmin", backend.device)
    assert [(row.slide, row.engine, row.tolerance) for row in page.rows] == [
        (3, 3.0, 0),
        (3, 3.0, 0),
        (7, 7.0, 0),
        (3.5, 3.5, 0),
        (1, 1.0, 0),
    ]


def test_w_is_3_as_long_as_the_strength_is_below_three_quarters():
    rows = table_of(lesson_pages.page("penalised-argmin"), "The strength decides").rows
    assert [row[0] for row in rows] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    for strength, *losses, best in rows:
        assert losses == [2 + strength, 5 + 2 * strength, 0.5 + 3 * strength]
        assert best == ("3" if strength < 0.75 else "1" if strength > 0.75 else "1 or 3")


def test_the_picture_has_the_slides_six_losses_on_its_three_lines():
    (picture,) = lesson_pages.page("penalised-argmin").pictures
    strengths, lines = picture.arguments
    assert [line[0] for line in lines.values()] == [2, 5, 0.5]
    assert [line[np.flatnonzero(strengths == 1)[0]] for line in lines.values()] == [3, 7, 3.5]
    points = list(picture.options["points"].values())
    assert [list(y) for _, y in points] == [[2, 5, 0.5], [3, 7, 3.5]]


# -- triplet loss --------------------------------------------------------------------------------------


def test_every_example_is_once_the_anchor_with_one_of_its_class_and_one_of_another():
    y = np.array([0, 1, 2, 0, 1, 2, 2, 0, 1, 1])
    anchors, positives, negatives = triplet.triplets(y, np.random.default_rng(3))
    assert sorted(anchors) == sorted(positives) == list(range(10))
    assert (y[positives] == y[anchors]).all()
    assert (positives != anchors).all()
    assert (y[negatives] != y[anchors]).all()


def hinged(place, anchors, positives, negatives):
    """The slide's sum, term by term, and how often the positive is the nearer one."""
    total, nearer = 0.0, 0
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        to_p = sum((place[a] - place[p]) ** 2)
        to_n = sum((place[a] - place[n]) ** 2)
        total += max(0.0, to_p - to_n + 1.0)
        nearer += to_p < to_n
    return total, nearer / len(anchors)


def test_the_triplet_loss_is_the_slides_sum_over_unseen_examples(backend):
    page = lesson_pages.page("triplet", backend.device)
    chosen = triplet.triplets(page.pictures[0].arguments[1], np.random.default_rng(0))
    before, after = (picture.arguments[0].numpy().astype(float) for picture in page.pictures[:2])
    sums, shares = zip(*[hinged(place, *chosen) for place in (before, after)], strict=True)
    found = engine_of(page)
    assert found["Σ […]₊ before training"] == pytest.approx(sums[0], rel=1e-5)
    assert found["Σ […]₊ after training"] == pytest.approx(sums[1], rel=1e-5)
    assert found["Σ […]₊ of unseen examples"] == f"{sums[0]:.1f} → {sums[1]:.1f}"
    assert found["the positive is nearer than the negative"] == f"{shares[0]:.0%} → {shares[1]:.0%}"
    assert sums[1] < 0.5 * sums[0]
    assert shares[1] > 0.8


def test_the_embedding_has_the_classes_apart():
    page = lesson_pages.page("triplet")
    ratios = []
    for picture in page.pictures[:2]:
        place, y = picture.arguments[0].numpy(), picture.arguments[1]
        distances = ((place[:, None] - place) ** 2).sum(axis=2)
        same = y[:, None] == y
        ratios.append(distances[~same].mean() / distances[same].mean())
    assert ratios[1] > 2 * ratios[0]
    epochs, curves = page.pictures[2].arguments
    assert list(epochs) == list(range(lesson_pages.REDUCED["triplet"]["epochs"] + 1))
    assert curves["to the negative"][-1] > curves["to the positive"][-1] > 0


def test_a_negative_pushed_far_enough_away_costs_nothing():
    a, p, n = ([[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.5]])
    loss = en.TripletMargin(margin=1.0, reduction="sum")
    assert loss(en.tensor(a), en.tensor(p), en.tensor(n)).item() == 0  # 1 - 2.25 + 1 < 0
    assert loss(en.tensor(a), en.tensor(n), en.tensor(p)).item() == 2.25  # 2.25 - 1 + 1


@pytest.mark.parametrize("option", [{"hidden": 8}, {"learning_rate": 1e-2}, {"seed": 1}, {"epochs": 2}])
def test_every_option_of_the_triplet_lesson_acts(option):
    usual = {"hidden": 16, "epochs": 1, "data": "iris"}
    pages = [lessons.run("triplet", **(usual | change)) for change in ({}, {}, option)]
    first, again, other = (page.pictures[1].arguments[0].numpy() for page in pages)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (30, 2)  # a fifth of 150 flowers, in the plane
    if "epochs" in option:
        assert [len(page.pictures[2].arguments[0]) for page in pages] == [2, 2, 3]


# -- numeric gradient ----------------------------------------------------------------------------------


def test_the_slides_losses_give_the_slides_gradient(backend):
    rows = lesson_pages.page("numeric-gradient", backend.device).rows
    assert [(row.slide, row.tolerance) for row in rows[:3]] == [(-2.5, 0.05), (0.6, 0.05), (0, 0.05)]
    assert [row.engine for row in rows[:3]] == pytest.approx([-2.5, 0.6, 0.0], abs=1e-9)


def test_the_slides_loss_is_less_than_its_penalty_would_be(backend):
    row = lesson_pages.row("numeric-gradient", "smallest L with these nine weights: Σ Wₖ²", backend.device)
    by_hand = 0.1156 + 1.2321 + 0.6084 + 0.0144 + 0.3025 + 7.8961 + 9.61 + 2.25 + 0.1089
    assert row.verdict == "slide error"
    assert row.slide == 1.25347
    assert row.right == pytest.approx(by_hand, abs=1e-12)
    assert row.engine == pytest.approx(by_hand, abs=1e-12)


def test_one_weight_at_a_time_takes_n_plus_1_evaluations(backend):
    page = lesson_pages.page("numeric-gradient", backend.device)
    assert lesson_pages.REDUCED["numeric-gradient"] == {"hidden": 2}
    found = engine_of(page)
    assert found["evaluations of L for dW, one weight at a time"] == 64 * 2 + 2 * 10 + 1
    assert found["evaluations of L, one pass backward"] == 1
    costs = table_of(page, "What a gradient costs").rows
    assert [row[:2] for row in costs] == [(74, 75), (148, 149)]
    assert all(slow > fast for _, _, slow, fast, _ in costs)


def by_hand(w, x, y):
    """L and its gradient: hinge losses of tanh(x first) second, plus 0.1 Σ w²; every sum written out in NumPy."""
    units = len(w) // 74
    first, second = w[: 64 * units].reshape(64, units), w[64 * units :].reshape(units, 10)
    z = np.tanh(x @ first)
    scores = z @ second
    rows = np.arange(len(x))
    margins = scores - scores[rows, y][:, None] + 1
    margins[rows, y] = 0
    dscores = (margins > 0).astype(float)
    dscores[rows, y] = -dscores.sum(axis=1)
    dscores /= len(x)
    dfirst = x.T @ (dscores @ second.T * (1 - z**2))
    gradient = np.concatenate([dfirst.ravel(), (z.T @ dscores).ravel()]) + 0.2 * w
    return np.maximum(margins, 0).sum() / len(x) + 0.1 * (w**2).sum(), gradient


def test_both_gradients_are_those_of_the_slides_loss(backend):
    train, _ = en.data.load("digits", seed=0, dtype="float64")
    x, y = train.x[:100], train.y[:100]
    generator = np.random.default_rng(0)
    generator.normal(size=74)  # the net with one hidden unit is the first
    w = generator.normal(0, 0.1, 148)
    loss, gradient = by_hand(w, x, y)
    row = lesson_pages.row("numeric-gradient", "numeric dW (h = 0.0001) and ∇L", backend.device)
    assert row.tolerance == 1e-4
    assert row.slide == pytest.approx(gradient, rel=0, abs=1e-12)
    quotients = []
    for k in range(148):
        moved = w.copy()
        moved[k] += 1e-4
        quotients.append((by_hand(moved, x, y)[0] - loss) / 1e-4)
    assert row.engine == pytest.approx(quotients, rel=0, abs=1e-8)
    central = lesson_pages.row("numeric-gradient", "central differences and ∇L", backend.device)
    assert central.engine == pytest.approx(gradient, rel=0, abs=1e-8)
    table = table_of(lesson_pages.page("numeric-gradient", backend.device), "The last nine weights").rows
    assert [row[0] for row in table] == w[-9:].tolist()
    assert [row[1] for row in table] == [f"{loss:.6f}"] * 9
    assert float(table[-1][2]) == pytest.approx(loss + 1e-4 * quotients[-1], abs=1e-6)
    assert [row[3] for row in table] == pytest.approx(quotients[-9:], abs=1e-8)


def test_hidden_and_seed_of_the_numeric_gradient_act():
    pages = [lessons.run("numeric-gradient", hidden=hidden, seed=seed) for hidden, seed in ((1, 0), (3, 0), (1, 1))]
    counts = [engine_of(page)["evaluations of L for dW, one weight at a time"] for page in pages]
    assert counts == [75, 3 * 74 + 1, 75]
    gradients = [engine_of(page)["central differences and ∇L"] for page in pages]
    assert gradients[0] != gradients[2]


# -- learning rates ------------------------------------------------------------------------------------

SHARES = (0.04, 0.4, 0.9, 1.1)


def test_eight_steps_in_the_valley_end_where_plain_numpy_does(backend):
    x = np.linspace(0, 2, 50)
    y = 1 + 2 * x + np.random.default_rng(0).normal(0, 0.3, 50)
    # H = 2 [[1, mean x], [mean x, mean x^2]]; its eigenvalues by the formula for two by two.
    a, b, d = 2.0, 2 * x.mean(), 2 * (x**2).mean()
    steepest = (a + d) / 2 + np.sqrt(((a - d) / 2) ** 2 + b**2)
    page = lesson_pages.page("learning-rates", backend.device)
    paths = list(page.pictures[0].options["paths"].values())
    for share, path in zip(SHARES, paths, strict=True):
        w0, w1 = 5.0, 0.5
        walked, errors = [(w0, w1)], []
        for _ in range(8):
            left = w0 + w1 * x - y
            errors.append(np.mean(left**2))
            rate = share * 2 / steepest
            w0, w1 = w0 - rate * 2 * np.mean(left), w1 - rate * 2 * np.mean(left * x)
            walked.append((w0, w1))
        row = lesson_pages.row("learning-rates", f"w after 8 steps, η = {share} · 2/λ", backend.device)
        assert row.engine == pytest.approx([w0, w1], rel=0, abs=1e-11)
        assert np.array(path) == pytest.approx(np.array(walked), rel=0, abs=1e-11)
        assert (max(np.diff(errors)) < 0) == (share < 1)
    assert engine_of(page)["E at every step"] == "falls, falls, falls, grows"


def test_beyond_half_of_the_limit_w_changes_sides_at_every_step():
    paths = lesson_pages.page("learning-rates").pictures[0].options["paths"].values()
    x = np.linspace(0, 2, 50)
    design = np.stack([np.ones(50), x], axis=1)
    y = 1 + 2 * x + np.random.default_rng(0).normal(0, 0.3, 50)
    best = np.linalg.lstsq(design, y, rcond=None)[0]
    steepest = np.linalg.svd(design)[2][0]
    for share, path in zip(SHARES, paths, strict=True):
        beside = (np.array(path) - best) @ steepest
        assert beside[1:] / beside[:-1] == pytest.approx(np.full(8, 1 - 2 * share), abs=1e-9)


def test_four_curves_and_the_divergence_is_told(backend):
    page = lesson_pages.page("learning-rates", backend.device)
    epochs, curves = page.pictures[1].arguments
    assert [label.split(",")[0] for label in curves] == ["too small", "good", "too large", "divergent"]
    small, good, large, divergent = (np.array(losses) for losses in curves.values())
    assert len(epochs) == lesson_pages.REDUCED["learning-rates"]["epochs"]
    assert all(len(losses) == len(epochs) for losses in (small, good, large, divergent))
    assert small[0] == good[0] == large[0] == divergent[0], "all from the same weights"
    assert (np.diff(small) < 0).all()
    assert small[-1] > 0.8 * small[0]
    assert good[-1] < 0.5 * good[0]
    assert large[-1] > 1.5 * good[-1]
    (told,) = (part.removeprefix("Divergent: ") for part in page.parts if isinstance(part, str))
    finite = np.isfinite(divergent)
    assert [row[-1] for row in table_of(page, "Four trainings").rows] == [*[len(good)] * 3, finite.sum()]
    assert not finite.all()
    assert (np.diff(divergent[finite]) > 0).all()
    assert told.startswith(f"epoch {finite.sum() + 1}, step {finite.sum() + 1}: ")
    assert "not finite" in told
    assert "Try a smaller learning rate" in told
    assert engine_of(page)["E, divergent"] in told


def test_the_first_loss_is_that_of_the_seeded_network():
    train, _ = en.data.load("digits", seed=0)
    en.seed(0)
    first, second = en.Linear(64, 32), en.Linear(32, 10)
    hidden = np.maximum(0, train.x @ first.weight.numpy() + first.bias.numpy())
    outputs = hidden @ second.weight.numpy() + second.bias.numpy()
    expected = np.mean(np.sum((outputs - np.eye(10)[train.y]) ** 2, axis=1))
    rows = table_of(lesson_pages.page("learning-rates"), "Four trainings").rows
    assert [row[:2] for row in rows] == [
        ("too small", pytest.approx(0.001)),
        ("good", pytest.approx(0.1)),
        ("too large", pytest.approx(0.8)),
        ("divergent", pytest.approx(1.5)),
    ]
    assert [row[2] for row in rows] == pytest.approx([expected] * 4, rel=1e-5)


@pytest.mark.parametrize(
    "option", [{"hidden": 5}, {"learning_rate": 0.05}, {"epochs": 4}, {"seed": 1}, {"data": "wine"}]
)
def test_every_option_of_the_learning_rates_acts(option):
    usual = {"hidden": 4, "epochs": 3, "data": "iris"}
    pages = [lessons.run("learning-rates", **(usual | change)) for change in ({}, {}, option)]
    first, again, other = ([row[2:4] for row in table_of(page, "Four trainings").rows] for page in pages)
    assert first == again != other
    if "epochs" in option:
        assert [len(page.pictures[1].arguments[0]) for page in pages] == [3, 3, 4]


# -- hidden gradients ----------------------------------------------------------------------------------


def network(x, truth, w_ji, w_j0, w_kj, w_k0):
    """L with every sum of the slide as a loop."""

    def squash(a):
        return 1 / (1 + np.exp(-a))

    z = [squash(sum(w_ji[j, i] * x[i] for i in range(len(x))) + w_j0[j]) for j in range(len(w_j0))]
    y = [squash(sum(w_kj[k, j] * z[j] for j in range(len(z))) + w_k0[k]) for k in range(len(w_k0))]
    return sum((y[k] - truth[k]) ** 2 for k in range(len(y)))


def drawn(hidden, seed):
    """x and the four weights, as the lesson draws them."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, 2)
    return x, [generator.normal(0, 1, shape) for shape in ((hidden, 2), (hidden,), (2, hidden), (2,))]


@pytest.mark.parametrize(("hidden", "seed", "learning_rate"), [(3, 0, 0.5), (5, 2, 0.1)])
def test_the_hidden_gradients_are_the_slopes_of_the_loss(hidden, seed, learning_rate, backend):
    page = lessons.run("hidden-gradients", backend.device, hidden=hidden, seed=seed, learning_rate=learning_rate)
    found = engine_of(page)
    x, weights = drawn(hidden, seed)
    assert found["L = Σₖ (y_k − y'_k)²"] == pytest.approx(network(x, (1, 0), *weights), abs=1e-14)
    for which, name in enumerate(("w_ji", "w_j0", "w_kj", "w_k0")):
        slopes = np.zeros_like(weights[which])
        for index in np.ndindex(slopes.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [one.copy() for one in weights]
                moved[which][index] += step
                values.append(network(x, (1, 0), *moved))
            slopes[index] = (values[0] - values[1]) / 2e-5
        gradient = np.array(found[f"∂L/∂{name}"])
        assert gradient == pytest.approx(slopes, rel=0, abs=1e-9)
        if name in ("w_ji", "w_kj"):
            updated = np.array(found[f"{name} − η ∂L/∂{name}"])
            assert updated == pytest.approx(weights[which] - learning_rate * gradient, rel=0, abs=1e-14)
    assert all(row.tolerance == 1e-12 and row.difference <= 1e-12 for row in page.rows)


def test_the_routes_through_both_outputs_add_up_to_the_hidden_units_error(backend):
    page = lesson_pages.page("hidden-gradients", backend.device)
    routes = table_of(page, "Routes from the first hidden unit to the loss").rows
    assert [route for route, _ in routes] == ["z₁ → a₁ → y₁ → L", "z₁ → a₂ → y₂ → L"]
    found = engine_of(page)
    x, (w_ji, w_j0, w_kj, w_k0) = drawn(3, 0)
    z = 1 / (1 + np.exp(-(w_ji @ x + w_j0)))
    y = 1 / (1 + np.exp(-(w_kj @ z + w_k0)))
    parts = [2 * (y[k] - (1, 0)[k]) * y[k] * (1 - y[k]) * w_kj[k, 0] for k in range(2)]
    assert [product for _, product in routes] == pytest.approx(parts, rel=1e-12)
    assert found["∂L/∂z₁, sum over both routes"] == pytest.approx(sum(parts), rel=1e-12)
    assert found["∂L/∂z_j"][0] == pytest.approx(sum(parts), rel=1e-12)
