"""Perceptual path length: how abruptly what is generated changes as latents move."""

import functools

import jax
from jax.tree_util import Partial
from jaxtyping import Array

from gan_jax.evaluation.extractors.base import as_argument
from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import perceptual_features, perceptual_path_length

PATHS = 1000


def _needs(setting: Setting) -> str:
    return "" if setting.subject.latent_dim else "a generator that makes examples of latents"


@jax.jit
def _on_maps(maps: Partial, x: Array) -> Array:
    return perceptual_features(maps(x))


@jax.jit
def _in_features(apply: Partial, x: Array) -> Array:
    return apply(x)[0]


def _measure(c: Comparison) -> Measurement:
    assert c.subject.generate is not None
    assert c.subject.latent_dim is not None
    n, images = min(PATHS, len(c.fake)), c.fake.ndim == 4

    extractor = c.extractor
    if extractor.maps is not None:
        see = functools.partial(_on_maps, as_argument(extractor.maps))
    else:
        see = functools.partial(_in_features, as_argument(extractor.apply))

    def features(x: Array) -> Array:
        return see((x + 1) * 127.5 if images else x)

    length = perceptual_path_length(
        functools.partial(c.subject.generate, c.g),
        features,
        latent_dim=c.subject.latent_dim,
        n=n,
        labels=c.labels_for(n),
    )
    return Measurement({"PPL": length}, 0, n)


PPL = Metric(
    "ppl",
    "perceptual path length",
    ("PPL",),
    _measure,
    meanings={
        "PPL": "How abruptly samples change as latents move a little: the lower, the smoother."
    },
    needs=_needs,
    place=80,
)
