"""Beginning with networks that were trained on other data, and freezing layers."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_same, dcgans, make_objective

import gan_jax
from gan_jax.config import Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.errors import InputError
from gan_jax.networks import dcgan
from gan_jax.runs import Run
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training.transfer import transfer
from gan_jax.transforms import freeze

SMALL = Config(
    iterations=2,
    batch_size=8,
    data=Data(source="digits"),
    objective=Objective(loss="hinge", latent_dim=4),
    generator=dcgan.GeneratorSection(width=2),
    discriminator=dcgan.DiscriminatorSection(width=2, norm="spectral"),
    evaluation=Evaluation(every=0),
    log_every=1,
    sample_every=100,
    checkpoint_every=2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on all digits."""
    directory = tmp_path_factory.mktemp("trained")
    return gan_jax.train(SMALL, out=directory)


def _arrays(networks) -> int:
    return len(jax.tree.leaves((networks.d.params, networks.g.params)))


def test_what_fits_is_taken_over():
    d, g = dcgans(make_objective(), labels=True, g_norm="batch")
    trained = jax.tree.map(lambda x: x + 1, g)
    wider = dict(trained.params)
    wider["label"] = {"embedding": jnp.zeros((7, 4))}
    new, fresh = transfer(g, trained.replace(params=wider))
    assert fresh == ["label/embedding"]
    assert_same(new.params["label"], g.params["label"])
    assert_same(new.params["dense"], trained.params["dense"])
    assert_same(new.collections, trained.collections)
    assert_same(new.ema_params, trained.ema_params)
    assert_same(new.opt_state, g.opt_state)
    assert new.step == 0
    d_new, fresh = transfer(d, d.replace(params={}))
    assert_same(d_new, d)
    assert len(fresh) == len(jax.tree.leaves(d.params))


def test_frozen_layers_stay():
    tx = optax.chain(optax.adam(0.1), freeze(("a",)))
    params = {"a": {"w": jnp.ones(2)}, "b": {"w": jnp.ones(2)}}
    updates, _ = tx.update(params, tx.init(params), params)
    assert_same(updates["a"], {"w": jnp.zeros(2)})
    assert np.all(np.asarray(updates["b"]["w"]) != 0)


def test_frozen_layers_exist():
    with pytest.raises(ValueError, match="no layer c to freeze, only a, b"):
        freeze(("a", "c")).init({"a": 1.0, "b": 2.0})


def test_a_run_begins_with_the_networks_of_another(trained, tmp_path, capsys):
    classes = dataclasses.replace(SMALL, data=Data(source="digits", classes=(3,)), iterations=4)
    frozen = dataclasses.replace(
        classes, d_optimizer=Optimizer(freeze=("down_0",)), checkpoint_every=2
    )
    result = gan_jax.train(frozen, out=tmp_path / "run", init_from=trained.directory)
    n = _arrays(trained)
    words = f"beginning with the networks of {trained.directory}; taken: {n} of {n} arrays\n"
    assert words in capsys.readouterr().out
    assert_same(result.d.params["down_0"], trained.d.params["down_0"])
    assert not np.array_equal(
        result.d.params["logit"]["kernel"], trained.d.params["logit"]["kernel"]
    )
    run = Run.open(tmp_path / "run")
    assert run.initial().iteration == 2
    assert run.kept() == [0, 2, 4]
    d, g = run.states(0)
    assert_same(d.params, trained.d.params)
    assert_same(g.ema_params, trained.g.ema_params)


def test_it_goes_on_without_the_other(trained, tmp_path):
    """Interrupted or not, and with the other run gone."""
    whole = dataclasses.replace(SMALL, iterations=4)
    expected = gan_jax.train(whole, out=tmp_path / "whole", init_from=trained.directory)
    parted = gan_jax.train(SMALL, out=tmp_path / "parts", init_from=trained.directory)
    origin = json.loads((parted.directory / "initial.json").read_text())
    (parted.directory / "initial.json").write_text(json.dumps(origin | {"directory": "/gone"}))
    resumed = gan_jax.train(whole, out=tmp_path / "parts")
    assert_same((resumed.d, resumed.g), (expected.d, expected.g))


def test_a_run_keeps_what_it_began_with(trained, tmp_path):
    gan_jax.train(SMALL, out=tmp_path / "new")
    with pytest.raises(InputError, match="began with new networks"):
        gan_jax.train(SMALL, out=tmp_path / "new", init_from=trained.directory)
    with pytest.raises(InputError, match="--fork or --init-from"):
        gan_jax.train(
            SMALL, out=trained.directory, fork=tmp_path / "fork", init_from=trained.directory
        )
    with pytest.raises(InputError, match="holds no run"):
        gan_jax.train(SMALL, out=tmp_path / "other", init_from=tmp_path / "nothing")


def test_other_shapes_begin_anew(trained, tmp_path, capsys):
    conditional = dataclasses.replace(
        SMALL, objective=dataclasses.replace(SMALL.objective, conditional=True)
    )
    gan_jax.train(conditional, out=tmp_path / "run", init_from=trained.directory)
    said = capsys.readouterr().out
    assert "; new: discriminator label/embedding, generator dense/kernel, generator label" in said
    n = _arrays(trained)  # two are new, and one has another shape
    assert f"; taken: {n - 1} of {n + 2} arrays; new: " in said


def test_something_has_to_fit_both(trained, tmp_path):
    wider = dataclasses.replace(SMALL, discriminator=dcgan.DiscriminatorSection(width=3))
    with pytest.raises(InputError, match=f"nothing of {trained.directory} fits the discriminator"):
        gan_jax.train(wider, out=tmp_path / "run", init_from=trained.directory)
    assert not (tmp_path / "run").exists()
