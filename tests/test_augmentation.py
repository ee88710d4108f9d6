"""Do augmentations change training batches as they say, the same on every device and in every run, and nothing else?"""

import json

import numpy as np
import pytest

import backends
import engine as en
from engine.data import Augmentation, Batches, Flip, Noise, Shift, augmentation, batches
from engine.errors import ArgumentError, DataError, UnknownNameError

SHAPES = [(6, 4, 5), (6, 3, 4, 5)]


def _images(shape, dtype=np.float32):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape).astype(dtype)


def _generator():
    return np.random.Generator(np.random.PCG64([1, 2, 3, 4]))


def _changed(one, images, backend):
    return backend.to_host(one(backend.asarray(images), _generator(), backend))


@pytest.mark.parametrize("shape", SHAPES)
def test_flip_by_hand(shape, backend):
    images = _images(shape)
    for probability in (0.5, 0.2):
        flipped = _generator().random(6) < probability
        expected = [image[..., ::-1] if mirrored else image for image, mirrored in zip(images, flipped, strict=True)]
        found = _changed(Flip(probability), images, backend)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == images.dtype


@pytest.mark.parametrize("fill", [0.0, -1.5])
@pytest.mark.parametrize("pixels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_shift_is_a_crop_of_the_padded_image(shape, pixels, fill, backend):
    images = _images(shape)
    rows, columns = _generator().integers(2 * pixels + 1, size=(2, 6))
    border = [(0, 0)] * (len(shape) - 3) + [(pixels, pixels)] * 2
    expected = [
        np.pad(image, border, constant_values=fill)[..., row : row + 4, column : column + 5]
        for image, row, column in zip(images, rows, columns, strict=True)
    ]
    np.testing.assert_array_equal(_changed(Shift(pixels, fill), images, backend), expected)


def test_shifts_reach_every_place_and_stay_within():
    """One bright pixel in the middle of 7 x 7: its places after shifts of up to 2."""
    images = np.zeros((2000, 7, 7), np.float32)
    images[:, 3, 3] = 1
    shifted = _changed(Shift(2), images, backends.get("cpu"))
    counts = shifted.sum(axis=0)
    assert (counts[1:6, 1:6] > 40).all()  # 80 each on average
    assert counts.sum() == counts[1:6, 1:6].sum() == 2000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(200, 50), (100, 10, 10)])
def test_noise(shape, dtype, backend):
    samples = _images(shape, dtype)
    found = _changed(Noise(0.25), samples, backend)
    expected = samples + (_generator().standard_normal(shape, dtype) * 0.25).astype(dtype)
    assert found.dtype == samples.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    difference = _changed(Noise(0.25), np.zeros(shape, dtype), backend)
    assert abs(difference.mean()) < 0.01
    assert difference.std() == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("one", [Flip(), Shift(1), Noise(0.1)])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"batch_size": "all"}])
def test_batches_are_changed_and_the_data_is_not(one, options):
    x, y = _images((10, 3, 4)), np.arange(10)
    before = x.copy()
    made = Batches((x, y), **({"batch_size": 4} | options), augment=[one])
    plain = Batches((x, y), **({"batch_size": 4} | options))
    changed = 0
    for number, ((features, labels), (original, same)) in enumerate(zip(made, plain, strict=True)):
        np.testing.assert_array_equal(labels.numpy(), same.numpy())
        generator = np.random.Generator(np.random.PCG64([0, 0, number, 1]))
        expected = one(original.numpy(), generator, backends.get("cpu"))
        np.testing.assert_array_equal(features.numpy(), expected)
        changed += not np.array_equal(features.numpy(), original.numpy())
    assert changed
    np.testing.assert_array_equal(x, before)


def test_every_pass_differs_and_goes_on_where_it_was_left(backend):
    x, augment = _images((20, 4, 4)), augmentation.read("flip,shift:2,noise:0.1")

    def passes(count, skip=0, device=backend, **options):
        made = batches(x, 6, seed=3, device=device, augment=augment, **options)
        made.skip = skip
        return [[batch.numpy().tolist() for batch in made] for _ in range(count)]

    whole = passes(3, device="cpu")
    assert passes(3) == whole
    assert whole[0] != whole[1]
    assert passes(1, passes=2) == whole[2:]
    assert passes(1, skip=2, passes=1)[0] == whole[1][2:]


