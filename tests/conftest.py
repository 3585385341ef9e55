"""Four virtual CPU devices for every test, and shapes checked at run time."""

import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
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
        "gan_jax.checks",
        "gan_jax.evaluation",
        "gan_jax.figures",
        "gan_jax.health",
        "gan_jax.losses",
        "gan_jax.metrics",
        "gan_jax.monitor",
        "gan_jax.networks.layers",
        "gan_jax.regularizers",
        "gan_jax.report",
        "gan_jax.sampling",
        "gan_jax.scorekeeper",
        "gan_jax.steps",
    ],
    "typechecked.typechecked",
)


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A folder of prepared TFDS datasets, from the environment."""
    directory = os.environ.get("TFDS_DATA_DIR")
    if directory is None or not (Path(directory) / "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with prepared datasets (mnist, cifar10)")
    return Path(directory)


@pytest.fixture
def unchecked(monkeypatch):
    """Annotations are not checked: for what a function says of arguments that violate them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory, monkeypatch):
    """Decoded data go to a folder of the test session, not to the user's cache."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
