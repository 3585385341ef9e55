"""Points drawn from the mixtures of Gaussians in `gan_jax.data.gaussians`."""

import functools

import jax
import numpy as np

from gan_jax.data import gaussians
from gan_jax.data.sources.base import Examples, digest
from gan_jax.data.sources.kinds import Kind, Request, in_memory

POINTS = 100_000
_DATA_STREAM = 0x6D6978  # apart from the stream that trains on these points


def _load(name: str, request: Request) -> Examples:
    centers, std = gaussians.MIXTURES[name]
    key = jax.random.fold_in(jax.random.key(request.seed), _DATA_STREAM)
    points, mode = gaussians.mixture(key, POINTS, centers, std)
    # Not of the numbers: their last bits may differ from one kind of device to another.
    fingerprint = digest(name, request.seed, std, POINTS)
    return in_memory(request, np.asarray(points), np.asarray(mode), len(centers), fingerprint)


def _kind(name: str) -> Kind:
    centers = len(gaussians.MIXTURES[name].centers)
    help = f"{POINTS:,} points around {centers} centers in the plane"
    return Kind(name, help, functools.partial(_load, name), is_drawn=True)


RING = _kind("ring")
GRID = _kind("grid")
