"""Are the operands of products rounded to the type that a model was given, and is nothing else?"""

import copy
import math
import struct

import numpy as np
import pytest
from test_trainer_recorded import BATCH, Poison, net, rich, samples, snapshot

import engine as en
from backends import native
from backends.kernels.rounding import DROPPED, Round, work_type
from engine import recordable
from engine.layers.linear import precision_of
from engine.precision import PRECISIONS
from engine.recording.capture import capture

ROUNDED = tuple(DROPPED)
FRACTION = {"tf32": 10, "bfloat16": 7, "float16": 10}  # bits after the point
LEAST_EXPONENT = {"tf32": -126, "bfloat16": -126, "float16": -14}
LARGEST = {"tf32": (2 - 2**-10) * 2.0**127, "bfloat16": (2 - 2**-7) * 2.0**127, "float16": 65504.0}


def nearest(value, precision):
    """The nearest number of a type, of two the one whose last bit is 0: by Python's own round, of exact floats."""
    if math.isnan(value) or math.isinf(value) or value == 0:
        return value
    exponent = max(math.frexp(value)[1] - 1, LEAST_EXPONENT[precision])
    step = math.ldexp(1.0, exponent - FRACTION[precision])
    found = round(value / step) * step
    return math.copysign(math.inf if abs(found) > LARGEST[precision] else abs(found), value)


def rounded(x, precision, function=Round.forward):
    y, work = np.full_like(x, np.nan), np.empty(x.shape, work_type(precision))
    function(np, x, y=y, work=work, precision=precision)
    return y


def numbers():
    """Of every size, halves of the last place of each type among them, and the special ones."""
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, 4000, dtype=np.uint32)
    ties = (bits & 0xFFFF8000) | 0x8000, (bits & 0xFFFFE000) | 0x1000, (bits & 0xFFFFE000) | 0x1001
    floats = np.concatenate([bits, *ties]).view(np.float32)
    usual = generator.normal(size=4000) * 2.0 ** generator.integers(-30, 20, 4000)
    edges = [65504, 65519.996, 65520, 1e30, 3.4e38, 2**-14, 2**-24, 2**-25, 1.0001 * 2**-25, 3 * 2**-25, 1e-45, 0.0]
    special = [np.nan, np.inf, *edges]
    given = np.concatenate([floats, *(np.array(one, np.float32) for one in (usual, special, np.negative(special)))])
    given.flags.writeable = False
    return given


@pytest.mark.parametrize("precision", ROUNDED)
def test_rounding_is_to_the_nearest_and_of_two_to_the_even_one(precision):
    x = numbers()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.array([nearest(value, precision) for value in x.tolist()])
    np.testing.assert_array_equal(rounded(x, precision), expected.astype(np.float32))


@pytest.mark.parametrize("precision", ROUNDED)
def test_what_is_rounded_stays_and_keeps_its_sign(precision):
    x = numbers()
    once = rounded(x, precision)
    np.testing.assert_array_equal(rounded(once, precision), once)
    np.testing.assert_array_equal(np.signbit(once)[x == x], np.signbit(x)[x == x])
    np.testing.assert_array_equal(rounded(once, "tf32"), once)  # every such number is one of tf32


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_rounding_bit_by_bit(precision):
    """1 + 3/2 of the last place goes up to 1 + 2, 1 + 1/2 down to 1; one bit more than a half goes up."""
    dropped = DROPPED[precision]
    one = struct.unpack("<I", struct.pack("<f", 1.0))[0]
    half, place = 1 << (dropped - 1), 1 << dropped
    given = [one + half, one + place + half, one + half + 1, one + half - 1, one + place]
    wanted = [one, one + 2 * place, one + place, one, one + place]
    x = np.array(given, np.uint32).view(np.float32)
    assert rounded(x, precision).view(np.uint32).tolist() == wanted


def test_float16_is_numpys():
    x = numbers()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(rounded(x, "float16"), expected)


@pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")
@pytest.mark.parametrize("precision", ROUNDED)
def test_compiled_rounding_has_the_same_bits(precision):
    x = numbers()
    compiled = rounded(x, precision, native.overrides()[Round.forward])
    np.testing.assert_array_equal(compiled, rounded(x, precision))
    np.testing.assert_array_equal(np.signbit(compiled)[x == x], np.signbit(x)[x == x])
    assert native.kernels.round_to(np.ones(3), np.empty(3), 13, 0) is False
    assert native.kernels.round_to(x[::2], np.empty_like(x[::2]), 13, 0) is False


# -- products --------------------------------------------------------------------------------------------


def by_hand(x, precision):
    return rounded(np.ascontiguousarray(x, np.float32), precision).astype("float64")


@pytest.mark.parametrize("shape", [(6, 5), (1, 5), (5,), (2, 3, 5), (0, 5)], ids=str)
@pytest.mark.parametrize("precision", ROUNDED)
def test_all_three_products_have_rounded_operands(precision, shape, backend):
    generator = np.random.default_rng(0)
    values, incoming = generator.normal(size=shape), generator.normal(size=(*shape[:-1], 4))
    layer = en.Linear(5, 4, generator=1, device=backend).to(precision=precision)
    with en.no_grad():
        layer.bias += 0.3001
    x = en.tensor(values, dtype="float32", device=backend, requires_grad=True)
    y = layer(x)
    y.backward(en.tensor(incoming, dtype="float32", device=backend))
    rows, drows = values.reshape(-1, 5), incoming.reshape(-1, 4).astype("float32")
    w, bias = layer.weight.numpy(), layer.bias.numpy()
    expected = by_hand(rows, precision) @ by_hand(w, precision) + bias
    np.testing.assert_allclose(y.numpy().reshape(-1, 4), expected, rtol=0, atol=5e-6)
    dx = by_hand(drows, precision) @ by_hand(w, precision).T
    np.testing.assert_allclose(x.grad.numpy().reshape(-1, 5), dx, rtol=0, atol=5e-6)
    dw = by_hand(rows, precision).T @ by_hand(drows, precision)
    np.testing.assert_allclose(layer.weight.grad.numpy(), dw, rtol=0, atol=5e-6)
    # No product: its sum has the digits of float32.
    np.testing.assert_allclose(layer.bias.grad.numpy(), drows.sum(axis=0, dtype="float64"), rtol=0, atol=5e-6)


@pytest.mark.parametrize("precision", ROUNDED)
def test_the_error_of_a_product_is_that_of_its_type(precision):
    """|r(a) r(b) - a b| <= (2 u + u^2) |a| |b| with u = 2^-(bits + 1), and float32 loses far less in the sum."""
    generator = np.random.default_rng(0)
    values, exact = generator.normal(size=(64, 200)), en.Linear(200, 32, bias=False, generator=1)
    x = en.tensor(values, dtype="float32")
    y, w = copy.deepcopy(exact).to(precision=precision)(x).numpy(), exact.weight.numpy().astype("float64")
    x = x.numpy().astype("float64")
    unit = 2.0 ** -(FRACTION[precision] + 1)
    bound = np.abs(x) @ np.abs(w) * (2 * unit + unit**2 + 200 * 2.0**-24)
    error = np.abs(y - x @ w)
    assert (error <= bound).all()
    assert error.max() > 1e-5, "nothing was rounded"


def test_maxout_has_a_precision_too(backend):
    layer = en.Maxout(3, 2, pieces=2, generator=0, device=backend).to(precision="bfloat16")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    maps = by_hand(x, "bfloat16") @ by_hand(layer.weight.numpy(), "bfloat16")
    found = layer(en.tensor(x, device=backend))
    np.testing.assert_allclose(found.numpy(), maps.reshape(5, 2, 2).max(axis=1), rtol=0, atol=2e-6)


