"""What a run with this configuration is scored by: generators of noise."""

from collections.abc import Sequence

from gan_jax.config import Config
from gan_jax.data import Description, Source, gaussians
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.evaluation.extractors.kinds import logits_of
from gan_jax.evaluation.metric import Setting
from gan_jax.evaluation.subject import Mixture, Subject, from_latents

_MIXTURES = {
    "ring": Mixture(gaussians.ring_centers(), gaussians.RING_STD),
    "grid": Mixture(gaussians.grid_centers(), gaussians.GRID_STD),
}


def subject(config: Config) -> Subject:
    """The generators of this run."""
    return from_latents(
        config.objective.latent_dim,
        conditional=config.objective.conditional,
        mixture=_MIXTURES.get(config.data.source),
    )


def setting(config: Config, data: Description) -> Setting:
    """What there is to score while it trains."""
    return Setting(
        subject(config),
        images=len(data.shape) == 3,
        logits=logits_of(config.evaluation.extractor, data),
    )


def evaluator(
    config: Config,
    source: Source,
    metrics: Sequence[str] = (),
    *,
    extractor: Extractor,
    split: str = "train",
    samples: int = 2000,
) -> Evaluator:
    """Scores its generators: see `Evaluator`."""
    return Evaluator(
        subject(config), source, metrics, extractor=extractor, split=split, samples=samples
    )
