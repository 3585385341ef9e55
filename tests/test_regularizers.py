"""Penalties on critics whose gradient is known, and weight clipping."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import networks, regularizers
from gan_jax.critic import Critic, as_critic
from gan_jax.nodes import Node
from gan_jax.regularizers import (
    DRAGAN,
    PENALTIES,
    R1,
    R2,
    BalancedConsistency,
    LeCam,
    Penalty,
    WassersteinGP,
)
from gan_jax.transforms import clip_weights

KEY = jax.random.key(0)
GRADIENT_PENALTIES = (R1, R2, WassersteinGP, DRAGAN)
POINTS, IMAGES = (8, 2), (8, 3, 2, 2)

every_penalty = pytest.mark.parametrize("penalty", GRADIENT_PENALTIES)
every_shape = pytest.mark.parametrize("shape", [POINTS, IMAGES], ids=["points", "images"])


def draws(shape):
    real, fake = jax.random.normal(KEY, (2, *shape))
    return real, 3 * fake + 2


def linear(w):
    """The critic w·x, whose gradient is w everywhere."""
    return lambda x: x.reshape(len(x), -1) @ jnp.ravel(w)


def quadratic(x):
    """The critic ½|x|², whose gradient is x."""
    return 0.5 * jnp.sum(x.reshape(len(x), -1) ** 2, axis=-1)


def seen_by(penalty, real, fake, key=KEY):
    """Where the penalty takes the critic's gradient, and its value for `quadratic`."""
    points = []

    def critic(x):
        jax.debug.callback(points.append, x)
        return quadratic(x)

    value = penalty(critic, real, fake, key)
    jax.effects_barrier()
    return np.asarray(points[0]), value


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (R1(gamma=3.0), 37.5),  # 3/2 · (3² + 4²)
        (R2(gamma=3.0), 37.5),
        (WassersteinGP(weight=10.0), 160.0),  # 10 · (√(3² + 4²) − 1)²
        (DRAGAN(weight=10.0), 160.0),
    ],
)
@pytest.mark.parametrize("shape", [(5, 2), (5, 1, 2, 1)], ids=["points", "images"])
def test_linear_critic(penalty, expected, shape):
    value = penalty(linear(jnp.array([3.0, 4.0])), *draws(shape), KEY)
    assert value.shape == ()
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_sums_over_pixels_and_averages_over_examples():
    real = jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1) * jnp.ones((2, 2, 2, 3))
    # 12 pixels of 1² make 12, 12 pixels of 3² make 108; their mean is 60, and γ/2 = 0.25 of it.
    np.testing.assert_allclose(R1(gamma=0.5)(quadratic, real, real + 9, KEY), 15.0, rtol=1e-6)
    np.testing.assert_allclose(R2(gamma=0.5)(quadratic, real + 9, real, KEY), 15.0, rtol=1e-6)


@every_shape
def test_r1_looks_at_real_and_r2_at_fake(shape):
    real, fake = draws(shape)
    np.testing.assert_array_equal(seen_by(R1(), real, fake)[0], real)
    np.testing.assert_array_equal(seen_by(R2(), real, fake)[0], fake)


@every_shape
def test_wasserstein_gp_draws_one_alpha_an_example(shape):
    real, fake = draws((256, *shape[1:]))
    between, value = seen_by(WassersteinGP(weight=2.0), real, fake)
    shares = ((between - real) / (fake - real)).reshape(256, -1)
    alpha = np.median(shares, axis=1)
    away = np.abs(fake - real).reshape(256, -1) > 0.1  # where the quotient is well conditioned
    np.testing.assert_allclose(np.where(away, shares - alpha[:, None], 0), 0, atol=1e-4)
    # Uniform: 256 draws fill [0, 1], each tenth within 4 standard deviations (19) of its 25.6.
    counts, _ = np.histogram(alpha, bins=10, range=(0, 1))
    assert counts.sum() == 256
    assert 25.6 - 19 < counts.min() <= counts.max() < 25.6 + 19
    norms = np.linalg.norm(between.reshape(256, -1), axis=1)
    np.testing.assert_allclose(value, 2.0 * np.mean((norms - 1) ** 2), rtol=1e-5)


