"""What is done to batches on the devices before the networks see them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gan_jax import parallel

_CROP = 0x63726F70  # folded into the key for where images are cut
_OWN = 0x666C6970  # folded into the keys of all that is mirrored but the first, before its place


def prepare(
    batches: dict[str, Array],
    key: Key[Array, ""] | None,
    *,
    flip: tuple[str | tuple[str, ...], ...] = (),
    crop: int | None = None,
    axis_name: str | None = None,
) -> dict[str, Array]:
    """Batches [batches, examples, …] as the networks see them: images from uint8 to [−1, 1], and
    some of them cut out of larger ones and mirrored at random; all else as it is.

    Args:
        batches: Some arrays by name.
        key: For what is random. None does where nothing is: no image is mirrored, and those that
            are cut are cut in the middle.
        flip: The images to mirror, by name. Each draws for itself, but those of a tuple, like
            `("input", "target")`, are mirrored together.
        crop: Side of the square that is cut out of each image, anywhere in it, for every example
            and every array by itself.
        axis_name: Of the device axis that the examples are split over, if they are.
    """
    if crop is not None:
        batches = {
            name: _cropped(x, crop, key, place, axis_name) if x.dtype == jnp.uint8 else x
            for place, (name, x) in enumerate(sorted(batches.items()))
        }
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


def _cropped(
    x: Array, side: int, key: Key[Array, ""] | None, place: int, axis_name: str | None
) -> Array:
    """Squares of images [batches, examples, h, w, c]."""
    rooms = tuple(size - side for size in x.shape[2:4])
    if not any(rooms):
        return x
    if key is None:
        top, left = (room // 2 for room in rooms)
        return x[:, :, top : top + side, left : left + side]
    own = jax.random.fold_in(jax.random.fold_in(key, _CROP), place)

    def draw(example_key: Array) -> Array:
        return jax.random.randint(example_key, (2,), 0, jnp.array(rooms) + 1)

    def cut(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (*corner, 0), (side, side, image.shape[-1]))

    count, examples = x.shape[:2]
    corners = _per_example(draw, own, count, examples, axis_name)
    return jax.vmap(jax.vmap(cut))(x, corners)


def _heads(key: Key[Array, ""], batches: int, examples: int, axis_name: str | None) -> Array:
    """A coin for each example: bool [batches, examples]."""
    return _per_example(jax.random.bernoulli, key, batches, examples, axis_name)


def _per_example(
    draw: Callable[[Array], Array],
    key: Key[Array, ""],
    batches: int,
    examples: int,
    axis_name: str | None,
) -> Array:
    """What is drawn for each example of each batch: [batches, examples, …]."""

    def of_batch(batch_key: Array) -> Array:
        return parallel.per_example(draw, batch_key, examples, axis_name)

    return jax.vmap(of_batch)(jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batches)))
