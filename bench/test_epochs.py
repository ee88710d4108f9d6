"""Does everyone train the same net on the same data, and is it said who reaches something else? pytest bench."""

import copy
import json

import numpy as np
import pytest

from bench import epochs, epochs_report
from bench.__main__ import main
from bench.peers.engine_epochs import Trained
from bench.peers.epoch import Run, load, peak_megabytes, save

SMALL = Run("small", "mnist", (20, 16, 10), 16, 0.2, "adam", 1e-2, 3)
TINY = ["--suite", "epochs", "--rounds", "1", "--threads", "1"]


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "data", epochs.synthetic(400, 100, 20))
    return str(tmp_path / "data")


@pytest.fixture
def small_mnist(monkeypatch):
    monkeypatch.setattr(epochs, "_mnist", lambda data_dir: ("synthetic, small", epochs.synthetic(400, 100, 784)))


def test_made_up_data_is_the_same_at_every_call_and_can_be_learnt(folder):
    first, second = epochs.synthetic(400, 100, 20), load(folder)
    for ours, theirs in zip(first, second, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert [one.dtype for one in first] == [np.float32, np.int64] * 2
    trained = Trained("cpu")
    assert trained.start(folder, list(SMALL)) == {}
    told = trained.train()
    assert told["accuracy"] > 0.5
    assert 0 < told["loss"] < 2
    assert trained.train()["loss"] == told["loss"]  # again from the first weights


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_engine_begins_with_the_weights_that_are_given(folder, dropout):
    run = SMALL._replace(dropout=dropout)
    trained = Trained("cpu")
    trained.start(folder, list(run))
    x = load(folder).test_x[:64]
    for number, (w, b) in enumerate(run.first_weights):
        x = (x if number == 0 else np.maximum(x, 0)) @ w + b
    np.testing.assert_allclose(trained.first_logits()["logits"], x, rtol=1e-4, atol=1e-5)


def test_all_ways_to_predict_give_the_same(folder):
    trained = Trained("cpu")
    trained.start(folder, list(SMALL))
    trained.train()
    x = load(folder).test_x[:8]
    for way, call in trained.predictors(x).items():
        for _ in range(3):  # recorded, and replayed
            np.testing.assert_allclose(call().numpy(), trained.logits(x), rtol=1e-5, err_msg=way)
    told = trained.predict([1, 8], 1e-4)
    assert {way: list(one) for way, one in told["microseconds"].items()} == {
        "captured": ["1", "8"],
        "eager": ["1", "8"],
    }
    assert told["whole"] > 0


def test_scikit_learn_runs_all_epochs(folder):
    pytest.importorskip("sklearn", reason="scikit-learn, which is measured here, is not installed")
    from bench.peers.sklearn_epochs import Trained as Classifier

    classifier = Classifier("cpu")
    with pytest.raises(Exception, match="no dropout"):
        classifier.start(folder, list(SMALL))
    classifier.start(folder, list(SMALL._replace(dropout=0.0, epochs=30)))
    assert classifier.train()["accuracy"] > 0.5
    assert classifier.model.n_iter_ == 30
    assert classifier.first_logits() == {"logits": None}


def test_the_command_measures_peers_and_names_the_missing_ones(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn, the peer that is measured here, is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib, which draws the result, is not installed")
    path, picture = tmp_path / "result.json", tmp_path / "result.png"
    missing = ["--peer-python", f"torch={tmp_path / 'python'}"]
    files = ["--json", str(path), "--plot", str(picture)]
    assert main([*TINY, "--runs", "digits-adam", "--samples", "640", *missing, *files]) == 0
    printed, result = capsys.readouterr().out, json.loads(path.read_text())["result"]
    assert picture.stat().st_size > 1000
    assert set(result["missing"]) == {"PyTorch"}
    assert printed.count("missing: PyTorch") == 1
    run = result["runs"]["digits-adam"]
    assert set(run["reached"]) == {"engine", "sklearn"}
    assert all(one["accuracy"] > 0.8 for one in run["reached"].values())
    assert run["ratio"]["sklearn"]["bound"] == 10
    assert result["data"]["digits"]["samples"] == 640
    assert result["prediction"] is None


def test_predictions_are_compared_batch_by_batch(small_mnist, tmp_path):
    result = epochs.measure(peers=(), runs=["mnist-dropout"], rounds=1, batches=(1, 4), seconds=1e-4)
    assert result["data"]["mnist"] == {
        "source": "synthetic, small",
        "samples": 400,
        "test_samples": 100,
        "features": 784,
    }
    predicted = result["prediction"]
    assert list(predicted["microseconds"]) == ["engine captured", "engine eager"]
    # As it would be with a peer that is three times as slow.
    result["contestants"]["torch"] = result["contestants"]["engine"] | {"label": "PyTorch"}
    run = result["runs"]["mnist-dropout"]
    run["reached"]["torch"] = slow = copy.deepcopy(run["reached"]["engine"])
    slow["seconds"] = {key: np.multiply(3, value).tolist() for key, value in slow["seconds"].items()}
    run["ratio"] = epochs._ratios(epochs.RUNS["mnist-dropout"], run["reached"])
    assert run["ratio"]["torch"] == {"ratio": pytest.approx(3, rel=1e-3), "same": True, "bound": 1.8}
    predicted["microseconds"]["torch no_grad"] = predicted["microseconds"]["engine eager"]
    predicted["whole"]["torch"] = predicted["whole"]["engine"]
    predicted["ratio"] = {"1": {"ratio": 3.0, "bound": 3.0}, "4": {"ratio": 0.5, "bound": 0.95}}
    printed = epochs.report(result)
    assert "at least 1.8 is wanted" in printed
    assert "3.00           0.50" in printed
    pytest.importorskip("matplotlib", reason="matplotlib, which draws the result, is not installed")
    epochs_report.draw(result, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1000


def test_who_trains_something_else_is_told():
    def reached(accuracy, distance):
        return {"seconds": {"median": 1.0}, "accuracy": accuracy, "first_logits": distance}

    everyone = {
        "engine": reached(0.96, 0.0),
        "torch": reached(0.95, 1e-2),
        "sklearn": reached(0.8, None),
    }
    ratios = epochs._ratios(epochs.RUNS["mnist"], everyone)
    assert [ratios[name]["same"] for name in ("torch", "sklearn")] == [False, False]
    everyone["torch"]["first_logits"], everyone["sklearn"]["accuracy"] = 1e-6, 0.94
    ratios = epochs._ratios(epochs.RUNS["mnist"], everyone)
    assert [ratios[name]["same"] for name in ("torch", "sklearn")] == [True, True]


def test_pytorch_trains_the_same(tmp_path):
    from bench.contest import Contest

    save(tmp_path, epochs.synthetic(400, 100, 20))
    with Contest(["engine", "torch"], {}, "cpu", 1, epochs.CONTESTANTS) as both:
        if "torch" in both.missing:
            pytest.skip(both.missing["torch"])
        told = epochs.one_run(both, SMALL, tmp_path, 1)
    assert told["left_out"] == {}
    assert told["reached"]["torch"]["first_logits"] < 1e-5
    assert told["reached"]["torch"]["loss"] == pytest.approx(told["reached"]["engine"]["loss"], rel=0.2)


def test_memory_is_told_in_megabytes():
    held = np.ones(4_000_000)
    assert peak_megabytes() > held.nbytes / 1e6


@pytest.mark.parametrize(
    "options", [["--runs", "cifar"], ["--peers", "jax"], ["--samples", "0"], ["--plot", "/no/x.png"]]
)
def test_wrong_options_end_with_two(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ")
    assert told.count("\n") == 1
    assert options[1] in told


def test_benchmark_fit(benchmark, folder):
    trained = Trained("cpu")
    trained.start(folder, list(SMALL))
    benchmark.pedantic(trained.fit, args=(None, 3), rounds=10)


@pytest.mark.parametrize("way", ["captured", "eager"])
@pytest.mark.parametrize("batch", [1, 64])
def test_benchmark_predict(benchmark, folder, way, batch):
    trained = Trained("cpu")
    trained.start(folder, list(SMALL))
    call = trained.predictors(np.resize(load(folder).test_x, (batch, 20)))[way]
    benchmark.pedantic(call, rounds=20, iterations=50, warmup_rounds=2)
