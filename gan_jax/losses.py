"""Adversarial losses: from the discriminator's logits to scalars.

Write `r` for the logits of real examples and `f` for those of generated ones. A `Loss` is a pair of
functions of both, in that order, so that relativistic losses need no special case; each maps float
`[B]`, `[B]` to a scalar that its player *minimises*, computed in float32 whatever the networks
compute in. φ(t) = softplus(−t) = −log σ(t) is the logistic loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Logits = Float[Array, " b"]
Scalar = Float[Array, ""]


class Loss(NamedTuple):
    """What each player minimises, as functions of `(real_logits, fake_logits)`."""

    discriminator: Callable[..., Scalar]
    generator: Callable[..., Scalar]
    threshold: float | None = 0.0
    """The logit at which the discriminator is undecided. None where the level of a logit means
    nothing, because adding a constant to the critic changes no gradient: only differences count."""


def _softplus(logits: Float[Array, " b"]) -> Logits:
    return jax.nn.softplus(logits.astype(jnp.float32))


def cross_entropy(
    real_logits: Logits, fake_logits: Logits, label_smoothing: float | Scalar = 0.0
) -> Scalar:
    """Binary cross entropy of real against fake: mean φ(r) + mean φ(−f).

    With one-sided label smoothing s the target of real examples is 1 − s instead of 1, which adds
    s·mean(r). Fake examples keep the target 0.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, eq. 1, negated; smoothing from
    Salimans et al., "Improved Techniques for Training GANs", 2016, §3.4.
    """
    smoothed = label_smoothing * jnp.mean(real_logits.astype(jnp.float32))
    return jnp.mean(_softplus(-real_logits)) + jnp.mean(_softplus(fake_logits)) + smoothed


def class_loss(class_logits: Float[Array, "b classes"], label: Int[Array, " b"]) -> Scalar:
    """Cross entropy of a classifier's logits: −mean log softmax(c)[label]. Both players of an
    AC-GAN minimise it beside their own loss.

    Source: Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs", 2017, eq. 3.
    """
    one_hot = jax.nn.one_hot(label, class_logits.shape[-1])
    return jnp.mean(optax.softmax_cross_entropy(class_logits.astype(jnp.float32), one_hot))


def _minimax_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean log(1 − σ(f)) = −mean softplus(f): saturates where the discriminator is sure."""
    return -jnp.mean(_softplus(fake_logits))


def _non_saturating_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """−mean log σ(f) = mean φ(f)."""
    return jnp.mean(_softplus(-fake_logits))


def _wasserstein_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean(f) − mean(r)."""
    return jnp.mean(fake_logits.astype(jnp.float32)) - jnp.mean(real_logits.astype(jnp.float32))


def _negated_mean_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """−mean(f)."""
    return -jnp.mean(fake_logits.astype(jnp.float32))


def _hinge_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean max(0, 1 − r) + mean max(0, 1 + f)."""
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def _least_squares_discriminator(
    real_logits: Logits, fake_logits: Logits, label_smoothing: float | Scalar = 0.0
) -> Scalar:
    """½ mean (r − (1 − s))² + ½ mean f², with s the one-sided label smoothing."""
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    target = 1 - label_smoothing
    return 0.5 * jnp.mean(jnp.square(real - target)) + 0.5 * jnp.mean(jnp.square(fake))


def _least_squares_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """½ mean (f − 1)²."""
    return 0.5 * jnp.mean(jnp.square(fake_logits.astype(jnp.float32) - 1))


def _pairing_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean φ(r − f), real and fake paired by index."""
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    return jnp.mean(_softplus(fake - real))


def _pairing_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean φ(f − r)."""
    return _pairing_discriminator(fake_logits, real_logits)


def _average_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean φ(r − mean f) + mean φ(−(f − mean r)): the sum of both halves, as in the paper."""
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    return jnp.mean(_softplus(jnp.mean(fake) - real)) + jnp.mean(_softplus(fake - jnp.mean(real)))


def _average_generator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """mean φ(f − mean r) + mean φ(−(r − mean f))."""
    return _average_discriminator(fake_logits, real_logits)


minimax = Loss(cross_entropy, _minimax_generator)
"""The value of the minimax game itself (Goodfellow et al., 2014, eq. 1).

D: mean φ(r) + mean φ(−f). G: −mean softplus(f), which saturates once D is sure.
"""

non_saturating = Loss(cross_entropy, _non_saturating_generator)
"""Minimax with a generator loss that does not saturate (Goodfellow et al., 2014, §3).

D: mean φ(r) + mean φ(−f). G: mean φ(f).
"""

wasserstein = Loss(_wasserstein_discriminator, _negated_mean_generator, threshold=None)
"""Dual form of the earth mover's distance, for a 1-Lipschitz critic (Arjovsky et al.,
"Wasserstein GAN", 2017, eq. 2): needs `regularizers.WassersteinGP` or `transforms.clip_weights`.

D: mean f − mean r. G: −mean f.
"""

hinge = Loss(_hinge_discriminator, _negated_mean_generator)
"""Margin loss (Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for
GANs", 2018, eq. 16 and 17). The sum, not the mean, of the two halves.

D: mean max(0, 1 − r) + mean max(0, 1 + f). G: −mean f.
"""

least_squares = Loss(_least_squares_discriminator, _least_squares_generator, threshold=0.5)
"""Squared distance to the 0–1 coding (Mao et al., "Least Squares GANs", 2017, eq. 9).

D: ½ mean (r − 1)² + ½ mean f². G: ½ mean (f − 1)².
"""

relativistic_pairing = Loss(_pairing_discriminator, _pairing_generator, threshold=None)
"""How much more real is this example than that fake one? (Jolicoeur-Martineau, "The relativistic
discriminator", 2018; the loss of Huang et al., "The GAN is dead; long live the GAN!", 2024, eq. 2.)

D: mean φ(r − f). G: mean φ(f − r). Pairs share an index.
"""

relativistic_average = Loss(_average_discriminator, _average_generator, threshold=None)
"""How much more real is this example than the average fake one, and the other way round?
(Jolicoeur-Martineau, "The relativistic discriminator", 2018, §4.2.)

D: mean φ(r − mean f) + mean φ(mean r − f). G: the same with real and fake exchanged.
"""

LOSSES: dict[str, Loss] = {name: loss for name, loss in globals().items() if isinstance(loss, Loss)}
"""All of these, by name."""
