"""What is trained is what the first versions of this library trained, bit for bit.

`hashes.json` holds the fingerprints of the states after 30 iterations of every recipe, as recorded
by `record.py` with the code of commit c55bdc7; `cases` and `runs` hold configurations and runs as
that code wrote them, so they are migrated here too. Fingerprints hold for the versions and the kind
of processor that they were recorded with; elsewhere these tests skip, and say so.

The averages of batch statistics, which came later, are left out: nothing that is trained depends on
them (`test_averages.py`), but a program that has them too may be rounded otherwise, and by jax
0.10.2 it is.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from fingerprints import environment, fingerprints
from pictures import write_pictures

import gan_jax
from gan_jax import report, state
from gan_jax.config import Config, from_json, to_json
from gan_jax.runs import Run

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "hashes.json").read_text()).get(environment(), {})
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.json"))
RUNS = sorted(path.name for path in (HERE / "runs").iterdir())
QUICK = {
    "1": ("gaussians", "streamed"),
    "4": ("digits", "balance"),
}
"""By number of devices, cases that together go through most of the code; the others are slow."""

_TRAIN = """
import dataclasses, json, sys
from pathlib import Path
import gan_jax
from gan_jax import state
from gan_jax.config import Config, from_json
from fingerprints import fingerprints
state.STATISTICS = ()
for case in map(Path, sys.argv[1:]):
    config = from_json(Config, case.read_text())
    if not config.balance:  # then checks are no part of training
        config = dataclasses.replace(config, check_every=1000)
    d, g, _ = gan_jax.train(config, out=case.stem)
    print("found", json.dumps([case.stem, fingerprints(d, g)]), flush=True)
"""


def train(names, devices: str, folder: Path) -> dict[str, dict]:
    """The fingerprints of cases on so many devices, by a process of its own, since JAX has as many
    as it was started with."""
    write_pictures(folder)
    kept = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    flags = [*kept, f"--xla_force_host_platform_device_count={devices}"]
    paths = [str(HERE), str(HERE.parents[1])]
    result = subprocess.run(
        [sys.executable, "-c", _TRAIN, *(str(HERE / "cases" / f"{name}.json") for name in names)],
        env=os.environ | {"XLA_FLAGS": " ".join(flags), "PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    lines = [line for line in result.stdout.splitlines() if line.startswith("found ")]
    return dict(json.loads(line.removeprefix("found ")) for line in lines)


def differing(names, devices: str, folder: Path) -> list[str]:
    """Which of these cases are not what was recorded."""
    recorded = {
        name: RECORDED[name][devices] for name in names if devices in RECORDED.get(name, {})
    }
    if not recorded:
        pytest.skip(f"nothing was recorded for {environment()}")
    found = train(recorded, devices, folder)
    return [name for name in recorded if found[name] != recorded[name]]


@pytest.mark.parametrize("devices", ["1", "4"])
def test_recipes_train_as_they_did(devices, tmp_path):
    assert differing(QUICK[devices], devices, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["1", "4"])
def test_every_recipe_trains_as_it_did(devices, tmp_path):
    assert differing(CASES, devices, tmp_path) == []


@pytest.mark.parametrize("name", CASES)
def test_old_configurations_are_migrated_without_a_loss(name):
    """What is written today is what was meant then: nothing that was set is gone."""
    text = (HERE / "cases" / f"{name}.json").read_text()
    config = from_json(Config, text)
    config.validate()
    assert from_json(Config, to_json(config)) == config
    old, new = json.loads(text), json.loads(to_json(config))
    for section in ("data", "alternation", "average", "annealing", "d_optimizer", "g_optimizer"):
        assert {name: new[section][name] for name in old[section]} == old[section]
    weights = {name: old["objective"].get(name) for name in ("r1", "r2", "lecam", "bcr", "dragan")}
    assert {k: v for k, v in weights.items() if v} == {
        k: v for k, v in new["objective"]["penalties"].items() if k in weights
    }


@pytest.fixture(
    params=[pytest.param(r, marks=[] if r == "digits" else [pytest.mark.slow]) for r in RUNS]
)
def old_run(request, tmp_path) -> Path:
    """A run that the old code began and was interrupted in."""
    return Path(shutil.copytree(HERE / "runs" / request.param, tmp_path / request.param))


def test_an_old_run_opens_samples_reports_and_resumes(old_run, monkeypatch):
    jax.clear_caches()  # of states with averages
    monkeypatch.setattr(state, "STATISTICS", ())
    run = Run.open(old_run)
    assert run.kept() == [15]
    assert run.sample(4).shape == (4, *run.data.shape)
    best = run.best()
    assert best is None if run.config.evaluation.every == 0 else best.iteration == 10
    report.write([run], old_run / "report.html")
    assert "data:image/png" in (old_run / "report.html").read_text()
    d, g, _ = gan_jax.train(run.config, out=old_run)
    assert d.step == 30
    assert json.loads((old_run / "config.json").read_text())["version"] == 2
    recorded = RECORDED.get(f"interrupted-{old_run.name}", {}).get("4")
    if recorded is None:
        pytest.skip(f"it does; what it reaches was not recorded for {environment()}")
    assert fingerprints(d, g) == recorded
