"""Schedules at known points, inside objectives, and as learning rates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import LATENT_DIM, make_objective, mlps, points

import gan_jax
from gan_jax import schedules
from gan_jax.config import Annealing, Optimizer
from gan_jax.ema import EMA
from gan_jax.regularizers import R1
from gan_jax.schedules import Schedule
from gan_jax.steps import Alternation
from gan_jax.tasks.generation import Config, Objective

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("shape", "seen", "expected"),
    [
        ("cosine", 0, 2.0),
        ("cosine", 250, 2.0 - 1.5 * (1 - np.sqrt(0.5)) / 2),  # cos(π/4) = √½
        ("cosine", 500, 1.25),
        ("cosine", 1000, 0.5),
        ("cosine", 5000, 0.5),
        ("linear", 250, 1.625),
        ("linear", 1000, 0.5),
    ],
)
def test_known_points(shape, seen, expected):
    schedule = Schedule(2.0, 0.5, 1000, shape)
    np.testing.assert_allclose(schedule(seen), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.float32(seen)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "seen", "expected"),
    [
        ("linear", 0, 2.0),
        ("linear", 400, 2.0),
        ("linear", 500, 1.625),  # 100 of 400 images
        ("linear", 800, 0.5),
        ("linear", 9000, 0.5),
        ("cosine", 399, 2.0),
        ("cosine", 600, 1.25),
        ("cosine", 800, 0.5),
    ],
)
def test_nothing_changes_for_the_first_images(shape, seen, expected):
    schedule = Schedule(2.0, 0.5, 400, shape, after=400)
    np.testing.assert_allclose(schedule(seen), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.float32(seen)), expected, rtol=1e-6)


def test_a_cosine_is_right_to_float32():
    images = np.unique(np.logspace(0, 8, 5000).round())
    expected = np.sin(np.pi * np.float64(np.float32(images)) / 1e8 / 2) ** 2
    found = np.asarray(Schedule(0.0, 1.0, 1e8)(jnp.asarray(images)), np.float64)
    np.testing.assert_allclose(found, expected, atol=2e-7)


def test_the_wait_is_a_leaf():
    waits = jax.vmap(lambda after: Schedule(0.0, 1.0, 10, "linear", after)(12))(jnp.arange(3) * 5.0)
    np.testing.assert_allclose(waits, [1.0, 0.7, 0.2], rtol=1e-6)


def test_ends_are_leaves():
    ends = jax.vmap(lambda end: Schedule(0.0, end, 10)(10))(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(ends, [1.0, 3.0])


def test_an_objective_at_a_moment():
    objective = make_objective(
        regularizers=(R1(Schedule(1.0, 0.1, 100)),), ema=EMA(Schedule(0.0, 50.0, 100, "linear"))
    )
    then = schedules.resolve(objective, 50)
    np.testing.assert_allclose(then.regularizers[0].gamma, 0.55, rtol=1e-6)
    np.testing.assert_allclose(then.ema.half_life, 25.0)
    assert then.latent_dim == LATENT_DIM


def test_steps_follow_the_images_that_their_network_has_seen():
    """A penalty's weight after three updates on 8 images is the schedule's at 24."""
    scheduled = make_objective(regularizers=(R1(Schedule(1.0, 0.0, 48, "linear")),))
    d, g = mlps(scheduled)
    d = d.replace(step=jnp.int32(3))
    _, metrics = gan_jax.d_step(d, g, points(), KEY, objective=scheduled)
    _, half = gan_jax.d_step(d, g, points(), KEY, objective=make_objective(regularizers=(R1(0.5),)))
    np.testing.assert_allclose(metrics["penalty"], half["penalty"], rtol=1e-6)


def test_the_averages_half_life_follows_the_generators_images():
    objective = make_objective(ema=EMA(Schedule(0.0, 32.0, 32, "linear"), ramp_up=None))
    d, g = mlps(objective)
    g = g.replace(step=jnp.int32(2))  # 16 images: a half-life of 16, and 8 more
    new, _ = gan_jax.g_step(g, d, points(), KEY, objective=objective)
    expected = jax.tree.map(lambda old, now: now + 0.5**0.5 * (old - now), g.ema_params, new.params)
    for ours, theirs in zip(
        jax.tree.leaves(new.ema_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def optimizers(config, traced: bool = False):
    """Of the discriminator and of the generator."""
    sections = (config.d_optimizer, config.g_optimizer)
    return [
        section.build(config.annealing, images=images, every=every, traced=traced)
        for section, images, every in zip(
            sections, config.images_per_update, config.penalties_every, strict=True
        )
    ]


def steps(tx, n: int) -> np.ndarray:
    """How far one parameter goes in each of `n` updates with gradient 1."""
    params = {"w": jnp.zeros(())}
    state, sizes = tx.init(params), []
    for _ in range(n):
        updates, state = tx.update({"w": jnp.ones(())}, state, params)
        sizes.append(-float(updates["w"]))
    return np.array(sizes)


def test_learning_rates_fall_over_images():
    config = Config(
        batch_size=10,
        d_optimizer=Optimizer("sgd", 0.5, {}),
        annealing=Annealing(images=40, shape="linear", learning_rate=0.2),
    )
    sizes = steps(optimizers(config)[0], 6)
    np.testing.assert_allclose(sizes, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], rtol=1e-6)


def test_learning_rates_may_wait_before_they_fall():
    """As CycleGAN's: constant for half of the training, and then linearly to 0."""
    config = Config(
        batch_size=10,
        d_optimizer=Optimizer("sgd", 0.5, {}),
        annealing=Annealing(images=20, after=30, shape="linear", learning_rate=0.0),
    )
    sizes = steps(optimizers(config)[0], 6)
    np.testing.assert_allclose(sizes, [0.5, 0.5, 0.5, 0.5, 0.25, 0], atol=1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_adams_b2_moves_as_scheduled(traced):
    """With gradients 1, −1 the second step of Adam (b1 = 0) is −1/√v̂ with
    v̂ = (b₂(1 − b₂′) + 1 − b₂)/(1 − b₂²), b₂′ the first update's and b₂ the second's."""
    config = Config(
        batch_size=1,
        d_optimizer=Optimizer("adam", 1.0, {"b1": 0.0, "b2": 0.5, "eps": 0.0}),
        annealing=Annealing(images=2, shape="linear", b2=0.9),
    )
    tx = optimizers(config, traced=traced)[0]
    params = {"w": jnp.zeros(())}
    state = tx.init(params)
    _, state = tx.update({"w": jnp.ones(())}, state, params)
    updates, _ = tx.update({"w": 2 * jnp.ones(())}, state, params)
    first, second = 0.5, 0.7
    v = second * (1 - first) * 1 + (1 - second) * 4
    np.testing.assert_allclose(updates["w"], -2 / np.sqrt(v / (1 - second**2)), rtol=1e-5)


def test_traced_learning_rates_are_numbers_in_the_state():
    config = Config(
        batch_size=10,
        d_optimizer=Optimizer("sgd", 0.5, {}),
        annealing=Annealing(images=40, shape="linear", learning_rate=0.2),
    )
    tx = optimizers(config, traced=True)[0]
    np.testing.assert_allclose(steps(tx, 3), [0.5, 0.4, 0.3], rtol=1e-6)
    params = {"w": jnp.zeros(())}
    state = optax.tree.set(tx.init(params), step_size=2.0)
    updates, _ = tx.update({"w": jnp.ones(())}, state, params)
    np.testing.assert_allclose(updates["w"], -2.0)


def test_lazy_penalties_correct_adam():
    lazy = Config(
        objective=Objective(lazy=4, penalties={"r1": 1.0}),
        d_optimizer=Optimizer("adam", 1.0, {"b1": 0.0, "b2": 0.5, "eps": 0.0}),
    )
    d_tx, g_tx = optimizers(lazy)
    # The first step of Adam is the learning rate: 4/5 of it, for the discriminator alone.
    np.testing.assert_allclose(steps(d_tx, 1), 0.8, rtol=1e-6)
    np.testing.assert_allclose(steps(g_tx, 1), lazy.g_optimizer.learning_rate, rtol=1e-4)


def test_annealed_b2_is_corrected_at_both_ends():
    """With gradients 1, 2 and b1 = 0, as above: b2 is corrected to √b2 for a penalty every time."""
    config = Config(
        batch_size=1,
        objective=Objective(lazy=2, penalties={"r1": 1.0}),
        d_optimizer=Optimizer("adam", 3.0, {"b1": 0.0, "b2": 0.5, "eps": 0.0}),
        annealing=Annealing(images=1, shape="linear", b2=0.9),
    )
    tx = optimizers(config)[0]
    params = {"w": jnp.zeros(())}
    state = tx.init(params)
    _, state = tx.update({"w": jnp.ones(())}, state, params)
    updates, _ = tx.update({"w": 2 * jnp.ones(())}, state, params)
    first, second = 0.5 ** (2 / 3), 0.9 ** (2 / 3)
    v = second * (1 - first) * 1 + (1 - second) * 4
    np.testing.assert_allclose(updates["w"], -2 * 2 / np.sqrt(v / (1 - second**2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("alternation", "d_last", "g_last"),
    [
        (Alternation(d_steps=5), 20, 4),
        (Alternation(g_steps=2), 20, 40),
        (Alternation(d_epochs=1, g_epochs=3), 5, 15),
    ],
)
def test_both_rates_end_with_the_same_image_of_the_run(alternation, d_last, g_last):
    """After 200 images in batches of 10."""
    config = Config(
        batch_size=10,
        alternation=alternation,
        d_optimizer=Optimizer("sgd", 1.0, {}),
        g_optimizer=Optimizer("sgd", 1.0, {}),
        annealing=Annealing(images=200, shape="linear", learning_rate=0.0),
    )
    for tx, last in zip(optimizers(config), (d_last, g_last), strict=True):
        sizes = steps(tx, last + 2)
        np.testing.assert_allclose(sizes[0], 1)
        np.testing.assert_allclose(sizes[last:], 0, atol=1e-6)
        assert sizes[last - 1] > 0.01


def test_unknown_shapes_are_refused():
    with pytest.raises(ValueError, match="cosine, linear"):
        Schedule(0.0, 1.0, 10, "exponential")
