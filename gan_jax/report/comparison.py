"""All that the page says of several runs together."""

from typing import NamedTuple

from gan_jax.evaluation.metric import better
from gan_jax.report import curves
from gan_jax.report.answer import Standing, standing
from gan_jax.report.charts import Chart
from gan_jax.report.groups import Difference, Group, differences, make_groups
from gan_jax.report.page import Page


class Column(NamedTuple):
    """A run, and how it is drawn in the charts."""

    page: Page
    group: Group


class Row(NamedTuple):
    """A score of all runs."""

    label: str
    about: str
    cells: list[Standing | None]
    """One a run; None where it was not measured."""
    leading: list[int]
    """Which of them had the best value."""


class Comparison(NamedTuple):
    """The tables and the charts. Runs are columns."""

    columns: list[Column]
    groups: list[Group]
    """The legend of all charts."""
    scores: list[Row]
    differences: list[Difference]
    charts: list[Chart]


def of_pages(pages: list[Page]) -> Comparison:
    """Compares runs; those that differ only in their seeds form a group."""
    runs = [page.run for page in pages]
    histories = [page.history for page in pages]
    groups = make_groups(runs, histories, [page.name for page in pages])
    columns = [
        Column(page, next(group for group in groups if any(run is page.run for run in group.runs)))
        for page in pages
    ]
    labels = dict.fromkeys(label for history in histories for label in history.scores)
    scores = [row for label in labels if (row := _row(label, pages)).leading]
    return Comparison(columns, groups, scores, differences(runs), curves.of_groups(groups))


def _row(label: str, pages: list[Page]) -> Row:
    """A score; nothing leads if it never was finite."""
    curves_of = [page.history.scores.get(label) for page in pages]
    cells = [None if curve is None else standing(label, curve) for curve in curves_of]
    found = [cell for cell in cells if cell is not None]
    if not found:
        return Row(label, "", cells, [])
    top = found[0]
    for cell in found:
        top = cell if better(cell.name, cell.best.value, top.best.value) else top
    leading = [i for i, c in enumerate(cells) if c and c.best.value == top.best.value]
    return Row(label, top.about, cells, leading)
