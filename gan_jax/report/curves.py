"""Which curves a report shows, of one run and of groups of runs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax.evaluation.metric import higher_is_better
from gan_jax.report import panels
from gan_jax.report.charts import COLORS, DASHES, Chart, Line
from gan_jax.report.groups import Group
from gan_jax.report.history import Curve, History
from gan_jax.report.panels import Panel
from gan_jax.report.states import Span


def best(name: str, curve: Curve) -> int | None:
    """Index of the best value of a score; None if none is finite."""
    if not np.isfinite(curve.y).any():
        return None
    higher = higher_is_better(name.partition("[")[0])
    return int(np.nanargmax(curve.y) if higher else np.nanargmin(curve.y))


def of_run(history: History, spans: list[Span]) -> list[Chart]:
    """The charts of one run: one a score, then those of signals of which anything was logged."""
    marks = [rollback.iteration for rollback in history.rollbacks]

    def chart(panel: Panel, lines: list[Line]) -> Chart:
        return _chart(panel, lines, spans=spans, marks=marks, end=history.iterations)

    charts = []
    for title, scores in _by_title(history.scores).items():
        lines = [
            dataclasses.replace(_line(i, label, curve), best=best(title, curve))
            for i, (label, curve) in enumerate(scores.items())
        ]
        panel = panels.of_score(title)
        said = f"{panel.normal} {_about_best(lines[0])}".strip()
        charts.append(chart(panel._replace(normal=said), lines))
    for panel in panels.OF_RUN:
        found = [
            (label, history.curves[name])
            for signal, plain in panel.names.items()
            for name, label in _of_each(signal, plain, history)
        ]
        if found:
            charts.append(chart(panel, [_line(i, *line) for i, line in enumerate(found)]))
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
    return Chart(
        panel.title,
        lines,
        panel.about,
        panel.normal,
        log=panel.log,
        limits=panel.limits,
        level=panel.level,
        spans=spans,
        marks=marks,
        end=end,
    )


def _about_best(line: Line) -> str:
    if line.best is None:
        return ""
    x, y = line.curve.x[line.best], line.curve.y[line.best]
    return f"Best (star): {y:.4g} at iteration {x:,}."


def of_groups(groups: list[Group]) -> list[Chart]:
    """The charts that compare groups of runs, scores first: a line each, and a band over its
    seeds."""
    histories = [history for group in groups for history in group.histories]
    compared = {name: panels.of_score(name) for h in histories for name in h.scores}
    for signal, panel in panels.COMPARED.items():
        for name, title in (pair for h in histories for pair in _of_each(signal, panel.title, h)):
            compared[name] = panel._replace(title=title)
    end = max(history.iterations for history in histories)
    charts = []
    for name, panel in compared.items():
        lines = []
        for group in groups:
            found = [c for h in group.histories if (c := (h.scores | h.curves).get(name))]
            if found:
                lines.append(_spread(group, found))
        charts.append(_chart(panel, lines, end=end))
    return charts


def _spread(group: Group, curves: list[Curve]) -> Line:
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
        return Line(group.label, Curve(x, mean), group.color, group.dashes)
    low = np.where(n, np.nanmin(np.where(np.isnan(values), np.inf, values), axis=0), np.nan)
    high = np.where(n, np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=0), np.nan)
    return Line(group.label, Curve(x, mean), group.color, group.dashes, low, high)
