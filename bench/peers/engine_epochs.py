"""What is a training in the engine? `Trainer.fit`, `Trainer.predict`, and the captured model."""

from collections.abc import Callable
from typing import Any

import numpy as np

import engine as en
from bench.peers.engine_step import prepare as prepare
from bench.peers.epoch import WHOLE_BATCH, Data, Epochs
from bench.peers.step import BETAS, EPSILON, MOMENTUM


class Trained(Epochs):
    """A `Trainer`, as its user makes it."""

    def take(self, data: Data) -> None:
        self.samples = en.data.Dataset(data.x, data.labels, "bench")

    def fit(self, samples: int | None, epochs: int) -> float:
        run = self.run
        layers: list[Any] = []
        for weight, bias in run.first_weights:
            layers += [en.Linear(*weight.shape), en.ReLU(), *([en.Dropout(run.dropout)] if run.dropout else [])]
            linear = layers[-3 if run.dropout else -2]
            linear.load_state_dict({"weight": weight, "bias": bias})
        self.model = en.Sequential(*layers[: layers.index(linear) + 1])
        optimizer: Any
        if run.optimizer == "sgd":
            optimizer = en.SGD(self.model.parameters(), learning_rate=run.learning_rate, momentum=MOMENTUM)
        else:
            optimizer = en.Adam(self.model.parameters(), learning_rate=run.learning_rate, betas=BETAS, eps=EPSILON)
        self.trainer = en.Trainer(self.model, loss=en.CrossEntropy(), optimizer=optimizer, device=self.device)
        data = self.samples if samples is None else self.samples[: max(samples, 1)]
        history = self.trainer.fit(data, epochs=epochs, batch_size=run.batch)
        return float(history["loss"][-1]) if epochs else float("nan")

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.trainer.predict(x, WHOLE_BATCH)

    def predictors(self, x: np.ndarray) -> dict[str, Callable[[], Any]]:
        model, batch = self.model.eval(), en.tensor(x, device=self.device)
        captured = en.capture(model)

        def without_history(function: Callable[[Any], Any]) -> Callable[[], Any]:
            def call() -> Any:
                with en.no_grad():
                    return function(batch)

            return call

        return {"captured": without_history(captured), "eager": without_history(model)}
