"""The checks of a run that makes examples of noise, from its configuration and its data."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import build, losses
from gan_jax.config import Config
from gan_jax.data import Source
from gan_jax.data.feed import prepare
from gan_jax.data.sources import read_some
from gan_jax.health import signals
from gan_jax.health.checks import LatentChecks


def from_config(config: Config, training: Source, held_out: Source | None) -> LatentChecks:
    """The checks of the run that `config` describes; `held_out` are real examples that it does not
    train on, if there are any."""
    key = jax.random.fold_in(jax.random.key(config.seed), build.CHECKS)
    return LatentChecks(
        lambda: read_reference(training, held_out, labels=config.objective.conditional),
        key,
        loss=losses.LOSSES[config.objective.loss],
        latent_dim=config.objective.latent_dim,
    )


def read_reference(
    training: Source, held_out: Source | None, *, labels: bool
) -> tuple[signals.Reference, signals.Target]:
    """What a run is measured against: some of the examples it trains on, and of the others."""
    seen, seen_label = _read(training, labels)
    if held_out is None:
        return signals.make_reference(
            _as_networks_see(seen), seen_label, None, None, signals.features_of(seen)
        )
    other, other_label = _read(held_out, labels)
    return signals.make_reference(
        _as_networks_see(seen),
        seen_label,
        _as_networks_see(other),
        other_label,
        signals.features_of(np.concatenate([seen, other])),
    )


def _read(source: Source, labels: bool) -> tuple[np.ndarray, np.ndarray | None]:
    real, label = read_some(source, signals.SAMPLE)
    return real, label if labels else None


def _as_networks_see(real: np.ndarray) -> np.ndarray:
    unused = jax.random.key(0)
    batches = prepare({"real": jnp.asarray(real)}, unused, flip=False, axis_name=None)
    return np.asarray(batches["real"])
