"""Several runs: which of them are the same but for their seed, and how groups of these differ."""

import json
from dataclasses import dataclass
from typing import Any

from flax import traverse_util

from gan_jax.config import to_dict
from gan_jax.report.history import History
from gan_jax.runs import Run

_MOST_NAMED = 4


@dataclass(frozen=True)
class Group:
    """Runs of one configuration with several seeds."""

    label: str
    runs: list[Run]
    histories: list[History]


def make_groups(runs: list[Run], histories: list[History]) -> list[Group]:
    """Runs whose configurations differ in nothing but seed and name, in order of appearance. Each
    group is called after its first run, and by the fields in which groups differ."""
    members: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        members.setdefault(json.dumps(_settings(run), sort_keys=True), []).append(i)
    flat = [json.loads(key) for key in members]
    names = sorted({name for settings in flat for name in settings})
    differing = [name for name in names if len({repr(s.get(name)) for s in flat}) > 1]
    return [
        Group(
            _label(runs[indices[0]].config.name, settings, differing, len(indices)),
            [runs[i] for i in indices],
            [histories[i] for i in indices],
        )
        for settings, indices in zip(flat, members.values(), strict=True)
    ]


def _settings(run: Run) -> dict[str, Any]:
    flat = traverse_util.flatten_dict(to_dict(run.config), keep_empty_nodes=True, sep=".")
    return {k: str(v) for k, v in flat.items() if k not in ("seed", "name")}


def _label(name: str, settings: dict[str, Any], differing: list[str], n: int) -> str:
    said = [f"{field} = {settings.get(field)}" for field in differing[:_MOST_NAMED]]
    said += ["…"] if len(differing) > _MOST_NAMED else []
    said += [f"{n} seeds"] if n > 1 else []
    return f"{name} ({', '.join(said)})" if said else name
