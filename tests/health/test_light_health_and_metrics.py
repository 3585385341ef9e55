"""Metrics and signals can be imported without what trains, reads data or draws."""

import json
import pkgutil
import subprocess
import sys

import gan_jax.health
import gan_jax.metrics

HEAVY = {
    "PIL", "docstring_parser", "grain", "jinja2", "matplotlib", "orbax", "scipy", "sklearn",
    "tensorboardX", "tensorflow", "tensorflow_datasets", "threadpoolctl", "torch", "tyro",
}  # fmt: skip
APPLICATION = (
    "build", "checkpoint", "config", "data", "evaluation", "logs", "loop", "program", "report",
    "runs",
)  # fmt: skip


def test_every_module_is_light():
    names = [
        module.name
        for package in (gan_jax.metrics, gan_jax.health)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    assert len(names) > 12
    code = (
        "import importlib, json, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert HEAVY.isdisjoint(name.split(".")[0] for name in loaded)
    own = {name.split(".")[1] for name in loaded if name.startswith("gan_jax.")}
    assert own.isdisjoint(APPLICATION)
