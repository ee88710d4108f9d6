"""Does the library keep what it promises its users: the program of the contract, and each rule of its semantics?

The rules, and where each is tested in depth (here, a line each, so that none is forgotten):

    dtypes, Python numbers, two dtypes, two devices     test_tensor, test_operators
    reductions, ties, kinks                             test_operations
    forms of targets, means, class weights              test_losses, test_loss_errors, test_trainer
    second backward, zeroed and missing gradients       test_autodiff, test_optimizers
    changes in place                                    test_in_place
    penalties, weight decay                             test_penalties, test_optimizers, test_trainer
    batch normalisation                                 test_layers, test_trainer
    modes                                               test_trainer
    schedules, accumulation, clipping                   test_schedules, test_optimizers, test_trainer
    batches, order, the epoch's loss                    test_data_batches, test_trainer
    seeds                                               test_random_and_errors, test_random_layers, test_trainer
    the optimizers' buffers                             test_optimizers
    capture                                             test_capture
    preprocessing stored with the run                   test_runs, test_commands
    not finite                                          test_trainer, test_divergence
"""

import warnings

import numpy as np
import pytest

import engine as en

# -- the program, block by block, as a user types it -----------------------------------------------------

GRAPH = """
import engine as en
en.seed(0)

a = en.tensor(4.0, requires_grad=True, name="a")
b = en.tensor(3.0, requires_grad=True, name="b")
c = a + b; c.retain_grad()
d = a * c
d.backward()
gradients = a.grad, b.grad, c.grad
a.zero_grad(); a.item(); d.numpy(); d.shape; d.dtype; d.device; d.detach()

g = en.graph(d)
paths = g.paths(a, d)
derivative = g.derivative(a, d)
g.save("graph.svg"); g.to_dot(); g.to_mermaid()

x = en.tensor([[1.0, 2.0]], requires_grad=True, dtype="float64")
w = en.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]], dtype="float64")
jacobian = en.jacobian(lambda x: x @ w, x)
numerical = en.numerical_gradient(lambda x: (x @ w).sum(), x, h=1e-4, scheme="forward")
report = en.gradcheck(lambda x: en.tanh(x @ w), [x])
with en.no_grad():
    y = x @ w
    x -= 0.1 * x.grad if x.grad is not None else 0.0
"""

MODELS = """
model = en.Sequential(
    en.Linear(64, 128), en.BatchNorm(128), en.ReLU(), en.Dropout(0.2),
    en.StochasticDepth(en.Sequential(en.Linear(128, 128), en.ReLU()), drop=0.1),
    en.Linear(128, 10),
)
model.to("cpu"); model.to(dtype="float64"); model.to(dtype="float32"); model.parameters(); model.named_parameters()
model.state_dict(); model.load_state_dict(model.state_dict()); model.eval(); model.train()
print(en.summary(model, (64,)))

class Gate(en.Layer):
    def __init__(self, n): super().__init__(); self.inner = en.Linear(n, n)
    def forward(self, x): return x * self.inner(x).sigmoid()

class Square(en.Operation):
    def forward(self, x): return x * x, x
    def backward(self, saved, incoming_gradient, needed): return (2 * saved * incoming_gradient,)
y = en.apply(Square(), en.tensor(3.0, requires_grad=True))
"""

TRAINING = """
train, test = en.data.load("digits")
trainer = en.Trainer(
    model, loss=en.CrossEntropy(), optimizer=en.Adam(model.parameters(), learning_rate=1e-3),
    device="auto",
    metrics=["accuracy"], penalty=en.L2(1e-4), clip_norm=1.0, accumulate=1, seed=0,
    callbacks=[en.EarlyStopping(patience=5)],
)
history = trainer.fit(train, epochs=10, batch_size=64, validation=test)
result = trainer.evaluate(test)
logits = trainer.predict(test.x)
history["loss"]
trainer.save("run.checkpoint"); trainer.load("run.checkpoint")

line = en.Linear(64, 10)
stopped = en.Trainer(
    line, loss=en.CrossEntropy(), optimizer=en.SGD(line.parameters(), learning_rate=0.5)
).fit(train, epochs=50, batch_size="all", stop=en.StepBelow(1e-2))
"""

PICTURE = """
history["loss"]; history.plot("history.png")
"""

