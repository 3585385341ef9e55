"""How good the diagnosis is: runs that go wrong on purpose, and whether it says so.

    python -m benchmarks.diagnosis collect --data-dir TFDS
    python -m benchmarks.diagnosis score

`collect` plays every provocation with several seeds and writes each run's signals, one line a run;
what is there already is not played again. `score` diagnoses them after the fact.
"""

import dataclasses
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.provocations import GAMES, PROVOCATIONS, Blind, Provocation
from gan_jax import build, compilation, signals
from gan_jax.compilation import keep_compiled
from gan_jax.data import Order, load
from gan_jax.data.feed import prepare
from gan_jax.data.held_out import hold_out
from gan_jax.diagnosis import GOOD, STATES, diagnose
from gan_jax.state import TrainState
from gan_jax.steps import iterate

CHECKS = 50
UNSEEN = 100  # the first number of the runs that no threshold was chosen on
RESULTS = Path(__file__).parent / "results" / "diagnosis"

app = tyro.extras.SubcommandApp()


class _Game:
    """A provocation, compiled once and played with any seed."""

    def __init__(self, provocation: Provocation, data_dir: str | None):
        self.provocation = provocation
        self.configs = [c for c in provocation.configs() if c is not None]
        config = self.configs[0]
        source, held_out = hold_out(
            load(config.data, conditional=config.objective.conditional, data_dir=data_dir),
            config.data.held_out,
        )
        self.data, self.real, self.label = source.description, source.real, source.label
        if not config.objective.conditional:
            self.label = None
        order = np.random.default_rng(0).permutation(len(self.real))
        self.reference, self.target = signals.make_reference(
            self._seen(source.real[order]),
            None if self.label is None else self.label[order],
            None if held_out is None else self._seen(held_out.real),
            None if self.label is None or held_out is None else held_out.label,
            signals.features_of(np.concatenate([source.real[order], held_out.real])),
        )
        blind = [False] * len(self.configs)
        blind[-1] = provocation.blind
        self.objectives = [
            Blind(build.objective(c, self.data)) if b else build.objective(c, self.data)
            for c, b in zip(self.configs, blind, strict=True)
        ]
        self.like = [jax.eval_shape(lambda c=c: build.states(c, self.data)) for c in self.configs]
        self.programs = [self._program(i) for i in range(len(self.configs))]

    @staticmethod
    def _seen(real: np.ndarray) -> np.ndarray:
        return np.asarray(
            prepare({"real": jnp.asarray(real)}, None, flip=False, axis_name=None)["real"]
        )

    def _program(self, phase: int):
        config, objective = self.configs[phase], self.objectives[phase]

        def program(d, g, indices, start, key):
            def batches_at(i, key):
                batches = {"real": jnp.asarray(self.real)[indices[i]]}
                if self.label is not None:
                    batches["label"] = jnp.asarray(self.label)[indices[i]]
                return prepare(batches, key, flip=False, axis_name=None)

            d, g, tally = iterate(
                d, g, batches_at, key, start=start, count=len(indices),
                objective=objective, alternation=config.alternation,
            )  # fmt: skip
            return d, g, jax.tree.map(lambda total: total / len(indices), tally.sums)

        return compilation.jit(program)

    def _states(self, seed: int) -> tuple[TrainState, TrainState]:
        """Initial states, with the functions that the programs were compiled for."""
        config = dataclasses.replace(self.configs[0], seed=seed)
        states = jax.jit(lambda: build.states(config, self.data))()
        return _with_functions(states, self.like[0])

    def play(self, seed: int) -> list[dict[str, Any]]:
        """The signals of one run, check by check."""
        config = self.configs[0]
        every = config.iterations // CHECKS
        d, g = self._states(seed)
        key = jax.random.fold_in(jax.random.key(seed), build.TRAINING)
        order = Order(seed, len(self.real), config.batch_size)
        checks, shares, position, phase = [], None, 0, 0
        for check in range(CHECKS):
            if len(self.configs) > 1 and phase == 0 and check >= self.provocation.onset * CHECKS:
                phase = 1
                d, g = _with_functions((d, g), self.like[1])
            batches = self.configs[phase].alternation.batches
            indices = np.stack([order.batch(position + i) for i in range(every * batches)])
            position += len(indices)
            d, g, metrics = self.programs[phase](
                d, g, indices.reshape(every, batches, -1), np.int32(check * every), key
            )
            measured = signals.measure(
                d, g, self.reference, jax.random.fold_in(key, check),
                objective=build.objective(config, self.data),
            )  # fmt: skip
            values, shares = signals.finish(measured, self.target, shares)
            for player, averages in metrics.items():
                values |= {f"{player}/{name}": float(v) for name, v in averages.items()}
            values = {k: float(f"{v:.4g}") for k, v in values.items()}
            checks.append({"iteration": (check + 1) * every, **values})
        return checks


