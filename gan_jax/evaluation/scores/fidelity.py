"""How near images are to what they are to be, pixel by pixel and as a network sees them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array

from gan_jax.evaluation.extractors.base import as_argument
from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import perceptual_distance, psnr, ssim
from gan_jax.metrics.ms_ssim import WINDOW


def _needs(setting: Setting) -> str:
    return "" if setting.subject.truth is not None else "a model that learns from pairs"


def _needs_window(setting: Setting) -> str:
    truth = setting.subject.truth
    if truth is not None and min(truth.shape[1:3]) < WINDOW:
        return f"images of at least {WINDOW} pixels a side"
    return _needs(setting)


def _needs_maps(setting: Setting) -> str:
    return _needs(setting) or ("" if setting.maps else "the extractor efficientnet-lite0")


_EQUAL = 100.0  # dB, of images that are equal, as 8 bits can be


def _mean(name: str, measure: Callable[..., np.ndarray]) -> Callable[[Comparison], Measurement]:
    def mean(c: Comparison) -> Measurement:
        assert c.subject.truth is not None
        truth = c.subject.truth[: len(c.fake)]
        each = np.minimum(measure(c.fake, truth), _EQUAL)
        return Measurement({name: float(np.mean(each))}, 0, len(c.fake))

    return mean


PSNR = Metric(
    "psnr",
    "peak signal-to-noise ratio to the true images, in dB (100 where they are equal)",
    ("PSNR",),
    _mean("PSNR", psnr),
    meanings={
        "PSNR": (
            "How near outputs are to the true images, pixel by pixel, in decibels: one more is a "
            "fifth less squared error."
        ),
    },
    higher_is_better=("PSNR",),
    needs=_needs,
    default=lambda setting: not _needs(setting),
    place=2,
)

SSIM = Metric(
    "ssim",
    "structural similarity to the true images",
    ("SSIM",),
    _mean("SSIM", ssim),
    meanings={
        "SSIM": "How alike outputs and the true images are in their local patterns: 1 is equal."
    },
    higher_is_better=("SSIM",),
    needs=_needs_window,
    default=lambda setting: not _needs_window(setting),
    place=3,
)


@jax.jit
def _distance(maps: Partial, a: Array, b: Array) -> Array:
    return perceptual_distance(maps(a), maps(b))


def _perceptual(c: Comparison) -> Measurement:
    assert c.subject.truth is not None
    assert c.extractor.maps is not None
    maps = as_argument(c.extractor.maps)
    n, size = len(c.fake), min(c.extractor.batch_size, len(c.fake))
    each = []
    for start in range(0, n, size):
        chosen = np.arange(start, start + size) % n  # one shape, one compilation
        pair = (jnp.asarray(x[chosen]) for x in (c.fake, c.subject.truth))
        each.append(_distance(maps, *pair))
    mean = float(np.mean(np.concatenate(each)[:n]))
    return Measurement({"perceptual distance": mean}, 0, len(c.fake))


PERCEPTUAL = Metric(
    "perceptual",
    "distance to the true images on feature maps, of LPIPS's form, not calibrated",
    ("perceptual distance",),
    _perceptual,
    meanings={
        "perceptual distance": (
            "How near outputs are to the true images as a network sees them, details included: 0 "
            "is equal. It is no LPIPS, whose weights are fitted to people's judgements."
        ),
    },
    needs=_needs_maps,
    default=lambda setting: not _needs_maps(setting),
    place=4,
)
