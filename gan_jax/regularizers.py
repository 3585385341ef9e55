"""Regularisers of the critic: gradient penalties, and penalties on its logits.

A regulariser is called as `regularizer(critic, real, fake, key)` and returns a scalar to add to the
discriminator's loss. `critic` maps a batch `[B, …]` to logits `[B]`: a `Critic`, or any function.
`real` and `fake` are batches of equal shape. The penalties below are pytrees whose leaves are their
weights, so that these can be traced, scheduled and vmapped. All are averages over examples, and all
draws are keyed by the global example index, so N devices equal one.

Gradients pass through the network in the numbers that it computes in. With a discriminator in
bfloat16 their norms are off by 0.2 to 0.3 % (root mean square; DCGAN's and SNGAN's, at random
weights), also where a penalty compares them with 1. The published codes of WGAN-GP and DRAGAN
compute in float32.

A new penalty that runs can be configured with is a subclass of `Penalty` with a `name`, here or in
an importer's code; `PENALTIES` collects those of this module.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from gan_jax import parallel
from gan_jax.critic import Critic, CriticFunction, as_critic
from gan_jax.nodes import Node
from gan_jax.schedules import Scheduled

Scalar = Float[Array, ""]


@runtime_checkable
class Regularizer(Protocol):
    """Anything that an objective can call for a penalty on its discriminator: a function will do.

    It is handed the `Critic` of the update, so `critic.real.logits`, `critic.fake.gradients` and
    `critic.at(x).gradients` are there for it; `critic(x)` gives logits as they are outside
    training. What it draws comes from `key`. If it has numbers that are to be leaves, make it a
    pytree (`gan_jax.Node`). To say more about it than its value, subclass `Penalty`.
    """

    def __call__(
        self, critic: Any, real: Array, fake: Array, key: Key[Array, ""], /
    ) -> Float[Array, ""]: ...


class Penalty(Node):
    """A regulariser that declares what an objective and a configuration have to know of it.

    A subclass is called as any regulariser, unless it `remembers`.
    """

    examples_apart: ClassVar[bool] = True
    """Whether it needs a critic that treats examples apart. Input gradients do: under batch norm
    they are not those of one example, so an objective refuses that combination."""
    remembers: ClassVar[bool] = False
    """Whether it remembers something from one update to the next. If it does, it is called with its
    memory as a fifth argument, and returns the new memory after the scalar."""
    name: ClassVar[str] = ""
    """Of its weight in a configuration; empty if it cannot be configured."""
    help: ClassVar[str] = ""
    """What that weight is, in a line."""
    lazy: ClassVar[bool] = False
    """Whether it may come in some of the updates only (`Lazy`)."""
    needs_augmentation: ClassVar[bool] = False
    """Whether it is made from an augmentation, which then is not the objective's."""

    def initial(self) -> PyTree:
        """What it remembers before the first update; None if it remembers nothing."""
        return None

    @classmethod
    def configured(cls, weight: Scheduled, augmentation: Callable[..., Array] | None = None) -> Any:
        """The penalty with this weight, made from `augmentation` if it needs one."""
        return cls(weight)  # pyright: ignore[reportCallIssue]


class Plain(Penalty):
    """A regulariser that declares nothing: any other callable."""

    function: Callable[..., Scalar]

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        return self.function(critic, real, fake, key)


def as_penalty(regularizer: Any) -> Any:
    """The regulariser as a `Penalty` and a pytree, whatever it is."""
    if isinstance(regularizer, Penalty):
        return regularizer
    if jax.tree_util.all_leaves([regularizer]):
        # A function would be a leaf, and no array; Partial makes it a pytree without leaves.
        regularizer = jax.tree_util.Partial(regularizer)
    return Plain(regularizer)


def _squared_norms(gradients: Float[Array, "b features"]) -> Float[Array, " b"]:
    return jnp.sum(jnp.square(gradients), axis=-1)


