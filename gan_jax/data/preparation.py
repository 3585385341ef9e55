"""What is done to batches on the devices before the networks see them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gan_jax import parallel

_OWN = 0x666C6970  # folded into the keys of all that is mirrored but the first, before its place


def prepare(
    batches: dict[str, Array],
    key: Key[Array, ""] | None,
    *,
    flip: tuple[str | tuple[str, ...], ...] = (),
    axis_name: str | None = None,
) -> dict[str, Array]:
    """Batches [batches, examples, …] as the networks see them: images from uint8 to [−1, 1], and
    some of them mirrored at random; all else as it is.

    Args:
        batches: Some arrays by name.
        key: For what is random. None does where nothing is mirrored.
        flip: The images to mirror, by name. Each draws for itself, but those of a tuple, like
            `("input", "target")`, are mirrored together.
        axis_name: Of the device axis that the examples are split over, if they are.
    """
    prepared = {
        name: x.astype(jnp.float32) / 127.5 - 1 if x.dtype == jnp.uint8 else x
        for name, x in batches.items()
    }
    for place, together in enumerate(flip):
        names = (together,) if isinstance(together, str) else together
        images = [name for name in names if batches[name].dtype == jnp.uint8]
        if not images:
            continue
        if key is None:
            raise ValueError("mirroring at random takes a key")
        own = jax.random.fold_in(jax.random.fold_in(key, _OWN), place) if place else key
        count, examples = batches[images[0]].shape[:2]
        mirrored = _heads(own, count, examples, axis_name)[..., None, None, None]
        for name in images:
            x = prepared[name]
            prepared[name] = jnp.where(mirrored, jnp.flip(x, axis=3), x)
    return prepared


def _heads(key: Key[Array, ""], batches: int, examples: int, axis_name: str | None) -> Array:
    """A coin for each example: bool [batches, examples]."""

    def toss(batch_key: Array) -> Array:
        return parallel.per_example(jax.random.bernoulli, batch_key, examples, axis_name)

    return jax.vmap(toss)(jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batches)))
