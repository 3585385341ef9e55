"""What XLA's default options cost on this machine: `jax.jit` beside `gan_jax.jit`.

    python -m benchmarks.options --out benchmarks/results/NAME.json

An iteration of each workload, on a batch that is at hand, compiled by both in one process and timed
by turns. The ratio is that of the medians, and its range that of the turns.
"""

import dataclasses
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from benchmarks import jax_side
from benchmarks.throughput import environment
from benchmarks.workloads import WORKLOADS, Workload
from gan_jax.compilation import best_options, jit
from gan_jax.steps import alternate
from gan_jax.tasks.base import initial_states


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures what XLA's default options cost."""

    workloads: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = (
        "mlp", "dcgan32", "sngan32", "r3gan16",
    )  # fmt: skip
    """Which, by name."""
    batch_size: int = 64
    """At most."""
    turns: int = 5
    """Times that each is timed."""
    seconds: float = 1.0
    """Of a turn, at least."""
    out: Path | None = None
    """Where to write the figures, as JSON."""


def measure(workload: Workload, options: Options) -> dict[str, Any]:
    """Milliseconds of an iteration by both, turn by turn."""
    size = min(workload.batch_size, options.batch_size)
    workload = dataclasses.replace(workload, batch_size=size)
    task = jax_side.task_of(workload)
    d, g = initial_states(task)
    batches = jax.tree.map(
        lambda s: jax.random.uniform(jax.random.key(0), s.shape, s.dtype, -1, 1),
        jax_side.batches_of(workload),
    )
    iteration = functools.partial(
        alternate.__wrapped__, objective=task.objective, alternation=task.config.alternation
    )
    runs = {"jax": jax.jit(iteration), "gan_jax": jit(iteration)}
    arguments = d, g, batches, jax.random.key(1)
    for run in runs.values():
        jax.block_until_ready(run(*arguments))
    ms: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.turns):
        for name, run in runs.items():
            ms[name].append(_timed(run, arguments, options.seconds))
    ratios = [a / b for a, b in zip(ms["jax"], ms["gan_jax"], strict=True)]
    ratio = statistics.median(ms["jax"]) / statistics.median(ms["gan_jax"])
    return {"batch_size": size, "ms": ms, "ratio": ratio, "ratio_of_turns": ratios}


def _timed(run: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> float:
    """Milliseconds of a call."""
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        jax.block_until_ready(run(*arguments))
        calls += 1
    return 1e3 * (time.perf_counter() - began) / calls


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    found: dict[str, Any] = {}
    for name in options.workloads:
        found[name] = measure(WORKLOADS[name], options)
        low, high = min(found[name]["ratio_of_turns"]), max(found[name]["ratio_of_turns"])
        print(f"{name}: {found[name]['ratio']:.2f} ({low:.2f}–{high:.2f})", flush=True)
        if options.out is not None:  # as it comes
            content = {
                "environment": environment() | jax_side.versions(),
                "options": best_options(),
                "workloads": found,
            }
            options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
