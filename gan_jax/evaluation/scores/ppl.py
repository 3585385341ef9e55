"""Perceptual path length: how abruptly what is generated changes as latents move."""

import functools

from jaxtyping import Array

from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import perceptual_features, perceptual_path_length

PATHS = 1000


def _needs(setting: Setting) -> str:
    return "" if setting.subject.latent_dim else "a generator that makes examples of latents"


def _measure(c: Comparison) -> Measurement:
    assert c.subject.generate is not None
    assert c.subject.latent_dim is not None
    n, images = min(PATHS, len(c.fake)), c.fake.ndim == 4

    def features(x: Array) -> Array:
        x = (x + 1) * 127.5 if images else x
        if c.extractor.maps is not None:
            return perceptual_features(c.extractor.maps(x))
        return c.extractor.apply(x)[0]

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
