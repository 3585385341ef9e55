"""How programs are compiled, and that what is compiled is kept."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EXPERIMENTS

from gan_jax import compilation


def function(x):
    return jnp.sum(jnp.tanh(x @ x), axis=0)


def test_options_change_nothing_but_the_speed():
    x = jax.random.normal(jax.random.key(0), (32, 32))
    fast = compilation.CompiledFast(jax.jit(function))
    np.testing.assert_allclose(fast(x), jax.jit(function)(x), rtol=1e-5, atol=1e-5)


def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", {"xla_cpu_make_it_fast": True})
    lowered = jax.jit(function).lower(jnp.ones((4, 4)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="option"):
        lowered.compile(compiler_options=compilation._CPU_OPTIONS)
    assert compilation.compile_fast(lowered)(jnp.ones((4, 4))).shape == (4,)


def test_nothing_is_kept_on_several_cpu_devices(tmp_path):
    assert jax.device_count() > 1
    compilation.keep_compiled(tmp_path)
    assert jax.config.jax_compilation_cache_dir is None


def test_what_is_compiled_is_kept_for_the_next_process(tmp_path):
    """One device, in processes of their own. The second finds all it needs and gives the same."""
    flags = [
        "--data.source",
        "ring",
        "--iterations",
        "2",
        "--log-every",
        "1",
        "--batch-size",
        "4",
        "--sample-every",
        "9",
    ]
    small = [f"--{n}.{f}" for n in ("generator", "discriminator") for f in ("width=2", "depth=1")]
    entries, numbers = [], []
    for run in ("first", "second"):
        subprocess.run(
            [sys.executable, EXPERIMENTS / "gaussians.py", *flags, *small, "--out", tmp_path / run],
            check=True,
            capture_output=True,
            env=os.environ | {"XLA_FLAGS": "", "GAN_JAX_CACHE": str(tmp_path)},
        )
        # What takes about as long as the least that is kept may be kept now or then.
        entries.append({p.name for p in (tmp_path / "compiled").glob("jit__fun-*-cache")})
        lines = (tmp_path / run / "metrics.jsonl").read_text().splitlines()
        times = {"seconds", "images_per_second", "time"}
        numbers.append([{k: v for k, v in json.loads(n).items() if k not in times} for n in lines])
    assert entries[0]
    assert entries[0] == entries[1]
    assert numbers[0] == numbers[1]
