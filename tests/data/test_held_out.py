"""Which examples are kept from training."""

import numpy as np
import pytest

from gan_jax.data import Data, Stream, hold_out, hold_out_each, load
from gan_jax.errors import InputError

DIGITS = load(Data(source="digits"))


def test_the_parts_are_disjoint_and_complete():
    training, held_out = hold_out(DIGITS, 300)
    assert (training.description.examples, held_out.description.examples) == (1497, 300)

    def rows(source):
        n = source.description.examples
        return sorted((source.read(i)[0].tobytes(), source.read(i)[1]) for i in range(n))

    assert sorted(rows(training) + rows(held_out)) == rows(DIGITS)


def test_by_default_a_tenth_at_most_512(tmp_path):
    assert hold_out(DIGITS, None)[1].description.examples == 179
    assert hold_out(load(Data(source="ring")), None)[1].description.examples == 512
    np.savez(tmp_path / "few.npz", points=np.zeros((9, 2)))
    few = load(Data(source=f"npz:{tmp_path / 'few.npz'}"))
    assert hold_out(few, None) == (few, None)


def test_the_same_ones_for_every_seed():
    assert np.array_equal(hold_out(DIGITS, 9)[1].real, hold_out(load(Data()), 9)[1].real)


def test_the_fingerprint_tells_the_parts_apart():
    prints = {part.description.fingerprint for n in (9, 10) for part in hold_out(DIGITS, n)}
    assert len(prints | {DIGITS.description.fingerprint}) == 5


def test_sources_that_are_read_one_by_one(tfds_dir):
    lazy = load(Data(source="tfds:mnist", split="test"), data_dir=str(tfds_dir), budget_bytes=0)
    whole = load(Data(source="tfds:mnist", split="test"), data_dir=str(tfds_dir))
    for ours, theirs in zip(hold_out(lazy, 5), hold_out(whole, 5), strict=True):
        assert ours.description == theirs.description
        for i in range(5):
            assert np.array_equal(ours.read(i)[0], theirs.read(i)[0])
            assert ours.read(i)[1] == theirs.read(i)[1]


@pytest.mark.parametrize("n", [-1, 1797])
def test_something_is_left_to_train_on(n):
    with pytest.raises(InputError, match="held_out"):
        hold_out(DIGITS, n)


def test_pairs_are_held_out_together_and_labels_stay(tmp_path):
    images = np.zeros((40, 8, 8), np.uint8) + np.arange(40, dtype=np.uint8)[:, None, None]
    np.savez(tmp_path / "input.npz", images=images, labels=np.arange(40))
    np.savez(tmp_path / "target.npz", images=images + 100)
    np.savez(tmp_path / "few.npz", images=images[:9])
    sources = [load(Data(source=f"npz:{tmp_path / n}.npz")) for n in ("input", "target", "few")]
    streams = [
        Stream(sources[0], "input", label="class"),
        Stream(sources[1], "target"),
        Stream(sources[2], "few", number=1),
    ]
    training, held_out = hold_out_each(streams, None)
    assert [stream.name for stream in training] == ["input", "target", "few"]
    assert [stream.name for stream in held_out] == ["input", "target"]
    assert [stream.label for stream in training] == ["class", None, None]
    assert [stream.number for stream in training] == [0, 0, 1]
    for inputs, targets in (training[:2], held_out):
        np.testing.assert_array_equal(targets.source.real, inputs.source.real + 100)
        np.testing.assert_array_equal(inputs.source.label, inputs.source.real[:, 0, 0, 0])
    assert [stream.source.description.examples for stream in training] == [36, 36, 9]
    with pytest.raises(InputError, match="held_out"):
        hold_out_each(streams, 9)
