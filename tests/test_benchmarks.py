"""That the benchmarks measure what they say."""

import dataclasses
import functools
import importlib.util

import jax
import jax.numpy as jnp
import pytest

from benchmarks import flops, growth, jax_side, throughput
from benchmarks.workloads import WORKLOADS
from gan_jax.networks import layers
from gan_jax.steps import Alternation, alternate


def test_flops_of_products_and_convolutions():
    x, w = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert flops.count(jnp.matmul, x, w) == 2 * 3 * 4 * 5
    assert flops.count(jnp.matmul, x, w[:, 0]) == 0
    assert flops.count(jax.vmap(jnp.matmul), jnp.ones((6, 3, 4)), jnp.ones((6, 4, 5))) == 720
    pictures, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((4, 4, 3, 5))
    assert flops.count(layers._down, pictures, kernel) == 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3)


def test_flops_of_gradients():
    """Each of a convolution's two gradients costs what it costs, also where strides dilate them."""
    pictures, kernel = jnp.ones((2, 8, 8, 6)), jnp.ones((4, 4, 6, 5))
    forward = flops.count(layers._down, pictures, kernel)

    def both(x, k):
        return jax.grad(lambda x, k: jnp.sum(layers._down(x, k) ** 2), (0, 1))(x, k)

    assert flops.count(both, pictures, kernel) == 3 * forward

    def grouped(x, k):
        return layers._convolve(x, k, (1, 1), (1, 1), groups=2)

    kernel = jnp.ones((3, 3, 3, 4))

    def grouped_both(x, k):
        return jax.grad(lambda x, k: jnp.sum(grouped(x, k) ** 2), (0, 1))(x, k)

    assert flops.count(grouped, pictures, kernel) == 2 * (2 * 8 * 8 * 4) * (3 * 3 * 3)
    assert flops.count(grouped_both, pictures, kernel) == 3 * flops.count(grouped, pictures, kernel)


def test_flops_of_loops():
    x = jnp.ones((4, 4))

    def repeated(x):
        return jax.lax.scan(lambda c, _: (c @ x, None), x, length=7)[0]

    assert flops.count(repeated, x) == 7 * 2 * 4**3
    with pytest.raises(ValueError, match="while"):
        flops.count(lambda x, n: jax.lax.fori_loop(0, n, lambda _, c: c @ x, x), x, 3)


def test_unused_results_cost_nothing():
    assert flops.count(lambda x: (x @ x, x)[1], jnp.ones((4, 4))) == 0


def small(name):
    workload = WORKLOADS[name]
    resolution = None if workload.resolution is None else max(8, workload.resolution // 4)
    if workload.network == "resnet":
        resolution = 16
    return dataclasses.replace(
        workload, width=8, batch_size=4, resolution=resolution, examples=8, iterations=2
    )


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_do_the_same_work(name):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (it is an extra of the benchmark only)")
    from benchmarks import torch_side

    workload = small(name)
    theirs = torch_side.Game(workload, compiled=False)
    d, g = jax.eval_shape(functools.partial(jax_side.states, workload))
    sizes = {"d": d, "g": g}
    sizes = {k: sum(x.size for x in jax.tree.leaves(s.params)) for k, s in sizes.items()}
    assert sizes == theirs.parameters()
    assert theirs.flops() == pytest.approx(jax_side.flops_of(workload), rel=0.02)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_train(name):
    workload = small(name)
    d, g = jax.eval_shape(functools.partial(jax_side.states, workload))
    batches = {"real": jnp.zeros((workload.d_steps, workload.batch_size, *workload.shape))}
    step = functools.partial(
        alternate,
        objective=jax_side.objective(workload),
        alternation=Alternation(d_steps=workload.d_steps),
    )
    new_d, new_g, metrics = jax.eval_shape(step, d, g, batches, jax.random.key(0))
    assert jax.tree.structure((new_d, new_g)) == jax.tree.structure((d, g))
    assert metrics["d"]["loss"].shape == ()


def test_table_of_throughput():
    side = {
        "ms": 2.0, "images_per_s": 5.0, "of_matmul": 0.5, "of_convolution": 0.25, "peak_gib": 1.0,
        "compile_s": 1.5, "first_step_s": 3.0,
    }  # fmt: skip
    figures = {"workload": {"name": "mlp"}, "flops": 10**9, "jax": side}
    other = figures | {
        "torch": side | {"ms": 3.0, "variant": "eager"}, "ratio": 1.5, "ratio_of_turns": [1.4, 1.6]
    }  # fmt: skip
    *_, alone, beside = throughput.table([figures, other]).splitlines()
    assert "| mlp | 1 | 2 | 5 | — | — | 0.50 | 0.25 | 1.0 | 1.5 | 3.0 |" in alone
    assert "| 3 (eager) | **1.50** (1.40–1.60) |" in beside


def test_slope_of_growth():
    assert growth.exponent((1, 2, 4), [9.0, 5.0, 20.0]) == pytest.approx(2.0)