def test_what_is_too_large_for_float16_is_infinite_without_a_warning(backend):
    layer = en.Linear(1, 1, bias=False, initializer="zeros")
    layer.to(backend).to(precision="float16")
    with en.no_grad():
        layer.weight += 1.0
    x = en.tensor([[1e5], [np.nan]], dtype="float32", device=backend)
    assert str(layer(x).numpy().ravel().tolist()) == "[inf, nan]"
    assert layer.to(precision="bfloat16")(x).numpy()[0, 0] == pytest.approx(1e5, rel=2**-8)


# -- a model's precision ---------------------------------------------------------------------------------


def test_precision_is_a_models_setting():
    model = en.Sequential(en.Linear(3, 4), en.ReLU(), en.Maxout(4, 2), en.LayerNorm(2))
    for precision in (*PRECISIONS, "bfloat16"):
        model.to(precision=precision)
        assert precision_of(model) == model[0].precision == model[2].precision == precision
        wanted = "float64" if precision == "float64" else "float32"
        assert {str(one.dtype) for one in model.parameters()} == {wanted}
    assert "precision='bfloat16'" in repr(model[0])
    assert copy.deepcopy(model)[0].precision == "bfloat16"
    model.to(dtype="float32").to("cpu")
    assert precision_of(model) == "bfloat16"
    model[2].to(precision="float32")
    assert precision_of(model) == "bfloat16 and float32"
    assert "precision" not in repr(model[2])
    model.to(dtype="float64")
    assert precision_of(model) == "float64"
    assert precision_of(en.Sequential(en.ReLU())) == "float32"


def test_parameters_stay_the_same_objects_with_the_same_values():
    model = en.Linear(3, 4, generator=0)
    before, values = model.weight, model.weight.numpy()
    model.to(precision="float16")
    assert model.weight is before
    np.testing.assert_array_equal(model.weight.numpy(), values)  # the weights themselves are not rounded


@pytest.mark.parametrize("wrong", ["half", "float8", 16, ""])
def test_other_names_are_refused(wrong):
    model = net()
    with pytest.raises(en.ArgumentError, match=r"precision .* is unknown"):
        en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.SGD(model.parameters()), precision=wrong)
    assert precision_of(model) == "float32"


def test_errors_say_what_to_do():
    layer = en.Linear(2, 1, bias=False).to(precision="bfloat16")
    with pytest.raises(en.ArgumentError, match=r"to: dtype and precision were given; .* Leave it out"):
        layer.to(dtype="float32", precision="tf32")
    with pytest.raises(en.DtypeError, match=r"input is of int64, the weight of float32"):
        layer(en.tensor([[1, 2]]))
    with pytest.raises(en.ShapeError, match="its last length must be 2"):
        layer(en.tensor([[1.0]]))
    layer.weight.array = layer.weight.array.astype("float64")
    with pytest.raises(en.DtypeError, match="bfloat16 rounds float32, and the weight is of float64"):
        layer(en.tensor(np.zeros((1, 2))))


# -- recorded steps --------------------------------------------------------------------------------------


def trained(precision, record, model, **options):
    en.seed(0)
    model = model()
    optimizer = en.Adam(model.parameters(), learning_rate=0.01)
    return en.Trainer(
        model, loss=en.CrossEntropy(), optimizer=optimizer, device="cpu", record=record, precision=precision, **options
    )


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("model", [lambda: net(en.ReLU()), rich], ids=["plain", "rich"])
@pytest.mark.parametrize("precision", ROUNDED)
def test_a_recorded_step_has_the_bits_of_an_eager_one(precision, model, compiled, monkeypatch, request):
    if not compiled:
        request.getfixturevalue("definitions_alone")
    recordings = []

    def kept(function):
        recordings.append(capture(function))
        return recordings[-1]

    monkeypatch.setattr(recordable, "capture", kept)
    found = []
    for record in (True, False):
        poison = Poison(recordings)
        trainer = trained(precision, record, model, callbacks=[poison], penalty=en.L2(1e-3), clip_norm=1.0)
        trainer.fit(samples(), epochs=2, batch_size=BATCH)
        found.append((snapshot(trainer), poison.losses))
    assert found[0] == found[1]
    assert any(one.programs for one in recordings)


