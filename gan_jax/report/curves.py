"""Which curves a report shows, of one run and of groups of runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.evaluation.metric import higher_is_better
from gan_jax.report.charts import COLORS, DASHES, Chart, Line
from gan_jax.report.groups import Group
from gan_jax.report.history import Curve, History
from gan_jax.report.states import Span


class Panel(NamedTuple):
    """A chart of several quantities of one run."""

    title: str
    about: str
    names: dict[str, str]
    """From the name in the log to the label on the page."""
    log: bool = False
    limits: tuple[float, float] | None = None
    level: float | None = None


_PANELS = (
    Panel(
        "Losses",
        "What each network minimises. How low they are says little; that they stay bounded does.",
        {"d/loss": "discriminator", "g/loss": "generator", "d/penalty": "penalty"},
    ),
    Panel(
        "The generator's terms",
        "What it minimises, without the weights: what the discriminator says, and the distances to "
        "the true images, of pixels and of features.",
        {f"g/{term}": term for term in ("adversarial", "pixel", "perceptual")},
    ),
    Panel(
        "The generators' terms",
        "What they minimise, without the weights: how far from passing for the other domain (a, b: "
        "of what is made), from coming back to the image begun with, and from leaving alone what "
        "is of that domain already.",
        {
            f"g/{term}_{domain}": f"{term}, {domain}"
            for term in ("adversarial", "cycle", "identity")
            for domain in "ab"
        },
    ),
    Panel(
        "Discriminator's accuracy",
        "On training batches. At ½ (dashed) it cannot tell real from generated.",
        {"d/accuracy": "all", "d/accuracy_real": "on real", "d/accuracy_fake": "on generated"},
        limits=(-0.03, 1.03),
        level=0.5,
    ),
    Panel(
        "Ranking (AUC)",
        "How often a real example is rated above a generated one, and one trained on above one "
        "held out. ½ (dashed) is chance.",
        {
            "auc": "training over generated",
            "auc_held_out": "held out over generated",
            "recognition": "training over held out",
        },
        limits=(-0.03, 1.03),
        level=0.5,
    ),
    Panel(
        "Logits",
        "The discriminator's mean verdicts; only their distance matters.",
        {"d/real_logit": "real", "d/fake_logit": "generated"},
    ),
    Panel(
        "Gradient norms",
        "Logarithmic.",
        {"d/grad_norm": "discriminator", "g/grad_norm": "generator"},
        log=True,
    ),
    Panel(
        "Update ratios",
        "Size of an update over size of the parameters; logarithmic.",
        {"d/update_ratio": "discriminator", "g/update_ratio": "generator"},
        log=True,
    ),
    Panel(
        "Diversity",
        "Spread of generated over that of real examples (1, dashed, is right); shares of real "
        "clusters that are missing and of generated near-duplicates (0 is right).",
        {"diversity": "diversity", "missing": "missing", "duplicates": "duplicates"},
        level=1.0,
    ),
    Panel(
        "Distance",
        "Fréchet distance of simple features over the variance of real ones: 0 is perfect.",
        {"distance": "distance"},
        level=0.0,
    ),
    Panel(
        "Feedback",
        "How strongly the discriminator tells the generator where to go; logarithmic.",
        {"feedback": "feedback"},
        log=True,
    ),
    Panel(
        "Movement",
        "How much of what is generated changed since the check before, and how far the generator "
        "is from its moving average.",
        {"movement": "movement", "drift": "drift from average"},
    ),
)

_COMPARED = {
    "auc": Panel("Ranking (AUC)", "½ (dashed) is chance.", {}, limits=(-0.03, 1.03), level=0.5),
    "distance": Panel("Distance", "0 is perfect.", {}, level=0.0),
    "d/loss": Panel("Discriminator's loss", "", {}),
    "g/loss": Panel("Generator's loss", "", {}),
}


def best(name: str, curve: Curve) -> int | None:
    """Index of the best value of a score; None if none is finite."""
    if not np.isfinite(curve.y).any():
        return None
    higher = higher_is_better(name.partition("[")[0])
    return int(np.nanargmax(curve.y) if higher else np.nanargmin(curve.y))


def of_run(history: History, spans: list[Span]) -> list[Chart]:
    """The charts of one run: those of which anything was logged, then one a score."""
    marks = [rollback.iteration for rollback in history.rollbacks]

    def chart(panel: Panel, lines: list[Line]) -> Chart:
        return _chart(panel, lines, spans=spans, marks=marks, end=history.iterations)

    charts = []
    for panel in _PANELS:
        found = [
            (label, history.curves[name])
            for signal, plain in panel.names.items()
            for name, label in _of_each(signal, plain, history)
        ]
        if found:
            charts.append(chart(panel, [_line(i, *line) for i, line in enumerate(found)]))
    for title, scores in _by_title(history.scores).items():
        lines = [
            dataclasses.replace(_line(i, label, curve), best=best(title, curve))
            for i, (label, curve) in enumerate(scores.items())
        ]
        charts.append(chart(Panel(title, _about_best(lines[0]), {}), lines))
    return charts


def _of_each(signal: str, label: str, history: History) -> list[tuple[str, str]]:
    """The curves of a signal: its own, or those of the parts of a training of several generators,
    which are named `part/signal`."""
    if signal in history.curves:
        return [(signal, label)]
    parts = [name for name in history.curves if name.partition("/")[2] == signal]
    return [(name, f"{name.partition('/')[0]}: {label}") for name in parts]


def _line(i: int, label: str, curve: Curve) -> Line:
    return Line(label, curve, COLORS[i % len(COLORS)], DASHES[i % len(DASHES)])


def _by_title(scores: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Scores by chart: those of one name, extractor and split are in one, told apart by what else
    their conventions say."""
    together: dict[tuple[str, ...], list[str]] = {}
    for label in scores:
        together.setdefault(tuple(label.rstrip("]").split(", ")[:2]), []).append(label)
    charts = {}
    for start, labels in together.items():
        if len(labels) == 1:
            charts[labels[0]] = {labels[0]: scores[labels[0]]}
            continue
        title = f"{', '.join(start)}]"
        charts[title] = {
            ", ".join(label.rstrip("]").split(", ")[2:]): scores[label] for label in labels
        }
    return charts


