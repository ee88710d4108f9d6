"""Who is compared with the engine? One file a library, each run by `worker.py` in a process of its own."""

from typing import NamedTuple


class Contestant(NamedTuple):
    """One column of the table: `module` and `kind` within `bench.peers`, and the option that chooses it."""

    label: str
    peer: str | None  # as in --peers; None for the engine itself, which is always measured
    module: str
    kind: str


CONTESTANTS = {
    "captured": Contestant("engine captured", None, "engine_step", "Captured"),
    "many": Contestant("K steps a call", None, "engine_step", "Many"),
    "eager": Contestant("engine eager", None, "engine_step", "Eager"),
    "products": Contestant("products alone", None, "engine_step", "Products"),
    "torch": Contestant("PyTorch eager", "torch", "torch_step", "Eager"),
    "torch-compile": Contestant("torch.compile", "torch", "torch_step", "Compiled"),
    "jax": Contestant("JAX jit", "jax", "jax_step", "Jit"),
    "thinc": Contestant("Thinc", "thinc", "thinc_step", "Chain"),
    "sklearn": Contestant("scikit-learn", "sklearn", "sklearn_step", "Classifier"),
}
PEERS = tuple(dict.fromkeys(one.peer for one in CONTESTANTS.values() if one.peer is not None))
