"""Points of any scale: networks see them at unit scale, and what they make is as the data are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Evaluation
from gan_jax.data import Data
from gan_jax.data.standardization import Scaling, far_from_unit_scale, scaling_of
from gan_jax.errors import InputError
from gan_jax.networks import mlp
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.generation import Config, Objective

CONFIG = Config(
    batch_size=8,
    objective=Objective(latent_dim=2),
    generator=mlp.GeneratorSection(width=4, depth=1),
    discriminator=mlp.DiscriminatorSection(width=4, depth=1),
    evaluation=Evaluation(samples=50),
)


def far_points(n=300):
    """Around a million in one feature, tiny in the other, all alike in the third."""
    points = np.random.default_rng(0).normal(size=(n, 3)) * [2e4, 1e-3, 0] + [1e6, 0, 7]
    return points.astype(np.float32)


def configured(path, points, *, standardize):
    np.savez(path / "points.npz", points=points)
    return dataclasses.replace(
        CONFIG, data=Data(source=f"npz:{path / 'points.npz'}", standardize=standardize)
    )


def test_there_and_back():
    points = far_points()
    scaling = scaling_of(points)
    standardized = scaling.standardized(points)
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(standardized.std(axis=0), [1, 1, 0], atol=2e-3)
    np.testing.assert_allclose(scaling.restored(standardized), points, rtol=1e-6)
    assert standardized.dtype == np.float32


def test_the_last_bits_do_not_decide():
    """Statistics are the same where sums are rounded in another way."""
    points = far_points()
    assert scaling_of(points) == scaling_of(points[::-1]) == scaling_of(np.asfortranarray(points))


def test_by_hand():
    scaling = scaling_of(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32))
    assert scaling == Scaling(center=(2.0, 5.0), scale=(1.0, 1.0))


@pytest.mark.parametrize(
    ("std", "mean", "far"),
    [
        (1, 0, False),
        (2.9, 4, False),
        (0.05, 0, False),
        (1e4, 0, True),
        (1e-3, 0, True),
        (1, 1e6, True),
    ],
)
def test_what_is_far_from_unit_scale(std, mean, far):
    points = np.random.default_rng(0).normal(mean, std, (500, 2)).astype(np.float32)
    assert bool(far_from_unit_scale(points)) == far


def test_networks_see_unit_scale_and_samples_and_scores_are_of_the_data(tmp_path):
    points = far_points()
    config = configured(tmp_path, points, standardize=True)
    dataset = config.load()
    task = config.build(dataset.description)
    assert dataset.description.scaling == scaling_of(dataset.streams[0].source.real)

    seen = task.prepare({"real": jnp.asarray(points[None])}, jax.random.key(0), None)["real"]
    np.testing.assert_allclose(np.std(seen[0], axis=0), [1, 1, 0], atol=0.1)
    reference, _ = task.checks(dataset)._reference
    assert float(np.abs(reference.seen).max()) < 10

    _, g = initial_states(task)
    plain = dataclasses.replace(dataset.description, scaling=None)
    made = config.build(plain).sample(g, jax.random.key(0), 20)
    scaling = dataset.description.scaling
    expected = scaling.restored(made)
    np.testing.assert_allclose(task.sample(g, jax.random.key(0), 20), expected, rtol=1e-6)
    np.testing.assert_allclose(task.subject.sample(g, 20, None), expected, rtol=1e-6)
    z = jax.random.normal(jax.random.key(1), (4, 2))
    assert 0.9e6 < float(np.mean(task.subject.generate(g, z, None)[:, 0])) < 1.1e6
    assert 0.9e6 < task.interpolate(g, jax.random.key(0), 2, 3)[..., 0].mean() < 1.1e6
    assert 0.9e6 < float(np.mean(task.preview(g, dataset)[:, 0])) < 1.1e6


def test_points_that_are_far_are_warned_of_and_left_as_they_are(tmp_path):
    dataset = configured(tmp_path, far_points(), standardize=False).load()
    (note,) = dataset.notes
    assert note.startswith("warning: the points are far from unit scale")
    assert "--data.standardize" in note
    assert dataset.description.scaling is None
    near = np.random.default_rng(0).normal(size=(300, 2))
    assert configured(tmp_path, near, standardize=False).load().notes == ()


def test_images_are_not_standardized():
    config = dataclasses.replace(CONFIG, data=Data(source="digits", standardize=True))
    with pytest.raises(InputError, match=r"digits holds images, and --data.standardize is for"):
        config.load()
