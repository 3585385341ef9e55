"""Signals of networks whose functions are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gan_jax
from gan_jax import losses
from gan_jax.data import gaussians
from gan_jax.evaluation.extractors.pixels import pixels
from gan_jax.health import signals

N = signals.EXAMPLES
RING = gaussians.ring_centers()
LOSS = losses.non_saturating


def ring(n, seed=0, modes=range(8)):
    """Points of some modes of the ring, equally many of each in expectation."""
    points, _ = gaussians.mixture(jax.random.key(seed), n, RING[list(modes)], gaussians.RING_STD)
    return np.asarray(points)


def network(function, *, ema=None):
    """A state whose network is `function(params, x)`, with one parameter."""

    def apply(variables, x, label=None, *, train):
        return function(variables["params"]["w"], x)

    state = gan_jax.TrainState.create(
        apply_fn=apply, variables={"params": {"w": jnp.ones(())}}, tx=optax.sgd(0.1), ema=True
    )
    return state.replace(ema_params=None if ema is None else {"w": jnp.asarray(ema)})


def generator_of(points):
    """Ignores its latents and makes these points, one after another."""
    return network(lambda w, z: w * jnp.resize(jnp.asarray(points), (len(z), 2)))


def measure(d, g, seen=None, held_out=None):
    seen = ring(2048) if seen is None else seen
    held_out = ring(N, seed=1) if held_out is None else held_out
    reference, target = signals.make_reference(seen, None, held_out, None, lambda x: x)
    measured = signals.measure(d, g, reference, jax.random.key(0), loss=LOSS, latent_dim=2)
    return signals.finish(measured, target, None)


right = network(lambda w, x: w * x[:, 0])  # rates what lies to the right


def test_a_generator_of_real_points_shows_nothing():
    values, _ = measure(right, generator_of(ring(N, seed=2)))
    assert values["auc"] == pytest.approx(0.5, abs=0.05)
    assert values["auc_held_out"] == pytest.approx(0.5, abs=0.05)
    assert values["recognition"] == pytest.approx(0.5, abs=0.05)
    assert values["diversity"] == pytest.approx(1, abs=0.05)
    assert values["missing"] == 0
    assert values["duplicates"] < 0.1
    assert abs(values["distance"]) < 0.01


def test_auc_is_one_where_every_real_point_is_rated_higher():
    values, _ = measure(right, generator_of(ring(N) - 10))
    assert values["auc"] == values["auc_held_out"] == 1
    values, _ = measure(right, generator_of(ring(N) + 10))
    assert values["auc"] == values["auc_held_out"] == 0


def test_ties_count_half():
    values, _ = measure(network(lambda w, x: 0 * x[:, 0]), generator_of(ring(N)))
    assert values["auc"] == values["recognition"] == 0.5


def test_recognition_of_training_points():
    # It knows by heart that its training points lie on the right half of the plane.
    values, _ = measure(
        right, generator_of(ring(N)), seen=ring(2048) + np.array([3, 0]), held_out=ring(N, seed=1)
    )
    assert values["recognition"] == 1


def test_feedback_is_the_slope_in_units_of_the_data():
    # Non-saturating: ∂ softplus(−D)/∂x = −σ(−D)·∂D/∂x. With D = 3x₀ and samples at the origin,
    # σ(0)·3 = 1.5; real points are at a distance of 1 from their mean, root mean square.
    d = network(lambda w, x: 3 * w * x[:, 0])
    values, _ = measure(d, generator_of(np.zeros((N, 2), np.float32)))
    assert values["feedback"] == pytest.approx(1.5, rel=0.02)


def test_copies_are_counted():
    half = np.concatenate([ring(N // 2, seed=3), np.zeros((N // 2, 2), np.float32)])
    values, _ = measure(right, generator_of(half))
    assert 0.5 <= values["duplicates"] < 0.6


@pytest.mark.parametrize("modes", [1, 4, 7])
def test_missing_modes_are_counted(modes):
    values, _ = measure(right, generator_of(ring(N, seed=2, modes=range(modes))))
    assert values["missing"] == pytest.approx(1 - modes / 8, abs=0.03)


def test_diversity_of_a_shrunken_copy():
    values, _ = measure(right, generator_of(ring(N, seed=2) / 4))
    assert values["diversity"] == pytest.approx(0.25, rel=0.05)


def test_distance_to_one_point_at_the_mean_is_one():
    values, _ = measure(right, generator_of(np.zeros((N, 2), np.float32)))
    assert values["distance"] == pytest.approx(1, abs=0.03)


def test_distance_is_of_the_moving_average_and_drift_to_it():
    points = jnp.asarray(ring(N, seed=2))
    g = network(lambda w, z: w * points, ema=0.0)  # parameters 1, average 0: it makes the origin
    values, _ = measure(right, g)
    assert values["distance"] == pytest.approx(1, abs=0.03)
    assert values["drift"] == 1
    assert values["diversity"] == pytest.approx(1, abs=0.05)  # of the parameters under training


def test_movement_is_the_share_that_changed():
    reference, target = signals.make_reference(ring(2048), None, None, None, lambda x: x)

    def shares(modes, before):
        g = generator_of(ring(N, seed=2, modes=modes))
        measured = signals.measure(right, g, reference, jax.random.key(0), loss=LOSS, latent_dim=2)
        return signals.finish(measured, target, before)

    first, before = shares(range(8), None)
    assert "movement" not in first
    assert "recognition" not in first  # nothing is held out
    assert shares(range(8), before)[0]["movement"] == pytest.approx(0, abs=0.02)
    assert shares(range(4), before)[0]["movement"] == pytest.approx(0.5, abs=0.07)
    _, low = shares(range(4), None)
    assert shares(range(4, 8), low)[0]["movement"] == pytest.approx(1)


def test_samples_that_are_not_finite_have_no_distance():
    values, _ = measure(right, generator_of(np.full((N, 2), np.nan, np.float32)))
    assert np.isnan(values["distance"])


def test_few_examples_will_do():
    values, _ = measure(right, generator_of(ring(N)), seen=ring(12), held_out=ring(1, seed=1))
    assert all(np.isfinite(value) for value in values.values())


def test_features_of_images_are_the_same_from_bytes_and_from_floats():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    floats = signals.features_of(images)(jnp.asarray(images / 127.5 - 1, jnp.float32))
    assert np.allclose(floats, pixels(images)(images).features, atol=1e-5)


def test_examples_that_are_made_of_others_can_be_compared():
    """Translated points: no latents, a condition of another kind than a class, a judge of pairs."""
    inputs = ring(2048, seed=5)
    reference, target = signals.make_reference(ring(2048), inputs, None, None, lambda x: x)
    given = reference.seen_condition
    assert given.shape == (N, 2)

    def judge(x, condition):
        return x[:, 0] + 0 * condition[:, 0]

    @jax.jit
    def measure_translation(shift):
        return signals.compare(
            reference, given - shift, None, judge=judge, generator_loss=LOSS.generator
        )

    values, shares = signals.finish(measure_translation(10.0), target, None)
    assert values["auc"] == 1
    assert values["missing"] > 0.9  # all but the bins that happen to be nearest
    assert values["diversity"] == pytest.approx(1, abs=0.05)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    near, _ = signals.finish(measure_translation(0.0), target, shares)
    assert near["auc"] == pytest.approx(0.5, abs=0.05)
    assert near["missing"] == 0
    assert abs(near["distance"]) < 0.01
    assert "drift" not in near


def test_measuring_is_comparing_what_is_made_of_noise():
    d, g = right, network(lambda w, z: w * z, ema=0.5)
    reference, _ = signals.make_reference(ring(600), None, ring(N, seed=1), None, lambda x: x)
    key = jax.random.key(3)
    made = signals.measure(d, g, reference, key, loss=LOSS, latent_dim=2)
    z = gan_jax.sampling.latents(key, N, 2)
    compared = signals.compare(
        reference,
        z,
        0.5 * z,
        judge=lambda x, _: x[:, 0],
        generator_loss=LOSS.generator,
    )
    assert made.scalars.keys() == compared.scalars.keys() | {"drift"}
    for name, value in compared.scalars.items():
        assert float(made.scalars[name]) == pytest.approx(float(value), rel=1e-5), name
    np.testing.assert_allclose(made.counts, compared.counts)
    np.testing.assert_allclose(made.moments.covariance, compared.moments.covariance, rtol=1e-5)
