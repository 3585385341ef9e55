"""Four virtual CPU devices for every test, shapes checked at run time, and nothing of the user's:
neither their environment, nor their caches, nor the folder that the tests are started from.

    GAN_JAX_TEST_PLATFORM=cuda,cpu pytest tests/test_steps.py

runs tests on an accelerator instead, where those that need four devices are skipped on fewer.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
from jaxtyping import install_import_hook

_USERS = (
    "CLICOLOR",
    "COLUMNS",
    "FORCE_COLOR",
    "GAN_JAX_",
    "JAX_",
    "LINES",
    "MPLBACKEND",
    "NO_COLOR",
)
"""What variables begin with that would change what is tested."""
PLATFORM = os.environ.get("GAN_JAX_TEST_PLATFORM", "cpu")
_TFDS_DIR = os.environ.get("TFDS_DATA_DIR")
_HERE = Path.cwd()


def _flags() -> list[str]:
    # Nearly all of the tests' time is compilation, of programs that then run for a moment.
    quick = [
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_llvm_disable_expensive_passes=true",
    ]
    # XLA aborts on flags that it does not know, and names them.
    probe = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"XLA_FLAGS": " ".join(quick)}
    said = subprocess.run(
        probe, env=environment, capture_output=True, text=True, check=False
    ).stderr
    known = [flag for flag in quick if flag not in said]
    return ["--xla_force_host_platform_device_count=4", *known]


if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit what is set here
    for _name in [name for name in os.environ if name.startswith(_USERS)]:
        del os.environ[_name]
    os.environ["JAX_PLATFORMS"] = PLATFORM
    if PLATFORM == "cpu":
        os.environ["XLA_FLAGS"] = " ".join(_flags())
    else:
        os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0"
        # Tolerances are those of float32, and several processes share the device.
        os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


# Annotations, shapes included, are checked on every call.
install_import_hook("gan_jax", "typechecked.typechecked")


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A folder of prepared TFDS datasets, from the environment."""
    if _TFDS_DIR is None or not (_HERE / _TFDS_DIR / "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with prepared datasets (mnist, cifar10)")
    return _HERE / _TFDS_DIR


@pytest.fixture(scope="session", autouse=True)
def apart(tmp_path_factory):
    """Fixtures that outlast a test work in a folder of their own, and keep decoded data there.
    Programs that are started use the same source code as the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TFDS_DATA_DIR", raising=False)
        patch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        patch.chdir(tmp_path_factory.mktemp("apart"))
        yield


@pytest.fixture
def unchecked(monkeypatch):
    """Annotations are not checked: for what a function says of arguments that violate them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Every test begins in a folder of its own, which is empty."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """What the tests before have kept for these data is not found, nor is what this one keeps."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def gan_jax_command(monkeypatch, capsys):
    """Runs `gan-jax` with arguments, in this process; returns its output and its errors."""

    from gan_jax.cli.main import main  # after the hook

    def run(*arguments) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-jax", *map(str, arguments)])
        with contextlib.suppress(SystemExit):  # of bad input
            main()
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run
