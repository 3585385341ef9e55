"""Losses against numbers worked out by hand, and against NumPy in float64."""

from math import log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
from gan_jax.losses import LOSSES

NAMES = (
    "minimax",
    "non_saturating",
    "wasserstein",
    "hinge",
    "least_squares",
    "relativistic_pairing",
    "relativistic_average",
)
NETWORKS = ("discriminator", "generator")
LEVEL_FREE = ("wasserstein", "relativistic_pairing", "relativistic_average")

every_loss = pytest.mark.parametrize("name", NAMES)
every_network = pytest.mark.parametrize("network", NETWORKS)


def soft(t):
    """softplus, so that phi(t) = soft(-t)."""
    return np.logaddexp(0.0, t)


# Written from the papers, in float64, sharing nothing with the module.
REFERENCE = {
    ("minimax", "discriminator"): lambda r, f: np.mean(soft(-r)) + np.mean(soft(f)),
    ("minimax", "generator"): lambda r, f: -np.mean(soft(f)),
    ("non_saturating", "discriminator"): lambda r, f: np.mean(soft(-r)) + np.mean(soft(f)),
    ("non_saturating", "generator"): lambda r, f: np.mean(soft(-f)),
    ("wasserstein", "discriminator"): lambda r, f: np.mean(f) - np.mean(r),
    ("wasserstein", "generator"): lambda r, f: -np.mean(f),
    ("hinge", "discriminator"): lambda r, f: (
        np.mean(np.maximum(0, 1 - r)) + np.mean(np.maximum(0, 1 + f))
    ),
    ("hinge", "generator"): lambda r, f: -np.mean(f),
    ("least_squares", "discriminator"): lambda r, f: np.mean((r - 1) ** 2 + f**2) / 2,
    ("least_squares", "generator"): lambda r, f: np.mean((f - 1) ** 2) / 2,
    ("relativistic_pairing", "discriminator"): lambda r, f: np.mean(soft(-(r - f))),
    ("relativistic_pairing", "generator"): lambda r, f: np.mean(soft(-(f - r))),
    ("relativistic_average", "discriminator"): lambda r, f: (
        np.mean(soft(-(r - f.mean()))) + np.mean(soft(f - r.mean()))
    ),
    ("relativistic_average", "generator"): lambda r, f: (
        np.mean(soft(-(f - r.mean()))) + np.mean(soft(r - f.mean()))
    ),
}

# Logarithms make softplus a logarithm: softplus(log a) = log(1 + a).
LOGS = [log(3), 0.0], [0.0, -log(7)]
ROUND = [2.0, -0.5], [0.5, -3.0]
CENTRED = [log(3), log(27)], [-log(2), log(2)]  # mean real = log 9, mean fake = 0

BY_HAND = [
    # real: softplus(-log 3) = log 4/3, softplus(0) = log 2; fake: log 2, softplus(-log 7) = log 8/7
    ("minimax", "discriminator", LOGS, (log(4 / 3) + log(2)) / 2 + (log(2) + log(8 / 7)) / 2),
    ("minimax", "generator", LOGS, -(log(2) + log(8 / 7)) / 2),
    ("non_saturating", "discriminator", LOGS, (log(4 / 3) + log(2) + log(2) + log(8 / 7)) / 2),
    # softplus(-0) = log 2, softplus(log 7) = log 8; their mean is 4/2 log 2
    ("non_saturating", "generator", LOGS, 2 * log(2)),
    # mean fake = (0.5 - 3)/2 = -1.25, mean real = (2 - 0.5)/2 = 0.75
    ("wasserstein", "discriminator", ROUND, -1.25 - 0.75),
    ("wasserstein", "generator", ROUND, 1.25),
    # real: max(0, -1) = 0, max(0, 1.5) = 1.5; fake: max(0, 1.5) = 1.5, max(0, -2) = 0
    ("hinge", "discriminator", ROUND, 1.5 / 2 + 1.5 / 2),
    ("hinge", "generator", ROUND, 1.25),
    # real: (1² + 1.5²)/2 = 1.625; fake: (0.25 + 9)/2 = 4.625; and a half of each
    ("least_squares", "discriminator", ROUND, 1.625 / 2 + 4.625 / 2),
    # (0.5² + 4²)/2 = 8.125, and a half
    ("least_squares", "generator", ROUND, 8.125 / 2),
    # r - f = log 3, log 7: softplus of their negatives is log 4/3, log 8/7
    ("relativistic_pairing", "discriminator", LOGS, (log(4 / 3) + log(8 / 7)) / 2),
    # f - r = -log 3, -log 7: log 4, log 8
    ("relativistic_pairing", "generator", LOGS, (log(4) + log(8)) / 2),
    # r - mean f = log 3, log 27: log 4/3, log 28/27
    # f - mean r = log 1/18, log 2/9: log 19/18, log 11/9
    (
        "relativistic_average",
        "discriminator",
        CENTRED,
        (log(4 / 3) + log(28 / 27)) / 2 + (log(19 / 18) + log(11 / 9)) / 2,
    ),
    # the same differences with the other sign: log 19, log 11/2; log 4, log 28
    (
        "relativistic_average",
        "generator",
        CENTRED,
        (log(19) + log(11 / 2)) / 2 + (log(4) + log(28)) / 2,
    ),
]