def _norms(gradients: Float[Array, "b features"]) -> Float[Array, " b"]:
    """Euclidean norms, with gradient 0 instead of NaN where the norm is 0."""
    squared = _squared_norms(gradients)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


class R1(Penalty):
    """γ/2 · E‖∇ₓ D(x)‖² at real examples: the squared norm sums over an example's pixels.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, eq. 9.
    """

    gamma: Scheduled = 1.0
    name: ClassVar[str] = "r1"
    help: ClassVar[str] = "γ of the R1 penalty, on gradients at real examples."
    lazy: ClassVar[bool] = True

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        critic = as_critic(critic, real, fake)
        return 0.5 * self.gamma * jnp.mean(_squared_norms(critic.real.gradients))


class R2(Penalty):
    """γ/2 · E‖∇ₓ D(x)‖² at generated examples.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, eq. 10.
    """

    gamma: Scheduled = 1.0
    name: ClassVar[str] = "r2"
    help: ClassVar[str] = "γ of the R2 penalty, on gradients at generated examples."
    lazy: ClassVar[bool] = True

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        critic = as_critic(critic, real, fake)
        return 0.5 * self.gamma * jnp.mean(_squared_norms(critic.fake.gradients))


class WassersteinGP(Penalty):
    """λ · E(‖∇ₓ D(x̂)‖ − 1)² at x̂ = x + α(G(z) − x), with one α ~ U(0, 1) per example
    (of packs, too).

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, eq. 3 (λ = 10).
    """

    weight: Scheduled = 10.0
    name: ClassVar[str] = "wgan_gp"
    help: ClassVar[str] = (
        "λ of WGAN-GP's penalty, on gradients between real and generated examples."
    )
    lazy: ClassVar[bool] = True

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        critic, n = as_critic(critic, real, fake), real.shape[0]
        alpha = parallel.per_example(jax.random.uniform, key, n, critic.axis_name)
        alpha = alpha.reshape(n, *[1] * (real.ndim - 1)).astype(real.dtype)
        between = real + alpha * (fake - real)
        return self.weight * jnp.mean(jnp.square(_norms(critic.at(between).gradients) - 1))


class DRAGAN(Penalty):
    """λ · E(‖∇ₓ D(x̂)‖ − 1)² at x̂ = x + α·½·std(x)·u, with u ~ U(0, 1) of the shape of x and one
    α ~ U(0, 1) for each example.

    std(x) is one number: over all pixels of all real examples of the (global) batch.

    Source: Kodali et al., "On Convergence and Stability of GANs", 2017, §2.3, and its published
    code (λ = 10).
    """

    weight: Scheduled = 10.0
    name: ClassVar[str] = "dragan"
    help: ClassVar[str] = "λ of DRAGAN's penalty, on gradients around real examples."
    lazy: ClassVar[bool] = True

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        critic = as_critic(critic, real, fake)
        axis_name = critic.axis_name
        center = parallel.mean(jnp.mean(real), axis_name)
        std = jnp.sqrt(parallel.mean(jnp.mean(jnp.square(real - center)), axis_name))

        def towards(key):
            alpha_key, u_key = jax.random.split(key)
            u = jax.random.uniform(u_key, real.shape[1:], real.dtype)
            return jax.random.uniform(alpha_key, dtype=real.dtype) * u

        nearby = real + 0.5 * std * parallel.per_example(towards, key, len(real), axis_name)
        return self.weight * jnp.mean(jnp.square(_norms(critic.at(nearby).gradients) - 1))


