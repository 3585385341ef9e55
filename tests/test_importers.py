"""Importers pay for nothing they do not use, and find what the contract says."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "PIL", "grain", "matplotlib", "orbax", "sklearn", "tensorboardX", "tensorflow",
    "tensorflow_datasets", "tyro",
}  # fmt: skip

STEPS = """
import gan_jax, jax, optax
from gan_jax import losses, networks, regularizers

batch = {"real": jax.numpy.zeros((4, 2))}
objective = gan_jax.Adversarial(loss=losses.non_saturating, regularizers=(regularizers.R1(gamma=1.0),), latent_dim=64)
d, g = gan_jax.create_train_states(
    jax.random.key(0), generator=networks.mlp.Generator(width=4), discriminator=networks.mlp.Discriminator(width=4),
    objective=objective, batch=batch, d_tx=optax.adam(2e-4, b1=0.5), g_tx=optax.adam(2e-4, b1=0.5))
d, d_metrics = gan_jax.d_step(d, g, batch, jax.random.key(1), objective=objective)
g, g_metrics = gan_jax.g_step(g, d, batch, jax.random.key(1), objective=objective)
assert g.ema_params is not None and d.ema_params is None
"""  # noqa: E501

CORE = (
    "losses", "regularizers", "schedules", "ema", "transforms", "critic", "paths", "state", "steps",
    "parallel", "sampling", "compilation", "sections", "discovery", "errors", "objectives",
    "networks", "augment",
)  # fmt: skip
"""Modules and packages; of a package, all its modules."""

EACH = f"""
import importlib, pkgutil, sys
heavy = {HEAVY!r}
for name in {CORE!r}:
    module = importlib.import_module("gan_jax." + name)
    names = [module.__name__]
    for package in getattr(module, "__path__", []):
        names += [f"{{module.__name__}}.{{m.name}}" for m in pkgutil.iter_modules([package])]
    for name in names:
        importlib.import_module(name)
        found = sorted(heavy & {{m.split(".")[0] for m in sys.modules}})
        assert not found, f"{{name}} imports {{found}}"
"""

REPORT = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"


@pytest.mark.parametrize(
    "code", ["import gan_jax", STEPS, EACH], ids=["import", "steps", "each core module"]
)
def test_heavy_packages_stay_out(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert HEAVY.isdisjoint(json.loads(done.stdout))


def test_train_is_there_on_first_use():
    import gan_jax

    assert callable(gan_jax.train)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        gan_jax.nothing_like_it  # noqa: B018
    assert set(gan_jax.__all__) <= set(dir(gan_jax)) | {"train"}