def logits(n=16):
    real, fake = 2 * jax.random.normal(jax.random.key(0), (2, n))
    return real + 0.3, fake - 0.4


def loss(name, network, real, fake, **options):
    return getattr(LOSSES[name], network)(jnp.asarray(real), jnp.asarray(fake), **options)


@pytest.mark.parametrize(
    ("name", "network", "pair", "expected"), BY_HAND, ids=[f"{c[0]}-{c[1]}" for c in BY_HAND]
)
def test_known_answer(name, network, pair, expected):
    real, fake = np.float32(pair[0]), np.float32(pair[1])
    np.testing.assert_allclose(loss(name, network, real, fake), expected, rtol=1e-6)


@every_network
@every_loss
def test_agrees_with_numpy_also_under_jit(name, network):
    real, fake = logits()
    expected = REFERENCE[name, network](np.float64(real), np.float64(fake))
    eager = loss(name, network, real, fake)
    jitted = jax.jit(getattr(LOSSES[name], network))(real, fake)
    assert eager.shape == ()
    np.testing.assert_allclose([eager, jitted], expected, rtol=1e-5)


@every_network
@every_loss
def test_gradient_is_the_finite_difference(name, network):
    """Of the float64 reference, logit by logit; none lies on a kink of the hinge."""
    real, fake = logits(6)
    assert min(np.abs(1 - real).min(), np.abs(1 + fake).min()) > 1e-3
    function, eps = REFERENCE[name, network], 1e-5
    both = np.concatenate([real, fake]).astype(np.float64)
    steps = eps * np.eye(12)
    expected = [
        (function(*np.split(both + e, 2)) - function(*np.split(both - e, 2))) / (2 * eps)
        for e in steps
    ]
    gradients = jax.grad(getattr(LOSSES[name], network), argnums=(0, 1))(real, fake)
    np.testing.assert_allclose(np.concatenate(gradients), expected, rtol=1e-4, atol=1e-6)


@every_network
@every_loss
def test_finite_at_extreme_logits(name, network):
    real, fake = jnp.array([1e4, -1e4]), jnp.array([-1e4, 1e4])
    value, gradients = jax.value_and_grad(getattr(LOSSES[name], network), argnums=(0, 1))(
        real, fake
    )
    assert np.isfinite(value)
    assert np.isfinite(gradients).all()


@every_network
@every_loss
def test_bfloat16_logits_are_computed_in_float32(name, network):
    """Differences included: 1 − 2⁻⁹ does not fit the 8 bits of a bfloat16."""
    real, fake = jnp.array([1.0, 3.0], jnp.bfloat16), jnp.array([2.0**-9, 2.0**-7], jnp.bfloat16)
    value = loss(name, network, real, fake)
    assert value.dtype == jnp.float32
    expected = REFERENCE[name, network](np.float64(real), np.float64(fake))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@every_loss
def test_threshold_is_none_where_the_level_means_nothing(name):
    real, fake = logits()
    before = loss(name, "discriminator", real, fake)
    after = loss(name, "discriminator", real + 3, fake + 3)
    assert (LOSSES[name].threshold is None) == (name in LEVEL_FREE)
    assert np.isclose(before, after, rtol=1e-5) == (name in LEVEL_FREE)


@pytest.mark.parametrize("name", LEVEL_FREE)
def test_level_moves_no_generator_without_threshold(name):
    """Its gradient, that is: the Wasserstein generator's value moves by the constant."""
    real, fake = logits()
    gradient = jax.grad(LOSSES[name].generator, argnums=1)
    np.testing.assert_allclose(gradient(real + 3, fake + 3), gradient(real, fake), rtol=1e-4)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LEVEL_FREE)))
def test_undecided_at_the_threshold(name):
    """Where real and fake look the same, the best common logit is the threshold."""

    def level(c):
        return LOSSES[name].discriminator(c[None], c[None])

    slope = jax.grad(level)
    threshold = jnp.float32(LOSSES[name].threshold)
    np.testing.assert_allclose(slope(threshold), 0, atol=1e-7)
    assert slope(threshold - 2) < 0 < slope(threshold + 2)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_smoothing_lowers_the_target_of_real_examples_only(name):
    real, fake = logits()
    r, f, s = np.float64(real), np.float64(fake), 0.1
    # Cross entropy with targets 1 - s for real and 0 for fake examples.
    expected = np.mean((1 - s) * soft(-r) + s * soft(r)) + np.mean(soft(f))
    value = loss(name, "discriminator", real, fake, label_smoothing=s)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_smoothed_least_squares_by_hand():
    # Target 0.75. real: (1.25² + 1.25²)/2 = 1.5625; fake: (0.25 + 9)/2 = 4.625; and a half of each.
    value = loss("least_squares", "discriminator", *map(np.float32, ROUND), label_smoothing=0.25)
    np.testing.assert_allclose(value, (1.5625 + 4.625) / 2, rtol=1e-6)


def test_minimax_is_zero_sum_in_the_fake_half():
    real, fake = logits()
    certain = jnp.full_like(real, 100.0)  # their half of the loss is 0
    discriminator = loss("minimax", "discriminator", certain, fake)
    np.testing.assert_allclose(loss("minimax", "generator", real, fake), -discriminator, rtol=1e-6)


def test_losses_holds_all_seven():
    assert set(LOSSES) == set(NAMES)
    assert all(LOSSES[name] is getattr(losses, name) for name in NAMES)
