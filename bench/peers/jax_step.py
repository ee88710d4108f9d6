"""What is the same step in JAX? The whole of it under jit, weights and states handed over in donated buffers."""

import os
from typing import Any

from bench.peers.step import BETAS, EPSILON, MOMENTUM, Arrays, Cell, MissingError, Step


def prepare(device: str, threads: int) -> dict[str, str]:
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the GPU's memory is shared with the others
    os.environ["NPROC"] = str(threads)  # the size of XLA's thread pool, read when the backend is made
    try:
        import jax
    except ImportError:
        raise MissingError("JAX is not installed") from None
    jax.config.update("jax_default_matmul_precision", "float32")
    if jax.default_backend() != ("cpu" if device == "cpu" else "gpu"):
        raise MissingError(f"JAX has no {'CPU' if device == 'cpu' else 'CUDA device'} here")
    precision = "float32" if device == "cpu" else "float32, no TF32 (jax_default_matmul_precision)"
    return {"version": f"JAX {jax.__version__}", "precision": precision, "BLAS": "XLA's own"}


class Jit(Step):
    """value_and_grad and the update in one jitted function."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        import jax
        import jax.numpy as jnp

        self.jax, self.jnp, self.arrays = jax, jnp, arrays
        self.states = 2 if cell.optimizer == "adam" else 1
        self.device = jax.devices()[int(device.partition(":")[2] or 0)]
        self.x = jax.device_put(arrays.x, self.device)
        self.labels = jax.device_put(arrays.labels.astype("int32"), self.device)
        rate, (first, second) = cell.learning_rate, BETAS
        tree = jax.tree.map

        def loss(parameters: Any, x: Any, labels: Any) -> Any:
            for number, (w, b) in enumerate(parameters):
                x = (x if number == 0 else jax.nn.relu(x)) @ w + b
            return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1).mean()

        def sgd(parameters: Any, state: Any, x: Any, labels: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(parameters, x, labels)
            count, velocities = state
            velocities = tree(lambda v, g: MOMENTUM * v + g, velocities, gradients)
            return tree(lambda p, v: p - rate * v, parameters, velocities), (count + 1, velocities), value

        def adam(parameters: Any, state: Any, x: Any, labels: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(parameters, x, labels)
            count, means, squares = state
            count = count + 1
            size, root = rate / (1 - first**count), jnp.sqrt(1 - second**count)
            means = tree(lambda m, g: first * m + (1 - first) * g, means, gradients)
            squares = tree(lambda s, g: second * s + (1 - second) * g * g, squares, gradients)
            parameters = tree(lambda p, m, s: p - size * m / (jnp.sqrt(s) / root + EPSILON), parameters, means, squares)
            return parameters, (count, means, squares), value

        self.jitted = jax.jit(sgd if cell.optimizer == "sgd" else adam, donate_argnums=(0, 1))

    def reset(self) -> None:
        def fresh(make: Any) -> Any:
            return [tuple(self.jax.device_put(make(one), self.device) for one in pair) for pair in self.arrays.pairs]

        # Copies, because a donated buffer is written over.
        self.parameters = fresh(lambda one: self.jnp.array(one, copy=True))
        states = [fresh(lambda one: self.jnp.zeros(one.shape, one.dtype)) for _ in range(self.states)]
        self.state = (self.jax.device_put(self.jnp.zeros(()), self.device), *states)

    def step(self) -> Any:
        self.parameters, self.state, loss = self.jitted(self.parameters, self.state, self.x, self.labels)
        return loss

    def synchronize(self, last: Any) -> None:
        self.jax.block_until_ready((last, self.parameters))