def test_the_trainer_changes_training_batches_alone(backend):
    seen = []

    class Watched(Flip, abstract=True):
        def __call__(self, samples, generator, backend):
            seen.append(len(samples))
            return super().__call__(samples, generator, backend)

    x, y = _images((10, 2, 3)) / 60, np.arange(10) % 2

    def trained(**options):
        model = en.Sequential(en.Flatten(), en.Linear(6, 2, generator=0))
        trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.SGD(model.parameters()), device=backend)
        trainer.fit((x, y), epochs=2, batch_size=4, validation=(x[:3], y[:3]), **options)
        trainer.evaluate((x, y))
        trainer.predict(x)
        return trainer.history["loss"]

    plain = trained()
    assert trained(augment=[Watched()]) != plain
    assert seen == [4, 4, 2] * 2
    assert trained(augment=()) == plain


def test_stored_read_and_found_by_name():
    listed = augmentation.read("flip, shift:2:-0.5,noise:1e-1,flip:0.25")
    assert listed == (Flip(), Shift(2, -0.5), Noise(0.1), Flip(0.25))
    assert tuple(augmentation.from_dict(json.loads(json.dumps(one.to_dict()))) for one in listed) == listed
    assert Augmentation.names() == ("flip", "noise", "shift")
    assert Augmentation.by_name("noise", std=0.5) == Noise(0.5)
    assert len({Flip(), Flip(0.5), Flip(0.25)}) == 2
    for kind in Augmentation.members.values():
        assert isinstance(augmentation.read(kind.example)[0], kind)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("filp", UnknownNameError, r"augmentation 'filp' is unknown; did you mean flip\? Known: flip, noise, shift"),
        ("flip,", UnknownNameError, "augmentation '' is unknown"),
        ("shift", ArgumentError, "augmentation 'shift': pixels is missing. Write shift:2"),
        ("shift:two", ArgumentError, "augmentation 'shift:two': after the name come numbers: pixels and fill. Write"),
        ("noise:1:2", ArgumentError, "augmentation 'noise:1:2': after the name come numbers: std. Write noise:0.1"),
        ("shift:1.5", ArgumentError, "Shift: pixels 1.5 was given; it is a whole number, 1 or above"),
        ("shift:0", ArgumentError, "Shift: pixels 0 was given"),
        ("noise:nan", ArgumentError, "Noise: std nan was given"),
        ("flip:2", ArgumentError, "Flip: probability 2 was given; it is above 0, at most 1"),
    ],
)
def test_texts_that_are_refused(text, error, message):
    with pytest.raises(error, match=message) as caught:
        augmentation.read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype", "augment", "message"),
    [
        ((5, 12), "float32", [Flip()], r"Flip: samples have shape \(12,\); images are \(height, width\) or"),
        ((5, 2, 2, 3, 3), "float32", [Shift(1)], r"Shift: samples have shape \(2, 2, 3, 3\)"),
        ((5, 3, 4), "float32", [Shift(3)], "Shift: pixels 3 was given for images of 3 x 4; it is smaller than both"),
        ((5, 3, 4), "uint8", [Noise(0.1)], "Noise: samples are uint8; noise is added to floats. Scale"),
        ((5, 3, 4), "float32", "flip", r"augment 'flip' was given; give a tuple, such as \(Flip\(\), Shift\(2\)\)"),
        ((5, 3, 4), "float32", Flip(), r"augment Flip\(probability=0.5\) was given; give a tuple"),
        ((5, 3, 4), "float32", [Flip], "was given; give a tuple"),
    ],
)
def test_samples_that_cannot_be_changed_so_are_refused(shape, dtype, augment, message):
    with pytest.raises((ArgumentError, DataError), match=message):
        Batches(np.ones(shape, dtype), augment=augment)


def test_what_is_missing_in_a_stored_one_is_named():
    with pytest.raises(ArgumentError, match="augmentation 'noise': std is missing"):
        augmentation.from_dict({"kind": "noise"})
    with pytest.raises(ArgumentError, match="augmentation flip: it has no pixels; allowed are probability"):
        augmentation.from_dict({"kind": "flip", "pixels": 2})
    with pytest.raises(UnknownNameError, match="augmentation 'None' is unknown"):
        augmentation.from_dict({})
