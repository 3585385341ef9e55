"""The path-length penalty, where the Jacobian is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.objectives import PathLength

KEY = jax.random.key(0)
N, FEATURES, SHAPE = 6, 3, (4, 2, 5)
MATRIX = jax.random.normal(KEY, (FEATURES, *SHAPE))
DIRECTIONS = jnp.stack(
    [jax.random.normal(jax.random.fold_in(KEY, i), SHAPE) for i in range(N)]
) / np.sqrt(4 * 2)


def linear(offset):
    """Images whose Jacobian is a matrix, times 1, 2, … for the examples in turn."""
    factors = jnp.arange(1.0, len(offset) + 1)[:, None]
    return 7 + jnp.einsum("nf,fhwc->nhwc", factors * offset, MATRIX)


def lengths():
    """‖Jᵀy‖ of `linear`, written out."""
    jacobian = np.float64(MATRIX).reshape(FEATURES, -1)
    products = np.float64(DIRECTIONS).reshape(N, -1) @ jacobian.T
    return np.arange(1, N + 1) * np.sqrt(np.sum(products**2, axis=1))


def test_linear_generator():
    penalty, mean = PathLength(weight=3.0, decay=0.25)(linear, (N, FEATURES), KEY, jnp.float32(2))
    assert penalty.shape == mean.shape == ()
    average = 0.75 * 2 + 0.25 * lengths().mean()
    np.testing.assert_allclose(mean, average, rtol=1e-5)
    np.testing.assert_allclose(penalty, 3 * np.mean((lengths() - average) ** 2), rtol=1e-4)


def test_no_penalty_where_lengths_are_their_mean():
    """One image, whose length the running mean knows at once."""
    first, mean = PathLength(decay=1.0)(linear, (1, FEATURES), KEY, jnp.zeros(()))
    np.testing.assert_allclose(first, 0, atol=1e-6)
    np.testing.assert_allclose(mean, lengths()[0], rtol=1e-5)
    later, _ = PathLength(decay=0.01)(linear, (1, FEATURES), KEY, jnp.zeros(()))
    np.testing.assert_allclose(later, 2 * (0.99 * lengths()[0]) ** 2, rtol=1e-4)


def test_averages_squared_norms_over_layers():
    """Two layers that act alike, one twice as much: √((1² + 2²)/2) of the one's length."""

    def generate(offset):
        return linear(offset[:, 0] + 2 * offset[:, 1])

    _, mean = PathLength(decay=1.0)(generate, (N, 2, FEATURES), KEY, jnp.zeros(()))
    np.testing.assert_allclose(mean, np.sqrt(5 / 2) * lengths().mean(), rtol=1e-5)


def test_running_mean_finds_the_mean_length():
    @jax.jit
    def run(mean):
        def step(mean, key):
            return PathLength(decay=0.05)(linear, (N, FEATURES), key, mean)[1], None

        return jax.lax.scan(step, mean, jax.random.split(KEY, 2000))[0]

    # E‖Jᵀy‖² = ‖J‖²/(h·w), and a length is a little less than its root mean square.
    jacobian = np.float64(MATRIX).ravel()
    root = np.mean(np.arange(1, N + 1)) * np.sqrt(np.sum(jacobian**2) / (4 * 2))
    assert 0.85 * root < run(jnp.zeros(())) < root


def test_does_not_depend_on_the_resolution():
    """Images with every pixel doubled, of the same change at a pixel."""

    def one_feature(repeat):
        def generate(offset):
            shape = (len(offset), 16 * repeat, 16 * repeat, 1)
            return jnp.broadcast_to(offset[:, :, None, None], shape)

        _, mean = PathLength(decay=1.0)(generate, (400, 1), KEY, jnp.zeros(()))
        return mean

    # ‖Jᵀy‖ = |Σ y| of h·w draws of variance 1/(h·w): the mean of |N(0, 1)| is √(2/π).
    for repeat in (1, 2):
        np.testing.assert_allclose(one_feature(repeat), np.sqrt(2 / np.pi), rtol=0.1)


def test_gradient_holds_the_mean_constant():
    """∂ of λ·mean (s·l − a)² at s = 1 is 2λ·mean (l − a)·l, with a not a function of s."""

    def penalty(scale):
        return PathLength(weight=3.0, decay=0.5)(
            lambda offset: scale * linear(offset), (N, FEATURES), KEY, jnp.float32(1)
        )[0]

    average = 0.5 + 0.5 * lengths().mean()
    expected = 6 * np.mean((lengths() - average) * lengths())
    np.testing.assert_allclose(jax.grad(penalty)(1.0), expected, rtol=1e-4)


def test_finite_where_styles_do_nothing():
    def penalty(scale):
        return PathLength()(
            lambda offset: scale * linear(offset), (N, FEATURES), KEY, jnp.float32(1)
        )[0]

    value, gradient = jax.value_and_grad(penalty)(0.0)
    np.testing.assert_allclose(value, 2 * 0.99**2, rtol=1e-5)
    assert gradient == 0


def test_parts_of_a_batch_are_penalised_as_the_whole():
    factors = jnp.arange(1.0, N + 1)[:, None]

    def penalty(factors, axis_name=None):
        def generate(offset):
            return jnp.einsum("nf,fhwc->nhwc", factors * offset, MATRIX)

        return PathLength()(generate, (len(factors), FEATURES), KEY, jnp.float32(1), axis_name)

    value, mean = penalty(factors)
    parts = jax.vmap(lambda f: penalty(f, "devices"), axis_name="devices")
    values, means = parts(factors.reshape(3, 2, 1))
    np.testing.assert_allclose(np.mean(values), value, rtol=1e-5)
    np.testing.assert_allclose(means, np.full(3, mean), rtol=1e-5)


def test_weight_and_decay_are_leaves():
    assert jax.tree.leaves(PathLength()) == [2.0, 0.01]

    @jax.vmap
    def call(regularizer):
        return regularizer(linear, (N, FEATURES), KEY, jnp.float32(1))

    penalties, means = call(PathLength(jnp.array([1.0, 2.0, 1.0]), jnp.array([0.0, 0.0, 1.0])))
    np.testing.assert_allclose(penalties[1], 2 * penalties[0], rtol=1e-6)
    np.testing.assert_allclose(means, [1, 1, lengths().mean()], rtol=1e-5)


@pytest.mark.parametrize("key", [1, 2])
def test_directions_follow_the_key(key):
    _, mean = PathLength(decay=1.0)(linear, (N, FEATURES), jax.random.key(key), jnp.zeros(()))
    assert abs(mean - lengths().mean()) > 1e-2
