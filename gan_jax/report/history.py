"""What a run logged, read leniently: files may be absent, lines cut short, numbers not finite."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gan_jax.runs import Run

_LARGEST = 1e30  # what is larger has diverged, and no axis can show it


class Curve(NamedTuple):
    """One quantity over iterations; where it was not finite it is NaN."""

    x: Int[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]


class Check(NamedTuple):
    """One line of health.jsonl."""

    iteration: int
    state: str
    evidence: str
    suggestion: str


class Rollback(NamedTuple):
    """One entry of rollbacks.json."""

    iteration: int
    to: int | None
    state: str
    factor: float | None


@dataclass(frozen=True)
class History:
    """All of it."""

    curves: dict[str, Curve]
    """By name: the columns of metrics.jsonl, and the signals of health.jsonl."""
    scores: dict[str, Curve]
    """Of evaluations.jsonl, by label: `FID[digits-cnn, train, 1.6k/2k]`."""
    checks: list[Check]
    rollbacks: list[Rollback]
    iterations: int
    """The last one that anything was logged at; 0 if nothing was."""
    seconds: float
    """Of training, over all attempts."""


def read(run: Run) -> History:
    """The logs of a run. Of entries for the same iteration the last counts."""
    metrics = _by_iteration(_entries(run.directory / "metrics.jsonl"))
    health = _by_iteration(_entries(run.directory / "health.jsonl"))
    signals = [{"iteration": e["iteration"], **_dict(e.get("signals"))} for e in health]
    evaluations = _entries(run.directory / "evaluations.jsonl")
    scores = [
        {
            "iteration": entry["iteration"],
            **{_label(name, entry): value for name, value in _dict(entry.get("scores")).items()},
        }
        for entry in evaluations
    ]
    return History(
        curves=_curves(signals) | _curves(metrics),
        scores=_curves(scores),
        checks=[
            Check(
                entry["iteration"],
                *(str(entry.get(field) or "") for field in ("state", "evidence", "suggestion")),
            )
            for entry in health
            if entry.get("state")
        ],
        rollbacks=[
            Rollback(
                entry["iteration"],
                to if isinstance(to := entry.get("to"), int) else None,
                str(entry.get("state") or ""),
                factor if math.isfinite(factor := _number(entry.get("factor"))) else None,
            )
            for entry in _rollbacks(run.directory / "rollbacks.json")
        ],
        iterations=max((entry["iteration"] for entry in [*metrics, *health]), default=0),
        seconds=_seconds(metrics),
    )


def _label(name: str, evaluation: dict[str, Any]) -> str:
    conventions = evaluation.get("conventions")
    return f"{name}[{conventions}]" if conventions else name


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue  # cut short when the process was killed
    return [entry for entry in entries if _has_iteration(entry)]


def _rollbacks(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return (
        [entry for entry in entries if _has_iteration(entry)] if isinstance(entries, list) else []
    )


def _has_iteration(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("iteration"), int)


def _by_iteration(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {entry["iteration"]: entry for entry in entries}
    return [last[iteration] for iteration in sorted(last)]


def _curves(entries: list[dict[str, Any]]) -> dict[str, Curve]:
    points: dict[str, dict[int, float]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name != "iteration":
                points.setdefault(name, {})[entry["iteration"]] = _number(value)
    curves = {}
    for name, values in points.items():
        x = np.array(sorted(values))
        curves[name] = Curve(x, np.array([values[i] for i in x.tolist()]))
    return curves


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LARGEST else math.nan


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(metrics: list[dict[str, Any]]) -> float:
    """Each attempt counts its own from 0: the sum of their last ones."""
    seconds = [s for entry in metrics if math.isfinite(s := _number(entry.get("seconds")))]
    return sum(now for now, then in itertools.pairwise([*seconds, 0.0]) if then < now)
