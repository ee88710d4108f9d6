"""What are the operations in the engine? Each as its user calls it, eagerly."""

from collections.abc import Callable
from typing import Any

import numpy as np

import backends
import engine as en
from bench.peers.engine_step import prepare as prepare
from bench.peers.operation import RATE, Arrays, Case, Operations
from bench.peers.step import MOMENTUM


class Eager(Operations):
    """Functions, methods, layers, losses and optimizers."""

    def make_cases(self, arrays: Arrays) -> dict[str, Case]:
        fixed = {name: self.tensor(array) for name, array in arrays._asdict().items()}

        def leaf(name: str) -> en.Tensor:
            return fixed[name].clone().requires_grad_()

        x, z, row, weight, stack = leaf("x"), leaf("z"), leaf("row"), leaf("weight"), leaf("stack")
        positive, share, stack_weight = leaf("positive"), leaf("share"), leaf("stack_weight")
        condition, numbers = fixed["condition"], fixed["numbers"]
        columns = arrays.x.shape[1]

        def of_x(layer: Callable[[Any], Any], random: bool = False) -> Case:
            members = layer.to(self.device).parameters() if isinstance(layer, en.layers.Layer) else []
            return Case(lambda: layer(x), (x, *members), random)

        def loss(function: Any, prediction: Any, target: str) -> Case:
            aim = fixed[target]
            return Case(lambda: function(prediction, aim), (prediction,))

        linear, maxout = en.Linear(columns, columns), en.Maxout(columns, columns)
        linear.load_state_dict({"weight": arrays.weight, "bias": arrays.row})
        maxout.load_state_dict({"weight": arrays.pieces, "bias": np.zeros(2 * columns, np.float32)})
        triplet = en.TripletMargin()
        return {
            "add": Case(lambda: x + z, (x, z)),
            "add a row": Case(lambda: x + row, (x, row)),
            "subtract": Case(lambda: x - z, (x, z)),
            "multiply": Case(lambda: x * z, (x, z)),
            "divide": Case(lambda: x / positive, (x, positive)),
            "square": Case(lambda: x**2, (x,)),
            "negative": Case(lambda: -x, (x,)),
            "maximum": Case(lambda: en.maximum(x, z), (x, z)),
            "minimum": Case(lambda: en.minimum(x, z), (x, z)),
            "where": Case(lambda: en.where(condition, x, z), (x, z)),
            "clip": Case(lambda: x.clip(-1.0, 1.0), (x,)),
            "abs": Case(lambda: x.abs(), (x,)),
            "exp": Case(lambda: x.exp(), (x,)),
            "log": Case(lambda: positive.log(), (positive,)),
            "sqrt": Case(lambda: positive.sqrt(), (positive,)),
            "sum": Case(lambda: x.sum(), (x,)),
            "sum over the batch": Case(lambda: x.sum(0), (x,)),
            "mean of each sample": Case(lambda: x.mean(1), (x,)),
            "max of each sample": Case(lambda: x.max(1), (x,)),
            "min": Case(lambda: x.min(), (x,)),
            "var over the batch": Case(lambda: x.var(0), (x,)),
            "reshape": Case(lambda: x.reshape(-1), (x,)),
            "transpose": Case(lambda: x.T, (x,)),
            "columns": Case(lambda: x[:, 1:], (x,)),
            "rows by number": Case(lambda: x[numbers], (x,)),
            "concatenate": Case(lambda: en.concatenate([x, z], 1), (x, z)),
            "stack": Case(lambda: en.stack([x, z]), (x, z)),
            "matmul": Case(lambda: x @ weight, (x, weight)),
            "matmul of stacks": Case(lambda: stack @ stack_weight, (stack, stack_weight)),
            "relu": of_x(en.ReLU()),
            "leaky relu": of_x(en.LeakyReLU()),
            "elu": of_x(en.ELU()),
            "sigmoid": of_x(en.Sigmoid()),
            "tanh": of_x(en.Tanh()),
            "gelu": of_x(en.GELU()),
            "silu": of_x(en.SiLU()),
            "softplus": of_x(en.Softplus()),
            "softmax": of_x(en.Softmax()),
            "log softmax": of_x(en.log_softmax),
            "Linear": of_x(linear),
            "Maxout": of_x(maxout),
            "BatchNorm": of_x(en.BatchNorm(columns)),
            "BatchNorm, evaluation": of_x(en.BatchNorm(columns).eval()),
            "LayerNorm": of_x(en.LayerNorm(columns)),
            "Dropout": of_x(en.Dropout(0.2, generator=0), random=True),
            "StochasticDepth": of_x(en.StochasticDepth(en.ReLU(), 0.2, generator=0), random=True),
            "Residual": of_x(en.Residual(en.ReLU())),
            "Flatten": of_x(en.Flatten()),
            "CrossEntropy": loss(en.CrossEntropy(), x, "labels"),
            "CrossEntropy of probabilities": loss(en.CrossEntropy(), x, "distribution"),
            "Hinge": loss(en.Hinge(), x, "labels"),
            "BinaryCrossEntropy": loss(en.BinaryCrossEntropy(), share, "zeros_and_ones"),
            "BinaryCrossEntropy of logits": loss(en.BinaryCrossEntropy(from_logits=True), x, "zeros_and_ones"),
            "Logistic": loss(en.Logistic(), x, "signs"),
            "SquaredError": loss(en.SquaredError(), x, "z"),
            "MeanSquaredError": loss(en.MeanSquaredError(), x, "z"),
            "MeanAbsoluteError": loss(en.MeanAbsoluteError(), x, "z"),
            "Huber": loss(en.Huber(), x, "z"),
            "TripletMargin": Case(lambda: triplet(x, fixed["z"], fixed["share"]), (x,)),
            "SGD": self._step(arrays, en.SGD),
            "SGD with momentum": self._step(arrays, en.SGD, momentum=MOMENTUM),
            "Adagrad": self._step(arrays, en.Adagrad),
            "RMSprop": self._step(arrays, en.RMSprop),
            "Adam": self._step(arrays, en.Adam),
            "AdamW": self._step(arrays, en.AdamW),
            "NAdam": self._step(arrays, en.NAdam),
            "Lion": self._step(arrays, en.Lion),
        }

    def _step(self, arrays: Arrays, kind: Any, **settings: Any) -> Case:
        """The optimizer's step alone, with the same gradient again and again."""
        parameter = en.Parameter(arrays.x.copy(), device=self.device)
        optimizer = kind([parameter], learning_rate=RATE, **settings)
        (parameter * self.tensor(arrays.z)).sum().backward()
        return Case(optimizer.step, compared=lambda: parameter)

    def tensor(self, array: np.ndarray) -> Any:
        return en.tensor(array, device=self.device)

    def forget(self, leaf: Any) -> None:
        leaf.zero_grad()

    def host(self, tensor: Any) -> np.ndarray:
        return tensor.numpy()

    def make_product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], Any]:
        backend = backends.get(self.device)
        xp = backend.xp
        a, b, out = (xp.asarray(one) for one in (a, b, out))
        return lambda: xp.matmul(a, b, out=out)
