"""What is a training in PyTorch? Tensors in memory, sliced by hand in a random order; no DataLoader."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers.epoch import WHOLE_BATCH, Data, Epochs
from bench.peers.step import BETAS, EPSILON, MOMENTUM
from bench.peers.torch_step import prepare as prepare


class Trained(Epochs):
    """The loop of every tutorial, with ``fused=True``; the losses are added up without waiting for their values."""

    def take(self, data: Data) -> None:
        import torch

        self.torch = torch
        self.x, self.labels = (torch.from_numpy(one).to(self.device) for one in (data.x, data.labels))

    def fit(self, samples: int | None, epochs: int) -> float:
        torch, run = self.torch, self.run
        layers: list[Any] = []
        for number, (weight, bias) in enumerate(run.first_weights):
            if number:
                layers += [torch.nn.ReLU(), *([torch.nn.Dropout(run.dropout)] if run.dropout else [])]
            layers.append(torch.nn.Linear(*weight.shape))
            with torch.no_grad():
                layers[-1].weight.copy_(torch.from_numpy(weight.T.copy()))
                layers[-1].bias.copy_(torch.from_numpy(bias))
        self.model = model = torch.nn.Sequential(*layers).to(self.device)
        optimizer: Any
        if run.optimizer == "sgd":
            optimizer = torch.optim.SGD(model.parameters(), lr=run.learning_rate, momentum=MOMENTUM, fused=True)
        else:
            optimizer = torch.optim.Adam(model.parameters(), lr=run.learning_rate, betas=BETAS, eps=EPSILON, fused=True)
        loss_function = torch.nn.CrossEntropyLoss()
        x, labels = (self.x, self.labels) if samples is None else (self.x[:samples], self.labels[:samples])
        model.train()
        mean = float("nan")
        for _ in range(epochs):
            order = torch.randperm(len(x), device=self.device)
            total = torch.zeros((), device=self.device)
            for start in range(0, len(x), run.batch):
                chosen = order[start : start + run.batch]
                optimizer.zero_grad()
                loss = loss_function(model(x[chosen]), labels[chosen])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(chosen)
            mean = float(total) / len(x)
        return mean

    def logits(self, x: np.ndarray) -> np.ndarray:
        torch = self.torch
        self.model.eval()
        with torch.no_grad():
            parts = [self.model(part.to(self.device)) for part in torch.from_numpy(x).split(WHOLE_BATCH)]
            return torch.cat(parts).cpu().numpy()

    def predictors(self, x: np.ndarray) -> dict[str, Callable[[], Any]]:
        torch, model = self.torch, self.model.eval()
        batch = torch.from_numpy(x).to(self.device)

        def no_grad() -> Any:
            with torch.no_grad():
                return model(batch)

        def inference_mode() -> Any:
            with torch.inference_mode():
                return model(batch)

        return {"no_grad": no_grad, "inference_mode": inference_mode}
