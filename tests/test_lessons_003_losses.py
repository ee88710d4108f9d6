"""Do the lessons of lecture 003 show its numbers: activations, the image classifier, losses and weight penalties?"""

import math

import numpy as np
import pytest
from lesson_pages import page, row

import engine as en
from engine import lessons

SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])  # a row for each picture
PENALISED = ("L2", "L1", "dropout", "batch norm", "stochastic depth")


def engine_of(name, quantity, backend):
    return np.asarray(row(name, quantity, backend.device).engine)


def table_of(run):
    (table,) = [part for part in run.parts if isinstance(part, lessons.Table)]
    return table


def drawn(run, number):
    """The numbers that a picture is made of, without drawing it."""
    return run.pictures[number].arguments


# -- activations ---------------------------------------------------------------------------------------

E = math.exp(-1)
VALUES = {  # at -1, 0, 1
    "sigmoid": [E / (1 + E), 0.5, 1 / (1 + E)],
    "tanh": [-0.76159415595576489, 0, 0.76159415595576489],
    "maxout": [1.5, 1, 1.5],  # of x + 0.5 and -0.5 x + 1
    "ReLU": [0, 0, 1],
    "leaky ReLU": [-0.1, 0, 1],
    "ELU": [E - 1, 0, 1],
}
SLOPES = {
    "sigmoid": [0.19661193324148185, 0.25, 0.19661193324148185],
    "tanh": [1 / math.cosh(1) ** 2, 1, 1 / math.cosh(1) ** 2],
    "maxout": [-0.5, -0.5, 1],
    "ReLU": [0, 0, 1],
    "leaky ReLU": [0.1, 0.1, 1],
    "ELU": [E, 1, 1],
}


@pytest.mark.parametrize("name", VALUES)
def test_activations_have_their_values_and_slopes(name, backend):
    values = engine_of("activations", f"{name} at x = -1, 0, 1", backend)
    np.testing.assert_allclose(values, VALUES[name], rtol=1e-14, atol=1e-15)
    slopes = engine_of("activations", f"{name}, slope there", backend)
    np.testing.assert_allclose(slopes, SLOPES[name], rtol=1e-14, atol=1e-15)


def test_the_drawn_slopes_are_those_of_the_drawn_values(backend):
    line, groups = drawn(page("activations", backend.device), 0)
    assert list(groups) == list(VALUES)
    for name, lines in groups.items():
        value, slope = lines["value h(x)"], lines["slope h′(x)"]
        steps, means = np.diff(value) / np.diff(line), (slope[1:] + slope[:-1]) / 2
        corner = np.abs(line[1:] + line[:-1] - (2 / 3 if name == "maxout" else 0)) < 0.021  # where slopes jump
        trapezoid = 0.01**2 / 12 * 2.001  # how far a mean of two slopes is off: 2 is the largest third derivative
        np.testing.assert_allclose(steps[~corner], means[~corner], rtol=0, atol=trapezoid, err_msg=name)
        assert (line[300], value[300]) == (0, VALUES[name][1])


def test_maxout_is_drawn_on_the_upper_of_its_two_lines():
    run = page("activations")
    line, lines = drawn(run, 1)
    x, upper = run.pictures[1].options["points"]["maxout"]
    assert len(lines) == 2
    np.testing.assert_allclose(np.max([np.interp(x, line, one) for one in lines.values()], axis=0), upper, rtol=1e-12)


# -- image-classifier ----------------------------------------------------------------------------------