@every_shape
def test_dragan_perturbs_part_of_the_way_to_half_a_deviation(shape):
    real, fake = draws((256, *shape[1:]))
    real = 3 * real + 5  # a standard deviation that is far from the root mean square
    nearby, value = seen_by(DRAGAN(weight=2.0), real, fake)
    noise = (nearby - real) / (0.5 * np.float64(real).std())
    assert -1e-5 < noise.min() < 0.01
    assert 0.9 < noise.max() < 1 + 1e-5
    np.testing.assert_allclose(noise.mean(), 0.25, atol=0.04)  # the mean of α·u, ½ each
    rows = noise.reshape(256, -1)
    assert (rows.std(axis=1) > 1e-5).all()  # a draw for every pixel
    assert (rows.std(axis=0) > 0.15).all()  # and for every example
    norms = np.linalg.norm(nearby.reshape(256, -1), axis=1)
    np.testing.assert_allclose(value, 2.0 * np.mean((norms - 1) ** 2), rtol=1e-5)


def test_norms_of_a_critic_in_bfloat16_are_right_to_three_digits():
    """What the module says of them, where a penalty compares them with 1 too."""
    x = jax.random.uniform(KEY, (16, 16, 16, 3), minval=-1)
    options = {"resolution": 16, "width": 16, "norm": "none"}
    exact = networks.dcgan.Discriminator(**options)
    variables = exact.init(KEY, x, train=True)

    def norms(dtype):
        module = networks.dcgan.Discriminator(**options, dtype=dtype)
        critic = as_critic(lambda x: module.apply(variables, x, train=False), x, x)
        return jnp.linalg.norm(critic.at(x).gradients.reshape(16, -1), axis=1)

    error = norms(jnp.bfloat16) / norms(jnp.float32) - 1
    assert 1e-5 < float(jnp.sqrt(jnp.mean(error**2))) < 5e-3


def test_dragan_draws_one_alpha_an_example():
    real, fake = draws((256, 8, 8, 3))
    nearby, _ = seen_by(DRAGAN(), real, fake)
    rows = ((nearby - real) / (0.5 * np.asarray(real).std())).reshape(256, -1)
    alpha, quartiles = 2 * rows.mean(axis=1), [0.25, 0.5, 0.75]
    np.testing.assert_allclose(np.quantile(alpha, quartiles), quartiles, atol=0.1)
    u = rows / alpha[:, None]
    np.testing.assert_allclose(np.quantile(u, quartiles), quartiles, atol=0.02)


