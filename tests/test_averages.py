"""The generator's moving average, and the batch statistics that belong to it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import LATENT_DIM, dcgans, images, make_objective, mlps
from sklearn.datasets import load_digits

import gan_jax
from gan_jax import losses, networks, regularizers, sampling
from gan_jax.state import AVERAGED
from gan_jax.steps import iterate


def assert_close(tree, other):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), tree, other)


def test_statistics_are_averaged_like_the_parameters():
    objective = make_objective(ema=gan_jax.EMA(half_life=8.0, ramp_up=None))
    d, g = dcgans(objective)
    new, _ = gan_jax.g_step(g, d, images(8), jax.random.key(0), objective=objective)
    before, now = g.collections[AVERAGED], new.collections["batch_stats"]
    half = {"batch_stats": jax.tree.map(lambda a, b: (a + b) / 2, before["batch_stats"], now)}
    assert_close(new.collections[AVERAGED], half)


def test_samples_are_made_with_the_averaged_statistics():
    g = dcgans(make_objective())[1]
    z = sampling.latents(jax.random.key(1), 5, LATENT_DIM)
    own = {"params": g.ema_params, **g.collections[AVERAGED]}
    expected = g.apply_fn(own, z, None, train=False)
    live = g.apply_fn(own | {"batch_stats": g.collections["batch_stats"]}, z, None, train=False)
    assert np.abs(expected - live).max() > 1e-3  # or the test would show nothing
    assert_close(sampling.generate(g, z), expected)


def test_without_an_average_a_state_is_its_own():
    g = dcgans(make_objective(ema=None))[1]
    assert g.averaged() is g
    assert AVERAGED not in g.collections
    assert AVERAGED not in dcgans(make_objective())[0].collections
    assert AVERAGED not in mlps(make_objective())[1].collections


def test_networks_never_see_the_averages():
    g = dcgans(make_objective())[1]
    seen = []

    def apply_fn(variables, z, label=None, *, train, mutable=()):
        seen.append((set(variables), set(mutable)))
        return z, {}

    g.replace(apply_fn=apply_fn).apply(g.params, jnp.zeros((2, LATENT_DIM)), train=True)
    assert seen == [({"params", "batch_stats"}, {"batch_stats"})]


def test_nothing_that_is_trained_depends_on_the_averages():
    objective = make_objective()
    d, g = dcgans(objective)
    other = g.replace(collections=g.collections | {AVERAGED: jax.tree.map(
        lambda x: x + 1, g.collections[AVERAGED])})  # fmt: skip
    arguments = images(8), jax.random.key(0)
    for step, first, second, third in (
        (gan_jax.d_step, (d, g), (d, other), d),
        (gan_jax.g_step, (g, d), (other, d), g),
    ):
        one, same = (
            step(*states, *arguments, objective=objective)[0] for states in (first, second)
        )
        assert one.step == third.step + 1
        for part in ("params", "opt_state"):
            jax.tree.map(np.testing.assert_array_equal, getattr(one, part), getattr(same, part))
        assert_close(one.collections.get("batch_stats"), same.collections.get("batch_stats"))


def test_averaged_statistics_are_those_of_the_averaged_network():
    """Measured anew with the averaged parameters, the variances are those that samples are made
    with, to 2 %; those of the parameters under training are not."""
    real = jnp.asarray(load_digits().images[..., None] / 8 - 1, jnp.float32)
    objective = make_objective(
        loss=losses.relativistic_pairing,
        latent_dim=16,
        regularizers=(regularizers.R1(0.1), regularizers.R2(0.1)),
        ema=gan_jax.EMA(),
    )
    adam = optax.adam(1e-3, b1=0.0, b2=0.99)
    d, g = gan_jax.create_train_states(
        jax.random.key(0),
        generator=networks.dcgan.Generator(resolution=8, channels=1, width=16),
        discriminator=networks.dcgan.Discriminator(resolution=8, width=16, norm="none"),
        objective=objective,
        batch={"real": real[:64]},
        d_tx=adam,
        g_tx=adam,
    )
    _, g, _ = gan_jax.jit(iterate, static_argnames=("batches_at", "count", "alternation"))(
        d,
        g,
        lambda i, key: {"real": jax.random.choice(key, real, (1, 64))},
        jax.random.key(1),
        count=1000,
        objective=objective,
        alternation=gan_jax.Alternation(),
    )

    def once_more(i, state):
        z = sampling.latents(jax.random.fold_in(jax.random.key(2), i), 256, objective.latent_dim)
        return state.replace(collections=state.apply(state.params, z, train=True)[1])

    averaged = g.averaged()
    measured = jax.jit(lambda state: jax.lax.fori_loop(0, 100, once_more, state))(averaged)

    def error(state):
        """Of variances, relative to those measured: the root of the mean square."""
        ratio = jax.tree.map(
            lambda theirs, own: theirs["var"] / own["var"] - 1,
            state.collections["batch_stats"],
            measured.collections["batch_stats"],
            is_leaf=lambda node: "var" in node,
        )
        return float(jnp.sqrt(jnp.mean(jnp.concatenate(jax.tree.leaves(ratio)) ** 2)))

    assert error(averaged) < 0.02
    assert error(g) > 0.04
