"""Samples from a generator's moving average, paths between them, and grids of images."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.conditioning import Label
from gan_jax.state import TrainState

Images = Float[Array, "n h w c"]


def latents(key: Key[Array, ""], n: int, latent_dim: int) -> Float[Array, "n z"]:
    """Standard normal latents. The first `n` are the same whatever `n` is."""
    return parallel.per_example(lambda k: jax.random.normal(k, (latent_dim,)), key, n, None)


@jax.jit
def generate(
    g: TrainState,
    z: Float[Array, "n z"],
    label: Label | None = None,
    truncation: float | Float[Array, ""] | None = None,
) -> Float[Array, "n ..."]:
    """What `g` makes of latents, by its moving average where it has one, outside training.

    `truncation` is for networks that take it (StyleGAN2): below 1, less variety of higher quality.
    """
    options: dict[str, Any] = {} if truncation is None else {"truncation": truncation}
    g = g.averaged()
    output, _ = g.apply(g.params, z, label, train=False, **options)
    return output


def sample(
    g: TrainState,
    key: Key[Array, ""],
    n: int,
    *,
    latent_dim: int,
    label: Label | None = None,
    truncation: float | None = None,
    batch_size: int = 256,
) -> Float[Array, "n ..."]:
    """`n` > 0 examples, generated `batch_size` at a time. The same key gives the same first ones,
    whatever `n`."""
    z = latents(key, n, latent_dim)
    batch_size = min(batch_size, n)
    padding = -n % batch_size  # one shape, one compilation
    z = jnp.pad(z, ((0, padding), (0, 0)))
    if label is not None:
        label = jnp.pad(label, ((0, padding), *[(0, 0)] * (label.ndim - 1)))
    parts = []
    for i in range(0, n, batch_size):
        part = None if label is None else label[i : i + batch_size]
        parts.append(generate(g, z[i : i + batch_size], part, truncation))
    return jnp.concatenate(parts)[:n]


def spherical_path(
    start: Float[Array, " z"], end: Float[Array, " z"], steps: int
) -> Float[Array, "steps z"]:
    """From `start` to `end` along the great circle between their directions, lengths included.

    Latents live near a sphere of radius √z; a straight line between two of them would cut through
    its inside, where the generator was never trained.

    Source: White, "Sampling Generative Networks", 2016, §3.
    """
    cosine = jnp.vdot(start, end) / (jnp.linalg.norm(start) * jnp.linalg.norm(end))
    angle = jnp.arccos(jnp.clip(cosine, -1.0, 1.0))
    t = jnp.linspace(0.0, 1.0, steps)[:, None]
    straight = jnp.sin(angle) < 1e-4  # the same or opposite directions span no circle
    safe = jnp.where(straight, 1.0, angle)
    great_circle = (jnp.sin((1 - t) * safe) * start + jnp.sin(t * safe) * end) / jnp.sin(safe)
    return jnp.where(straight, (1 - t) * start + t * end, great_circle)


def interpolate(
    g: TrainState,
    key: Key[Array, ""],
    *,
    paths: int,
    steps: int,
    latent_dim: int,
    label: Label | None = None,
) -> Float[Array, "paths steps ..."]:
    """`paths` walks of `steps` examples each, between pairs of random latents."""
    ends = latents(key, 2 * paths, latent_dim).reshape(paths, 2, latent_dim)
    walk = functools.partial(spherical_path, steps=steps)
    z = jax.vmap(walk)(ends[:, 0], ends[:, 1]).reshape(paths * steps, latent_dim)
    label = None if label is None else jnp.repeat(label, steps, axis=0)
    x = generate(g, z, label)
    return x.reshape(paths, steps, *x.shape[1:])


def grid(images: Images, columns: int, gap: int = 1) -> Float[Array, "height width c"]:
    """Images in [−1, 1] side by side, row by row, with `gap` pixels of white (1) around each."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    images = jnp.pad(
        images,
        ((0, rows * columns - n), (0, gap), (0, gap), (0, 0)),
        constant_values=1.0,
    )
    h, w = h + gap, w + gap
    sheet = images.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * h, columns * w, c)
    return jnp.pad(sheet, ((gap, 0), (gap, 0), (0, 0)), constant_values=1.0)
