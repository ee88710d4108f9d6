"""Is a training written down often enough, and not too often?"""

import numpy as np
import pytest

from engine.commands import keeping
from engine.commands.interruption import Interruption


class Clock:
    def __init__(self, monkeypatch, seconds):
        self.now, self.written, self.seconds = 100.0, [], seconds
        monkeypatch.setattr(keeping.time, "monotonic", lambda: self.now)

    def save_weights(self, *_, **__):
        self.written.append(self.now)
        self.now += self.seconds / 2

    def save_checkpoint(self, *_):
        self.now += self.seconds / 2


@pytest.mark.parametrize("seconds", [0.01, 1.0, 30.0])
def test_writing_takes_a_small_share_of_the_time(seconds, monkeypatch):
    clock = Clock(monkeypatch, seconds)
    keeper = keeping.Keeper(Interruption(), epochs=10**6)
    trainer = type("Trainer", (), {"step": 0, "epoch": 0, "ema": None, "model": None, "stop_reason": None})()
    keeper.begin(clock, 0)
    for _ in range(40_000):
        clock.now += 0.1
        trainer.step += 1
        keeper.batch_end(trainer, 1, None)
    between = np.diff(clock.written)
    assert len(between) >= 4
    assert between.min() >= 10.0
    assert len(clock.written) * seconds < 0.06 * clock.now + seconds