@pytest.mark.parametrize("penalty", [WassersteinGP(), DRAGAN()])
def test_draws_follow_the_key(penalty):
    real, fake = draws(IMAGES)
    first, again, other = (
        seen_by(penalty, real, fake, k)[0] for k in (KEY, KEY, jax.random.key(1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2


@every_penalty
def test_finite_where_the_critic_is_flat(penalty):
    real, fake = draws(IMAGES)

    def loss(w):
        return penalty()(linear(w), real, fake, KEY)

    value, gradient = jax.value_and_grad(loss)(jnp.zeros(12))
    np.testing.assert_allclose(value, 10.0 if penalty in (WassersteinGP, DRAGAN) else 0.0)
    np.testing.assert_array_equal(gradient, np.zeros(12))


@every_penalty
def test_gradient_reaches_the_critic(penalty):
    real, fake = draws(POINTS)
    gradient = jax.grad(lambda w: penalty(2.0)(linear(w), real, fake, KEY))(jnp.array([3.0, 4.0]))
    # ∂ 2/2 (a² + b²) = 2 (a, b); ∂ 2 (n − 1)² = 4 (n − 1) (a, b)/n with n = 5
    expected = [6.0, 8.0] if penalty in (R1, R2) else [4 * 4 * 3 / 5, 4 * 4 * 4 / 5]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@every_penalty
def test_weights_are_leaves(penalty):
    real, fake = draws(IMAGES)

    def call(p):
        return p(quadratic, real, fake, KEY)

    one = call(penalty(1.0))
    assert one > 0
    np.testing.assert_allclose(jax.jit(call)(penalty(3.0)), 3 * one, rtol=1e-5)
    many = jax.vmap(call)(penalty(jnp.array([0.0, 1.0, 0.5])))
    np.testing.assert_allclose(many, [0, one, one / 2], rtol=1e-5)


@every_penalty
@every_shape
def test_devices_do_not_matter(penalty, shape):
    real, fake = draws(shape)

    def part(real, fake, key):
        critic = Critic.of(quadratic, real, fake, axis_name="devices")
        return penalty()(critic, real, fake, key)

    split = [x.reshape(4, 2, *shape[1:]) for x in (real, fake)]
    parts = jax.pmap(part, axis_name="devices", in_axes=(0, 0, None))(*split, KEY)
    whole = penalty()(quadratic, real, fake, KEY)
    assert np.asarray(parts).std() > 0
    np.testing.assert_allclose(np.mean(parts), whole, rtol=1e-5)


def test_a_critic_knows_what_it_has_judged():
    """A penalty on the examples at hand asks for nothing that the critic has computed already."""
    real, fake = draws(POINTS)
    calls = []

    def counting(x):
        calls.append(x)
        return quadratic(x)

    logits, pull_back = jax.vjp(quadratic, real)
    critic = Critic.of(counting, real, fake)
    critic = dataclasses.replace(
        critic, real=dataclasses.replace(critic.real, judged=(logits, pull_back))
    )
    np.testing.assert_allclose(critic.real.gradients, real)
    np.testing.assert_array_equal(critic.real.logits, logits)
    assert R1()(critic, real, fake, KEY) == R1()(quadratic, real, fake, KEY)
    assert not calls
    R2()(critic, real, fake, KEY)
    np.testing.assert_allclose(critic.at(2 * real).gradients, 2 * real)
    assert len(calls) == 2


def test_a_critic_is_not_asked_for_other_examples_than_it_has_judged():
    real, fake = draws(POINTS)
    critic = Critic.of(quadratic, real, fake)
    with pytest.raises(ValueError, match=r"other examples.*Critic\.of"):
        R1()(critic, real.astype(jnp.bfloat16), fake, KEY)


def test_penalties_that_can_be_configured():
    """In the order in which they are added; another one is not among them."""

    class Mine(Penalty):
        name = "mine"

    assert list(PENALTIES) == ["r1", "r2", "wgan_gp", "dragan", "lecam", "bcr"]
    assert list(PENALTIES.values()) == [*GRADIENT_PENALTIES, LeCam, BalancedConsistency]
    assert [p.lazy for p in PENALTIES.values()] == [True] * 4 + [False] * 2
    assert [p.needs_augmentation for p in PENALTIES.values()] == [False] * 5 + [True]
    assert all(p.help.endswith(".") and "\n" not in p.help for p in PENALTIES.values())
    assert [PENALTIES[name].configured(3.0) for name in ("r1", "wgan_gp", "lecam")] == [
        R1(3.0), WassersteinGP(3.0), LeCam(3.0)
    ]  # fmt: skip


def test_consistency_is_configured_with_an_augmentation():
    def same(x, key, axis_name=None):
        return x

    assert BalancedConsistency.configured(3.0, same) == BalancedConsistency(same, 3.0, 3.0)
    with pytest.raises(ValueError, match="needs an augmentation"):
        BalancedConsistency.configured(3.0)


def test_what_remembers_nothing_has_no_memory():
    assert R1().initial() is None


def test_any_callable_becomes_a_penalty():
    """A function is static; the numbers of what is a pytree are leaves."""

    def function(critic, real, fake, key):
        return jnp.float32(2.0)

    plain = regularizers.as_penalty(function)
    assert jax.tree.leaves(plain) == []
    assert plain.examples_apart
    assert plain(quadratic, *draws(POINTS), KEY) == 2
    assert regularizers.as_penalty(plain) is plain
    assert jax.tree.leaves(regularizers.as_penalty(Theirs(0.5))) == [0.5]


class Theirs(Node):
    weight: float

    def __call__(self, critic, real, fake, key):
        return self.weight * jnp.mean(critic(real))


def test_clipped_parameters_stay_inside():
    tx = optax.chain(optax.rmsprop(0.03), clip_weights(0.1))
    params = {"a": jnp.array([0.5, -0.5, 0.0, 0.02]), "b": jnp.array([[0.09]])}
    state = tx.init(params)
    gradients = {"a": jnp.array([1.0, -1.0, -100.0, 0.0]), "b": jnp.array([[-5.0]])}
    for _ in range(5):
        updates, state = tx.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        assert max(np.abs(p).max() for p in params.values()) <= 0.1 * (1 + 1e-6)
    # Downhill against the gradients, as far as the limit; without a gradient there is no update.
    np.testing.assert_allclose(params["a"], [-0.1, 0.1, 0.1, 0.02], rtol=1e-6)
    np.testing.assert_allclose(params["b"], [[0.1]], rtol=1e-6)


def test_clipping_leaves_updates_that_stay_inside():
    tx = clip_weights(1.0)
    params = jnp.array([0.25, 0.25, 0.25])
    updates, _ = tx.update(jnp.array([0.5, 1.0, -2.0]), tx.init(params), params)
    np.testing.assert_array_equal(updates, [0.5, 0.75, -1.25])


@pytest.mark.parametrize("limit", [0.0, -0.01])
def test_clipping_needs_a_positive_limit(limit):
    with pytest.raises(ValueError, match="positive limit"):
        clip_weights(limit)


def test_clipping_needs_the_parameters():
    tx = clip_weights(0.1)
    with pytest.raises(ValueError, match="parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
