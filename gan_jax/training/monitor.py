"""Follows the health of a run while it trains: measures, diagnoses, and keeps the history."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import build, signals
from gan_jax.config import Config
from gan_jax.data import Source, prepare
from gan_jax.data.sources import read_some
from gan_jax.diagnosis import Diagnosis, diagnose
from gan_jax.logs import Lines
from gan_jax.state import TrainState


class Monitor:
    """The checks of a run.

    `held_out` are real examples that it does not train on, if there are any; `checks` are those
    made so far, as `health.jsonl` has them; `lines` is where further ones are written.
    """

    def __init__(
        self,
        config: Config,
        training: Source,
        held_out: Source | None,
        *,
        checks: Sequence[Mapping[str, Any]] = (),
        lines: Lines | None = None,
    ):
        self._sources, self._objective = (
            (training, held_out),
            build.objective(config, training.description),
        )
        self._labels = config.objective.conditional
        self._key = jax.random.fold_in(jax.random.key(config.seed), build.CHECKS)
        self.history = [{"iteration": check["iteration"], **check["signals"]} for check in checks]
        """The signals of every check so far."""
        self._shares = checks[-1]["shares"] if checks else None
        self._lines = lines

    @functools.cached_property
    def _reference(self) -> tuple[signals.Reference, signals.Target]:
        """Made at the first check: a run that is too short for one need not wait for it."""
        training, held_out = self._sources
        seen, seen_label = _read(training, self._labels)
        if held_out is None:
            return signals.make_reference(
                _as_networks_see(seen), seen_label, None, None, signals.features_of(seen)
            )
        other, other_label = _read(held_out, self._labels)
        return signals.make_reference(
            _as_networks_see(seen),
            seen_label,
            _as_networks_see(other),
            other_label,
            signals.features_of(np.concatenate([seen, other])),
        )

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> signals.Measured:
        """Starts to measure; what it gives is on its way."""
        key = jax.random.fold_in(self._key, iteration)
        return signals.measure(d, g, self._reference[0], key, objective=self._objective)

    def check(
        self, iteration: int, measured: signals.Measured, averages: Mapping[str, float]
    ) -> Diagnosis:
        """Waits for what was measured, and diagnoses it together with what the steps measured on
        average since the last check."""
        values, self._shares = signals.finish(measured, self._reference[1], self._shares)
        values |= averages
        self.history.append({"iteration": iteration, **values})
        diagnosis = diagnose(self.history)
        if self._lines:
            self._lines.write(iteration, signals=values, shares=self._shares, **diagnosis._asdict())
        return diagnosis


def _read(source: Source, labels: bool) -> tuple[np.ndarray, np.ndarray | None]:
    real, label = read_some(source, signals.SAMPLE)
    return real, label if labels else None


def _as_networks_see(real: np.ndarray) -> np.ndarray:
    batches = prepare({"real": jnp.asarray(real)}, None)
    return np.asarray(batches["real"])
