"""What is trained is what the first versions of this library trained, bit for bit.

`hashes.json` holds the digests of the states after 30 iterations of every recipe, as recorded by
`record.py` with the code of commit c55bdc7; `cases` holds the configurations as that code wrote
them, so they are migrated here too. Digests hold for the versions and the kind of processor that
they were recorded with; elsewhere the test skips, and says so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.fingerprints import environment

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "hashes.json").read_text()).get(environment(), {})
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.json"))

_TRAIN = """
import json, sys, tempfile
from pathlib import Path
import gan_jax
from gan_jax.config import Config, from_json
from tests.golden.fingerprints import fingerprints
for case in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as out:
        config = from_json(Config, Path(case).read_text())
        d, g, _ = gan_jax.train(config, out=out)
    print("found", json.dumps([Path(case).stem, fingerprints(d, g)]), flush=True)
"""


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """The fingerprints of all cases that were recorded for so many devices, in a process of its
    own, since JAX has as many as it was started with."""

    def train(devices: int) -> dict[str, dict]:
        names = [name for name in CASES if str(devices) in RECORDED.get(name, {})]
        flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
        flags.append(f"--xla_force_host_platform_device_count={devices}")
        result = subprocess.run(
            [sys.executable, "-c", _TRAIN, *(str(HERE / "cases" / f"{n}.json") for n in names)],
            env=os.environ | {"XLA_FLAGS": " ".join(flags), "PYTHONPATH": str(HERE.parents[1])},
            cwd=tmp_path_factory.mktemp("golden"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-2000:]
        lines = [line for line in result.stdout.splitlines() if line.startswith("found ")]
        return dict(json.loads(line.removeprefix("found ")) for line in lines)

    return train


@pytest.mark.parametrize("devices", [1, 4])
def test_every_recipe_trains_as_it_did(trained, devices):
    recorded = {name: found[str(devices)] for name, found in RECORDED.items() if name in CASES}
    if not recorded:
        pytest.skip(f"nothing was recorded for {environment()}")
    found = trained(devices)
    differing = [name for name in recorded if found[name] != recorded[name]]
    assert differing == []