class LeCam(Penalty):
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

    weight: Scheduled = 0.3
    decay: Scheduled = 0.99
    examples_apart: ClassVar[bool] = False
    remembers: ClassVar[bool] = True
    name: ClassVar[str] = "lecam"
    help: ClassVar[str] = "λ of LeCam's penalty, which keeps logits near their moving averages."

    def initial(self) -> dict[str, Scalar]:
        return {"real": jnp.zeros(()), "fake": jnp.zeros(())}

    def __call__(
        self,
        critic: Critic | CriticFunction,
        real: Array,
        fake: Array,
        key: Key[Array, ""],
        memory: dict[str, Scalar],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        critic = as_critic(critic, real, fake)
        logits = {
            "real": critic.real.logits.astype(jnp.float32),
            "fake": critic.fake.logits.astype(jnp.float32),
        }
        memory = {
            kind: self.decay * memory[kind]
            + (1 - self.decay)
            * jax.lax.stop_gradient(parallel.mean(jnp.mean(logits[kind]), critic.axis_name))
            for kind in logits
        }
        real_term = jnp.mean(jnp.square(logits["real"] - memory["fake"]))
        fake_term = jnp.mean(jnp.square(logits["fake"] - memory["real"]))
        return self.weight * (real_term + fake_term), memory


class BalancedConsistency(Penalty):
    """λ_real · E(D(x) − D(T(x)))² + λ_fake · E(D(G(z)) − D(T(G(z))))²: an augmentation T should not
    change the logit (bCR).

    The logits of x are those of the pass that judged it. With spectral norm those of T(x) are under
    weights that are normalised anew, so that a little is left even if T changes nothing.

    Source: Zhao et al., "Improved Consistency Regularization for GANs", 2020, algorithm 1.
    """

    augmentation: Callable[..., Array]
    real_weight: Scheduled = 10.0
    fake_weight: Scheduled = 10.0
    name: ClassVar[str] = "bcr"
    help: ClassVar[str] = "λ of the consistency of logits under the augmentation (bCR)."
    needs_augmentation: ClassVar[bool] = True

    @classmethod
    def configured(
        cls, weight: Scheduled, augmentation: Callable[..., Array] | None = None
    ) -> "BalancedConsistency":
        """
        Raises:
            ValueError: there is no augmentation.
        """
        if augmentation is None:
            raise ValueError("the consistency of logits (bcr) needs an augmentation")
        return cls(augmentation, weight, weight)

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        critic = as_critic(critic, real, fake)
        total: Any = 0.0
        for i, (x, weight) in enumerate(
            ((critic.real, self.real_weight), (critic.fake, self.fake_weight))
        ):
            altered = self.augmentation(x.examples, jax.random.fold_in(key, i), critic.axis_name)
            change = x.logits.astype(jnp.float32) - critic(altered).astype(jnp.float32)
            total = total + weight * jnp.mean(jnp.square(change))
        return total


class Lazy(Penalty):
    """A penalty in one of every `every` updates, and that much stronger there.

    Give the optimiser the correction of `transforms.lazy_adam`, since it takes fewer and larger
    steps along the penalty's gradient. (The published code takes these steps by themselves, after
    those of the loss: k + 1 steps in k updates. Here they are one.)

    Raises:
        ValueError: a penalty that remembers something, which would need to see every update.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    appendix B.
    """

    penalty: Any
    every: int = struct.field(pytree_node=False, default=16)

    def __post_init__(self):
        object.__setattr__(self, "penalty", as_penalty(self.penalty))
        if self.penalty.remembers:
            raise ValueError(f"{type(self.penalty).__name__} remembers every update: not lazily")

    def __call__(
        self, critic: Critic | CriticFunction, real: Array, fake: Array, key: Key[Array, ""]
    ) -> Scalar:
        known = as_critic(critic, real, fake)
        # Both branches have to differ between devices, if one does.
        nothing = parallel.varying(jnp.zeros(()), known.axis_name)
        return jax.lax.cond(
            known.step % self.every == 0,
            lambda: nothing + self.every * self.penalty(known, real, fake, key),
            lambda: nothing,
        )


PENALTIES: dict[str, type[Penalty]] = {p.name: p for p in Penalty.__subclasses__() if p.name}
"""By the name of their weights in a configuration, in the order in which they are added."""