LOOP = """
optimizer = en.SGD(model.parameters(), learning_rate=0.1, momentum=0.9)
loss_function = en.CrossEntropy()
def step(x, y):
    loss = loss_function(model(x), y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    return loss
step = en.capture(step)
for x, y in en.data.batches(train, batch_size=64, seed=0, device=model.device): step(x, y)
en.devices()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Runs a block in the names that the blocks before it left, and gives all names."""
    folder = tmp_path_factory.mktemp("contract")
    names = {}

    def run(block):
        path = folder / "block.py"
        path.write_text(block)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            exec(compile(block, str(path), "exec"), names)
        return {**names, "folder": folder}

    return run


def test_block_1_the_computation_graph(program):
    names = program(GRAPH)
    assert [one.item() for one in names["gradients"]] == [11.0, 4.0, 4.0]
    assert not any(one.requires_grad for one in names["gradients"])
    assert len(names["paths"]) == 2
    assert names["derivative"] == 11.0
    assert (names["folder"] / "graph.svg").read_text().startswith("<svg")
    assert names["jacobian"].shape == (1, 3, 1, 2)
    np.testing.assert_array_equal(np.asarray(names["jacobian"])[0, :, 0], names["w"].numpy().T)
    np.testing.assert_allclose(np.asarray(names["numerical"]), [[3.0, 2.5]], rtol=1e-6)
    assert names["report"].ok
    assert names["x"].tolist() == [[1.0, 2.0]]


def test_block_2_models(program, capsys):
    names = program(MODELS)
    printed = capsys.readouterr().out
    assert "Linear" in printed
    assert f"{sum(one.size for one in names['model'].parameters()):,}" in printed
    assert names["y"].item() == 9.0
    names["y"].backward()
    gate = names["Gate"](3)
    gate(en.tensor(np.ones((2, 3), "float32"))).sum().backward()
    assert gate.inner.weight.grad is not None


def test_block_3_training(program):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    names = program(TRAINING)
    assert set(names["result"]) == {"loss", "accuracy"}
    assert names["result"]["accuracy"] > 0.95
    assert names["logits"].shape == (len(names["test"]), 10)
    assert isinstance(names["logits"], np.ndarray)
    assert len(names["history"]["loss"]) == 10
    assert len(names["stopped"]) <= 50


