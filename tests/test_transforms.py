"""jit, pmap, shard_map and vmap give the same update; N devices give what one gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    dcgans,
    images,
    largest_difference,
    make_objective,
    mlps,
    need_devices,
    points,
    split,
    through,
)
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import gan_jax
from gan_jax import losses, regularizers


# What depends on more than one example of the batch: batch norm in both networks and the mean
# logits of relativistic_average; the standard deviation of DRAGAN; draws made for each example.
def batch_norm_objective():
    objective = make_objective(loss=losses.relativistic_average)
    return objective, dcgans(objective, d_norm="batch", labels=True, width=1), images(labels=True)


def penalized_objective():
    penalties = (
        regularizers.R1(0.5),
        regularizers.R2(0.5),
        regularizers.WassersteinGP(1.0),
        regularizers.DRAGAN(1.0),
    )
    objective = make_objective(loss=losses.hinge, regularizers=penalties)
    return objective, mlps(objective), points()


@pytest.mark.parametrize(
    ("make", "transform"),
    [
        (batch_norm_objective, "pmap"),
        (batch_norm_objective, "shard_map"),
        (penalized_objective, "pmap"),
        (penalized_objective, "shard_map"),
        (penalized_objective, "shard_map, unchecked"),
        (penalized_objective, "vmap"),
    ],
)
def test_devices_do_not_matter_to_a_step(make, transform):
    objective, (d, g), batch = make()
    key = jax.random.key(3)
    for step, state, opponent in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        step = functools.partial(step, objective=objective)
        alone, metrics = step(state, opponent, batch, key)
        together, their_metrics = through(transform, step)(state, opponent, batch, key)
        assert largest_difference(_exact(alone), _exact(together)) < 2e-5
        assert largest_difference(metrics, their_metrics) < 2e-5


def _exact(state):
    """What can be compared to rounding: Adam turns the sign of a gradient near 0 into a step, so
    its moments, not the parameters it moved."""
    return state.opt_state[0].mu, state.opt_state[0].nu, state.collections


def _jitted(apply_fn):
    return jax.jit(apply_fn, static_argnames="train")


def test_vmap_over_seeds_is_each_seeds_own_run():
    objective = make_objective(regularizers=(regularizers.R1(0.1),))
    alternation = gan_jax.Alternation(d_steps=2)
    batches = jax.tree.map(lambda *x: jnp.stack(x), points(seed=1), points(seed=2))

    d, g = mlps(objective)

    def run(seed, d=d, g=g):
        key = jax.random.fold_in(jax.random.key(5), seed)
        for i in range(2):
            d, g, metrics = gan_jax.alternate(
                d,
                g,
                batches,
                jax.random.fold_in(key, i),
                objective=objective,
                alternation=alternation,
            )
        return d, g, metrics

    seeds = jnp.arange(3)
    together = jax.jit(jax.vmap(run))(seeds)
    alone = [jax.jit(run)(seed) for seed in seeds]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *alone)
    assert largest_difference(together, stacked) < 2e-5
    # and the seeds differ
    assert largest_difference(alone[0][1].params, alone[1][1].params) > 1e-4


def test_vmap_over_hyperparameters():
    d, g = mlps(make_objective())

    @jax.jit
    def penalty(gamma):
        objective = make_objective(regularizers=(regularizers.R1(gamma),))
        return gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)[1]["penalty"]

    one, two = jax.vmap(penalty)(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(one, penalty(1.0), rtol=1e-6)


@pytest.mark.parametrize(
    "wrap", [lambda f: f, functools.partial, _jitted], ids=["", "partial", "jit"]
)
def test_a_network_that_knows_no_axis_runs_under_one(wrap):
    """A plain function is called as the contract says, without an axis name."""
    import optax

    def linear(variables, x, label, train):
        return x @ variables["params"]["w"]

    def critic(variables, x, label, train):
        return (x @ variables["params"]["w"])[:, 0]

    tx = optax.sgd(0.1)
    params = {"params": {"w": jnp.ones((2, 2))}}
    d = gan_jax.TrainState.create(apply_fn=wrap(critic), variables=params, tx=tx)
    g = gan_jax.TrainState.create(apply_fn=wrap(linear), variables=params, tx=tx)
    objective = make_objective(latent_dim=2)
    step = functools.partial(gan_jax.d_step, objective=objective)
    alone, _ = step(d, g, points(), jax.random.key(0))
    together, _ = through("pmap", step)(d, g, points(), jax.random.key(0))
    assert largest_difference(alone.params, together.params) < 1e-6


def _apart(transform):
    """An update by members that each have a part of a batch and a copy of the state, where nobody
    named their axis; the states that they end with."""
    d, g = mlps(make_objective())

    def step(d, batch):
        return gan_jax.d_step(d, g, batch, jax.random.key(0), objective=make_objective())[0]

    if transform in ("pmap", "vmap"):
        mapped = {"pmap": jax.pmap, "vmap": jax.vmap}[transform](step, in_axes=(None, 0))
        return mapped(d, split(points()))
    if transform == "pmap, of one":
        return jax.pmap(step, in_axes=(None, 0))(d, split(points(), 1))
    mesh = Mesh(np.array(jax.devices()), ("i",))
    of_batch = P() if "replicated" in transform else P("i")
    check = "unchecked" not in transform
    specs = {"in_specs": (P(), of_batch), "out_specs": P()}
    return jax.shard_map(step, mesh=mesh, **specs, check_vma=check)(d, points())


@pytest.mark.parametrize("transform", ["pmap", "shard_map", "shard_map, unchecked"])
def test_parts_of_a_batch_without_the_name_of_their_axis_are_refused(transform):
    need_devices()
    with pytest.raises(ValueError, match="only if the axis is named"):
        _apart(transform)


def test_members_without_a_common_batch_need_no_name():
    need_devices()
    assert _apart("vmap").step.shape == (4,)
    assert _apart("shard_map, replicated").step == 1
    assert _apart("pmap, of one").step.shape == (1,)
