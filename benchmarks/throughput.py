"""This project against PyTorch: the same networks and steps, alternately, on the same machine.

    python -m benchmarks.throughput --torch-python PYTHON --out benchmarks/results/NAME.json

Each workload runs in two processes, one for each framework, which are timed alternately; the ratio
is that of the medians, and its range that of the repeats. Before, both have to have as many
parameters and to do as many FLOPs, to 2 %. PyTorch runs eagerly and under `torch.compile`, and the
faster one counts.
"""

import dataclasses
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.worker import Worker, to_dict
from benchmarks.workloads import WORKLOADS, Workload


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures throughput against PyTorch."""

    workloads: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = tuple(WORKLOADS)
    """Which, by name."""
    repeats: int = 5
    """Times that each framework is timed."""
    dtype: str = "float32"
    """What the networks compute in: float32 or bfloat16."""
    torch_python: str = sys.executable
    """The Python that has PyTorch, if it is not this one."""
    alone: bool = False
    """Leave PyTorch out."""
    seconds: float | None = None
    """Length of a repeat. None: so many iterations as the workload says, for CPU cores."""
    compiled: bool = True
    """Try `torch.compile` too."""
    out: Path | None = None
    """Where to write the figures, as JSON."""


def start(options: Options) -> tuple[Worker, Worker | None]:
    """Both sides' processes, which begin to import."""
    return Worker("jax"), None if options.alone else Worker("torch", options.torch_python)


def measure(
    workload: Workload, options: Options, workers: tuple[Worker, Worker | None] | None = None
) -> dict:
    """All figures of one workload."""
    ours, theirs = workers or start(options)
    built = {"jax": ours("build", workload=to_dict(workload), variant="program")}
    flops = ours("flops", variant="program")
    runs = {"jax": functools.partial(ours, "run", variant="program")}
    variants = {}
    if theirs is not None:
        built["torch"], variants = _faster_torch(theirs, workload, options)
        variant = min(variants, key=variants.__getitem__)
        _check_equal(workload, built, flops, theirs("flops", variant=variant))
        runs["torch"] = functools.partial(theirs, "run", variant=variant)
    iterations = {side: _length(run, workload, options.seconds) for side, run in runs.items()}
    times: dict[str, list[float]] = {side: [] for side in runs}
    for _ in range(options.repeats):
        for side, run in runs.items():
            times[side].append(run(iterations=iterations[side]))
    rates = {"jax": ours("rates", dtype=workload.dtype)}
    memory = {"jax": ours("peak_memory", variant="program")}
    versions = {"jax": ours("versions")}
    ours.close()
    if theirs is not None:
        rates["torch"] = theirs("rates", dtype=workload.dtype)
        memory["torch"] = theirs("peak_memory", variant=variant)
        versions["torch"] = theirs("versions")
        theirs.close()

    figures = {"workload": to_dict(workload), "flops": flops, "versions": versions}
    for side, seconds in times.items():
        per_iteration = [s / iterations[side] for s in seconds]
        median = statistics.median(per_iteration)
        figures[side] = {
            "ms": 1e3 * median,
            "ms_of_turns": [1e3 * s for s in per_iteration],
            "images_per_s": workload.images / median,
            "gflops": flops / median / 1e9,
            "of_matmul": flops / median / rates[side]["matmul"],
            "of_convolution": flops / median / rates[side]["convolution"],
            "matmul_gflops": rates[side]["matmul"] / 1e9,
            "convolution_gflops": rates[side]["convolution"] / 1e9,
            "peak_gib": memory[side] / 2**30,
            **built[side],
        }
    if theirs is not None:
        pairs = zip(figures["jax"]["ms_of_turns"], figures["torch"]["ms_of_turns"], strict=True)
        ratios = [b / a for a, b in pairs]
        figures["torch"] |= {"variant": variant, "ms_of_variants": variants}
        figures["ratio"] = figures["torch"]["ms"] / figures["jax"]["ms"]
        figures["ratio_of_turns"] = ratios
    return figures


def _faster_torch(
    theirs: Worker, workload: Workload, options: Options
) -> tuple[dict, dict[str, float]]:
    """What the faster of eager and compiled was built from, and the milliseconds of both."""
    variants = ["eager"]
    if options.compiled and compiles(workload):
        variants.append("compiled")
    built, ms = {}, {}
    for variant in variants:
        built[variant] = theirs("build", workload=to_dict(workload), variant=variant)
        seconds = min(
            theirs("run", variant=variant, iterations=workload.iterations) for _ in range(2)
        )
        ms[variant] = 1e3 * seconds / workload.iterations
    return built[min(ms, key=ms.__getitem__)], ms


def compiles(workload: Workload) -> bool:
    """Whether `torch.compile` can: double backward does not compile, nor does a network whose
    spectral norm advances twice before one backward pass."""
    return workload.penalty is None and workload.network != "resnet"


def _length(run: Callable[..., float], workload: Workload, seconds: float | None) -> int:
    """Iterations of a repeat that takes about so many seconds."""
    iterations = workload.iterations
    while seconds is not None:
        took = run(iterations=iterations)
        if took > seconds / 4:
            return max(1, round(iterations * seconds / took))
        iterations *= 4
    return iterations


def _check_equal(workload: Workload, built: dict, ours: int, theirs: int) -> None:
    """
    Raises:
        RuntimeError: the two do not do the same work.
    """
    if built["jax"]["parameters"] != built["torch"]["parameters"]:
        raise RuntimeError(f"{workload.name}: parameters differ: {built}")
    if abs(ours / theirs - 1) > 0.02:
        raise RuntimeError(f"{workload.name}: {ours:,} FLOPs here, {theirs:,} in PyTorch")


def table(figures: list[dict]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| workload | GFLOP | ms | images/s | PyTorch ms | **ratio** (repeats) | of matmul | "
        "of convolution | GiB | compile s | first step s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures:
        j, t = f["jax"], f.get("torch")
        ratio = pytorch = "—"
        if t:
            low, high = min(f["ratio_of_turns"]), max(f["ratio_of_turns"])
            ratio = f"**{f['ratio']:.2f}** ({low:.2f}–{high:.2f})"
            pytorch = f"{t['ms']:.4g} ({t['variant']})"
        memory = f"{j['peak_gib']:.1f}" + (f" / {t['peak_gib']:.1f}" if t else "")
        first = f"{j['first_step_s']:.1f}" + (f" / {t['first_step_s']:.1f}" if t else "")
        lines.append(
            f"| {f['workload']['name']} | {f['flops'] / 1e9:.4g} | {j['ms']:.4g} | "
            f"{j['images_per_s']:,.0f} | {pytorch} | {ratio} | {j['of_matmul']:.2f} | "
            f"{j['of_convolution']:.2f} | {memory} | {j['compile_s']:.1f} | {first} |"
        )
    return "\n".join(lines)


def environment() -> dict[str, str | int | None]:
    """Where and on what this was measured."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "command": f"python -m benchmarks.{Path(sys.argv[0]).stem}",
        "commit": commit.stdout.strip(),
        "day": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    figures = []
    for name in options.workloads:
        workload = dataclasses.replace(WORKLOADS[name], dtype=options.dtype)
        figures.append(measure(workload, options))
        print(table(figures[-1:]).splitlines()[-1], flush=True)
        if options.out is not None:  # as it comes
            options.out.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"environment": environment(), "workloads": figures}, indent=1)
            options.out.write_text(text + "\n")
    print("\n" + table(figures))


if __name__ == "__main__":
    main()