def test_block_4_the_loop_by_hand(program):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    names = program(LOOP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = [names["step"](x, y).item() for x, y in en.data.batches(names["train"], device=names["model"].device)]
    assert max(losses) < 1.0
    assert names["optimizer"].steps == 2 * 23
    assert en.devices()[0] == "cpu"


def test_block_5_the_picture(program):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    names = program(PICTURE)
    assert (names["folder"] / "history.png").read_bytes().startswith(b"\x89PNG")


# -- what a tensor has -----------------------------------------------------------------------------------

METHODS = {
    **{name: {} for name in ("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "min")},
    **{name: {"axis": 0} for name in ("softmax", "log_softmax", "mean", "var")},
    "sum": {"axis": 1, "keepdims": True},
    "max": {"axis": 1},
    "clip": {"min": 0.6, "max": 1.2},
}
NAMES = """
    Linear Maxout Sigmoid Tanh ReLU LeakyReLU ELU GELU SiLU Softplus Softmax Dropout BatchNorm LayerNorm StochasticDepth
    Residual Flatten Sequential SquaredError MeanSquaredError MeanAbsoluteError Huber CrossEntropy BinaryCrossEntropy
    Logistic Hinge TripletMargin L1 L2 ElasticNet SGD Adagrad RMSprop Adam AdamW NAdam Lion LBFGS Constant Step
    Exponential Cosine Warmup OneCycle ReduceOnPlateau Trainer EarlyStopping StepBelow Parameter Tensor Operation Layer
"""
INITIALIZERS = """
    zeros constant normal uniform glorot_uniform glorot_normal he_uniform he_normal lecun_uniform lecun_normal
    orthogonal
"""


@pytest.mark.parametrize("name", METHODS)
def test_functions_are_methods_too(name):
    x = en.tensor([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]])
    given = getattr(x, name)(**METHODS[name])
    np.testing.assert_array_equal(given.numpy(), getattr(en, name)(x, **METHODS[name]).numpy())


def test_the_rest_of_a_tensor():
    x, y = en.tensor([[1.0, -2.0], [3.0, 4.0]]), en.tensor([[2.0, 2.0], [2.0, 2.0]])
    for given, expected in (
        (x + y - 1 * x / y**2 @ -x, x.numpy() + 2 - x.numpy() / 4 @ -x.numpy()),
        (abs(x), abs(x.numpy())),
        (x > y, x.numpy() > 2),
        (x[:, 0], x.numpy()[:, 0]),
        (x[np.array([1, 0, 1])], x.numpy()[[1, 0, 1]]),
        (x.T, x.numpy().T),
        (x.reshape(4), x.numpy().reshape(4)),
        (x.transpose(1, 0), x.numpy().T),
        (x.mm(y), x.numpy() @ y.numpy()),
        (x.pow(2), x.numpy() ** 2),
        (x.clamp(min=0), x.numpy().clip(0)),
        (en.maximum(x, y), np.maximum(x.numpy(), 2)),
        (en.where(x > 0, x, y), np.where(x.numpy() > 0, x.numpy(), 2)),
        (en.concatenate([x, y], axis=1), np.concatenate([x.numpy(), y.numpy()], axis=1)),
        (en.stack([x, y], axis=0), np.stack([x.numpy(), y.numpy()])),
    ):
        np.testing.assert_allclose(given.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES.split())
def test_the_names_of_the_contract_are_there(name):
    assert isinstance(getattr(en, name), type)


@pytest.mark.parametrize("name", INITIALIZERS.split())
def test_the_initializers_of_the_contract_are_there(name):
    settings = {"value": 1.0} if name == "constant" else {}
    assert en.initializers.get(name, **settings)((3, 2), np.random.default_rng(0), np.dtype("float64")).shape == (3, 2)


def test_every_optimizer_takes_a_rate_or_a_schedule():
    for name in en.Optimizer.names():
        for rate in (0.5, en.Constant(0.5)):
            assert en.Optimizer.by_name(name, [en.Parameter([1.0])], learning_rate=rate).learning_rate == 0.5


# -- semantics: dtype, reductions, targets ---------------------------------------------------------------


def test_dtypes_are_kept_and_python_floats_are_float32():
    for dtype in ("float32", "float64", "float16", "int32", "bool", "uint8"):
        assert en.tensor(np.ones(2, dtype)).dtype == dtype
    assert en.Parameter(np.ones(2)).dtype == "float64"
    assert en.tensor(1.0).dtype == en.tensor([[1.0, 2]]).dtype == en.Parameter([1.0]).dtype == "float32"
    assert en.tensor([1, 2]).dtype == "int64"
    assert en.tensor(True).dtype == "bool"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_python_numbers_never_change_a_dtype(dtype):
    x = en.tensor(np.ones(2, dtype))
    for result in (x + 1, 2.5 * x, x**2, 1 / x, x - True, en.maximum(x, 0.5)):
        assert result.dtype == dtype


def test_two_float_dtypes_and_two_devices_are_refused(fake_device):
    x = en.tensor(np.ones(2, "float32"))
    with pytest.raises(en.DtypeError, match=r'convert one with .to\(dtype="float32"\)'):
        x + en.tensor(np.ones(2))
    with pytest.raises(en.DeviceError, match=r'move one with .to\("cpu"\)'):
        x + en.tensor(np.ones(2, "float32"), device=fake_device)


def test_reductions_kinks_and_ties():
    x = en.tensor([3.0, 3.0, 1.0, -1.0], requires_grad=True)
    assert x.max().item() == 3.0
    x.max().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert en.tensor([1.0, 3.0]).var().item() == 1.0
    for function in (en.relu, en.abs):
        zero = en.tensor(0.0, requires_grad=True)
        function(zero).backward()
        assert zero.grad.item() == 0.0


def test_targets():
    logits = en.tensor([[1.0, 2.0], [0.5, 0.0]])
    loss = en.CrossEntropy()
    expected = loss(logits, en.tensor([1, 0])).item()
    for dtype in ("int8", "uint16", "int64"):
        assert loss(logits, np.array([1, 0], dtype)).item() == expected
    each = en.CrossEntropy(reduction="none")(logits, np.array([1, 0])).numpy()
    assert expected == pytest.approx(each.mean(), rel=1e-6)
    weighted = en.CrossEntropy(class_weight=[3.0, 1.0])(logits, np.array([1, 0])).item()
    assert weighted == pytest.approx((each[0] + 3 * each[1]) / 4, rel=1e-6)
    for prediction, target in ((np.ones((3, 1)), np.ones(3)), (np.ones(3), np.ones((3, 1)))):
        with pytest.raises(en.ShapeError, match=r"Use target\.reshape"):
            en.MeanSquaredError()(en.tensor(prediction), target)


# -- semantics: gradients --------------------------------------------------------------------------------


def test_a_second_backward_adds_again_and_zeroing_gives_none():
    w = en.Parameter([2.0])
    loss = (w * w).sum()
    loss.backward()
    loss.backward()
    assert w.grad.tolist() == [8.0]
    optimizer = en.SGD([w, en.Parameter([1.0])], learning_rate=0.25)
    optimizer.step()
    assert [one.tolist() for one in optimizer.groups[0].parameters] == [[0.0], [1.0]]
    optimizer.zero_grad()
    assert w.grad is None
    with pytest.raises(TypeError):
        loss.backward(retain_graph=True)


def test_second_derivatives_are_refused():
    x = en.tensor(2.0, requires_grad=True)
    y = x * x
    with pytest.raises(en.GradientError, match="second derivatives"):
        y.backward(create_graph=True)
    y.backward()
    with pytest.raises(en.GradientError, match="second derivatives"):
        x.grad.backward()


def test_changes_in_place_are_detected():
    x = en.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    with en.no_grad():
        x += 1.0
    with pytest.raises(en.GradientError, match="changed in place"):
        y.backward()


# -- semantics: penalties, normalisation -----------------------------------------------------------------


def test_penalties_are_of_weights_and_of_training_alone():
    model = en.Sequential(en.Linear(2, 2, initializer="zeros"), en.BatchNorm(2), en.Maxout(2, 1, initializer="zeros"))
    with en.no_grad():
        for one in model.parameters():
            one[...] = 2.0
    assert en.L2(0.5)(model).item() == 0.5 * 4.0 * (4 + 4)
    en.L2(0.5)([model[0].weight]).backward()
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), 2 * 0.5 * 2.0)

    line = en.Linear(1, 1, initializer="zeros")
    with en.no_grad():
        line.weight[...] = 3.0
    trainer = en.Trainer(
        line, loss=en.MeanSquaredError(), optimizer=en.SGD(line.parameters(), learning_rate=0.0), penalty=en.L2(1.0)
    )
    x = np.ones((2, 1), "float32")
    assert trainer.fit((x, 3 * x))["loss"] == [9.0]
    assert trainer.evaluate((x, 3 * x)) == {"loss": 0.0}


