"""Several runs: which of them are the same but for their seed, and in what the others differ."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flax import traverse_util

from gan_jax.config import to_dict
from gan_jax.report.charts import COLORS, DASHES
from gan_jax.report.history import History
from gan_jax.runs import Run

_APART = ("seed", "name")
"""Fields that make no other group."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration with several seeds, and how they are drawn."""

    label: str
    runs: list[Run]
    histories: list[History]
    color: str
    dashes: str


class Difference(NamedTuple):
    """A field in which configurations, or what they found as data, are not all alike."""

    field: str
    values: list[str]
    """One a run; empty where a run has no such field."""


def make_groups(
    runs: Sequence[Run], histories: Sequence[History], names: Sequence[str]
) -> list[Group]:
    """Runs whose configurations differ in nothing but seed and name, in order of appearance; where
    that is true of all runs, each by itself. A group is called after its runs."""
    members: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        same = {k: v for k, v in _settings(run).items() if k not in _APART}
        members.setdefault(json.dumps(same, sort_keys=True), []).append(i)
    groups = list(members.values())
    if len(groups) == 1:
        groups = [[i] for i in range(len(runs))]
    return [
        Group(
            _label([names[i] for i in indices]),
            [runs[i] for i in indices],
            [histories[i] for i in indices],
            COLORS[place % len(COLORS)],
            DASHES[place // len(COLORS) % len(DASHES)],
        )
        for place, indices in enumerate(groups)
    ]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """The fields of the configurations that are not the same in all runs, and what was found as
    data where that is not; names apart."""
    every = [_settings(run) | {"data found": str(run.data)} for run in runs]
    fields = [field for field in dict.fromkeys(k for s in every for k in s) if field != "name"]
    table = [Difference(field, [s.get(field, "") for s in every]) for field in fields]
    return [row for row in table if len(set(row.values)) > 1]


def _settings(run: Run) -> dict[str, str]:
    flat = traverse_util.flatten_dict(to_dict(run.config), keep_empty_nodes=True, sep=".")
    return {field: _words(value) for field, value in flat.items()}


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is traverse_util.empty_node else str(value)


def _label(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names)} ({len(names)} seeds)"
