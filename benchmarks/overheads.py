"""What training costs beside its arithmetic: the host, the data, and starting again.

    python -m benchmarks.overheads --out benchmarks/results/NAME.json

Each figure is a ratio of two measurements taken in turns in this run.
"""

import contextlib
import dataclasses
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from PIL import Image

from benchmarks import jax_side
from benchmarks.throughput import environment
from benchmarks.workloads import WORKLOADS
from experiments import digits
from gan_jax import compilation
from gan_jax.config import Config, Data, Network, Objective
from gan_jax.data.feed import prepare
from gan_jax.loop import train
from gan_jax.steps import Alternation, iterate

ROOT = Path(__file__).parents[1]


def in_turns(functions: dict[str, Callable[[], float]], turns: int) -> dict[str, float]:
    """Medians of what each gives, called one after another, `turns` times."""
    values: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            values[name].append(function())
    return {name: statistics.median(v) for name, v in values.items()}


def seconds(function: Callable, *arguments) -> float:
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began


def host(turns: int) -> dict[str, float]:
    """The loop against its program alone, DCGAN at 32 pixels: what dispatch, indices, logging and
    fetching metrics add."""
    calls = 20  # iterations each
    game = jax_side.Game(dataclasses.replace(WORKLOADS["dcgan32"], iterations=calls))
    config = _like_dcgan32(Data(source="digits", resolution=32, channels=3))
    iterations = config.iterations - config.log_every
    found = in_turns(
        {
            "loop": lambda: _trained(config) / iterations,
            "program": lambda: sum(game.run(calls) for _ in range(3)) / iterations,
        },
        turns,
    )
    return found | {"share_of_host": found["loop"] / found["program"] - 1}


def stream(turns: int) -> dict[str, float]:
    """The same run on pictures that stream from PNG files and on resident ones."""
    with tempfile.TemporaryDirectory() as directory:
        rng = np.random.default_rng(0)
        for i in range(1000):
            picture = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(picture).save(Path(directory) / f"{i:04}.png")
        resident = _like_dcgan32(Data(source=f"folder:{directory}", resolution=32))
        streamed = dataclasses.replace(
            resident, data=dataclasses.replace(resident.data, budget_gib=0.0)
        )
        iterations = resident.iterations - resident.log_every
        found = in_turns(
            {
                "streamed": lambda: _trained(streamed) / iterations,
                "resident": lambda: _trained(resident) / iterations,
            },
            turns,
        )
    return found | {"input_wait": 1 - found["resident"] / found["streamed"]}


def _like_dcgan32(data: Data) -> Config:
    return Config(
        iterations=80,
        batch_size=64,
        data=data,
        objective=Objective(loss="non_saturating", latent_dim=64),
        generator=Network(width=64, norm="batch"),
        discriminator=Network(width=64),
        log_every=20,
        sample_every=10**6,
        checkpoint_every=10**6,
    )


def health(turns: int) -> dict[str, float]:
    """Checks and evaluations at their default intervals: `experiments/digits.py` with both, with
    one, and with neither."""
    never = 10**9
    config = dataclasses.replace(
        digits.CONFIG, iterations=4000, log_every=1000, sample_every=never, checkpoint_every=never
    )
    unscored = dataclasses.replace(
        config, evaluation=dataclasses.replace(config.evaluation, every=0)
    )
    neither = dataclasses.replace(unscored, check_every=never)
    found = in_turns(
        {
            # From the second entry on: before it, all is compiled.
            "both": lambda: _trained(config, since=1) / 2000,
            "checks": lambda: _trained(unscored, since=1) / 2000,
            "neither": lambda: _trained(neither, since=1) / 2000,
        },
        turns,
    )
    return found | {
        "share_of_evaluation": (found["both"] - found["checks"]) / found["neither"],
        "share_of_checks": found["checks"] / found["neither"] - 1,
    }