@pytest.mark.parametrize(("name", "after"), [("sgd", 0.9), ("adamw", 0.9), ("lion", 0.9), ("adam", 0.5)])
def test_weight_decay_is_pytorch_s(name, after):
    w = en.Parameter(np.array([1.0]))
    optimizer = en.Optimizer.by_name(name, [w], learning_rate=0.5, weight_decay=0.2)
    w.grad = np.array([0.0])
    optimizer.step()  # decoupled: lr * decay * w; as a gradient, Adam makes it a whole step
    assert w.item() == pytest.approx(after)


def test_batch_norm():
    layer = en.BatchNorm(1, dtype="float64")
    assert (layer.momentum, layer.eps) == (0.1, 1e-5)
    y = layer(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(y.numpy(), np.array([[-1.0], [1.0]]) / np.sqrt(1.0 + 1e-5))  # biased: 1
    np.testing.assert_allclose(layer.running_var.numpy(), [0.9 + 0.1 * 2.0])  # unbiased: 2
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.2])
    model = en.Sequential(en.Linear(1, 2), en.BatchNorm(2))
    trainer = en.Trainer(model, loss=en.SquaredError(), optimizer=en.SGD(model.parameters()))
    before = model[0].weight.numpy()
    with pytest.raises(en.ArgumentError, match="drop_last"):
        trainer.fit((np.ones((5, 1)), np.ones((5, 2))), batch_size=2)
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


# -- semantics: training ---------------------------------------------------------------------------------


