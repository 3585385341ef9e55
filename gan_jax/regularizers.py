"""Regularisers of the critic: gradient penalties, and weight clipping.

A penalty is called as `penalty(critic, real, fake, key)` and returns a scalar to add to the
discriminator's loss. `critic` maps a batch `[B, …]` to logits `[B]`; `real` and `fake` are batches
of equal shape. Penalties are pytrees whose leaves are their weights, so that these can be traced,
scheduled and vmapped. All are averages over examples, and all draws are keyed by the global example
index, so N devices equal one.

The gradient of the *sum* of logits holds each example's own gradient only where the critic treats
examples apart. It does not under batch norm: `Adversarial` refuses that combination, unless a
regulariser says that it needs no such thing, by an attribute `examples_apart` that is False.
"""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.schedules import Schedule

Critic = Callable[[Array], Float[Array, " b"]]
"""Maps a batch to logits. If the batch is one device's part of a larger one, the critic has an
attribute `axis_name` that says over which axis. If it knows its logits and their gradients at some
batches, it has methods `known_logits(x)` and `known_gradients(x)` (a row for every logit) that give
them, and None at others. The number of the update is its attribute `step`."""

Scalar = Float[Array, ""]
Weight = float | int | Float[Array, "..."] | Schedule
"""A `Schedule` is replaced by its number before an update."""


def _input_gradients(critic: Critic, x: Array) -> Float[Array, "b features"]:
    """∇ₓ of every logit, flattened, in float32."""
    gradients = getattr(critic, "known_gradients", lambda x: None)(x)
    if gradients is None:
        logits, pull_back = jax.vjp(critic, x)
        # A logit of a pack of examples has the gradients of all of them.
        gradients = pull_back(jnp.ones_like(logits))[0].reshape(len(logits), -1)
    return gradients.astype(jnp.float32)


def _logits(critic: Critic, x: Array) -> Float[Array, " b"]:
    logits = getattr(critic, "known_logits", lambda x: None)(x)
    return (critic(x) if logits is None else logits).astype(jnp.float32)


def _squared_norms(gradients: Float[Array, "b features"]) -> Float[Array, " b"]:
    return jnp.sum(jnp.square(gradients), axis=-1)


def _norms(gradients: Float[Array, "b features"]) -> Float[Array, " b"]:
    """Euclidean norms, with gradient 0 instead of NaN where the norm is 0."""
    squared = _squared_norms(gradients)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


class R1(struct.PyTreeNode):
    """γ/2 · E‖∇ₓ D(x)‖² at real examples: the squared norm sums over an example's pixels.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, eq. 9.
    """

    gamma: Weight = 1.0

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        return 0.5 * self.gamma * jnp.mean(_squared_norms(_input_gradients(critic, real)))


class R2(struct.PyTreeNode):
    """γ/2 · E‖∇ₓ D(x)‖² at generated examples.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, eq. 10.
    """

    gamma: Weight = 1.0

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        return 0.5 * self.gamma * jnp.mean(_squared_norms(_input_gradients(critic, fake)))


class WassersteinGP(struct.PyTreeNode):
    """λ · E(‖∇ₓ D(x̂)‖ − 1)² at x̂ = x + α(G(z) − x), with one α ~ U(0, 1) per example
    (of packs, too).

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, eq. 3 (λ = 10).
    """

    weight: Weight = 10.0

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        n = real.shape[0]
        alpha = parallel.per_example(jax.random.uniform, key, n, _axis_name(critic))
        alpha = alpha.reshape(n, *[1] * (real.ndim - 1)).astype(real.dtype)
        between = real + alpha * (fake - real)
        return self.weight * jnp.mean(jnp.square(_norms(_input_gradients(critic, between)) - 1))


class DRAGAN(struct.PyTreeNode):
    """λ · E(‖∇ₓ D(x̂)‖ − 1)² at x̂ = x + ½·std(x)·u, with u ~ U(0, 1) of the shape of x.

    std(x) is one number: over all pixels of all real examples of the (global) batch.

    Source: Kodali et al., "On Convergence and Stability of GANs", 2017, §2.3, and its published
    code (λ = 10).
    """

    weight: Weight = 10.0

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        axis_name = _axis_name(critic)
        center = parallel.mean(jnp.mean(real), axis_name)
        std = jnp.sqrt(parallel.mean(jnp.mean(jnp.square(real - center)), axis_name))
        noise = parallel.per_example(
            lambda k: jax.random.uniform(k, real.shape[1:], real.dtype), key, len(real), axis_name
        )
        nearby = real + 0.5 * std * noise
        return self.weight * jnp.mean(jnp.square(_norms(_input_gradients(critic, nearby)) - 1))


