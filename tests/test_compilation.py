"""How programs are compiled, and that what is compiled is kept."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import largest_difference, make_objective, mlps, points

import gan_jax
from gan_jax import compilation


@pytest.fixture(autouse=True)
def _options_anew():
    """Whether XLA knows the options is asked once a process."""
    asked = compilation.best_options
    asked.cache_clear()
    yield
    asked.cache_clear()


def function(x):
    return jnp.sum(jnp.tanh(x @ x), axis=0)


@pytest.mark.parametrize(
    "compiled", [compilation.jit, lambda f: compilation.CompiledFast(jax.jit(f))]
)
def test_options_change_nothing_but_the_speed(compiled):
    x = jax.random.normal(jax.random.key(0), (32, 32))
    np.testing.assert_allclose(compiled(function)(x), jax.jit(function)(x), rtol=1e-5, atol=1e-5)


def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", {"xla_cpu_make_it_fast": True})
    lowered = jax.jit(function).lower(jnp.ones((4, 4)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="option"):
        lowered.compile(compiler_options=compilation._CPU_OPTIONS)
    assert compilation.best_options() is None
    assert compilation.jit(function)(jnp.ones((4, 4))).shape == (4,)
    assert compilation.CompiledFast(jax.jit(function))(jnp.ones((4, 4))).shape == (4,)


def test_the_options_reach_the_compiler(monkeypatch):
    """Options that no compiler knows are refused, unless another program goes around it."""
    monkeypatch.setattr(compilation, "best_options", lambda: {"xla_cpu_make_it_fast": True})
    refused = compilation.jit(function)
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_make_it_fast"):
        refused(jnp.ones((4, 4)))
    jax.block_until_ready(jax.jit(refused)(jnp.ones((4, 4))))


def test_shapes_and_static_arguments_may_vary():
    traced = []

    @functools.partial(compilation.jit, static_argnames="power")
    def scaled(x, *, power, scale=1.0):
        traced.append((x.shape, power))
        return scale * x**power

    for n in (2, 3, 2):
        for power in (1, 2):
            x = jnp.arange(1.0, n + 1)
            np.testing.assert_allclose(scaled(x, power=power, scale=2.0), 2 * x**power)
    assert len(traced) == 4
    assert scaled.__name__ == "scaled"


def test_donated_arguments_are_gone():
    x, y = jnp.ones(4), jnp.ones(4)
    compilation.jit(jnp.add, donate_argnums=0)(x, y)
    assert x.is_deleted()
    assert not y.is_deleted()


def test_it_can_be_part_of_any_transformation():
    inner = compilation.jit(lambda x: jnp.sin(x) ** 2)
    x = jnp.arange(3.0)
    np.testing.assert_allclose(jax.jit(inner)(x), np.sin(x) ** 2, rtol=1e-6)
    np.testing.assert_allclose(compilation.jit(lambda x: 2 * inner(x))(x), 2 * np.sin(x) ** 2,
                               rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(jax.vmap(inner)(x), np.sin(x) ** 2, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(inner)(0.5), np.sin(1.0), rtol=1e-6)
    # Nothing of what it is called with says that it is inside another program.
    np.testing.assert_allclose(jax.jit(lambda x: x + inner(0.5))(x), x + np.sin(0.5) ** 2,
                               rtol=1e-6)  # fmt: skip
    assert inner(0.5) == jax.jit(lambda x: jnp.sin(x) ** 2)(0.5)


def test_a_step_can_be_jitted_again():
    objective = make_objective()
    d, g = mlps(objective)
    step = compilation.jit(functools.partial(gan_jax.d_step, objective=objective))
    ours, _ = step(d, g, points(), jax.random.key(0))
    theirs, _ = gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)
    assert largest_difference(ours.opt_state[0].mu, theirs.opt_state[0].mu) < 1e-6


def test_nothing_is_kept_on_several_cpu_devices(tmp_path):
    assert jax.device_count() > 1
    compilation.keep_compiled(tmp_path)
    assert jax.config.jax_compilation_cache_dir is None


STEP = """
import sys, jax, optax, gan_jax
from gan_jax import compilation, losses, networks
compilation.keep_compiled()
objective, batch = gan_jax.Adversarial(loss=losses.hinge, latent_dim=2), {"real": jax.numpy.ones((4, 2))}
d, g = gan_jax.create_train_states(
    jax.random.key(0), generator=networks.mlp.Generator(width=4), discriminator=networks.mlp.Discriminator(width=4),
    objective=objective, batch=batch, d_tx=optax.adam(2e-4), g_tx=optax.adam(2e-4))
d, _ = compilation.jit(gan_jax.d_step)(d, g, batch, jax.random.key(1), objective=objective)
print([x.tolist() for x in jax.tree.leaves(d.params)])
"""  # noqa: E501


def test_what_is_compiled_is_kept_for_the_next_process(tmp_path):
    """On one device. The second process finds the step, which takes longest, and gives the same."""
    one = os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=1")
    environment = os.environ | {"XLA_FLAGS": one, "GAN_JAX_CACHE": str(tmp_path)}
    entries, outputs = [], []
    for _ in range(2):
        command = [sys.executable, "-c", STEP]
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        entries.append({p.name for p in (tmp_path / "compiled").glob("jit_d_step-*-cache")})
        outputs.append(done.stdout)
    assert len(entries[0]) == 1
    assert entries[0] == entries[1]
    assert outputs[0] == outputs[1]
