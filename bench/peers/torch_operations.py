"""What are the operations in PyTorch? Each as its user calls it, eagerly."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers.operation import RATE, Arrays, Case, Operations
from bench.peers.step import MOMENTUM
from bench.peers.torch_step import prepare as prepare


class Eager(Operations):
    """Functions, modules and optimizers; by hand where there is none, as for stochastic depth."""

    def make_cases(self, arrays: Arrays) -> dict[str, Case]:
        import torch
        from torch import nn
        from torch.nn import functional

        fixed = {name: self.tensor(array) for name, array in arrays._asdict().items()}

        def leaf(name: str) -> Any:
            return fixed[name].clone().requires_grad_()

        x, z, row, weight, stack = leaf("x"), leaf("z"), leaf("row"), leaf("weight"), leaf("stack")
        positive, share, stack_weight = leaf("positive"), leaf("share"), leaf("stack_weight")
        condition, numbers = fixed["condition"], fixed["numbers"]
        rows, columns = arrays.x.shape

        def of_x(module: Any, random: bool = False) -> Case:
            members = module.to(self.device).parameters() if isinstance(module, nn.Module) else []
            return Case(lambda: module(x), (x, *members), random)

        def loss(function: Any, prediction: Any, target: str) -> Case:
            aim = fixed[target]
            return Case(lambda: function(prediction, aim), (prediction,))

        linear, maps = nn.Linear(columns, columns), nn.Linear(columns, 2 * columns)
        with torch.no_grad():
            linear.weight.copy_(fixed["weight"].T)
            linear.bias.copy_(fixed["row"])
            maps.weight.copy_(fixed["pieces"].T)
            maps.bias.zero_()
        maps.to(self.device)
        normal = nn.BatchNorm1d(columns)

        def largest_of_maps(x: Any) -> Any:
            return maps(x).view(rows, 2, columns).amax(1)

        def residual(x: Any) -> Any:
            return x + functional.relu(x)

        def stochastic_depth(x: Any) -> Any:
            return x + functional.relu(x) * x.new_empty(rows, 1).bernoulli_(0.8).div_(0.8)

        def hinge(scores: Any, labels: Any) -> Any:
            return functional.multi_margin_loss(scores, labels) * columns  # it divides by the number of classes

        def squared_error(prediction: Any, target: Any) -> Any:
            return functional.mse_loss(prediction, target, reduction="sum") / rows

        def triplet(anchor: Any, near: Any, far: Any) -> Any:
            return functional.relu(((anchor - near) ** 2).sum(1) - ((anchor - far) ** 2).sum(1) + 1.0).mean()

        return {
            "add": Case(lambda: x + z, (x, z)),
            "add a row": Case(lambda: x + row, (x, row)),
            "subtract": Case(lambda: x - z, (x, z)),
            "multiply": Case(lambda: x * z, (x, z)),
            "divide": Case(lambda: x / positive, (x, positive)),
            "square": Case(lambda: x**2, (x,)),
            "negative": Case(lambda: -x, (x,)),
            "maximum": Case(lambda: torch.maximum(x, z), (x, z)),
            "minimum": Case(lambda: torch.minimum(x, z), (x, z)),
            "where": Case(lambda: torch.where(condition, x, z), (x, z)),
            "clip": Case(lambda: x.clip(-1.0, 1.0), (x,)),
            "abs": Case(lambda: x.abs(), (x,)),
            "exp": Case(lambda: x.exp(), (x,)),
            "log": Case(lambda: positive.log(), (positive,)),
            "sqrt": Case(lambda: positive.sqrt(), (positive,)),
            "sum": Case(lambda: x.sum(), (x,)),
            "sum over the batch": Case(lambda: x.sum(0), (x,)),
            "mean of each sample": Case(lambda: x.mean(1), (x,)),
            "max of each sample": Case(lambda: x.amax(1), (x,)),
            "min": Case(lambda: x.amin(), (x,)),
            "var over the batch": Case(lambda: x.var(0, correction=0), (x,)),
            "reshape": Case(lambda: x.reshape(-1), (x,)),
            "transpose": Case(lambda: x.T, (x,)),
            "columns": Case(lambda: x[:, 1:], (x,)),
            "rows by number": Case(lambda: x[numbers], (x,)),
            "concatenate": Case(lambda: torch.cat([x, z], 1), (x, z)),
            "stack": Case(lambda: torch.stack([x, z]), (x, z)),
            "matmul": Case(lambda: x @ weight, (x, weight)),
            "matmul of stacks": Case(lambda: stack @ stack_weight, (stack, stack_weight)),
            "relu": of_x(nn.ReLU()),
            "leaky relu": of_x(nn.LeakyReLU()),
            "elu": of_x(nn.ELU()),
            "sigmoid": of_x(nn.Sigmoid()),
            "tanh": of_x(nn.Tanh()),
            "gelu": of_x(nn.GELU()),
            "silu": of_x(nn.SiLU()),
            "softplus": of_x(nn.Softplus()),
            "softmax": of_x(nn.Softmax(-1)),
            "log softmax": of_x(nn.LogSoftmax(-1)),
            "Linear": of_x(linear),
            "Maxout": Case(lambda: largest_of_maps(x), (x, maps.weight, maps.bias)),
            "BatchNorm": of_x(normal),
            "BatchNorm, evaluation": of_x(nn.BatchNorm1d(columns).eval()),
            "LayerNorm": of_x(nn.LayerNorm(columns)),
            "Dropout": of_x(nn.Dropout(0.2), random=True),
            "StochasticDepth": of_x(stochastic_depth, random=True),
            "Residual": of_x(residual),
            "Flatten": of_x(nn.Flatten()),
            "CrossEntropy": loss(nn.CrossEntropyLoss(), x, "labels"),
            "CrossEntropy of probabilities": loss(nn.CrossEntropyLoss(), x, "distribution"),
            "Hinge": loss(hinge, x, "labels"),
            "BinaryCrossEntropy": loss(nn.BCELoss(), share, "zeros_and_ones"),
            "BinaryCrossEntropy of logits": loss(nn.BCEWithLogitsLoss(), x, "zeros_and_ones"),
            "Logistic": loss(nn.SoftMarginLoss(), x, "signs"),
            "SquaredError": loss(squared_error, x, "z"),
            "MeanSquaredError": loss(nn.MSELoss(), x, "z"),
            "MeanAbsoluteError": loss(nn.L1Loss(), x, "z"),
            "Huber": loss(nn.HuberLoss(), x, "z"),
            "TripletMargin": Case(lambda: triplet(x, fixed["z"], fixed["share"]), (x,)),
            "SGD": self._step(arrays, torch.optim.SGD, fused=True),
            "SGD with momentum": self._step(arrays, torch.optim.SGD, momentum=MOMENTUM, fused=True),
            "Adagrad": self._step(arrays, torch.optim.Adagrad, eps=1e-10, fused=True),
            "RMSprop": self._step(arrays, torch.optim.RMSprop),
            "Adam": self._step(arrays, torch.optim.Adam, fused=True),
            "AdamW": self._step(arrays, torch.optim.AdamW, fused=True),
            "NAdam": self._step(arrays, torch.optim.NAdam),
        }

    def _step(self, arrays: Arrays, kind: Any, **settings: Any) -> Case:
        """The optimizer's step alone, with the same gradient again and again; fused where PyTorch has it so."""

        parameter = self.tensor(arrays.x.copy()).requires_grad_()
        optimizer = kind([parameter], lr=RATE, **settings)
        parameter.grad = self.tensor(arrays.z)
        return Case(optimizer.step, compared=lambda: parameter.detach())

    def tensor(self, array: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(array).to(self.device)

    def forget(self, leaf: Any) -> None:
        leaf.grad = None

    def host(self, tensor: Any) -> np.ndarray:
        return tensor.detach().cpu().numpy()

    def make_product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], Any]:
        import torch

        left, right, product = map(self.tensor, (a, b, out))
        return lambda: torch.mm(left, right, out=product)
