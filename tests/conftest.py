"""Four virtual CPU devices for every test, and shapes checked at run time.

    GAN_JAX_TEST_PLATFORM=cuda,cpu pytest tests/test_steps.py

runs tests on an accelerator instead, where those that need four devices are skipped on fewer.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

PLATFORM = os.environ.get("GAN_JAX_TEST_PLATFORM", "cpu")
os.environ["JAX_PLATFORMS"] = PLATFORM


def _accepted(flag: str) -> bool:
    """Whether this XLA knows a flag: it aborts on unknown ones."""
    probe = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"XLA_FLAGS": flag}
    return subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0


if PLATFORM == "cpu":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    # Nearly all of the tests' time is compilation, of programs that then run for a moment.
    for _flag in ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"):
        if _accepted(_flag):
            os.environ["XLA_FLAGS"] += f" {_flag}"
else:
    os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0"
    # Tolerances are those of float32, and several processes share the device.
    os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


# Annotated shapes are checked on every call of the pure half.
install_import_hook(
    [
        "gan_jax.losses",
        "gan_jax.networks.layers",
        "gan_jax.regularizers",
        "gan_jax.sampling",
        "gan_jax.steps",
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