class Spy(en.Layer):
    """A weight, and a list of (mode, recorded, rows) of every call."""

    def __init__(self):
        super().__init__()
        self.weight = en.Parameter(np.ones((1, 1)))
        self.calls = []

    def forward(self, x):
        y = x @ self.weight
        self.calls.append((self.training, y.requires_grad, x.numpy().ravel().tolist()))
        return y


COLUMN = np.arange(1.0, 7.0).reshape(6, 1)


def spied(rate=0.0, **settings):
    model = Spy()
    optimizer = en.SGD(model.parameters(), learning_rate=rate)
    return model, en.Trainer(model, loss=en.SquaredError(), optimizer=optimizer, device="cpu", **settings)


def test_modes():
    model, trainer = spied()
    model.eval()
    trainer.fit((COLUMN, COLUMN), batch_size="all")
    trainer.evaluate((COLUMN, COLUMN))
    model.train()
    trainer.predict(COLUMN)
    assert [call[:2] for call in model.calls] == [(True, True), (False, False), (False, False)]
    assert model.training
    model.eval()
    trainer.fit((COLUMN, COLUMN), batch_size="all")
    assert not model.training


def test_accumulation_averages_over_samples_and_clipping_comes_after_the_penalty():
    model, trainer = spied(rate=en.Step(0.1, every=1, factor=0.5), accumulate=2, penalty=en.L2(3.0), clip_norm=4.0)
    trainer.fit((COLUMN, np.zeros((6, 1))), batch_size=4, shuffle=False)  # 4 and 2 samples: one step
    gradient = 2 * (COLUMN**2).mean() + 6.0  # at w = 1
    assert model.weight.item() == pytest.approx(1 - 0.1 * min(gradient, 4.0), rel=1e-6)
    assert (trainer.step, trainer.optimizer.learning_rate) == (1, 0.05)  # schedules count steps
    model, trainer = spied(rate=0.01, accumulate=2)
    trainer.fit((COLUMN, np.zeros((6, 1))), batch_size=2, shuffle=False)  # 2 + 2 samples, and the rest
    w = 1 - 0.01 * 2 * (COLUMN[:4] ** 2).mean()
    w = w - 0.01 * 2 * w * (COLUMN[4:] ** 2).mean()
    assert model.weight.item() == pytest.approx(w, rel=1e-12)


def test_batches_are_drawn_by_seed_and_pass_and_the_loss_is_the_mean_over_samples():
    model, trainer = spied(seed=5)
    history = trainer.fit((COLUMN, np.zeros((6, 1))), epochs=2, batch_size=4)
    for number in range(2):
        order = np.random.Generator(np.random.PCG64([5, number])).permutation(6)
        seen = [row for _, _, rows in model.calls[2 * number : 2 * number + 2] for row in rows]
        assert seen == COLUMN[order].ravel().tolist()
    assert history["loss"] == [pytest.approx((COLUMN**2).mean())] * 2


def test_seeds(backend):
    en.seed(7)
    first = en.Linear(3, 4, device=backend).weight.numpy()
    en.seed(7)
    np.testing.assert_array_equal(en.Linear(3, 4).weight.numpy(), first)
    layers = [en.Dropout(0.5, generator=1), en.Dropout(0.5, generator=1)]
    x = np.ones((8, 8), "float32")
    for _ in range(3):  # every training forward takes the layer's next counter
        masks = [
            layer(en.tensor(x, device=device)).numpy() for layer, device in zip(layers, (backend, "cpu"), strict=True)
        ]
        np.testing.assert_array_equal(*masks)
    assert layers[0].drawn == 3
    assert not np.array_equal(layers[0](x).numpy(), masks[0])


def test_optimizers_own_flat_buffers_and_parameters_keep_their_identity(fake_device):
    model = en.Sequential(en.Linear(3, 3), en.Linear(3, 3), en.Linear(3, 2))
    model[1].weight = model[0].weight
    model[2].weight.requires_grad_(False)
    members = model.parameters()
    optimizer = en.SGD([*members, *members], learning_rate=0.1)
    (buffer,) = optimizer.buffers()
    assert buffer.parameters == [one for one in members if one is not model[2].weight]
    assert all(np.shares_memory(one.array, buffer.weights) for one in buffer.parameters)
    model.load_state_dict(model.state_dict())
    model.to(dtype="float64")
    model.to(fake_device)
    assert all(one is other for one, other in zip(members, model.parameters(), strict=True))


