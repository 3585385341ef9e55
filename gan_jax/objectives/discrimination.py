"""What a discriminator minimises, of whatever was generated."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from gan_jax import parallel
from gan_jax.critic import Critic
from gan_jax.losses import LOSSES, Loss
from gan_jax.objectives.critic import Discriminator
from gan_jax.objectives.protocols import Scalar
from gan_jax.regularizers import as_penalty
from gan_jax.state import OBJECTIVE, SPECTRAL, TrainState

Memory = dict[str, PyTree]
"""What penalties remember, by their place."""


class Judgment(NamedTuple):
    """A discriminator's loss, and what it is made of."""

    loss: Scalar
    """With penalties."""
    metrics: dict[str, Scalar]
    """`loss` without penalties, `penalty`, accuracies and mean logits."""
    memory: Memory
    """After this update."""
    real: Float[Array, " p"]
    """Logits of the whole batch, and of all patches."""
    fake: Float[Array, " p"]


def settled(loss: Any, regularizers: Sequence[Any]) -> tuple[Any, ...]:
    """The penalties of an objective as such, whatever kind of function they were.

    Raises:
        TypeError: a loss that is none.
    """
    if not isinstance(loss, Loss):
        raise TypeError(
            f"loss={loss!r} is no Loss: take one of gan_jax.losses ({', '.join(LOSSES)})"
        )
    return tuple(map(as_penalty, regularizers))


def first_memory(regularizers: Sequence[Any]) -> Memory:
    """What penalties remember before the first update."""
    return {
        str(i): penalty.initial() for i, penalty in enumerate(regularizers) if penalty.remembers
    }


def discriminate(
    discriminator: Discriminator,
    real: Array,
    fake: Array,
    key: Key[Array, ""],
    *,
    loss: Loss,
    regularizers: Sequence[Any],
    memory: Mapping[str, PyTree],
    step: Int[Array, ""],
    together: bool,
    axis_name: str | None,
    **options: Any,
) -> Judgment:
    """The loss and the penalties of a discriminator on real and generated examples.

    Args:
        discriminator: Of this update. It has judged these examples afterwards.
        real: Examples [b, …].
        fake: As many generated ones.
        key: For what penalties draw.
        loss: Of its logits.
        regularizers: Its penalties.
        memory: What they remember.
        step: The number of the update.
        together: Whether real and generated examples may be judged in one batch.
        axis_name: Of the device axis.
        options: Further arguments of the loss.

    Raises:
        ValueError: a penalty that takes examples apart, on a discriminator with batch norm.
    """
    if together and not regularizers:
        critic = None
        logits = discriminator.judge_together(real, fake)
    else:
        judged = discriminator.judge(real), discriminator.judge(fake)
        if any(penalty.examples_apart for penalty in regularizers):
            discriminator.check_examples_apart(real)
        critic = Critic(discriminator, *judged, axis_name, step)
        logits = critic.real.patches, critic.fake.patches
    real_logits, fake_logits = (parallel.gather(x, axis_name) for x in logits)
    value = loss.discriminator(real_logits, fake_logits, **options)
    metrics = {"loss": value, **_accuracies(loss, real_logits, fake_logits)}
    remembered = dict(memory)
    for i, penalty in enumerate(regularizers):
        arguments = (critic, real, fake, jax.random.fold_in(key, i))
        if penalty.remembers:
            more, remembered[str(i)] = penalty(*arguments, remembered[str(i)])
        else:
            more = penalty(*arguments)
        metrics["penalty"] = metrics.get("penalty", 0.0) + more
        value = value + more
    return Judgment(value, metrics, remembered, real_logits, fake_logits)


def takes_examples_apart(d: TrainState) -> bool:
    """Whether nothing that a discriminator remembers may be statistics of batches."""
    return d.collections.keys() <= {SPECTRAL, OBJECTIVE}


def _accuracies(
    loss: Loss, real_logits: Float[Array, " b"], fake_logits: Float[Array, " b"]
) -> dict[str, Scalar]:
    """How well the discriminator tells the two apart.

    `accuracy` is the share of examples on the right side of the loss's threshold; for losses
    without one, the share of pairs whose real example has the larger logit. Ties count half.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)

    def share_positive(margins):
        return jnp.mean(0.5 * (1 + jnp.sign(margins)))

    metrics = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}
    if loss.threshold is None:
        return metrics | {"accuracy": share_positive(real - fake)}
    on_real = share_positive(real - loss.threshold)
    on_fake = share_positive(loss.threshold - fake)
    return metrics | {
        "accuracy": 0.5 * (on_real + on_fake),
        "accuracy_real": on_real,
        "accuracy_fake": on_fake,
    }