def test_many_steps_in_one_call_have_the_same_bits():
    for precision in ROUNDED:
        one, other = trained(precision, True, rich), trained(precision, False, rich)
        for trainer in (one, other):
            trainer.fit(samples(), epochs=3, batch_size=BATCH)
        assert snapshot(one) == snapshot(other)


def test_a_captured_function_follows_a_change_of_precision():
    layer = en.Linear(5, 4, generator=0)
    run = en.capture(lambda x: layer(x))
    x = en.tensor(np.random.default_rng(0).normal(size=(3, 5)), dtype="float32")
    for precision in ("float32", "bfloat16", "tf32", "float32", "bfloat16"):
        layer.to(precision=precision)
        for _ in range(3):
            np.testing.assert_array_equal(run(x).numpy(), layer(x).numpy())
    assert run.reason is None


# -- training --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [one for one in PRECISIONS if one != "float32"])
def test_digits_are_learnt_as_well_as_in_float32(precision):
    train, test = en.data.load("digits")

    def accuracy(precision):
        model = en.Sequential(en.Linear(64, 64, generator=0), en.ReLU(), en.Linear(64, 10, generator=1))
        trainer = en.Trainer(
            model,
            loss=en.CrossEntropy(),
            optimizer=en.Adam(model.parameters(), learning_rate=3e-3),
            device="cpu",
            metrics=["accuracy"],
            precision=precision,
        )
        trainer.fit(train, epochs=15, batch_size=32)
        return trainer.evaluate(test)["accuracy"]

    assert accuracy(precision) >= accuracy("float32") - 0.01
    assert accuracy(precision) > 0.95


def test_a_checkpoint_goes_on_in_the_same_precision_alone(tmp_path):
    one, other, plain = (trained(precision, None, net) for precision in ("bfloat16", "bfloat16", None))
    one.fit(samples(), epochs=1)
    one.save(tmp_path / "run")
    other.load(tmp_path / "run")
    for trainer in (one, other):
        trainer.fit(samples(), epochs=1)
    assert snapshot(one) == snapshot(other)
    with pytest.raises(en.ArgumentError, match=r"rounded products \['bfloat16'\], this trainer has \[\]"):
        plain.load(tmp_path / "run")


def test_a_summary_says_it():
    model = en.Sequential(en.Linear(64, 32), en.ReLU(), en.Linear(32, 10))
    plain = en.summary(model, 64, batch_size=8)
    found = en.summary(model.to(precision="bfloat16"), 64, batch_size=8)
    assert (plain.precision, found.precision, found.to_dict()["precision"]) == ("float32", "bfloat16", "bfloat16")
    assert "float32, products in bfloat16" in str(found)
    assert "products" not in str(plain)
    assert found.forward_flops == plain.forward_flops
    rounded_bytes = 4 * (8 * 64 + 64 * 32 + 8 * 32 + 32 * 10)
    assert found.activation_bytes == plain.activation_bytes + rounded_bytes


def test_a_profile_tells_what_each_operation_computed_in():
    trainer = trained("bfloat16", False, lambda: net(en.ReLU()))
    x, y = (en.tensor(one) for one in samples(count=BATCH))

    def step():
        trainer.optimizer.zero_grad()
        trainer.loss(trainer.model(x), y).backward()
        trainer.optimizer.step()

    found = {one.name: one for one in en.profile(step, repeats=2).operations}
    products = {name for name, one in found.items() if one.is_product}
    assert products == {"RoundedLinear.forward", "RoundedLinear.backward"}
    assert {found[name].precision for name in products} == {"bfloat16"} == {found["Round.forward"].precision}
    others = set(found) - products - {"Round.forward"}
    assert {found[name].precision for name in others} == {"float32"}
    assert found["Round.forward"].calls == 6
    assert found["RoundedLinear.forward"].flops == 2 * BATCH * (5 * 8 + 8 * 4) + BATCH * (8 + 4)
