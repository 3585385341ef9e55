"""What was found among hyperparameters: trials, ranked, as a table and a chart."""

import csv
import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from gan_jax.errors import InputError
from gan_jax.evaluation.metric import higher_is_better

Trial = Mapping[str, float]
"""Values of a configuration's fields, by dotted name."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was found: trials from the best to the worst, each with its score for every seed."""

    score: str
    ranking: list[tuple[Trial, list[float]]]
    confirmed: list[list[float]]
    """Scores of the first of these for other seeds."""
    compiled: int
    """Programs."""

    @property
    def winner(self) -> Trial:
        """The trial with the best mean.

        Raises:
            InputError: no score is finite.
        """
        trial, values = self.ranking[0]
        if not math.isfinite(statistics.fmean(values)):
            raise InputError(f"no trial has a finite {self.score}: there is no winner")
        return trial

    def rows(self) -> Iterator[dict[str, float | str]]:
        """The trials as a table: the place, what was varied, the mean score, half the width of its
        95 % confidence interval, and each seed's; of those confirmed, the mean of other seeds."""
        for place, (trial, values) in enumerate(self.ranking, start=1):
            mean, half = interval(values)
            row: dict[str, float | str] = {"place": place, **trial, self.score: mean, "±": half}
            row |= {f"seed {i}": value for i, value in enumerate(values)}
            if self.confirmed:
                others = self.confirmed[place - 1 : place]
                row["other seeds"] = statistics.fmean(others[0]) if others else ""
            yield row


def rank(found: Sequence[tuple[Trial, list[float]]], score: str) -> list[tuple[Trial, list[float]]]:
    """From the best mean to the worst; what is not finite comes last."""
    sign = -1 if higher_is_better(score) else 1

    def key(item):
        mean = statistics.fmean(item[1])
        return (not math.isfinite(mean), sign * mean)

    return sorted(found, key=key)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and half the width of its 95 % confidence interval (Student's t)."""
    from scipy import stats

    mean, n = statistics.fmean(values), len(values)
    if n < 2 or not math.isfinite(mean):
        return mean, math.nan
    return mean, float(stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / math.sqrt(n))


def spread(values: Sequence[float]) -> str:
    """As `1.23 ± 0.04`."""
    mean, half = interval(values)
    return f"{mean:.4g}" if math.isnan(half) else f"{mean:.4g} ± {half:.2g}"


def in_words(trial: Trial) -> str:
    """As `average.half_life=500`."""
    return " ".join(f"{name}={value:.4g}" for name, value in trial.items())


def write_table(outcome: Outcome, path: Path) -> None:
    """The trials as CSV, from the best to the worst."""
    rows = list(outcome.rows())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(outcome: Outcome, path: Path) -> None:
    """The best 30, of those whose scores are finite, with their confidence intervals and the scores
    for other seeds, as a PNG."""
    shown = [place for place in outcome.ranking if math.isfinite(statistics.fmean(place[1]))][:30]
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1 + 0.3 * len(shown)), layout="constrained")
    places = np.arange(len(shown))
    intervals = np.array([interval(values) for _, values in shown]).reshape(-1, 2)
    means, halves = np.nan_to_num(intervals).T
    axes.errorbar(means, places, xerr=halves, fmt="o", color="C0", capsize=3)
    for place, (_, values) in enumerate(shown):
        axes.plot(values, [place] * len(values), ".", color="C0", alpha=0.35)
    for place, values in enumerate(outcome.confirmed[: len(shown)]):
        axes.plot(values, [place] * len(values), "x", color="C1")
    axes.set_yticks(places, [in_words(trial) for trial, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{outcome.score}: mean, 95 % confidence interval, and each seed")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