def _chart(
    panel: Panel,
    lines: list[Line],
    *,
    spans: Sequence[Span] = (),
    marks: Sequence[int] = (),
    end: int = 0,
) -> Chart:
    title, about, _, log, limits, level = panel
    return Chart(title, lines, about, log, limits, level, spans, marks, end)


def _about_best(line: Line) -> str:
    if line.best is None:
        return ""
    x, y = line.curve.x[line.best], line.curve.y[line.best]
    return f"Best (star): {y:.4g} at iteration {x:,}."


def of_groups(groups: list[Group]) -> list[Chart]:
    """The charts that compare groups of runs: a line each, and a band over its seeds."""
    scores = dict.fromkeys(name for g in groups for h in g.histories for name in h.scores)
    end = max(history.iterations for group in groups for history in group.histories)
    charts = []
    panels = _COMPARED | {name: Panel(name, "", {}) for name in scores}
    for name, panel in panels.items():
        lines = []
        for i, group in enumerate(groups):
            found = [c for h in group.histories if (c := (h.scores | h.curves).get(name))]
            if found:
                style = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
                lines.append(_spread(group.label, found, *style))
        if lines:
            charts.append(_chart(panel, lines, end=end))
    return charts


def _spread(label: str, curves: list[Curve], color: str, dashes: str) -> Line:
    """The mean over curves and the range from the lowest to the highest, at each iteration over
    those that got there."""
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    values = np.full((len(curves), len(x)), np.nan)
    for row, curve in zip(values, curves, strict=True):
        row[np.searchsorted(x, curve.x)] = curve.y
    n = np.isfinite(values).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(values, axis=0) / np.where(n, n, np.nan)
    if len(curves) == 1:
        return Line(label, Curve(x, mean), color, dashes)
    low = np.where(n, np.nanmin(np.where(np.isnan(values), np.inf, values), axis=0), np.nan)
    high = np.where(n, np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=0), np.nan)
    return Line(label, Curve(x, mean), color, dashes, low, high)
