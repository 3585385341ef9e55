"""All that the page says of several runs together."""

from typing import NamedTuple

from gan_jax.report import curves
from gan_jax.report.charts import Chart
from gan_jax.report.groups import Group, make_groups
from gan_jax.report.history import Curve
from gan_jax.report.page import Page


class Score(NamedTuple):
    """A score of one run, in words; empty where it is not known."""

    best: str
    last: str


class Comparison(NamedTuple):
    """The table and the charts."""

    groups: list[Group]
    scores: list[str]
    """Of all runs: the columns of the table."""
    rows: list[list[Score]]
    """A run each, a score each."""
    charts: list[Chart]


def of_pages(pages: list[Page]) -> Comparison:
    """Compares runs; those that differ only in their seeds form a group."""
    groups = make_groups([page.run for page in pages], [page.history for page in pages])
    names = list(dict.fromkeys(name for page in pages for name in page.history.scores))
    rows = [[_score(name, page.history.scores.get(name)) for name in names] for page in pages]
    return Comparison(groups, names, rows, curves.of_groups(groups))


def _score(name: str, curve: Curve | None) -> Score:
    best = None if curve is None else curves.best(name, curve)
    if curve is None or best is None:
        return Score("", "")
    return Score(_at(curve, best), _at(curve, len(curve.x) - 1))


def _at(curve: Curve, index: int) -> str:
    return f"{curve.y[index]:.4g} at {curve.x[index]:,}"
