"""What is the same step in scikit-learn? One `MLPClassifier.partial_fit` of the batch."""

from typing import Any

import numpy as np

from bench.peers.step import BETAS, EPSILON, MOMENTUM, Arrays, Cell, MissingError, Step


def prepare(device: str, threads: int) -> dict[str, str]:
    if device != "cpu":
        raise MissingError("scikit-learn's MLPClassifier does not run on GPUs")
    try:
        import sklearn
    except ImportError:
        raise MissingError("scikit-learn is not installed") from None
    return {"version": f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}", "precision": "float32"}


class Classifier(Step):
    """No penalty, no Nesterov, no shuffling: the same step as the others'."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        from sklearn.neural_network import MLPClassifier

        self.cell, self.arrays = cell, arrays
        self.model = MLPClassifier(
            cell.sizes[1:-1],
            solver=cell.optimizer,
            alpha=0.0,
            batch_size=cell.batch,
            learning_rate_init=cell.learning_rate,
            shuffle=False,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            beta_1=BETAS[0],
            beta_2=BETAS[1],
            epsilon=EPSILON,
        )
        self.classes = np.arange(cell.sizes[-1])
        self.model.partial_fit(arrays.x, arrays.labels, classes=self.classes)

    def reset(self) -> None:
        if self.incomparable() is None:
            for kept, first in (
                (self.model.coefs_, self.arrays.weights),
                (self.model.intercepts_, self.arrays.biases),
            ):
                for own, one in zip(kept, first, strict=True):
                    own[...] = one
        vars(self.model).pop("_optimizer", None)  # the next call makes a new one
        self.model.loss_curve_.clear()

    def step(self) -> Any:
        self.model.partial_fit(self.arrays.x, self.arrays.labels)
        return self.model.loss_

    def incomparable(self) -> str | None:
        return "of two classes it makes one logistic output" if self.cell.sizes[-1] == 2 else None
