"""Follows the health of a run while it trains: measures, diagnoses, and keeps the history."""

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax.health.checks import Checks
from gan_jax.health.diagnosis import Diagnosis, Scored, diagnose_each
from gan_jax.runs.logs import Lines
from gan_jax.state import TrainState


class Monitor:
    """The checks of a run.

    `checks` say how it is measured; `history` are the checks made so far, as `health.jsonl` has
    them; `scored` are the evaluations so far, with their iterations; `lines` is where further
    checks are written.
    """

    def __init__(
        self,
        checks: Checks,
        *,
        history: Sequence[Mapping[str, Any]] = (),
        scored: Sequence[tuple[int, Scored | None]] = (),
        lines: Lines | None = None,
    ):
        self._checks = checks
        self.history = [{"iteration": check["iteration"], **check["signals"]} for check in history]
        """The signals of every check so far."""
        self._scored = list(scored)
        self.parts = checks.parts
        self.state = history[-1]["state"] if history else "early"
        """That of the last check."""
        self._shares = history[-1]["shares"] if history else None
        self._lines = lines

    def hear(self, iteration: int, scored: Scored | None) -> None:
        """Of an evaluation."""
        self._scored.append((iteration, scored))

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> Any:
        """Starts to measure; what it gives is on its way."""
        return self._checks.measure(iteration, d, g)

    def check(self, iteration: int, measured: Any, averages: Mapping[str, float]) -> Diagnosis:
        """Waits for what was measured, and diagnoses it together with what the steps measured on
        average since the last check."""
        values, self._shares = self._checks.finish(measured, self._shares)
        values |= averages
        self.history.append({"iteration": iteration, **values})
        # What is scored at this very iteration may be known before or after.
        scored = [found for at, found in self._scored if at < iteration and found is not None]
        diagnosis = diagnose_each(self.history, self._checks.parts, scored)
        self.state = diagnosis.state
        if self._lines:
            self._lines.write(iteration, signals=values, shares=self._shares, **diagnosis._asdict())
        return diagnosis