@pytest.fixture
def digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_the_classifier_turns_an_image_into_ten_scores(digits, backend):
    assert engine_of("image-classifier", "numbers in an image x", backend) == 64
    assert engine_of("image-classifier", "class scores f(x, W)", backend) == 10
    assert engine_of("image-classifier", "shape of W", backend).tolist() == [10, 64]
    assert engine_of("image-classifier", "loss where W = 0: log 10", backend) == pytest.approx(2.302585, abs=1e-6)
    scores = engine_of("image-classifier", "f(x, W) = W x", backend)
    assert abs(scores.sum()) < 1e-6, "the gradient of the cross-entropy adds up to 0 over the classes, and W began at 0"
    ranked = table_of(page("image-classifier", backend.device)).rows
    assert ranked == tuple((str(k), f"{scores[k]:.2f}") for k in sorted(range(10), key=lambda k: -scores[k]))


def test_templates_and_favourites_are_drawn(digits, backend):
    run = page("image-classifier", backend.device)
    templates, names = drawn(run, 0)
    assert names == tuple("0123456789")
    flat = templates.reshape(10, 64)
    assert flat.min(axis=1).tolist() == [0.0] * 10
    assert flat.max(axis=1).tolist() == [1.0] * 10
    favourites, captions = drawn(run, 1)
    assert templates.shape == favourites.shape == (10, 8, 8)
    assert [caption[0] for caption in captions] == list("0123456789")


@pytest.mark.filterwarnings("ignore:cifar-10. .* are missing in:UserWarning")
def test_the_slides_images_have_3072_numbers_and_ten_templates_in_colour(real_data):
    if not (real_data / "cifar-10").is_dir():
        pytest.skip(f"{real_data} has no cifar-10")
    run = lessons.run("image-classifier", data_dir=real_data)
    assert run.agrees
    found = {row.quantity: row.engine for row in run.rows}
    assert found["numbers in an image x"] == 3072
    assert found["class scores f(x, W)"] == 10
    assert found["shape of W"] == [10, 3072]
    templates, names = drawn(run, 0)
    assert templates.shape == (10, 3, 32, 32)
    assert names == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    middle = templates[:, :, 8:24, 8:24].mean(axis=(2, 3))
    assert middle[names.index("deer")].argmin() == 2, "a deer stands in a wood, not before the sky"
    sky, blue = templates[:, :, :6].mean(axis=(2, 3)), 2
    assert sky[names.index("airplane")].argmax() == blue


def test_seed_rate_and_epochs_of_the_classifier_act(digits):
    small = {"data": "digits", "epochs": 1}
    start = drawn(lessons.run("image-classifier", **small), 0)[0]
    for options in ({"seed": 1}, {"learning_rate": 0.01}, {"epochs": 2}):
        other = drawn(lessons.run("image-classifier", **{**small, **options}), 0)[0]
        assert np.abs(other - start).max() > 1e-4, options


def test_sets_without_images_are_refused():
    with pytest.raises(en.ArgumentError, match=r"^image-classifier: data 'iris' was given; allowed are cifar-10"):
        lessons.run("image-classifier", data="iris")


# -- hinge ---------------------------------------------------------------------------------------------


def hinge(scores, y=(0, 1, 2)):
    """The loss and its gradient by the scores, index by index."""
    total, gradient = 0.0, np.zeros_like(scores)
    for i, right in enumerate(y):
        for j in range(scores.shape[1]):
            gap = scores[i, j] - scores[i, right] + 1
            if j != right and gap > 0:
                total += gap / len(y)
                gradient[i, j] += 1 / len(y)
                gradient[i, right] -= 1 / len(y)
    return total, gradient


def test_hinge_losses_of_the_slide(backend):
    for name, slide in {"cat": (2.9, -3.9), "car": (-2.6, -1.9), "frog": (6.3, 6.6)}.items():
        np.testing.assert_allclose(engine_of("hinge", f"{name}: s_j - s_y + 1", backend), slide, rtol=1e-14)
    np.testing.assert_allclose(engine_of("hinge", "losses Lᵢ", backend), [2.9, 0, 12.9], rtol=1e-14)
    assert engine_of("hinge", "L₁ + L₂ + L₃", backend) == pytest.approx(15.8, rel=1e-14)
    assert engine_of("hinge", "L, the mean", backend) == pytest.approx(15.8 / 3, rel=1e-14)
    assert round(float(engine_of("hinge", "L, to two places", backend)), 2) == 5.27
    assert engine_of("hinge", "L(W) after descent", backend) == engine_of("hinge", "L(2W)", backend) == 0