def _with_functions(states, like):
    """Equal configurations have equal functions, but JAX compiles again for other objects."""
    pairs = zip(states, like, strict=True)
    return tuple(state.replace(tx=x.tx, apply_fn=x.apply_fn) for state, x in pairs)


def _played(directory: Path) -> Iterator[dict[str, Any]]:
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
    """Play provocations, and write their signals.

    Args:
        out: Folder of the results.
        data_dir: Where TFDS datasets are prepared.
        part: Which share of the provocations to play, from 0.
        parts: Of how many.
        only: Those whose state, name or game contains this.
        runs: Seeds of each, instead of its own number.
        unseen: Not the runs that thresholds are chosen on, but as many others.
    """
    keep_compiled()
    out.mkdir(parents=True, exist_ok=True)
    done = {(r["state"], r["name"], r["game"], r["seed"]) for r in _played(out)}
    for i, p in enumerate(PROVOCATIONS):
        if i % parts != part or only not in f"{p.state} {p.name} {p.game}":
            continue
        game = None
        first = UNSEEN if unseen else 0
        for number in range(first, first + (runs or p.runs)):
            # Seeds differ between provocations, so that healthy beginnings do too.
            seed = zlib.crc32(f"{p.state} {p.name} {p.game}".encode()) % 10_000 * 100 + number
            if (p.state, p.name, p.game, seed) in done:
                continue
            game = game or _Game(p, data_dir)
            checks = game.play(seed)
            record = {
                "state": p.state, "name": p.name, "game": p.game, "seed": seed,
                "number": number, "onset": p.onset, "iterations": game.configs[0].iterations,
                "checks": checks,
            }  # fmt: skip
            with (out / f"part{part}.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
            last = checks[-1]
            print(p.state, p.name, p.game, seed, {k: last[k] for k in list(last)[1:9]}, flush=True)


class Verdict(NamedTuple):
    """What was said of one run."""

    state: str
    """What was provoked."""
    game: str
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
    states = [diagnose(checks[: i + 1]).state for i in range(len(checks))]
    failures = [i for i, state in enumerate(states) if state not in GOOD]
    said = failures[0] if failures else len(checks) - 1
    delay = (said + 1) / len(checks) - _onset(record)
    return Verdict(
        record["state"], record["game"], record["number"] >= UNSEEN, states[said], round(delay, 6)
    )


@app.command
def score(runs: Path = RESULTS, misses: bool = False) -> None:
    """Diagnose what was collected, and print how often that is right.

    Args:
        runs: Folder of the results.
        misses: Also name what was said wrongly, of the runs that thresholds were chosen on.
    """
    wanted = {(p.state, p.name, p.game) for p in PROVOCATIONS}
    verdicts = []
    for record in _played(runs):
        if (record["state"], record["name"], record["game"]) in wanted:
            verdicts.append(judge(record))
            if misses and not verdicts[-1].right and not verdicts[-1].unseen:
                print(record["name"], verdicts[-1])
    print("| provoked | runs used to choose | right | unseen runs | right | by game | instead |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for state in STATES:
        mine = [v for v in verdicts if v.state == state]
        seen, unseen = ([v for v in mine if v.unseen == u] for u in (False, True))
        games = ", ".join(
            f"{game} {_share([v for v in unseen if v.game == game])}"
            for game in GAMES
            if any(v.game == game for v in unseen)
        )
        wrong = Counter(v.said if v.said != state else "late" for v in unseen if not v.right)
        instead = ", ".join(f"{n}× {said}" for said, n in wrong.most_common()) or "–"
        print(
            f"| `{state}` | {len(seen)} | {_share(seen)} | {len(unseen)} | **{_share(unseen)}** | "
            f"{games} | {instead} |"
        )


def _share(verdicts: list[Verdict]) -> str:
    return f"{sum(v.right for v in verdicts) / len(verdicts):.0%}" if verdicts else "–"


if __name__ == "__main__":
    app.cli(description=__doc__)
