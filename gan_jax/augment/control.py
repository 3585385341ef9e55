"""Control of an augmentation's probability by how much the discriminator overfits."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nodes import Node
from gan_jax.schedules import Scheduled

Memory = dict[str, Float[Array, ""]]


class AdaptiveProbability(Node):
    """Raises the probability while the discriminator is surer of the examples it trains on than it
    should be, and lowers it otherwise.

    The sign of that is r_t = E[sign(D(x))] over the real examples of `every` successive batches.
    After them the probability moves by their number of examples over `images`, up where r_t is
    above `target`, down where it is below, and is then clipped to [0, 1]. (The published code clips
    at 0 only.) So from 0 to 1 takes `images` real examples at least.

    Logits count from the level at which the discriminator is undecided: 0 for losses on a logistic
    scale. Where that level means nothing, as with relativistic losses, so does r_t.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, §3
    and eq. 1 (target 0.6, 500,000 images, 4 batches).
    """

    target: Scheduled = 0.6
    images: Scheduled = 500_000
    every: Scheduled = 4

    def initial(self) -> Memory:
        """Probability 0, and since then the sum of the signs and the count of logits."""
        return {name: jnp.zeros(()) for name in ("probability", "sign_sum", "count")}

    def update(
        self, memory: Memory, real_logits: Float[Array, " b"], examples: int | None = None
    ) -> Memory:
        """The memory after one more batch: the whole one, not a device's part of it. Its number of
        `examples` is that of the logits, unless these are of packs."""
        batch = real_logits.size
        each = 1 if examples is None else examples // batch
        sign_sum = memory["sign_sum"] + jnp.sum(jnp.sign(real_logits.astype(jnp.float32)))
        count = memory["count"] + batch
        due = count >= self.every * batch
        step = jnp.sign(sign_sum / count - self.target) * count * each / self.images
        moved = jnp.clip(memory["probability"] + step, 0, 1)
        return {
            "probability": jnp.where(due, moved, memory["probability"]),
            "sign_sum": jnp.where(due, 0.0, sign_sum),
            "count": jnp.where(due, 0.0, count),
        }