def test_descent_on_the_hinge_loss_is_the_one_by_hand(backend):
    scores, losses = SCORES.copy(), []
    for _ in range(20):
        loss, gradient = hinge(scores)
        losses.append(loss)
        scores -= 0.5 * gradient
    run = page("hinge", backend.device)
    np.testing.assert_allclose(drawn(run, 1)[1]["L(W)"], losses, rtol=1e-12, atol=1e-12)
    scales, lines = drawn(run, 2)
    np.testing.assert_allclose(lines["L(aW)"], [hinge(a * scores)[0] for a in scales], rtol=1e-12, atol=1e-12)
    penalty = lines["L(aW) + 0.01 Σ (aW)²"] - lines["L(aW)"]
    np.testing.assert_allclose(penalty, 0.01 * scales**2 * (scores**2).sum(), rtol=1e-12, atol=1e-12)
    assert scales[lines["L(aW) + 0.01 Σ (aW)²"].argmin()] < 1, "the penalty prefers a smaller W"


def test_rate_and_epochs_of_the_hinge_lesson_act():
    slower = drawn(lessons.run("hinge", learning_rate=0.1, epochs=80), 1)[1]["L(W)"]
    assert len(slower) == 80
    assert slower[1] == pytest.approx(hinge(SCORES - 0.1 * hinge(SCORES)[1])[0], rel=1e-12)
    assert slower[14] > 0 == slower[-1]


# -- cross-entropy -------------------------------------------------------------------------------------


def test_cross_entropy_of_the_slide(backend):
    for name, slide in {"cat": 24.53253019710935, "car": 164.02190729990173, "frog": 0.18268352405273466}.items():
        assert engine_of("cross-entropy", f"exp, {name}", backend) == pytest.approx(slide, rel=1e-14)
    p = engine_of("cross-entropy", "P(cat), P(car), P(frog)", backend)
    assert p.round(2).tolist() == [0.13, 0.87, 0.0]
    assert engine_of("cross-entropy", "their sum", backend) == pytest.approx(1, rel=1e-15)
    by_hand = math.log(1 + math.exp(1.9) + math.exp(-4.9))  # shifted by the right class's score
    assert engine_of("cross-entropy", "Lᵢ, as one loss", backend) == pytest.approx(by_hand, rel=1e-14)
    gradient = engine_of("cross-entropy", "∂Lᵢ/∂s = p - (1, 0, 0)", backend)
    np.testing.assert_allclose(gradient, [math.exp(-by_hand) - 1, *p[1:]], rtol=1e-13)


def test_the_slides_loss_is_a_base_10_logarithm(backend):
    wrong = row("cross-entropy", "Lᵢ = -log(0.13)", backend.device)
    assert (wrong.slide, wrong.right, wrong.verdict) == (0.89, 2.04, "slide error")
    assert "base-10" in wrong.reason
    assert round(wrong.engine, 2) == 2.04
    assert round(float(engine_of("cross-entropy", "-log₁₀(0.13)", backend)), 2) == 0.89
    assert (round(-math.log10(0.13), 2), round(-math.log(0.13), 2)) == (0.89, 2.04)


def softmax(scores):
    return np.exp(scores) / np.exp(scores).sum()


