"""How time and memory of an iteration grow with batch, resolution, width and devices.

    python -m benchmarks.growth --out benchmarks/results/NAME.json --chart docs/growth.png

Each point runs in a process of its own. Peak memory is what XLA reserves on one device for the
program's arguments, results and intermediate values.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import tyro

from benchmarks.throughput import environment
from benchmarks.worker import to_dict
from benchmarks.workloads import WORKLOADS, Workload

BASE = dataclasses.replace(WORKLOADS["dcgan32"], width=32, iterations=4)
SERIES = {
    "batch": ("batch_size", (16, 32, 64, 128, 256)),
    "resolution": ("resolution", (16, 32, 64, 128)),
    "width": ("width", (8, 16, 32, 64, 128)),
    "devices": (None, (1, 2, 4, 8)),
}
EXPECTED = {
    "batch": "time and memory ∝ batch, above a constant part: parameters, optimiser states",
    "resolution": "time ∝ resolution² · (layers − 1): all layers but the first cost alike, and "
    "there are log₂ resolution − 2; memory ∝ resolution²",
    "width": "time between width (all else) and width² (products), memory between width "
    "(activations) and width² (parameters)",
    "devices": "the global batch stays; on cores that are shared time does not fall, but memory "
    "per device does, towards parameters and optimiser states",
}


def measure(workload: Workload, devices: int, repeats: int) -> dict[str, float]:
    """One point, measured in another process."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    options = ["--repeats", str(repeats), "--point", json.dumps(to_dict(workload))]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", *options],
        env=os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return json.loads(result.stdout.splitlines()[-1])


def point(workload: Workload, repeats: int) -> dict[str, float]:
    """One point, measured here."""
    from benchmarks.jax_side import WorkloadTraining

    training = WorkloadTraining(workload)
    training.run(1)
    n = workload.iterations
    memory = training.memory()
    return {
        "ms": 1e3 * statistics.median(training.run(n) / n for _ in range(repeats)),
        "mib_per_device": memory / 2**20,
    }


def exponent(values: tuple[int, ...], measured: list[float]) -> float:
    """The slope between the last two points in log-log."""
    return float(np.diff(np.log(measured[-2:]))[0] / np.diff(np.log(values[-2:]))[0])


def draw(found: dict[str, dict], path: Path) -> None:
    """Log-log, a panel each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(SERIES), figsize=(13, 3.2), layout="constrained", sharey=True
    )
    for axis, (name, series) in zip(axes, found.items(), strict=True):
        x = series["values"]
        axis.loglog(x, series["ms"], "o-", color="tab:blue", label="ms per iteration")
        axis.loglog(x, series["mib_per_device"], "s--", color="tab:orange", label="MiB per device")
        axis.set_xticks(x, [str(v) for v in x])
        axis.xaxis.minorticks_off()
        axis.set_xlabel(name)
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def table(found: dict[str, dict]) -> str:
    lines = [
        "| | values | ms per iteration | slope | MiB per device | slope | expected |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, s in found.items():
        row = [", ".join(map(str, s["values"]))]
        for kind in ("ms", "mib_per_device"):
            row += [", ".join(f"{v:.4g}" for v in s[kind]), f"{exponent(s['values'], s[kind]):.2f}"]
        lines.append(f"| {name} | {' | '.join(row)} | {EXPECTED[name]} |")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures how the cost of an iteration grows."""

    repeats: int = 3
    """Times that each point is measured."""
    out: Path | None = None
    """Where to write the figures, as JSON."""
    chart: Path | None = None
    """Where to draw them."""
    point: str | None = None
    """Measure only this workload, given as JSON, here; for the processes this starts itself."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if options.point is not None:
        print(json.dumps(point(Workload(**json.loads(options.point)), options.repeats)))
        return
    found: dict[str, dict] = {}
    for name, (field, values) in SERIES.items():
        series = {"values": values, "ms": [], "mib_per_device": []}
        for value in values:
            workload = dataclasses.replace(BASE, **{field: value}) if field else BASE
            measured = measure(workload, 1 if field else value, options.repeats)
            print(name, value, {k: round(v, 1) for k, v in measured.items()}, flush=True)
            for kind, v in measured.items():
                series[kind].append(v)
        found[name] = series
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"environment": environment(), **found}, indent=1)
        options.out.write_text(text + "\n")
    if options.chart is not None:
        draw(found, options.chart)
    print(table(found))


if __name__ == "__main__":
    main()
