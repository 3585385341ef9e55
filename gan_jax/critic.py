"""Critics: what a regulariser sees of the discriminator."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Logits = Float[Array, " b"]
Raw = Float[Array, "b *patches"]
"""What a discriminator returns: a logit for each example, or a map of logits, one for each patch of
each example."""
CriticFunction = Callable[[Array], Logits]
"""Maps a batch [B, …] to logits [B] (or [B / n], of packs of n examples)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Examples, and what a critic makes of them."""

    critic: CriticFunction
    examples: Array
    judged: tuple[Raw, Callable[[Raw], tuple[Array]]] | None = None
    """What a pass that judged the examples already returned, and its pullback: from cotangents of
    the logits to those of the examples. None where the critic is to be asked."""

    @property
    def logits(self) -> Logits:
        """The logit of every example: the mean over its patches."""
        return of_examples(self._raw)

    @property
    def patches(self) -> Float[Array, " p"]:
        """The logits of all patches of all examples, on which losses are; of a discriminator that
        judges images whole, those of the examples."""
        return self._raw.reshape(-1)

    @property
    def _raw(self) -> Raw:
        return self.critic(self.examples) if self.judged is None else self.judged[0]

    @property
    def gradients(self) -> Float[Array, "b features"]:
        """∇ₓ of every logit, flattened, in float32.

        The gradient of the sum of logits holds each example's own gradient, because the critic
        treats examples apart. A logit of a pack of examples has the gradients of all of them.
        """
        logits, pull_back = self.judged or jax.vjp(self.critic, self.examples)
        # A mean over patches has this much of each.
        (gradients,) = pull_back(jnp.full_like(logits, len(logits) / logits.size))
        return gradients.reshape(len(logits), -1).astype(jnp.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Critic:
    """The discriminator in one update, as regularisers see it: a function from a batch to logits.

    It is called as `critic(x)`, and then behaves as outside training: what it remembers is held
    fixed. What it made of the examples at hand is known already, `critic.real.logits` or
    `critic.fake.gradients`, from the pass that judged them; so one backward pass serves both the
    loss and the penalties. `critic.at(x)` gives the same of other examples.
    """

    function: CriticFunction
    real: Judged
    fake: Judged
    axis_name: str | None = None
    """The device axis over which the batch is spread; None where the batch is whole."""
    step: int | Int[Array, ""] = 0
    """The number of the discriminator's update."""

    @classmethod
    def of(
        cls,
        function: CriticFunction,
        real: Array,
        fake: Array,
        *,
        axis_name: str | None = None,
        step: int | Int[Array, ""] = 0,
    ) -> "Critic":
        """A critic that is any function, and has not judged `real` and `fake` yet."""
        return cls(function, Judged(function, real), Judged(function, fake), axis_name, step)

    def __call__(self, x: Array) -> Logits:
        return self.function(x)

    def at(self, x: Array) -> Judged:
        """What it makes of other examples than those at hand."""
        return Judged(self.function, x)


def of_examples(raw: Raw) -> Logits:
    """The logit of every example: of a map of patches, the mean."""
    return raw if raw.ndim == 1 else jnp.mean(raw.reshape(len(raw), -1), axis=1)


def as_critic(critic: Critic | CriticFunction, real: Array, fake: Array) -> Critic:
    """The critic that a regulariser was called with, or one made of the plain function that it was.

    Raises:
        ValueError: a critic that has judged other examples than these.
    """
    if not isinstance(critic, Critic):
        return Critic.of(critic, real, fake)
    if critic.real.examples is not real or critic.fake.examples is not fake:
        raise ValueError(
            "the critic has judged other examples than the regulariser is called with; to apply it "
            "elsewhere, make a new critic: Critic.of(critic.function, real, fake)"
        )
    return critic
