"""What a metric is made of, and which there are.

Each file of `gan_jax/evaluation/scores` defines one (or several), and adding a file there adds a
metric: nothing else keeps a list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from gan_jax.config import Evaluation
from gan_jax.discovery import discover
from gan_jax.errors import InputError, refuse
from gan_jax.evaluation.extractors.base import Extractor, Logits
from gan_jax.evaluation.real import RealExamples
from gan_jax.evaluation.subject import Labels, Subject
from gan_jax.state import TrainState


class Score(NamedTuple):
    """One number, and what it may be compared with."""

    name: str
    value: float
    conventions: str
    """As in `digits-cnn, train, 1.6k/2k`: extractor, split, real and generated examples."""
    higher_is_better: bool

    def __str__(self) -> str:
        return f"{self.name}[{self.conventions}] {self.value:.4g}"


@dataclass(frozen=True)
class Setting:
    """What decides whether a metric can be measured, before anything is."""

    subject: Subject
    images: bool
    """Whether examples are images, and not points."""
    logits: Logits
    """What the extractor's logits are of."""
    maps: bool = False
    """Whether the extractor has feature maps."""
    examples: int | None = None
    """How many there are to be scored, or real ones if these are fewer. None: it is not known."""


@dataclass(frozen=True)
class Comparison:
    """All that a metric is measured from."""

    subject: Subject
    real: RealExamples
    extractor: Extractor
    g: TrainState
    fake: Shaped[np.ndarray, "n ..."]
    """Generated examples: images as uint8, or points."""
    labels: Labels | None
    """Their classes, if the generator was told any."""
    features: Float[np.ndarray, "n d"]
    logits: Float[np.ndarray, "n k"] | None

    def labels_for(self, n: int) -> Labels | None:
        """Classes for `n` other samples, in the proportions of the real examples."""
        return self.real.labels_for(n) if self.subject.conditional else None

    def as_many(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
        """As many real as generated features: what neighborhoods need."""
        n = min(len(self.features), len(self.real.features))
        return self.real.features[:n], self.features[:n]


class Measurement(NamedTuple):
    """What a metric measured."""

    values: Mapping[str, float]
    """By score."""
    real: int
    """How many real examples they depend on; 0 if on none."""
    generated: int


@dataclass(frozen=True)
class Metric:
    """One metric, which gives one score or several."""

    name: str
    """By which it is asked for."""
    help: str
    """In a few words, what it is."""
    scores: tuple[str, ...]
    """The names of its scores."""
    measure: Callable[[Comparison], Measurement]
    higher_is_better: tuple[str, ...] = ()
    """Of which scores."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What each score says, to whom it is new, in a sentence."""
    needs: Callable[[Setting], str] = lambda setting: ""
    """What it needs and does not have there, in words; empty if it can be measured."""
    default: Callable[[Setting], bool] = lambda setting: False
    """Whether it is measured where no metrics are asked for."""
    least: int = 1
    """Examples that it takes, of real and of generated ones."""
    place: int = 1000
    """Where it comes in a list of metrics."""

    def problem(self, setting: Setting) -> str:
        """Why it cannot be measured, in words; empty if it can."""
        if needs := self.needs(setting):
            return f"the metric {self.name} needs {needs}"
        if setting.examples is not None and setting.examples < self.least:
            return f"the metric {self.name} needs {self.least} examples, not {setting.examples}"
        return ""


def metrics() -> dict[str, Metric]:
    """All there are, by name."""
    return discover("gan_jax.evaluation.scores", Metric)


def check(chosen: Sequence[str], setting: Setting) -> tuple[str, ...]:
    """These metrics, or if none are given what is measured by default, of what can be.

    Raises:
        InputError: one of them does not exist, or not in this setting.
    """
    known = metrics()
    if not chosen:
        defaults = [metric for metric in known.values() if metric.default(setting)]
        return tuple(metric.name for metric in defaults if not metric.problem(setting))
    refuse(_problems(chosen, setting))
    return tuple(chosen)


def _problems(chosen: Sequence[str], setting: Setting) -> Iterator[str]:
    """What of these metrics cannot be measured, and why."""
    known = metrics()
    for name in chosen:
        if name not in known:
            yield f"there is no metric {name!r}: one of {', '.join(known)}"
        elif problem := known[name].problem(setting):
            yield problem


def check_evaluation(settings: Evaluation, setting: Setting) -> None:
    """
    Raises:
        InputError: metrics that there are not in this setting, or a best score that is none of
            theirs.
    """
    refuse(f"{said} (--evaluation.metrics)" for said in _problems(settings.metrics, setting))
    names = score_names(check(settings.metrics, setting))
    if settings.best is not None and settings.best.lower() not in map(str.lower, names):
        raise InputError(
            f"evaluation.best {settings.best!r} is none of the scores: {', '.join(names)}"
        )


def score_names(chosen: Sequence[str]) -> list[str]:
    """The names of the scores that metrics give."""
    return [score for name in chosen for score in metrics()[name].scores]


def higher_is_better(score: str) -> bool:
    """Whether a score of this name is the better the higher it is."""
    return any(score in metric.higher_is_better for metric in metrics().values())


def meaning(score: str) -> str:
    """What a score of this name says, in a sentence; empty if there is none of this name."""
    for metric in metrics().values():
        if score in metric.scores:
            return metric.meanings.get(score, f"{metric.help.capitalize()}.")
    return ""


def better(score: str, value: float, than: float | None) -> bool:
    """Whether a score is better than another, or than none. One that is not finite never is."""
    if not np.isfinite(value):
        return False
    return than is None or (value > than if higher_is_better(score) else value < than)