def _trained(config: Config, since: int = 0) -> float:
    """Seconds from the first log entry, or a later one, to the last."""
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.redirect_stdout(io.StringIO()):
            train(config, out=Path(directory) / "run")
        lines = (Path(directory) / "run" / "metrics.jsonl").read_text().splitlines()
    first, last = json.loads(lines[since]), json.loads(lines[-1])
    return last["seconds"] - first["seconds"]


def resident(turns: int) -> dict[str, float]:
    """Gathering, normalising and mirroring a batch on the device, against an iteration with it."""
    game = jax_side.Game(WORKLOADS["dcgan32"])
    count = 100

    def only_data(data, rows, key):
        def body(i, total):
            batch = game.feed.select(data, rows[i % len(rows)])
            batch = prepare(batch, jax.random.fold_in(key, i), flip=True, axis_name=None)
            pictures = jax.lax.optimization_barrier(batch["real"])  # all of them are wanted
            return total + pictures[0, 0, 0, 0, 0]

        return jax.lax.fori_loop(0, count, body, 0.0)

    rows = jnp.asarray(game.feed.rows(0, game.w.iterations)[0])
    data = {"real": jnp.asarray(game.feed.resident["real"])}
    alone = compilation.jit(only_data)
    alone(data, rows, jax.random.key(0))
    found = in_turns(
        {
            "data": lambda: seconds(alone, data, rows, jax.random.key(0)) / count,
            "iteration": lambda: game.run(10) / 10,
        },
        turns,
    )
    return found | {"share_of_data": found["data"] / found["iteration"]}


def seeds(turns: int, n: int = 16) -> dict[str, float]:
    """`n` seeds of the MLP at once, by vmap, against one after another."""
    w, iterations = WORKLOADS["mlp"], 100
    objective = jax_side.objective(w)

    def one(seed):
        key = jax.random.key(seed)
        batches = {"real": jax.random.normal(key, (1, w.batch_size, 2))}

        _, g, _ = iterate(
            *jax_side.states(w, seed),
            lambda i, key: batches,
            key,
            count=iterations,
            objective=objective,
            alternation=Alternation(),
        )
        return optax.tree.norm(g.params)

    all_seeds = jnp.arange(n)
    together, single = (compilation.jit(f) for f in (jax.vmap(one), one))
    together(all_seeds), single(all_seeds[0])
    found = in_turns(
        {
            "together": lambda: seconds(together, all_seeds),
            "in_a_row": lambda: sum(seconds(single, seed) for seed in all_seeds),
        },
        turns,
    )
    return found | {"speed_up": found["in_a_row"] / found["together"]}


def start(turns: int) -> dict[str, float]:
    """`digits.py` from launch to its first iteration: with nothing compiled before, and again."""

    def launch(cache: str) -> float:
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, ROOT / "experiments" / "digits.py", "--out", f"{out}/run"]
            flags = ["--iterations", "2", "--log-every", "1"]
            began = time.perf_counter()
            with subprocess.Popen(
                [*command, *flags],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | {"GAN_JAX_CACHE": cache},
            ) as process:
                for line in process.stdout:
                    if line.startswith("iteration"):
                        break
                passed = time.perf_counter() - began
                process.communicate()
        return passed

    def first() -> float:
        with tempfile.TemporaryDirectory() as cache:
            return launch(cache)

    with tempfile.TemporaryDirectory() as cache:
        launch(cache)
        return in_turns({"first_s": first, "second_s": lambda: launch(cache)}, turns)


MEASUREMENTS = {
    "host": host, "stream": stream, "resident": resident, "seeds": seeds, "start": start,
    "health": health,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures what training costs beside its arithmetic."""

    only: tuple[str, ...] = tuple(MEASUREMENTS)
    """Which measurements."""
    turns: int = 3
    """Of each thing measured."""
    out: Path | None = None
    """Where to write the figures, as JSON."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    figures = {}
    for name in options.only:
        figures[name] = MEASUREMENTS[name](options.turns)
        print(name, {k: round(v, 5) for k, v in figures[name].items()}, flush=True)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            found = {"environment": environment() | jax_side.versions(), **figures}
            options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
