"""Has a generator learnt its training images by heart? Samples beside the nearest of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from gan_jax import figures
from gan_jax.data import BadImageError, Examples
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.pixels import BASIS, pixels
from gan_jax.metrics.neighbors import nearest
from gan_jax.report.images import Shown, single
from gan_jax.runs import Run

MOST_REAL = 20_000
_SHOWN = 10
_NEAREST = 3


class Pair(NamedTuple):
    """A real image near a sample."""

    image: Shown
    distance: float


class Row(NamedTuple):
    """A sample and the real images nearest to it, the nearest first."""

    sample: Shown
    neighbors: list[Pair]
    name: str
    """Of the sample's class; empty if it has none."""


class Neighbors(NamedTuple):
    """What the page says of them."""

    rows: list[Row]
    """From the sample nearest to a real image to the one farthest from any."""
    samples: int
    real: int
    of_samples: float
    """Median distance from a sample to the nearest real image."""
    of_real: float
    """Median distance from a real image to the nearest other one."""
    features: str


def real_examples(run: Run, data_dir: str | None) -> np.ndarray:
    """What the run was trained on, [n, …]: uint8 images or float points, at even distances if
    there are more than 20,000.

    Raises:
        InputError: they cannot be loaded, or have changed since.
    """
    dataset = run.config.load(data_dir=data_dir, skip_bad_images=True, budget_bytes=2 * 2**30)
    if dataset.description != run.data:
        raise InputError(f"{run.task.data_name} has changed since this run")
    source = dataset.streams[0].source
    n = source.description.examples
    indices = np.unique(np.linspace(0, n - 1, min(n, MOST_REAL)).round().astype(int))
    if isinstance(source, Examples):
        return source.real[indices]
    examples = []
    for index in indices.tolist():
        try:
            examples.append(source.read(index)[0])
        except BadImageError:
            continue
    return np.stack(examples)


def neighbors(
    samples: Float[np.ndarray, "n h w c"],
    real: UInt8[np.ndarray, "m h w c"],
    names: Sequence[str] = (),
) -> Neighbors:
    """Ten of the samples, and what the classes of all are called, with the three real images
    nearest to each.

    Raises:
        InputError: samples that are not finite, or fewer than two real images.
    """
    if not np.isfinite(samples).all():
        raise InputError("the samples are not finite")
    if len(real) < 2:
        raise InputError("it takes two real images to compare with")
    extractor = pixels(real[:: max(1, len(real) // BASIS)])
    generated = figures.to_uint8(samples)
    ours, theirs = extractor(generated).features, extractor(real).features
    distances, _ = nearest(ours, theirs)
    between_real, _ = nearest(theirs, theirs, exclude_self=True)
    order = np.argsort(distances)
    shown = order[np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(int)]
    called = list(names) or [""] * len(samples)
    return Neighbors(
        [_row(generated[i], ours[i], real, theirs, called[int(i)]) for i in shown],
        len(samples),
        len(real),
        float(np.median(distances)),
        float(np.median(between_real)),
        extractor.name,
    )


def _row(
    sample: np.ndarray, ours: np.ndarray, real: np.ndarray, theirs: np.ndarray, name: str
) -> Row:
    distances = np.linalg.norm(theirs - ours, axis=1)
    return Row(
        single(sample, "A sample"),
        [
            Pair(single(real[i], "A real image near it"), float(distances[i]))
            for i in np.argsort(distances)[:_NEAREST]
        ],
        name,
    )
