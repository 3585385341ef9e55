"""What `--balance` changes: the same trainings with as many updates of both networks and with
balanced ones, 10 seeds each.

    python -m evidence.balance

A run that is in the results already is not repeated.
"""

import dataclasses
import json
import tempfile
from pathlib import Path

import tyro

from evidence.provocations import SETTINGS, UNREGULARIZED, both, change, loss, rates
from evidence.record import RESULTS, provenance
from gan_jax.compilation import keep_compiled
from gan_jax.config import Evaluation
from gan_jax.runs import logs
from gan_jax.runs.run import Run
from gan_jax.tasks.generation import Config
from gan_jax.training.train import train

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
UPDATES = {"equal turns": "equal", "balanced": "balanced"}
"""Without `balance`, and with it: what the results and what the table calls them."""


def measure(config: Config) -> dict[str, float]:
    """The scores of one run, and how far its networks were apart in its second half."""
    with tempfile.TemporaryDirectory() as directory:
        result = train(config, out=directory)
        checks = Run.open(directory).health()
        lines = logs.read(Path(directory) / "evaluations.jsonl")
    late = [check["signals"]["auc_held_out"] for check in checks[len(checks) // 2 :]]
    scores = {name: v for line in lines for name, v in line["scores"].items()}
    return scores | {
        "auc": statistics.median(late),
        "d_updates": int(result.d.step),
        "g_updates": int(result.g.step),
    }


def main(out: Path = RESULTS / "balance.json", seeds: int = 10) -> None:
    """
    Args:
        out: The file of results, to be added to.
        seeds: Of each case.
    """
    keep_compiled()
    results = json.loads(out.read_text()) if out.exists() else {"runs": {}}
    for case, change_ in CASES.items():
        for updates in UPDATES:
            for seed in range(seeds):
                key = f"{case} | {updates} | {seed}"
                if key in results["runs"]:
                    continue
                config = dataclasses.replace(
                    change_(SETTINGS["digits"]), seed=seed, balance=updates == "balanced"
                )
                results["runs"][key] = measure(config)
                results["environment"] = provenance("python -m evidence.balance")
                out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print("python docs/make_tables.py puts it into the page on evidence")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
