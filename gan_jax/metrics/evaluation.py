"""Scores of a generator against real examples, each with what it depends on.

A score compares only with scores of the same conventions: the extractor, the split of the data, and
how many examples of either kind. So it is never printed without them: `FID[digits-cnn, train,
1.6k/2k]`.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gan_jax import figures, sampling
from gan_jax.config import METRICS, Config, Data
from gan_jax.data import Description, Examples, Source, cache, gaussians
from gan_jax.data.sources import read_some
from gan_jax.data.sources.stacked_mnist import red_digits
from gan_jax.errors import InputError
from gan_jax.metrics import classifier, extractors, frechet, inception
from gan_jax.metrics.classification import classification_accuracy_score
from gan_jax.metrics.extractors import Extractor
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.modes import class_modes, mixture_modes
from gan_jax.metrics.ms_ssim import ms_ssim_diversity
from gan_jax.metrics.neighbors import density_coverage, precision_recall
from gan_jax.metrics.path_length import perceptual_path_length
from gan_jax.metrics.sliced import sliced_wasserstein
from gan_jax.state import TrainState

HIGHER_IS_BETTER = {
    "IS", "precision", "recall", "density", "coverage", "CAS", "modes", "high quality",
}  # fmt: skip
_SCORES = {
    "fid": ("FID",),
    "kid": ("KID",),
    "is": ("IS",),
    "precision_recall": ("precision", "recall"),
    "density_coverage": ("density", "coverage"),
    "swd": ("SWD",),
    "ms_ssim": ("MS-SSIM",),
    "ppl": ("PPL",),
    "cas": ("CAS",),
    "modes": ("modes", "high quality", "KL(fake‖real)", "KL(real‖fake)"),
}
_MOST = 50_000  # real examples that distributions are fitted to
_NEIGHBORS = 10_000  # real examples that neighbours are looked for among
_PATHS = 1000
_BASIS = 2048  # real pictures whose principal components are features


class Score(NamedTuple):
    """One number, and what it may be compared with."""

    name: str
    value: float
    conventions: str
    """As in `digits-cnn, train, 1.6k/2k`: extractor, split, real and generated examples."""

    def __str__(self) -> str:
        return f"{self.name}[{self.conventions}] {self.value:.4g}"


def make_extractor(name: str, data: Data, source: Source, weights: Path | None = None) -> Extractor:
    """The extractor for these data: points as they are; for pictures `pixels`, `classifier` or
    `inception` (by default with the published weights, which are downloaded on first use). A
    classifier is trained on first use, and kept in the user's cache.

    Raises:
        InputError: a classifier for data without labels, or weights that cannot be loaded.
    """
    if len(source.description.shape) == 1:
        return extractors.points()
    if name == "classifier" and data.source == "stacked_mnist":
        trained, _ = classifier.for_source(red_digits(source))
        return extractors.by_channel(trained.extractor("stacked-mnist-cnn"))
    if name == "classifier":
        trained, _ = classifier.for_source(source)
        return trained.extractor(f"{_short(data.source)}-cnn")
    if name == "inception":
        return inception.load(weights)
    chosen, _ = read_some(source, _BASIS)
    return extractors.pixels(chosen)


def _short(source: str) -> str:
    """`mnist` of `tfds:mnist`, `faces` of `folder:data/faces`."""
    return source.rpartition(":")[2].rstrip("/").rpartition("/")[2].removesuffix(".npz")


class Evaluator:
    """Scores generators of one run against the examples of one split.

    >>> evaluator = Evaluator(config, source, ("fid", "kid"), extractor=inception.load())
    >>> for score in evaluator(g): print(score)

    Raises:
        InputError: a metric that these data or this model do not have.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        metrics: Sequence[str] = (),
        *,
        extractor: Extractor,
        split: str = "train",
        samples: int = 2000,
    ):
        self.config, self.source, self.split, self.samples = config, source, split, samples
        self.metrics = check(config, source.description, metrics, extractor.name)
        self.pictures = len(source.description.shape) == 3
        self._real, self._real_labels = read_some(source, _MOST)
        self.extractor = extractor

    def __call__(self, g: TrainState) -> list[Score]:
        """Scores of the generator's moving average, in the order of the metrics. The same latents
        every time."""
        fake = self._sample(g)
        scores = []
        for metric in self.metrics:
            values, real, generated = getattr(self, f"_{metric}")(g, *fake)
            where = f"{self.extractor.name}, {self.split}, {_thousands(real, generated)}"
            scores += [Score(name, float(value), where) for name, value in values.items()]
        return scores

    @functools.cached_property
    def _real_features(self) -> tuple[frechet.Gaussian, Float[np.ndarray, "n d"]]:
        """The Gaussian of all real examples and the features of the first ones; computed once for
        these data and this extractor, and kept in the user's cache."""
        extractor, fingerprint = self.extractor, self.source.description.fingerprint
        key = f"features/{extractor.name}-{extractor.version}-{fingerprint}"
        kept = cache.load(key)
        if kept is None:
            features = self.extractor(self._real).features
            gaussian = frechet.fit(features)
            kept = gaussian._asdict() | {"features": features[:_NEIGHBORS]}
            cache.store(key, **kept)
        features = kept.pop("features")
        return frechet.Gaussian(kept["mean"], kept["covariance"], int(kept["count"])), features

    def _labels(self, n: int) -> Int[np.ndarray, " n"] | None:
        """Classes for `n` samples, in the proportions of the real examples."""
        if not self.config.objective.conditional:
            return None
        return np.resize(self._real_labels, n)

    def _sample(self, g: TrainState) -> tuple[np.ndarray, Any, Any]:
        """Generated examples (pictures as uint8), their labels, and what the extractor says."""
        labels = self._labels(self.samples)
        key = jax.random.key(0)
        latent_dim = self.config.objective.latent_dim
        classes = None if labels is None else jnp.asarray(labels)
        fake = np.asarray(
            sampling.sample(g, key, self.samples, latent_dim=latent_dim, label=classes)
        )
        fake = figures.to_uint8(fake) if self.pictures else fake
        if not np.isfinite(fake).all():
            raise InputError("the generator's samples are not finite")
        return fake, labels, self.extractor(fake)

    # One method a metric: (generator, samples, labels, outputs) to named values and the numbers of
    # real and generated examples that they come from.

    def _fid(self, g, fake, labels, outputs):
        real, _ = self._real_features
        distance = frechet.frechet_distance(real, outputs.features, warn=False)
        return {"FID": distance}, real.count, len(fake)

    def _kid(self, g, fake, labels, outputs):
        real = self._real_features[1]
        return {"KID": kernel_distance(real, outputs.features).mean}, len(real), len(fake)

    def _is(self, g, fake, labels, outputs):
        return {"IS": inception_score(outputs.logits).mean}, 0, len(fake)

    def _as_many(self, features):
        """As many real as generated features: what neighbourhoods need."""
        n = min(len(features), len(self._real_features[1]))
        return self._real_features[1][:n], features[:n], n

    def _precision_recall(self, g, fake, labels, outputs):
        real, generated, n = self._as_many(outputs.features)
        return precision_recall(real, generated)._asdict(), n, n

    def _density_coverage(self, g, fake, labels, outputs):
        real, generated, n = self._as_many(outputs.features)
        return density_coverage(real, generated)._asdict(), n, n

    def _swd(self, g, fake, labels, outputs):
        real = self._real_features[1]
        return {"SWD": sliced_wasserstein(real, outputs.features)}, len(real), len(fake)

    def _ms_ssim(self, g, fake, labels, outputs):
        return {"MS-SSIM": ms_ssim_diversity(fake)}, 0, len(fake)

    def _ppl(self, g, fake, labels, outputs):
        n = min(_PATHS, self.samples)

        def features(x: Array) -> Array:
            return self.extractor.apply((x + 1) * 127.5 if self.pictures else x)[0]

        length = perceptual_path_length(
            functools.partial(sampling.generate, g),
            features,
            latent_dim=self.config.objective.latent_dim,
            n=n,
            labels=self._labels(n),
        )
        return {"PPL": length}, 0, n

    def _cas(self, g, fake, labels, outputs):
        num_classes = self.source.description.num_classes

        def fit(pictures, labels) -> Callable:
            return classifier.fit(pictures, labels, num_classes).predict

        score = classification_accuracy_score(fake, labels, self._real, self._real_labels, fit=fit)
        return {"CAS": score}, len(self._real), len(fake)

    def _modes(self, g, fake, labels, outputs):
        mixture = gaussians.MIXTURES.get(self.config.data.source)
        if mixture is not None:
            centers, std = mixture
            scores = mixture_modes(fake, centers, std)
            quality = {"high quality": scores.high_quality}
        else:
            predicted = outputs.logits.argmax(axis=1)
            classes = self.source.description.num_classes
            known = isinstance(self.source, Examples)
            real_labels = self.source.label if known else self._real_labels
            scores = class_modes(predicted, classes, real_labels=real_labels)
            quality = {}
        values = {
            "modes": scores.covered,
            **quality,
            "KL(fake‖real)": scores.kl_fake_real,
            "KL(real‖fake)": scores.kl_real_fake,
        }
        return values, 0, len(fake)