@pytest.mark.parametrize(("rate", "epochs"), [(0.5, 20), (2.0, 5)])
def test_descent_on_the_cross_entropy_is_the_one_by_hand(rate, epochs):
    scores, likelihoods = SCORES[0].copy(), []
    for _ in range(epochs + 1):
        likelihoods.append(softmax(scores))
        scores -= rate * (softmax(scores) - [1, 0, 0])
    run = lessons.run("cross-entropy", learning_rate=rate, epochs=epochs)
    lines = drawn(run, 1)[1]
    np.testing.assert_allclose([lines[name] for name in ("cat", "car", "frog")], np.transpose(likelihoods), rtol=1e-12)
    points = run.pictures[0].options["points"]
    assert [round(y[0], 2) for _, y in points.values()] == [2.04, 0.89]
    assert run.agrees


# -- weight-penalties ----------------------------------------------------------------------------------


def test_penalties_of_the_slides_vectors(backend):
    assert engine_of("weight-penalties", "w₁ᵀx, w₂ᵀx", backend).tolist() == [1, 1]
    assert engine_of("weight-penalties", "R(w₁), R(w₂): L2 prefers w₂", backend).tolist() == [1, 0.25]
    assert engine_of("weight-penalties", "R(w₁), R(w₂): L1 does not care", backend).tolist() == [1, 1]
    assert engine_of("weight-penalties", "R(w₁), R(w₂): elastic net, β = 1", backend).tolist() == [2, 1.25]
    steps, lines = drawn(page("weight-penalties", backend.device), 0)
    l2, l1, elastic = lines.values()
    np.testing.assert_allclose(l2, (1 - 0.75 * steps) ** 2 + 3 * (0.25 * steps) ** 2, rtol=1e-12)
    np.testing.assert_allclose(l1, np.ones(41), rtol=1e-12)
    np.testing.assert_allclose(elastic, np.add(l1, l2), rtol=1e-12)


def test_every_remedy_keeps_the_net_from_the_noise(backend):
    run = page("weight-penalties", backend.device)
    errors = {name: (trained, new) for name, trained, new in table_of(run).rows}
    assert tuple(errors) == ("none", *PENALISED)
    trained, new = errors["none"]
    assert trained < 0.25 < new, "0.25 is the variance of the noise"
    assert all(errors[name][1] - errors[name][0] < new - trained for name in PENALISED)
    by_name = {row.quantity: row for row in run.rows}
    for name in PENALISED:
        told = by_name[f"validation - training error, {name}"].engine
        assert told == f"{errors[name][1] - errors[name][0]:.3f} instead of {new - trained:.3f}"


def test_the_errors_are_those_of_the_drawn_fits(backend):
    """Seed 0's points and noise, drawn again; the drawn line between its points is the net, but for little."""
    chance = np.random.default_rng(0)
    x = np.concatenate([chance.uniform(-3, 3, 200), np.linspace(-3, 3, 20)])
    y = np.sin(x) + chance.normal(0, 0.5, 220)
    run = page("weight-penalties", backend.device)
    line, fits = drawn(run, 1)
    shown = run.pictures[1].options["points"]["training data"]
    np.testing.assert_allclose(shown, [x[200:], y[200:]], rtol=1e-12)
    for name, trained, new in table_of(run).rows:
        if name in ("L2", "L1"):  # the others bend too fast between two drawn points
            squares = np.square(np.interp(x, line, fits[name]["net"]) - y)
            assert squares[200:].mean() == pytest.approx(trained, rel=1e-3), name
            assert squares[:200].mean() == pytest.approx(new, rel=1e-3), name
        np.testing.assert_allclose(fits[name]["sine"], np.sin(line), rtol=1e-12)


def test_hidden_rate_epochs_and_seed_of_the_penalties_act():
    small = {"hidden": 8, "epochs": 2}
    start = table_of(lessons.run("weight-penalties", **small)).rows
    assert table_of(lessons.run("weight-penalties", **small)).rows == start, "the same seed, the same run"
    for options in ({"hidden": 9}, {"learning_rate": 0.1}, {"epochs": 3}, {"seed": 1}):
        rows = table_of(lessons.run("weight-penalties", **{**small, **options})).rows
        assert all(one[1:] != other[1:] for one, other in zip(rows, start, strict=True)), options
