"""How good the diagnosis is: runs that go wrong on purpose, and whether it says so.

    python -m evidence.diagnosis collect --data-dir TFDS
    python -m evidence.diagnosis score

`collect` trains every provocation with several seeds and writes each run's signals, one line a run;
what is there already is not trained again. `score` diagnoses them after the fact.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from evidence.provocations import PROVOCATIONS, Blind, Provocation
from gan_jax import losses
from gan_jax.compilation import jit, keep_compiled
from gan_jax.data import Feed
from gan_jax.health.checks import LatentChecks
from gan_jax.health.diagnosis import GOOD, diagnose
from gan_jax.state import TrainState
from gan_jax.steps import iterate
from gan_jax.tasks.base import CHECKS as NOISE
from gan_jax.tasks.base import TRAINING, initial_states, stream_key
from gan_jax.tasks.generation.checks import make_reference
from gan_jax.training.monitor import Monitor
from gan_jax.training.program import PREPARATION

CHECKS = 50
UNSEEN = 100  # the first number of the runs that no threshold was chosen on
RESULTS = Path(__file__).parent / "results" / "diagnosis"

app = tyro.extras.SubcommandApp()


class _Case:
    """A provocation, compiled once and trained with any seed."""

    def __init__(self, provocation: Provocation, data_dir: str | None):
        self.provocation = provocation
        self.configs = [config for config in provocation.configs() if config is not None]
        config = self.configs[0]
        self.every = config.iterations // CHECKS
        self.dataset = config.load(data_dir=data_dir, budget_bytes=math.inf)
        self.tasks = [c.build(self.dataset.description) for c in self.configs]
        told = self.tasks[0].told if config.objective.conditional else None
        self.reference = make_reference(self.dataset, None, told)
        self.resident = jax.tree.map(jnp.asarray, self._feed(0).resident)
        self.programs = [self._program(phase) for phase in range(len(self.configs))]

    def _feed(self, seed: int) -> Feed:
        config, streams = self.configs[0], self.dataset.streams
        return Feed(
            streams,
            [stream.order(seed, config.batch_size) for stream in streams],
            batches=config.alternation.batches,
            capacity=self.every,
            iterations=config.iterations,
            axis_indices=np.zeros(1, int),
            members=1,
        )

    def _program(self, phase: int):
        task, last = self.tasks[phase], phase == len(self.tasks) - 1
        objective = task.objective
        if self.provocation.blind and last:
            objective = Blind(objective)

        def program(d, g, resident, rows, start, key):
            def batches_at(i, key):
                examples = Feed.select(resident, jax.tree.map(lambda x: x[0, i], rows))
                return task.prepare(examples, jax.random.fold_in(key, PREPARATION), None)

            d, g, tally = iterate(
                d,
                g,
                batches_at,
                key,
                start=start,
                count=self.every,
                objective=objective,
                alternation=task.config.alternation,
            )
            return d, g, jax.tree.map(lambda total: total / self.every, tally.sums)

        return jit(program)

    def train(self, seed: int) -> list[dict[str, Any]]:
        """The signals of one run, check by check."""
        config = self.configs[0]
        d, g = initial_states(replace(config, seed=seed).build(self.dataset.description))
        feed, key = self._feed(seed), stream_key(seed, TRAINING)
        checks = LatentChecks(
            lambda: self.reference,
            stream_key(seed, NOISE),
            loss=losses.LOSSES[config.objective.loss],
            latent_dim=config.objective.latent_dim,
        )
        monitor, phase = Monitor(checks), 0
        for check in range(CHECKS):
            if len(self.tasks) > 1 and phase == 0 and check >= self.provocation.onset * CHECKS:
                phase = 1
                like = jax.eval_shape(lambda: initial_states(self.tasks[1]))
                d, g = _with_optimizers((d, g), like)
            start = check * self.every
            rows = feed.rows(start, self.every)
            d, g, means = self.programs[phase](d, g, self.resident, rows, np.int32(start), key)
            averages = {
                f"{network}/{name}": float(value)
                for network, metrics in means.items()
                for name, value in metrics.items()
            }
            iteration = start + self.every
            monitor.check(iteration, monitor.measure(iteration, d, g), averages)
        return [
            {k: v if k == "iteration" else float(f"{v:.4g}") for k, v in check.items()}
            for check in monitor.history
        ]


def _with_optimizers(
    states: tuple[TrainState, TrainState], like: tuple[TrainState, TrainState]
) -> tuple[TrainState, ...]:
    """The states with the optimisers of others."""
    return tuple(state.replace(tx=x.tx) for state, x in zip(states, like, strict=True))


def _recorded(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.glob("*.jsonl*")):
        opening = gzip.open if path.suffix == ".gz" else open
        with opening(path, "rt") as file:
            for line in file:
                yield json.loads(line)


@app.command
def collect(
    out: Path = RESULTS,
    data_dir: str | None = None,
    part: int = 0,
    parts: int = 1,
    only: str = "",
    runs: int | None = None,
    unseen: bool = False,
) -> None:
    """Train provocations, and write their signals.

    Args:
        out: Folder of the results.
        data_dir: Where TFDS datasets are prepared.
        part: Which share of the provocations to train, from 0.
        parts: Of how many.
        only: Those whose state, name or setting contains this.
        runs: Seeds of each, instead of its own number.
        unseen: Not the runs that thresholds are chosen on, but as many others.
    """
    keep_compiled()
    out.mkdir(parents=True, exist_ok=True)
    done = {(r["state"], r["name"], r["game"], r["seed"]) for r in _recorded(out)}
    for i, p in enumerate(PROVOCATIONS):
        name = f"{p.state} {p.name} {p.setting}"
        if i % parts != part or only not in name:
            continue
        case = None
        first = UNSEEN if unseen else 0
        for number in range(first, first + (runs or p.runs)):
            # Seeds differ between provocations, so that healthy beginnings do too.
            seed = zlib.crc32(name.encode()) % 10_000 * 100 + number
            if (p.state, p.name, p.setting, seed) in done:
                continue
            case = case or _Case(p, data_dir)
            checks = case.train(seed)
            record = {
                "state": p.state, "name": p.name, "game": p.setting, "seed": seed,
                "number": number, "onset": p.onset, "iterations": case.configs[0].iterations,
                "checks": checks,
            }  # fmt: skip
            with (out / f"part{part}.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
            last = checks[-1]
            print(name, seed, {k: last[k] for k in list(last)[1:9]}, flush=True)


class Verdict(NamedTuple):
    """What was said of one run."""

    state: str
    """What was provoked."""
    setting: str
    unseen: bool
    said: str
    """The first failure named; if none, what was said at the end."""
    delay: float
    """From the onset until it was, as a share of the run."""

    @property
    def right(self) -> bool:
        """Healthy runs: nothing is wrong. Converged ones: that they have, at the end. Failures: the
        first that is named is this one, within 20 % of the run after its onset."""
        if self.state == "healthy":
            return self.said in GOOD
        return self.said == self.state and (self.state in GOOD or self.delay <= 0.2)


def _onset(record: dict[str, Any]) -> float:
    """When the failure began, as a share of the run: when it was provoked. Only knowing examples by
    heart takes a while: it begins where `recognition` rises above 0.6 for good."""
    if record["state"] != "d_overfits":
        return record["onset"]
    recognition = [check["recognition"] for check in record["checks"]]
    unknown = [i for i, value in enumerate(recognition) if not value > 0.6]
    return (unknown[-1] + 1 if unknown else 0) / len(recognition)


def judge(record: dict[str, Any]) -> Verdict:
    """Diagnoses a run check by check, as if it were going on."""
    checks = record["checks"]
    for said in range(1, len(checks) + 1):
        state = diagnose(checks[:said]).state
        if state not in GOOD:
            break
    delay = said / len(checks) - _onset(record)
    return Verdict(
        record["state"], record["game"], record["number"] >= UNSEEN, state, round(delay, 6)
    )


@app.command
def score(runs: Path = RESULTS, misses: bool = False) -> None:
    """Diagnose what was collected, say how often that is right, and keep the verdicts beside it.

    Args:
        runs: Folder of the results.
        misses: Also name what was said wrongly, of the runs that thresholds were chosen on.
    """
    known = {(p.state, p.name, p.setting) for p in PROVOCATIONS}
    verdicts, rows = [], []
    for record in _recorded(runs):
        if (record["state"], record["name"], record["game"]) in known:
            verdicts.append(judge(record))
            if misses and not verdicts[-1].right and not verdicts[-1].unseen:
                print(record["name"], verdicts[-1])
            rows.append(_row(record, verdicts[-1]))
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (runs / "verdicts.json").write_text(f"[\n{lines}\n]\n")
    for unseen in (False, True):
        mine = [verdict.right for verdict in verdicts if verdict.unseen == unseen]
        runs_of = "not seen before" if unseen else "that thresholds were chosen on"
        print(f"right of {len(mine)} runs {runs_of}: {sum(mine) / max(len(mine), 1):.0%}")
    print("python docs/make_tables.py puts the table into the page on evidence")


def _row(record: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """What the site's table is made from."""
    return {
        "state": verdict.state,
        "name": record["name"],
        "data": verdict.setting,
        "seed": record["seed"],
        "unseen": verdict.unseen,
        "said": verdict.said,
        "delay": verdict.delay,
        "right": verdict.right,
    }


if __name__ == "__main__":
    app.cli(description=__doc__)