def check(
    config: Config, data: Description, metrics: Sequence[str], extractor: str
) -> tuple[str, ...]:
    """These metrics, or if none are given what is measured by default.

    Raises:
        InputError: one of them does not exist, or not for these data or this extractor.
    """
    pictures, mixture = len(data.shape) == 3, config.data.source in ("ring", "grid")
    if not metrics and pictures:
        return ("fid", "precision_recall")
    if not metrics:
        return ("swd", "modes") if mixture else ("swd",)
    classes = pictures and extractor.endswith(("cnn", "classifier"))
    needs = {
        "is": (
            classes or extractor.startswith("inception"),
            "the extractor classifier or inception",
        ),
        "modes": (mixture or classes, "ring or grid, or the extractor classifier"),
        "cas": (pictures and config.objective.conditional, "a conditional model of pictures"),
        "ms_ssim": (pictures, "pictures"),
    }
    for metric in metrics:
        if metric not in METRICS:
            raise InputError(f"there is no metric {metric!r}: one of {', '.join(METRICS)}")
        met, what = needs.get(metric, (True, ""))
        if not met:
            raise InputError(f"the metric {metric} needs {what}")
    return tuple(metrics)


def score_names(metrics: Sequence[str]) -> list[str]:
    """The names of the scores that metrics give."""
    return [name for metric in metrics for name in _SCORES[metric]]


def better(name: str, value: float, than: float | None) -> bool:
    """Whether a score is better than another, or than none. One that is not finite never is."""
    if not np.isfinite(value):
        return False
    return than is None or (value > than if name in HIGHER_IS_BETTER else value < than)


def _thousands(real: int, generated: int) -> str:
    def short(n: int) -> str:
        return str(n) if n < 1000 else f"{n / 1000:.3g}k"

    return f"{short(real)}/{short(generated)}" if real else short(generated)
