"""Checkpoints of states that had less in them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util
from helpers import dcgans, images, make_objective

import gan_jax
from gan_jax import networks
from gan_jax.errors import InputError
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.state import AVERAGED


def restored(directory, saved, like):
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(1, *saved)
        checkpoints.wait()
        return checkpoints.restore(1, *like)


def without(tree, name):
    """A tree of dicts, dataclasses and tuples, without the entries of this name."""
    if isinstance(tree, dict):
        return {key: without(value, name) for key, value in tree.items() if key != name}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(without(value, name) for value in tree))
    return tuple(without(value, name) for value in tree) if isinstance(tree, tuple) else tree


def reduced(state, name):
    """A state without the arrays of this name."""
    parts = ("params", "collections", "opt_state", "ema_params")
    return state.replace(**{part: without(getattr(state, part), name) for part in parts})


def assert_same(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_averaged_statistics_begin_with_the_live_ones(tmp_path):
    d, g = dcgans(make_objective())
    _, new = restored(tmp_path, (d, reduced(g, AVERAGED)), (d, g))
    assert_same(new.collections[AVERAGED], {"batch_stats": g.collections["batch_stats"]})
    assert_same(new.replace(collections=g.collections), g)


def test_what_is_there_is_restored(tmp_path):
    d, g = dcgans(make_objective())
    assert_same(restored(tmp_path, (d, g), (d, g)), (d, g))


def test_the_bias_of_labels_begins_at_zero(tmp_path):
    options = {"resolution": 16, "width": 2, "max_width": 4, "num_classes": 3}
    like = gan_jax.create_train_states(
        jax.random.key(0),
        generator=networks.stylegan2.Generator(**options, channels=1, style_dim=4, mapping_depth=1),
        discriminator=networks.stylegan2.Discriminator(**options),
        objective=make_objective(),
        batch=images(labels=True),
        d_tx=optax.adam(1e-3),
        g_tx=optax.adam(1e-3),
    )
    ones = jax.tree.map(jnp.ones_like, like)
    new = restored(tmp_path, [reduced(state, "label_bias") for state in ones], like)
    for state in new:
        for part in (state.params, state.opt_state[0].mu, state.opt_state[0].nu):
            for path, leaf in traverse_util.flatten_dict(part).items():
                assert np.all(leaf == (path[-1] != "label_bias")), path
    assert np.all(new[1].ema_params["mapping"]["label_bias"] == 0)


def test_other_arrays_are_named(tmp_path):
    d, g = dcgans(make_objective())
    with pytest.raises(InputError, match="another architecture: g/collections/batch_stats/"):
        restored(tmp_path, (d, reduced(g, "batch_stats")), (d, g))
