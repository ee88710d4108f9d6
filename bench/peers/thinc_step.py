"""What is the same step in Thinc? Its chain of layers, its cross-entropy, its optimizers."""

from typing import Any

import numpy as np

from bench.peers.step import BETAS, EPSILON, Arrays, Cell, MissingError, Step


def prepare(device: str, threads: int) -> dict[str, str]:
    try:
        import thinc
        from thinc.api import get_current_ops, require_cpu, require_gpu
    except ImportError:
        raise MissingError("Thinc is not installed") from None
    try:
        require_cpu() if device == "cpu" else require_gpu(int(device.partition(":")[2] or 0))
    except Exception as error:  # ValueError without CuPy or a GPU, CUDA's own errors otherwise
        raise MissingError(f"Thinc has no CUDA device here ({error})") from None
    return {
        "version": f"Thinc {thinc.__version__}",
        "precision": "float32",
        "BLAS": "BLIS, one thread" if device == "cpu" else type(get_current_ops()).__name__,
    }


class Chain(Step):
    """`chain(Relu, ..., Softmax)`. Its first layer computes the batch's gradient too: no switch turns that off."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        from thinc.api import SGD, Adam, CategoricalCrossentropy, Relu, Softmax, chain, get_current_ops

        self.cell, self.arrays, self.ops = cell, arrays, get_current_ops()
        kinds = [Relu] * (len(arrays.weights) - 1) + [Softmax]
        layers = [kind(nO=w.shape[1], nI=w.shape[0]) for kind, w in zip(kinds, arrays.weights, strict=True)]
        self.model = chain(*layers)
        self.model.initialize()
        self.layers = layers
        self.loss_function = CategoricalCrossentropy(normalize=True)
        self.x = self.ops.asarray(arrays.x)
        self.truth = self.ops.asarray(np.eye(cell.sizes[-1], dtype=np.float32)[arrays.labels])

        def make_optimizer() -> Any:
            if cell.optimizer == "sgd":
                return SGD(cell.learning_rate, grad_clip=0.0, L2=0.0)
            return Adam(
                cell.learning_rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                eps=EPSILON,
                L2=0.0,
                grad_clip=0.0,
                use_averages=False,
            )

        self.make_optimizer = make_optimizer

    def reset(self) -> None:
        for layer, (w, b) in zip(self.layers, self.arrays.pairs, strict=True):
            layer.set_param("W", self.ops.asarray(w.T.copy()))
            layer.set_param("b", self.ops.asarray(b.copy()))
        self.optimizer = self.make_optimizer()

    def step(self) -> Any:
        probabilities, backprop = self.model.begin_update(self.x)
        gradient, _ = self.loss_function(probabilities, self.truth)
        backprop(gradient)
        self.model.finish_update(self.optimizer)
        self.optimizer.step_schedules()
        return probabilities

    def synchronize(self, last: Any) -> None:
        if self.ops.name == "cupy":
            self.ops.xp.cuda.get_current_stream().synchronize()

    def value(self, last: Any) -> float:
        # What Thinc calls the loss is the sum of the squared gradients, so this is worked out from the probabilities.
        probabilities = self.ops.to_numpy(last)
        return float(-np.log(probabilities[np.arange(self.cell.batch), self.arrays.labels]).mean())

    def incomparable(self) -> str | None:
        return "its SGD has no momentum" if self.cell.optimizer == "sgd" else None
