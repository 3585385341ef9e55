"""The moving average, by numbers known beforehand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import EMA


@pytest.mark.parametrize("batch", [1, 10, 250])
def test_half_the_weight_after_half_life_images(batch):
    ema = EMA(half_life=1000.0, ramp_up=None)
    average, params = {"w": jnp.ones(2)}, {"w": jnp.zeros(2)}
    images = 10_000
    for _ in range(1000 // batch):
        average = ema.update(average, params, images, batch)
        images += batch
    np.testing.assert_allclose(average["w"], 0.5, rtol=1e-4)


@pytest.mark.parametrize(
    ("seen", "batch", "expected"),
    [
        (0, 8, 0.0),
        (200, 10, 0.5),  # half-life 0.05 · 200 = 10
        (4000, 50, 0.5**0.25),  # 0.05 · 4000 = 200
        (20_000, 500, 0.5**0.5),  # the ramp ends at 1000 = 0.05 · 20,000
        (10**6, 500, 0.5**0.5),
    ],
)
def test_ramp_up(seen, batch, expected):
    ema = EMA(half_life=1000.0, ramp_up=0.05)
    np.testing.assert_allclose(ema.decay(seen, batch), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(ema.decay)(seen, batch), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("ema", "seen"), [(EMA(), 0), (EMA(half_life=0.0), 64), (EMA(half_life=0.0, ramp_up=None), 64)]
)
def test_first_update_and_half_life_zero_copy(ema, seen):
    params = {"w": jnp.array([1.0, -2.0])}
    average = ema.update({"w": jnp.array([1e3, 1e3])}, params, seen, 64)
    np.testing.assert_array_equal(average["w"], params["w"])


def test_moves_from_the_average_towards_the_parameters():
    # β = 0.5^(200/100) = ¼: a quarter of 8 and three quarters of 4.
    ema = EMA(half_life=100.0, ramp_up=None)
    average = ema.update(jnp.array([8.0]), jnp.array([4.0]), 0, 200)
    np.testing.assert_allclose(average, [5.0], rtol=1e-6)


def test_half_life_and_ramp_are_leaves():
    halves = jnp.array([0.0, 10.0, 20.0])
    decays = jax.vmap(lambda h: EMA(half_life=h, ramp_up=None).decay(0, 20))(halves)
    np.testing.assert_allclose(decays, [0.0, 0.25, 0.5], rtol=1e-6)
    ramps = jax.vmap(lambda r: EMA(half_life=1e6, ramp_up=r).decay(100, 10))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(ramps, [0.5, 0.5**0.5], rtol=1e-6)


def test_keeps_each_parameter_s_dtype():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2)}
    average = EMA().update(params, params, 100, 10)
    assert {k: v.dtype for k, v in average.items()} == {"a": jnp.bfloat16, "b": jnp.float32}
