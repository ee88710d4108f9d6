"""Does the default generator start anew by its seed, and do unknown names come with their neighbours?"""

import numpy as np
import pytest

import engine as en
from engine.errors import unknown_name
from engine.random import as_generator


def test_the_seed_starts_the_default_generator_anew():
    en.seed(3)
    first = en.default_generator().normal(size=3)
    en.seed(np.int64(3))
    np.testing.assert_array_equal(en.default_generator().normal(size=3), first)
    en.seed(4)
    assert en.default_generator().normal() != first[0]
    for wrong in (-1, 1.5, "a", True, None):
        with pytest.raises(en.EngineError, match="a seed is a whole number, 0 or above"):
            en.seed(wrong)


def test_generators_of_every_form():
    assert as_generator(None) is en.default_generator()
    given = np.random.default_rng(0)
    assert as_generator(given) is given
    assert as_generator(5).normal() == as_generator(np.int64(5)).normal()
    for wrong in (-1, 0.5, "a", True, np.random.RandomState(0)):
        with pytest.raises(en.EngineError, match=r"allowed are a numpy\.random\.Generator and a seed"):
            as_generator(wrong)


def test_unknown_names_come_with_their_neighbours():
    error = unknown_name("optimizer", "adm", ["adam", "sgd", "adamw"])
    assert isinstance(error, en.UnknownNameError)
    assert isinstance(error, ValueError)
    assert str(error) == "optimizer 'adm' is unknown; did you mean adam or adamw? Known: adam, adamw, sgd."
    assert str(unknown_name("loss", 3, ["hinge"])) == "loss 3 is unknown; Known: hinge."