# -- semantics: capture ----------------------------------------------------------------------------------


def captured_and_plain(make):
    """The same three calls of a step, captured and not, from equal starts."""
    results = []
    for capture in (True, False):
        en.seed(0)
        step, state = make()
        step = en.capture(step) if capture else step
        generator = np.random.default_rng(0)
        outputs = []
        for rows in (4, 4, 6, 4, 4):
            x = en.tensor(generator.standard_normal((rows, 3)).astype("float32"))
            outputs.append(step(x))
        results.append(([one.numpy() for one in outputs], [one.numpy() for one in state()]))
    return results


def test_capture_gives_the_same_bits_and_outputs_stay_valid():
    def make():
        model = en.Sequential(en.Linear(3, 4), en.ReLU(), en.Dropout(0.5, generator=2), en.Linear(4, 1))
        optimizer = en.Adam(model.parameters(), learning_rate=en.Step(0.1, every=2))

        def step(x):
            loss = (model(x) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.clip_norm(0.5)
            optimizer.step()
            return loss

        return step, model.parameters

    captured, plain = captured_and_plain(make)
    for given, expected in zip(captured, plain, strict=True):
        for one, other in zip(given, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_capture_freezes_what_is_no_array_into_its_signature():
    layer = en.Dropout(0.5, generator=1)
    runs = []

    @en.capture
    def step(x, factor):
        runs.append(factor)
        return layer(x) * factor

    x = en.tensor(np.ones((4, 4), "float32"))
    assert step(x, 2.0).numpy().max() == 4.0
    assert step(x, 3.0).numpy().max() == 6.0
    before = len(runs)
    layer.eval()
    np.testing.assert_array_equal(step(x, 2.0).numpy(), 2.0)
    assert len(runs) > before  # train mode is part of it
    with en.no_grad():
        step(x, 2.0)
    step(en.tensor(np.ones((2, 2))), 2.0)
    assert step(en.tensor(np.ones((2, 2))), 2.0).dtype == "float64"


def test_capture_of_a_function_that_reads_a_value_runs_eagerly_and_warns_once():
    @en.capture
    def step(x):
        return x * 2 if x.sum().item() > 0 else x * 3

    with pytest.warns(RuntimeWarning, match=r"test_contract\.py") as caught:
        results = [step(en.tensor([value])).item() for value in (1.0, -1.0, 2.0)]
    assert results == [2.0, -3.0, 4.0]
    assert len(caught) == 1


def test_capture_calls_a_users_operation_again():
    calls = []

    class Own(en.Operation):
        def forward(self, x):
            calls.append(1)
            return x * len(calls), None

        def backward(self, saved, incoming_gradient, needed):
            return (incoming_gradient,)

    step = en.capture(lambda x: en.apply(Own(), x) + 0)
    x = en.tensor([1.0])
    results = [step(x).item() for _ in range(4)]
    assert len(calls) >= 4
    assert results == sorted(set(results))


# -- semantics: preprocessing, what is not finite --------------------------------------------------------


def test_preparation_is_stored_and_gives_the_same_numbers():
    from engine.data.preparation import from_dict

    x = np.random.default_rng(0).normal(5.0, 3.0, (20, 2))
    for made in (en.data.Standardize.fit(x), en.data.Scale(1 / 255)):
        again = from_dict(made.to_dict())
        np.testing.assert_array_equal(again(x[:3]), made(x[:3]))


def test_a_step_that_is_not_finite_leaves_the_weights():
    model = en.Sequential(en.Linear(1, 2, generator=0), en.ReLU(), en.Linear(2, 1, generator=1))
    trainer = en.Trainer(model, loss=en.MeanSquaredError(), optimizer=en.SGD(model.parameters(), learning_rate=0.1))
    x = np.ones((4, 1), "float32")
    trainer.fit((x, x), epochs=2)
    with en.no_grad():
        model[2].bias[...] = np.nan
    before = [one.numpy() for one in model.parameters()]
    with pytest.raises(en.NotFiniteError, match=r"epoch 3, step 3: the loss is not finite; .* layer 2 \(Linear\)"):
        trainer.fit((x, x))
    for one, kept in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(one.numpy(), kept)
