"""Four virtual CPU devices for every test, and shapes checked at run time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"


def _accepted(flag: str) -> bool:
    """Whether this XLA knows a flag: it aborts on unknown ones."""
    probe = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"XLA_FLAGS": flag}
    return subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0


# Nearly all of the tests' time is compilation, of programs that then run for a moment.
for _flag in ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"):
    if _accepted(_flag):
        os.environ["XLA_FLAGS"] += f" {_flag}"


# Annotated shapes are checked on every call of the pure half.
install_import_hook(
    [
        "gan_jax.augment",
        "gan_jax.compilation",
        "gan_jax.critic",
        "gan_jax.ema",
        "gan_jax.losses",
        "gan_jax.networks.layers",
        "gan_jax.objectives",
        "gan_jax.parallel",
        "gan_jax.regularizers",
        "gan_jax.sampling",
        "gan_jax.schedules",
        "gan_jax.state",
        "gan_jax.steps",
        "gan_jax.transfer",
        "gan_jax.transforms",
    ],
    "beartype.beartype",
)


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A folder of prepared TFDS datasets, from the environment."""
    directory = os.environ.get("TFDS_DATA_DIR")
    if directory is None or not (Path(directory) / "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with prepared datasets (mnist, cifar10)")
    return Path(directory)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory, monkeypatch):
    """Decoded data go to a folder of the test session, not to the user's cache."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
