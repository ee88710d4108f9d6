"""What is a training in scikit-learn? `MLPClassifier.fit` of the whole set, without stopping early."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers.epoch import Data, Epochs
from bench.peers.sklearn_step import prepare as prepare
from bench.peers.step import BETAS, EPSILON, MOMENTUM


class Trained(Epochs):
    """No penalty, no Nesterov; it draws its own first weights."""

    takes_weights = False

    def refusal(self) -> str | None:
        return "it has no dropout" if self.run.dropout else None

    def take(self, data: Data) -> None:
        """It takes arrays as they are."""

    def fit(self, samples: int | None, epochs: int) -> float:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        run = self.run
        self.model = MLPClassifier(
            run.sizes[1:-1],
            solver=run.optimizer,
            alpha=0.0,
            batch_size=run.batch,
            learning_rate_init=run.learning_rate,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=epochs + 1,  # it runs all of them
            early_stopping=False,
            random_state=0,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            beta_1=BETAS[0],
            beta_2=BETAS[1],
            epsilon=EPSILON,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that was asked for
            self.model.fit(self.data.x[:samples], self.data.labels[:samples])
        assert self.model.n_iter_ == epochs
        return float(self.model.loss_)

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(x)

    def predictors(self, x: np.ndarray) -> dict[str, Callable[[], Any]]:
        return {"predict_proba": lambda: self.model.predict_proba(x)}
