"""What networks are told in place of a class: the numbers of conditions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import arbitrary, arbitrary_states, make_objective

import gan_jax
from gan_jax import networks, regularizers, sampling
from gan_jax.conditioning import told
from gan_jax.networks.base import DiscriminatorSection, Form, GeneratorSection
from gan_jax.networks.layers import Embed
from gan_jax.networks.normalization import ClassBatchNorm
from gan_jax.objectives import AuxiliaryClassifier

K, Z, SIDE = 3, 4, 16
CONDITION = np.random.default_rng(0).normal(size=(2, K)).astype(np.float32)
SMALL = {"width": 2, "max_width": 4, "style_dim": 8, "widths": (16,) * 3, "groups": (), "depth": 2}


def kinds(family):
    """Every kind that can be told anything, small; and where it matters, without batch norm."""
    for kind, section in family.kinds().items():
        if kind in ("patchgan", "unet"):  # which judge translations
            continue
        names = {field.name for field in dataclasses.fields(section)}
        options = {name: value for name, value in SMALL.items() if name in names}
        yield pytest.param(section(**options), id=kind)
        if kind == "resnet" and family is GeneratorSection:
            yield pytest.param(section(**options, norm="none"), id="resnet-none")


def built(section):
    side = 32 if section.kind in ("resnet", "biggan") else SIDE
    shape = (2,) if section.points else (side, side, 3)
    form = Form(shape, K, Z)
    section.check(form, "network")
    return section.build(form), shape


def answer(module, x, condition):
    """What a network makes of one input and two conditions, with initial variables that are
    disturbed: embeddings may begin at 0."""
    inputs = jnp.asarray(np.repeat(x, 2, axis=0)), jnp.asarray(condition)
    variables = jax.jit(lambda: module.init(jax.random.key(0), *inputs, train=True))()
    noise = arbitrary(variables["params"])
    variables |= {"params": jax.tree.map(jnp.add, variables["params"], noise)}
    return jax.jit(lambda v: module.apply(v, *inputs, train=False))(variables)


@pytest.mark.parametrize("section", [*kinds(GeneratorSection)])
def test_every_generator_heeds_conditions(section):
    module, shape = built(section)
    x = np.random.default_rng(1).normal(size=(1, Z)).astype(np.float32)
    made = answer(module, x, CONDITION)
    assert made.shape == (2, *shape)
    assert np.abs(made[0] - made[1]).max() > 1e-3


@pytest.mark.parametrize("section", [*kinds(DiscriminatorSection)])
def test_every_discriminator_heeds_conditions(section):
    module, shape = built(section)
    x = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    logits = answer(module, x, CONDITION)
    assert logits.shape == (2,)
    assert abs(logits[0] - logits[1]) > 1e-4


@pytest.mark.parametrize("family", [GeneratorSection, DiscriminatorSection])
def test_the_size_of_one_number_is_not_lost(family):
    """A style's normalization would make all multiples of one vector alike."""
    section = family.kinds()["stylegan2"](width=2, max_width=4)
    module = section.build(Form((SIDE, SIDE, 3), 1, Z))
    shape = (1, Z) if family is GeneratorSection else (1, SIDE, SIDE, 3)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    small, large = answer(module, x, np.float32([[0.2], [2.0]]))
    assert np.abs(small - large).max() > 1e-3


def test_a_condition_that_is_one_among_zeros_is_a_class():
    embed = Embed(K, 5)
    label = jnp.array([2, 0])
    variables = embed.init(jax.random.key(0), label)
    one_hot = jax.nn.one_hot(label, K)
    np.testing.assert_array_equal(embed.apply(variables, label), embed.apply(variables, one_hot))
    halves = embed.apply(variables, jnp.array([[0.5, 0.0, 0.5]]))
    expected = variables["params"]["embedding"][jnp.array([0, 2])].mean(axis=0)
    np.testing.assert_allclose(halves[0], expected, rtol=1e-6)


def test_conditions_of_another_size_are_refused():
    with pytest.raises(ValueError, match="conditions of 3 numbers, not 2"):
        Embed(K, 5).init(jax.random.key(0), jnp.zeros((4, 2)))


def test_what_a_batch_tells():
    label, condition = jnp.zeros(2, jnp.int32), jnp.zeros((2, K))
    assert told({"real": condition}) is None
    assert told({"real": condition, "label": label}) is label
    assert told({"real": condition, "condition": condition}) is condition
    with pytest.raises(ValueError, match="labels or conditions, not both"):
        told({"label": label, "condition": condition})


def batch(shift=0.0):
    rng = np.random.default_rng(3)
    real = rng.normal(size=(8, 2)).astype(np.float32)
    condition = rng.normal(size=(8, K)).astype(np.float32) + np.float32(shift)
    return {"real": jnp.asarray(real), "condition": jnp.asarray(condition)}


def states(objective):
    return arbitrary_states(
        lambda key: gan_jax.create_train_states(
            key,
            generator=networks.mlp.Generator(width=8, depth=2, num_classes=K),
            discriminator=networks.mlp.Discriminator(width=8, depth=2, num_classes=K),
            objective=objective,
            batch=batch(),
            d_tx=optax.sgd(0.1),
            g_tx=optax.sgd(0.1),
        )
    )


def test_both_steps_heed_conditions():
    objective = make_objective(regularizers=(regularizers.R1(0.1),))
    d, g = states(objective)
    key = jax.random.key(0)
    for step, first, second in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        here, _ = step(first, second, batch(), key, objective=objective)
        there, _ = step(first, second, batch(1.0), key, objective=objective)
        embedding = jax.tree.leaves(here.params["Embed_0"])[0]
        assert np.abs(embedding - jax.tree.leaves(there.params["Embed_0"])[0]).max() > 1e-4


def test_an_auxiliary_classifier_needs_labels():
    objective = AuxiliaryClassifier(make_objective())
    d, g = states(make_objective())
    with pytest.raises(ValueError, match="needs labels in the batch"):
        gan_jax.d_step(d, g, batch(), jax.random.key(0), objective=objective)


def test_samples_of_conditions_come_in_batches():
    _, g = states(make_objective())
    condition = jnp.asarray(np.random.default_rng(0).normal(size=(7, K)), jnp.float32)
    at_once, by_three = (
        sampling.sample(g, jax.random.key(1), 7, latent_dim=4, label=condition, batch_size=size)
        for size in (7, 3)
    )
    np.testing.assert_allclose(at_once, by_three, atol=1e-6)


def test_batch_norm_begins_without_heeding_conditions():
    norm = ClassBatchNorm(K)
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4)) * 5 + 1
    plain, _ = norm.init_with_output(jax.random.key(1), x, jnp.zeros(2, jnp.int32), train=True)
    told, _ = norm.init_with_output(jax.random.key(1), x, jnp.asarray(CONDITION), train=True)
    np.testing.assert_allclose(told, plain, atol=1e-6)
    assert abs(float(told.std()) - 1) < 0.01
