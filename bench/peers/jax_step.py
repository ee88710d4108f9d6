"""What is the same step in JAX? All of it under jit, in donated buffers; and lax.scan over many steps in one call."""

import os
from typing import Any

from bench.peers.step import BETAS, EPSILON, MOMENTUM, Arrays, Cell, MissingError, Step, steps_of_call


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


def linear_map(jax: Any, cell: Cell, device: str) -> Any:
    """x @ w with the cell's precision; the sums are float32, and so is what comes out."""
    jnp = jax.numpy
    if cell.precision == "float32" or (cell.precision == "tf32" and device != "cpu"):
        name = "float32" if cell.precision == "float32" else "tensorfloat32"
        jax.config.update("jax_default_matmul_precision", name)
        return jnp.matmul
    if cell.precision != "bfloat16":
        raise MissingError(f"JAX's step in {cell.precision} is not measured on {device}")

    def narrow(x: Any) -> Any:
        return x.astype(jnp.bfloat16)

    def product(x: Any, w: Any) -> Any:
        return jnp.matmul(x, w, preferred_element_type=jnp.float32)

    @jax.custom_vjp
    def linear(x: Any, w: Any) -> Any:
        return product(narrow(x), narrow(w))

    def forward(x: Any, w: Any) -> Any:
        x, w = narrow(x), narrow(w)
        return product(x, w), (x, w)

    def backward(kept: Any, dy: Any) -> Any:
        x, w = kept
        dy = narrow(dy)
        return product(dy, w.T), product(x.T, dy)

    linear.defvjp(forward, backward)
    return linear


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
        linear = linear_map(jax, cell, device)

        def loss(parameters: Any, x: Any, labels: Any) -> Any:
            for number, (w, b) in enumerate(parameters):
                x = linear(x if number == 0 else jax.nn.relu(x), w) + b
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

        self.update = sgd if cell.optimizer == "sgd" else adam
        self.jitted = jax.jit(self.update, donate_argnums=(0, 1))

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


class Scan(Jit):
    """Many steps in one call, by lax.scan over batches that lie one after the other."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        super().__init__(cell, arrays, device)
        self.multiple = steps_of_call(arrays)
        self.batches = [self.jnp.stack([one] * self.multiple) for one in (self.x, self.labels)]

        def many(parameters: Any, state: Any, x: Any, labels: Any) -> Any:
            def one(carried: Any, batch: Any) -> Any:
                *carried, loss = self.update(*carried, *batch)
                return tuple(carried), loss

            carried, losses = self.jax.lax.scan(one, (parameters, state), (x, labels))
            return *carried, losses

        self.scanned = self.jax.jit(many, donate_argnums=(0, 1))

    def call(self) -> Any:
        self.parameters, self.state, losses = self.scanned(self.parameters, self.state, *self.batches)
        return losses

    def run(self, steps: int) -> Any:
        for _ in range(steps // self.multiple):
            losses = self.call()
        return losses[-1]

    def losses(self, count: int) -> list[float]:
        found: list[float] = []
        while len(found) < count:
            found += self.call().tolist()
        return found[:count]