class LeCam(struct.PyTreeNode):
    """λ · (E[(D(x) − α_F)²] + E[(D(G(z)) − α_R)²]): keeps logits near the moving averages α_R and
    α_F of the *other* kind's logits. It remembers these.

    The averages, with decay 0.99, take in the batch at hand first; they start at 0, so that in the
    first hundred updates logits are drawn towards 0. This is the paper's formula. Its published
    code differs: only real logits above α_F and fake ones below α_R are drawn, and its averages
    are corrected for their start.

    It asks for nothing but the logits at hand, so batch norm is no obstacle.

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", 2021,
    eq. 5.
    """

    weight: Weight = 0.3
    decay: Weight = 0.99
    examples_apart: ClassVar[bool] = False

    def initial(self) -> dict[str, Scalar]:
        return {"real": jnp.zeros(()), "fake": jnp.zeros(())}

    def __call__(
        self,
        critic: Critic,
        real: Array,
        fake: Array,
        key: Key[Array, ""],
        memory: dict[str, Scalar],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        logits = {"real": _logits(critic, real), "fake": _logits(critic, fake)}
        memory = {
            kind: self.decay * memory[kind]
            + (1 - self.decay)
            * jax.lax.stop_gradient(parallel.mean(jnp.mean(logits[kind]), _axis_name(critic)))
            for kind in logits
        }
        real_term = jnp.mean(jnp.square(logits["real"] - memory["fake"]))
        fake_term = jnp.mean(jnp.square(logits["fake"] - memory["real"]))
        return self.weight * (real_term + fake_term), memory


class BalancedConsistency(struct.PyTreeNode):
    """λ_real · E(D(x) − D(T(x)))² + λ_fake · E(D(G(z)) − D(T(G(z))))²: an augmentation T should not
    change the logit (bCR).

    The logits of x are those of the pass that judged it. With spectral norm those of T(x) are under
    weights that are normalised anew, so that a little is left even if T changes nothing.

    Source: Zhao et al., "Improved Consistency Regularization for GANs", 2020, algorithm 1.
    """

    augmentation: Callable[..., Array]
    real_weight: Weight = 10.0
    fake_weight: Weight = 10.0

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        total = 0.0
        for i, (x, weight) in enumerate(((real, self.real_weight), (fake, self.fake_weight))):
            altered = self.augmentation(x, jax.random.fold_in(key, i), _axis_name(critic))
            change = _logits(critic, x) - critic(altered).astype(jnp.float32)
            total = total + weight * jnp.mean(jnp.square(change))
        return total


class Lazy(struct.PyTreeNode):
    """A penalty in every so manieth update only, that much stronger.

    The critic's attribute `step` says which update it is. Give the optimiser `lazy_adam`'s
    correction, since it takes fewer and larger steps along the penalty's gradient. (The published
    code takes these steps by themselves, after those of the loss: k + 1 steps in k updates. Here
    they are one.)

    Raises:
        ValueError: a penalty that remembers something, which would need to see every update.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    appendix B.
    """

    penalty: Callable[..., Scalar]
    every: int = struct.field(pytree_node=False, default=16)

    def __post_init__(self):
        if hasattr(self.penalty, "initial"):
            raise ValueError(f"{type(self.penalty).__name__} remembers every update: not lazily")

    def __call__(self, critic: Critic, real: Array, fake: Array, key: Key[Array, ""]) -> Scalar:
        # Both branches have to differ between devices, if one does.
        nothing = parallel.varying(jnp.zeros(()), _axis_name(critic))
        return jax.lax.cond(
            critic.step % self.every == 0,
            lambda: nothing + self.every * self.penalty(critic, real, fake, key),
            lambda: nothing,
        )


def lazy_adam(learning_rate: float, b1: float, b2: float, every: int) -> tuple[float, float, float]:
    """Adam's learning rate and decays for an optimiser whose penalty comes in every `every`th
    update: as if, of `every` + 1 steps, all but one were along the loss.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    appendix B: λ′ = c·λ, β′ = β^c with c = k/(k + 1).
    """
    c = every / (every + 1)
    return c * learning_rate, b1**c, b2**c


def _axis_name(critic: Critic) -> str | None:
    return getattr(critic, "axis_name", None)


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter in [−limit, limit]: the critic of the original Wasserstein GAN.

    Chain it last: `optax.chain(optax.rmsprop(5e-5), clip_weights(0.01))`. It changes the update so
    that the updated parameters are the clipped ones, up to rounding in the last place.

    Source: Arjovsky et al., "Wasserstein GAN", 2017, algorithm 1, line 7 (limit = 0.01).

    Raises:
        ValueError: if `limit` is not positive, or `update` is called without parameters.
    """
    if limit <= 0:
        raise ValueError(f"clip_weights needs a positive limit, not {limit}")

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("clip_weights needs the parameters: tx.update(grads, state, params)")
        clipped = jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)
        return clipped, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
