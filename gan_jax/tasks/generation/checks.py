"""What the checks of a generator compare its samples with."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from gan_jax.data import Source, prepare
from gan_jax.data.sources import read_some
from gan_jax.data.standardization import Scaling
from gan_jax.health import signals
from gan_jax.tasks.base import Dataset

Told = Callable[[np.ndarray], np.ndarray]


def make_reference(
    dataset: Dataset, scaling: Scaling | None = None, told: Told | None = None
) -> tuple[signals.Reference, signals.Target]:
    """What checks compare with: real examples that are trained on, and some that are not. `told`
    makes of labels what the networks are told; None if they are told none."""
    seen, seen_label = _read(dataset.streams[0].source, scaling, told)
    if not dataset.held_out:
        return signals.make_reference(
            _as_networks_see(seen), seen_label, None, None, signals.features_of(seen)
        )
    other, other_label = _read(dataset.held_out[0].source, scaling, told)
    return signals.make_reference(
        _as_networks_see(seen),
        seen_label,
        _as_networks_see(other),
        other_label,
        signals.features_of(np.concatenate([seen, other])),
    )


def _read(
    source: Source, scaling: Scaling | None, told: Told | None
) -> tuple[np.ndarray, np.ndarray | None]:
    real, label = read_some(source, signals.SAMPLE)
    real = real if scaling is None else scaling.standardized(real)
    return real, None if told is None or label is None else told(label)


def _as_networks_see(real: np.ndarray) -> np.ndarray:
    return np.asarray(prepare({"real": jnp.asarray(real)}, None)["real"])
