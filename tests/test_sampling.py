"""Samples, paths and grids, on generators simple enough to know the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import TrainState, sampling

KEY = jax.random.key(0)
DIM = 3


def scale_latents(variables, z, label=None, *, train):
    """Latents times a parameter, plus the label; and far away in training mode."""
    x = variables["params"]["scale"] * z + (1000.0 if train else 0.0)
    return x if label is None else x + 10.0 * label[:, None]


def state(ema=None):
    g = TrainState.create(
        apply_fn=scale_latents, variables={"params": {"scale": jnp.float32(2)}}, tx=optax.sgd(1.0)
    )
    return g if ema is None else g.replace(ema_params={"scale": jnp.float32(ema)})


def test_latents_are_standard_normal_and_independent():
    z = np.asarray(sampling.latents(KEY, 2000, 4))
    # Four standard errors: 4/√2000 = 0.09 for means and correlations, √2 times that for variances.
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.09)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=0.13)
    np.testing.assert_allclose(np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1], 0, atol=0.09)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 256), (5, 1), (5, 2), (7, 7), (7, 256)])
def test_first_samples_do_not_depend_on_n_or_batch_size(n, batch_size):
    options = {"latent_dim": DIM, "label": jnp.arange(n)}
    x = sampling.sample(state(), KEY, n, batch_size=batch_size, **options)
    expected = 2 * sampling.latents(KEY, 7, DIM) + 10.0 * jnp.arange(7)[:, None]
    assert x.shape == (n, DIM)
    np.testing.assert_allclose(x, expected[:n], rtol=1e-6)


def test_keys_matter():
    a, b = (sampling.sample(state(), jax.random.key(i), 4, latent_dim=DIM) for i in (0, 1))
    assert np.abs(a - b).min() > 0


@pytest.mark.parametrize(("ema", "scale"), [(None, 2.0), (5.0, 5.0)])
def test_moving_average_is_used_where_there_is_one(ema, scale):
    z = sampling.latents(KEY, 4, DIM)
    np.testing.assert_allclose(sampling.generate(state(ema), z), scale * z, rtol=1e-6)


def test_collections_are_used_and_left_alone():
    def apply_fn(variables, z, label=None, *, train):
        return z + variables["batch_stats"]["mean"]

    variables = {"params": {}, "batch_stats": {"mean": jnp.float32(7)}}
    g = TrainState.create(apply_fn=apply_fn, variables=variables, tx=optax.sgd(1.0))
    np.testing.assert_allclose(sampling.generate(g, jnp.zeros((2, DIM))), np.full((2, DIM), 7.0))


def test_grid_by_known_pixels():
    images = jnp.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]])
    images = -images[..., None] / 16  # none is white
    sheet = sampling.grid(images, columns=2, gap=1)
    w = -16  # white, in the same units
    expected = [
        [w, w, w, w, w, w, w],
        [w, 1, 2, w, 5, 6, w],
        [w, 3, 4, w, 7, 8, w],
        [w, w, w, w, w, w, w],
        [w, 9, 10, w, w, w, w],
        [w, 11, 12, w, w, w, w],
        [w, w, w, w, w, w, w],
    ]
    np.testing.assert_array_equal(sheet[..., 0], -np.array(expected) / 16)


@pytest.mark.parametrize(
    ("n", "columns", "gap", "shape"),
    [(6, 3, 0, (4, 9, 3)), (6, 3, 2, (10, 17, 3)), (1, 1, 1, (4, 5, 3)), (2, 4, 1, (4, 17, 3))],
)
def test_grid_shapes(n, columns, gap, shape):
    sheet = np.asarray(sampling.grid(jnp.zeros((n, 2, 3, 3)), columns, gap))
    assert sheet.shape == shape
    assert (sheet == 0).sum() == n * 2 * 3 * 3  # every pixel of every image, and white elsewhere
    assert set(np.unique(sheet)) <= {0.0, 1.0}


@pytest.mark.parametrize(("steps", "dim"), [(2, 3), (5, 64)])
def test_path_ends_where_it_should(steps, dim):
    start, end = sampling.latents(KEY, 2, dim)
    path = sampling.spherical_path(start, end, steps)
    assert path.shape == (steps, dim)
    np.testing.assert_allclose(path[0], start, rtol=1e-6)
    np.testing.assert_allclose(path[-1], end, rtol=1e-6)


def test_path_by_hand():
    path = sampling.spherical_path(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), 4)
    # A quarter circle in thirds: 0°, 30°, 60°, 90°.
    half, root = 0.5, np.sqrt(0.75)
    np.testing.assert_allclose(path, [[1, 0], [root, half], [half, root], [0, 1]], atol=1e-6)


@pytest.mark.parametrize("degrees", [0.1, 45, 170])
def test_path_keeps_the_length_and_the_pace(degrees):
    angle = np.float32(np.radians(degrees))
    start = 3 * jnp.array([1.0, 0.0, 0.0])
    end = 3 * jnp.array([jnp.cos(angle), jnp.sin(angle), 0.0])
    path = np.float64(sampling.spherical_path(start, end, 9))
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 3, rtol=1e-4)
    strides = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(strides, 6 * np.sin(angle / 8 / 2), rtol=2e-3)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_path_between_parallel_latents_is_straight(factor):
    start = jnp.array([1.0, -2.0, 0.5])
    path = sampling.spherical_path(start, factor * start, 3)
    expected = np.outer([1, (1 + factor) / 2, factor], start)
    np.testing.assert_allclose(path, expected, rtol=1e-3)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_path_between_opposite_latents_stays_finite_and_ends_right(factor):
    """There is no one great circle; all latents of one dimension are parallel or opposite."""
    start = jnp.array([1.5])
    path = np.asarray(sampling.spherical_path(start, -factor * start, 5))
    np.testing.assert_allclose(path[[0, -1], 0], [1.5, -1.5 * factor], rtol=1e-6)
    assert np.abs(path).max() <= 1.5 * factor * (1 + 1e-6)


def test_interpolate_walks_between_pairs_of_latents():
    z = sampling.latents(KEY, 4, DIM).reshape(2, 2, DIM)
    label = jnp.array([3, 8])
    options = {"paths": 2, "steps": 5, "latent_dim": DIM}
    walks = sampling.interpolate(state(ema=4.0), KEY, label=label, **options)
    assert walks.shape == (2, 5, DIM)
    for end, step in ((0, 0), (1, -1)):
        expected = sampling.generate(state(ema=4.0), z[:, end], label)
        np.testing.assert_allclose(walks[:, step], expected, rtol=1e-5)
    unlabelled = sampling.interpolate(state(ema=4.0), KEY, **options)
    shift = np.broadcast_to(10.0 * label[:, None, None], walks.shape)
    np.testing.assert_allclose(walks - unlabelled, shift, rtol=1e-4)
    middle = sampling.spherical_path(z[1, 0], z[1, 1], 5)[2]
    np.testing.assert_allclose(unlabelled[1, 2], 4 * middle, rtol=1e-5)


def test_truncation_reaches_networks_that_take_it():
    def truncated(variables, z, label=None, *, train, truncation=1.0):
        return truncation * z

    g = state().replace(apply_fn=truncated)
    whole = sampling.sample(g, KEY, 5, latent_dim=DIM, batch_size=2)
    half = sampling.sample(g, KEY, 5, latent_dim=DIM, batch_size=2, truncation=0.5)
    np.testing.assert_allclose(half, 0.5 * whole)
