"""A pool of images that a generator made some time ago."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gan_jax import parallel

Pool = dict[str, Array]
"""`images` [size, …], and how many of them there are: `count`, int32."""


def make_pool(size: int, like: Array) -> Pool:
    """An empty pool for images like these."""
    return {
        "images": jnp.zeros((size, *like.shape[1:]), jnp.float32),
        "count": jnp.zeros((), jnp.int32),
    }


def exchange(
    pool: Pool, images: Array, key: Key[Array, ""], axis_name: str | None
) -> tuple[Array, Pool]:
    """As many images as are given, [n, …], half of them from the pool, and the pool after that.

    While the pool fills, images go in and come out as they are. Then each one comes out as it is,
    or, with probability ½, takes the place of one in the pool, which comes out instead. The images
    of one batch take different places: no two of them meet, and with a batch of one this is the
    published algorithm. The pool is that of the whole batch, on every member of the axis.

    Source: Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial
    Training", 2017, §2.3.

    Raises:
        ValueError: the whole batch is larger than the pool.
    """
    size, here = len(pool["images"]), len(images)
    everyones = parallel.gather(images, axis_name).astype(jnp.float32)
    n = len(everyones)
    if n > size:
        raise ValueError(f"a pool of {size} images is too small for batches of {n}")
    count, places = pool["count"], jnp.arange(n)
    chosen = jax.random.permutation(jax.random.fold_in(key, 0), size)[:n]
    slots = jnp.where(count < size, (count + places) % size, chosen)
    keep = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(n,))
    fills = count + places < size
    goes_in, comes_out = (
        x.reshape(n, *[1] * (images.ndim - 1)) for x in (fills | keep, ~fills & keep)
    )
    old = pool["images"][slots]
    after = pool["images"].at[slots].set(jnp.where(goes_in, everyones, old), unique_indices=True)
    shown = jnp.where(comes_out, old, everyones)
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * here
    shown = jax.lax.dynamic_slice_in_dim(shown, first, here)
    count = jnp.minimum(count + n, size)
    if axis_name is not None:
        count = jax.lax.pmax(count, axis_name)  # the same on all, which shard_map has to know
    return shown.astype(images.dtype), {"images": after, "count": count}
