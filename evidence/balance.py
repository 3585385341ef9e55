"""What `--balance` changes: the same games with equal turns and with balanced ones, 10 seeds each.

    python -m benchmarks.balance --out benchmarks/results/NAME.json

A run that is in the results already is not repeated.
"""

import dataclasses
import json
import statistics
import tempfile
from pathlib import Path

import tyro

from benchmarks.provocations import GAMES, UNREGULARIZED, both, change, loss, rates
from benchmarks.throughput import environment
from gan_jax.compilation import keep_compiled
from gan_jax.config import Config, Evaluation
from gan_jax.loop import train
from gan_jax.runs import Run

ITERATIONS = 2000
_COMMON = change(
    iterations=ITERATIONS,
    check_every=40,
    log_every=ITERATIONS,
    sample_every=ITERATIONS,
    checkpoint_every=ITERATIONS,
    evaluation=Evaluation(every=ITERATIONS, metrics=("fid", "density_coverage")),
)
_FREE = both(UNREGULARIZED, loss("non_saturating"))
CASES = {
    "players that keep pace": _COMMON,
    "critic ahead: rates 10:1, no penalty": both(_COMMON, _FREE, rates(d=2.0, g=0.2)),
    "critic behind: rates 1:20, no penalty": both(_COMMON, _FREE, rates(d=0.05)),
}


def play(config: Config) -> dict[str, float]:
    """The scores of one run, and how far its players were apart in its second half."""
    with tempfile.TemporaryDirectory() as directory:
        result = train(config, out=directory)
        checks = Run.open(directory).health()
        lines = (Path(directory) / "evaluations.jsonl").read_text().splitlines()
    late = [check["signals"]["auc_held_out"] for check in checks[len(checks) // 2 :]]
    scores = {name: v for line in lines for name, v in json.loads(line)["scores"].items()}
    return scores | {
        "auc": statistics.median(late),
        "d_updates": int(result.d.step),
        "g_updates": int(result.g.step),
    }


def main(out: Path, seeds: int = 10) -> None:
    """
    Args:
        out: The file of results, to be added to.
        seeds: Of each case.
    """
    keep_compiled()
    results = json.loads(out.read_text()) if out.exists() else {"runs": {}}
    results["environment"] = environment()
    for case, change_ in CASES.items():
        for balance in (False, True):
            for seed in range(seeds):
                key = f"{case} | {'balanced' if balance else 'equal turns'} | {seed}"
                if key not in results["runs"]:
                    config = change_(GAMES["digits"])
                    results["runs"][key] = play(
                        dataclasses.replace(config, seed=seed, balance=balance)
                    )
                    out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print("| digits, 2,000 iterations | turns | FID | coverage | AUC | updates D : G |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        for turns in ("equal turns", "balanced"):
            runs = [r for key, r in results["runs"].items() if key.startswith(f"{case} | {turns}")]

            def spread(name, runs=runs):
                values = [run[name] for run in runs]
                return f"{statistics.mean(values):.3g} ± {statistics.stdev(values):.2g}"

            d, g = (statistics.mean(r[f"{p}_updates"] for r in runs) for p in "dg")
            print(
                f"| {case} | {turns} | {spread('FID')} | {spread('coverage')} | {spread('auc')} | "
                f"{d:.0f} : {g:.0f} |"
            )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
