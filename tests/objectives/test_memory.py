"""What an objective remembers, and the tools that do: LeCam, adaptive augmentation, path length.

And those that need more than logits: lazy penalties, consistency, packs, unrolling, AC-GAN.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import images, make_objective, mlps, points, through

import gan_jax
from gan_jax import losses, networks
from gan_jax.augment import ADA, AdaptiveProbability, DiffAugment, InstanceNoise
from gan_jax.critic import Critic
from gan_jax.losses import class_loss
from gan_jax.nodes import Node
from gan_jax.objectives import (
    AdaptiveAugmentation,
    AuxiliaryClassifier,
    PathLengthRegularization,
    Unrolled,
)
from gan_jax.regularizers import R1, BalancedConsistency, Lazy, LeCam, WassersteinGP
from gan_jax.state import OBJECTIVE
from gan_jax.transforms import lazy_adam

KEY = jax.random.key(0)
MLP = networks.mlp.Generator(width=8, depth=1)
CRITIC = networks.mlp.Discriminator(width=8, depth=1)


def states(objective, batch=None, *, generator=MLP, discriminator=CRITIC, d_tx=None):
    create = functools.partial(
        gan_jax.create_train_states,
        generator=generator,
        discriminator=discriminator,
        objective=objective,
        batch=points() if batch is None else batch,
        d_tx=d_tx or optax.adam(1e-3, b1=0.5),
        g_tx=optax.adam(1e-3, b1=0.5),
    )
    return jax.jit(create)(KEY)


def sums(x):
    """The critic that adds up an example."""
    return jnp.sum(x.reshape(len(x), -1), axis=-1)


def test_lecam_by_hand():
    real, fake = jnp.array([[1.0], [3.0]]), jnp.array([[-1.0], [-2.0]])
    penalty = LeCam(weight=2.0, decay=0.5)
    value, memory = penalty(sums, real, fake, KEY, penalty.initial())
    # The averages, from 0: ½·2 = 1 of real logits, ½·(−1.5) = −0.75 of fake ones.
    np.testing.assert_allclose(memory["real"], 1.0)
    np.testing.assert_allclose(memory["fake"], -0.75)
    real_term = ((1 + 0.75) ** 2 + (3 + 0.75) ** 2) / 2
    fake_term = ((-1 - 1) ** 2 + (-2 - 1) ** 2) / 2
    np.testing.assert_allclose(value, 2 * (real_term + fake_term), rtol=1e-6)


class Shift(Node):
    by: float

    def __call__(self, x, key, axis_name=None):
        return x + self.by


def test_consistency_by_hand():
    """A shift by ½ changes this critic's logits by 1 for two features."""
    real, fake = jnp.ones((4, 2)), jnp.zeros((4, 2))
    penalty = BalancedConsistency(Shift(0.5), real_weight=3.0, fake_weight=4.0)
    np.testing.assert_allclose(penalty(sums, real, fake, KEY), 7.0)


def test_lazy_penalties_come_every_so_often():
    def triple(x):
        return 3 * x[:, 0]

    real = jnp.ones((4, 2))
    critics = [Critic.of(triple, real, real, step=jnp.int32(step)) for step in range(6)]
    values = [Lazy(R1(2.0), 4)(critic, real, real, KEY) for critic in critics]
    np.testing.assert_allclose(values, [36, 0, 0, 0, 36, 0])


def test_lazy_adam_by_hand():
    expected = (0.0025 * 16 / 17, 0.0, 0.99 ** (16 / 17))
    np.testing.assert_allclose(lazy_adam(0.0025, 0.0, 0.99, 16), expected)


def test_a_lazy_penalty_trains_like_its_own_on_its_turn():
    lazy = make_objective(regularizers=(Lazy(R1(1.0), 2),))
    always = make_objective(regularizers=(R1(2.0),))
    d, g = mlps(lazy)
    on, _ = gan_jax.d_step(d, g, points(), KEY, objective=lazy)
    same, _ = gan_jax.d_step(d, g, points(), KEY, objective=always)
    _, metrics = gan_jax.d_step(d.replace(step=jnp.int32(1)), g, points(), KEY, objective=lazy)
    for a, b in zip(jax.tree.leaves(on.params), jax.tree.leaves(same.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert metrics["penalty"] == 0


def test_memory_travels_with_the_state():
    objective = make_objective(regularizers=(R1(1.0), LeCam(0.1)))
    d, g = states(objective)
    assert d.collections == {OBJECTIVE: {"1": {"real": 0, "fake": 0}}}
    new, metrics = gan_jax.d_step(d, g, points(), KEY, objective=objective)
    memory = new.collections[OBJECTIVE]["1"]
    np.testing.assert_allclose(memory["real"], 0.01 * metrics["real_logit"], rtol=1e-5)
    np.testing.assert_allclose(memory["fake"], 0.01 * metrics["fake_logit"], rtol=1e-5)
    # The network is called without it, by the opponent too.
    after, _ = gan_jax.g_step(g, new, points(), KEY, objective=objective)
    assert after.collections == {}


def test_adaptive_probability_follows_the_signs():
    """A critic that is sure of all real images raises it by the images of every 4 batches."""
    objective = AdaptiveAugmentation(
        make_objective(augmentation=ADA(categories=("color",))), AdaptiveProbability(0.6, 64)
    )

    class Sure(nn.Module):
        @nn.compact
        def __call__(self, x, label=None, *, train=False):
            bias = self.param("bias", nn.initializers.constant(10.0), ())
            return jnp.mean(x, axis=(1, 2, 3)) + bias

    generator = networks.dcgan.Generator(resolution=16, channels=1, width=2)
    d, g = states(objective, images(), generator=generator, discriminator=Sure())
    probabilities = []
    for i in range(8):
        d, metrics = gan_jax.d_step(d, g, images(), jax.random.key(i), objective=objective)
        probabilities.append(float(metrics["augmentation"]))
    np.testing.assert_allclose(probabilities, [0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1.0])
    changed, _ = gan_jax.g_step(g, d, images(), KEY, objective=objective)
    plain, _ = gan_jax.g_step(g, d, images(), KEY, objective=make_objective())
    differ = [
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(changed.params), jax.tree.leaves(plain.params), strict=True)
    ]
    assert any(differ)


def test_packs_count_with_all_their_examples():
    control = AdaptiveProbability(0.6, images=64, every=1)
    memory = control.update(control.initial(), jnp.ones(8), examples=16)
    np.testing.assert_allclose(memory["probability"], 0.25)


def test_an_adaptive_probability_needs_one_to_set():
    for augmentation in (InstanceNoise(std=0.3), None):
        with pytest.raises(ValueError, match="augmentation that has one"):
            AdaptiveAugmentation(make_objective(augmentation=augmentation), AdaptiveProbability())


def test_adaptive_augmentation_needs_a_level():
    objective = make_objective(loss=losses.relativistic_pairing, augmentation=ADA())
    with pytest.raises(ValueError, match="schedule its probability"):
        AdaptiveAugmentation(objective, AdaptiveProbability())


@pytest.mark.parametrize("augmentation", [ADA(), DiffAugment()], ids=["ADA", "DiffAugment"])
def test_points_are_not_augmented(augmentation):
    objective = make_objective(augmentation=augmentation)
    d, g = mlps(objective)
    with pytest.raises(ValueError, match="for images"):
        gan_jax.d_step(d, g, points(), KEY, objective=objective)


class Dropping(nn.Module):
    """A discriminator that draws something itself."""

    @nn.compact
    def __call__(self, x, label=None, *, train=False, key=None):
        scale = self.param("scale", nn.initializers.ones, ())
        if key is not None:
            x = x * jax.random.bernoulli(key, 0.5, x.shape)
        return scale * jnp.sum(x, axis=-1)


@pytest.mark.parametrize("packing", [1, 2])
def test_a_discriminator_gets_keys_in_training(packing):
    discriminator = Dropping()
    if packing > 1:
        discriminator = networks.packing.Packed(discriminator, packing)
    objective = make_objective()
    d, g = states(objective, discriminator=discriminator)
    _, metrics = gan_jax.d_step(d, g, points(), KEY, objective=objective)
    whole = float(jnp.mean(points()["real"].sum(-1))) * packing
    assert abs(float(metrics["real_logit"]) - whole) > 1e-3
    _, other = gan_jax.d_step(d, g, points(), jax.random.key(1), objective=objective)
    assert metrics["real_logit"] != other["real_logit"]


def test_lecam_bears_batch_norm():
    objective = make_objective(regularizers=(LeCam(0.3),))
    modules = {
        "generator": networks.dcgan.Generator(resolution=16, channels=1, width=2),
        "discriminator": networks.dcgan.Discriminator(resolution=16, width=2, norm="batch"),
    }
    d, g = states(objective, images(), **modules)
    _, metrics = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    assert metrics["penalty"] > 0


def test_what_remembers_cannot_be_lazy():
    with pytest.raises(ValueError, match="remembers"):
        Lazy(LeCam(), 4)


def test_penalties_see_through_the_augmentation():
    """The gradient of D(T(x)) with respect to x, not to T(x): twice as large for T(x) = 2x."""

    class Double(Node):
        def __call__(self, x, key, axis_name=None):
            return 2 * x

    plain = make_objective(regularizers=(R1(1.0),))
    augmented = make_objective(regularizers=(R1(1.0),), augmentation=Double())
    d, g = mlps(plain)
    doubled = {"real": points()["real"] * 2}
    _, expected = gan_jax.d_step(d, g, doubled, KEY, objective=plain)
    _, found = gan_jax.d_step(d, g, points(), KEY, objective=augmented)
    np.testing.assert_allclose(found["penalty"], 4 * expected["penalty"], rtol=1e-5)


def test_both_networks_are_augmented():
    objective = make_objective(augmentation=InstanceNoise(std=1.0))
    d, g = mlps(objective)
    for step, one, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        _, noisy = step(one, other, points(), KEY, objective=objective)
        _, plain = step(one, other, points(), KEY, objective=make_objective())
        assert abs(noisy["loss"] - plain["loss"]) > 1e-4


# AC-GAN


class Classifying(nn.Module):
    classes: int = 3

    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        x = x.reshape(len(x), -1)
        return nn.Dense(1)(x)[:, 0], nn.Dense(self.classes)(x)


def test_class_loss_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    expected = -(np.log(0.25) + np.log(0.8)) / 2
    np.testing.assert_allclose(class_loss(logits, jnp.array([1, 2])), expected, rtol=1e-6)


def test_both_networks_classify():
    objective = AuxiliaryClassifier(make_objective(), 2.0)
    batch = points() | {"label": jnp.arange(8) % 3}
    generator = networks.mlp.Generator(width=8, depth=1, num_classes=3)
    d, g = states(objective, batch, generator=generator, discriminator=Classifying())
    new, first = gan_jax.d_step(d, g, batch, KEY, objective=objective)
    for _ in range(200):
        new, metrics = gan_jax.d_step(new, g, batch, KEY, objective=objective)
    assert float(metrics["class_loss"]) < 0.9 * float(first["class_loss"])
    plain = make_objective()
    before, _ = gan_jax.g_step(g, new, batch, KEY, objective=plain)
    after, _ = gan_jax.g_step(g, new, batch, KEY, objective=objective)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True)
    )


def test_an_auxiliary_loss_needs_a_classifier():
    objective = AuxiliaryClassifier(make_objective(), 1.0)
    batch = points() | {"label": jnp.arange(8) % 3}
    generator = networks.mlp.Generator(width=8, depth=1, num_classes=3)
    d, g = states(objective, batch, generator=generator)
    with pytest.raises(ValueError, match="class logits"):
        gan_jax.d_step(d, g, batch, KEY, objective=objective)


# Packs


class Sum(nn.Module):
    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        return jnp.sum((x * scale).reshape(len(x), -1), axis=-1)


def test_packs_are_neighbours_side_by_side():
    packed = networks.packing.Packed(Sum(), 2)
    x = jnp.arange(24.0).reshape(4, 2, 1, 3)
    variables = packed.init(KEY, x[:1])
    scale = jnp.array([1.0, 10, 100, 1000, 1e4, 1e5])
    variables = jax.tree.map(lambda s: scale.reshape(s.shape), variables)
    logits = packed.apply(variables, x)
    pairs = np.concatenate([x[0::2], x[1::2]], axis=-1)
    np.testing.assert_allclose(logits, (pairs * np.asarray(scale)).sum(axis=(1, 2, 3)), rtol=1e-6)


def test_packs_are_whole_and_without_labels():
    packed = networks.packing.Packed(Sum(), 3)
    variables = packed.init(KEY, points(1)["real"])
    with pytest.raises(ValueError, match="batch of 8 is not packs of 3"):
        packed.apply(variables, points(8)["real"])
    with pytest.raises(ValueError, match="no labels"):
        packed.apply(variables, points(9)["real"], jnp.zeros(9, jnp.int32))


@pytest.mark.parametrize("penalty", [R1(2.0), WassersteinGP(1.0)], ids=["R1", "WGAN-GP"])
def test_a_pack_has_one_gradient(penalty):
    """‖∇D‖² of Σ over a pack of 2 examples of 2 features is 4."""
    objective = make_objective(regularizers=(penalty,), loss=losses.wasserstein)
    d, g = states(objective, discriminator=networks.packing.Packed(Sum(), 2))
    _, metrics = gan_jax.d_step(d, g, points(), KEY, objective=objective)
    np.testing.assert_allclose(metrics["penalty"], {R1: 4.0, WassersteinGP: 1.0}[type(penalty)])


# Unrolling


def test_unrolling_by_hand():
    """Dirac-GAN with Wasserstein's loss: D(x) = ψx, real at 0, G = θ. One SGD step of rate η moves
    ψ by −ηθ, so that the generator's loss −(ψ − ηθ)θ has the gradient −ψ + 2ηθ."""

    def generator(variables, z, label=None, *, train):
        return jnp.broadcast_to(variables["params"]["theta"], (len(z), 1))

    def discriminator(variables, x, label=None, *, train):
        return variables["params"]["psi"] * x[:, 0]

    psi, theta, rate = 0.7, 0.4, 0.1
    create = gan_jax.TrainState.create
    d = create(
        apply_fn=discriminator, variables={"params": {"psi": jnp.float32(psi)}}, tx=optax.sgd(rate)
    )
    g = create(
        apply_fn=generator, variables={"params": {"theta": jnp.float32(theta)}}, tx=optax.sgd(1.0)
    )
    objective = Unrolled(make_objective(loss=losses.wasserstein, ema=None), 1)
    new, _ = gan_jax.g_step(g, d, {"real": jnp.zeros((4, 1))}, KEY, objective=objective)
    np.testing.assert_allclose(new.params["theta"], theta - (-psi + 2 * rate * theta), rtol=1e-6)


def test_unrolling_leaves_the_discriminator_alone_and_is_finite():
    objective = Unrolled(make_objective(), 3)
    d, g = states(objective, d_tx=optax.adam(1e-2, b1=0.5, eps_root=1e-8))
    ahead, metrics = gan_jax.g_step(g, d, points(), KEY, objective=objective)
    _, now = gan_jax.g_step(g, d, points(), KEY, objective=make_objective())
    assert np.isfinite(metrics["grad_norm"])
    assert metrics["loss"] > now["loss"]  # of a discriminator that has had time to answer
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(ahead.params))


# Path length


class Styled(nn.Module):
    @nn.compact
    def __call__(self, z, label=None, *, train=False, style_offset=None):
        w = nn.Dense(2)(z)[:, None] + (0 if style_offset is None else style_offset)
        return nn.Dense(4)(jnp.tanh(jnp.sum(w, axis=1))).reshape(-1, 2, 2, 1)


def path_length_objective():
    return PathLengthRegularization(make_objective(), (3, 2), gan_jax.PathLength(), every=2)


def test_the_path_length_is_remembered():
    objective = path_length_objective()
    batch = {"real": jnp.zeros((4, 2, 2, 1))}
    d, g = states(objective, batch, generator=Styled(), discriminator=Sum())
    assert g.collections[OBJECTIVE] == {"path_length": 0}
    first, metrics = gan_jax.g_step(g, d, batch, KEY, objective=objective)
    second, none = gan_jax.g_step(first, d, batch, KEY, objective=objective)
    mean = first.collections[OBJECTIVE]["path_length"]
    assert mean > 0
    assert second.collections[OBJECTIVE]["path_length"] == mean
    assert metrics["penalty"] > 0
    assert none["penalty"] == 0
    whole = dataclasses.replace(objective, every=1)
    _, every = gan_jax.g_step(g, d, batch, KEY, objective=whole)
    np.testing.assert_allclose(metrics["penalty"], 2 * every["penalty"], rtol=1e-5)


# All together


class StyledImages(nn.Module):
    @nn.compact
    def __call__(self, z, label=None, *, train=False, style_offset=None):
        w = nn.Dense(2)(z)[:, None] + (0 if style_offset is None else style_offset)
        return nn.Dense(64)(jnp.tanh(jnp.sum(w, axis=1))).reshape(-1, 8, 8, 1)


def everything():
    objective = make_objective(
        augmentation=DiffAugment(), regularizers=(LeCam(0.3), Lazy(R1(1.0), 2))
    )
    objective = AdaptiveAugmentation(objective, AdaptiveProbability(0.6, images=8, every=1))
    objective = AuxiliaryClassifier(objective, 0.5)
    return Unrolled(PathLengthRegularization(objective, (3, 2), every=2), 2)


def test_what_wraps_an_objective_can_be_wrapped():
    objective = everything()
    assert (objective.ema, objective.latent_dim) == (gan_jax.EMA(), 4)
    assert objective.loss is losses.non_saturating
    batch = {"real": jax.random.normal(KEY, (4, 8, 8, 1)), "label": jnp.arange(4) % 3}
    d, g = states(
        objective, batch, generator=StyledImages(), discriminator=Classifying(),
        d_tx=optax.adam(1e-3, b1=0.5, eps_root=1e-8),
    )  # fmt: skip
    assert set(d.collections[OBJECTIVE]) == {"0", "augmentation"}
    assert set(g.collections[OBJECTIVE]) == {"path_length"}
    new_d, d_metrics = gan_jax.d_step(d, g, batch, KEY, objective=objective)
    assert {"penalty", "class_loss", "augmentation"} < set(d_metrics)
    assert jax.tree.structure(new_d) == jax.tree.structure(d)
    assert new_d.collections[OBJECTIVE]["augmentation"]["probability"] in (0, 0.5)
    new_g, g_metrics = gan_jax.g_step(g, d, batch, KEY, objective=objective)
    assert {"penalty", "class_loss"} < set(g_metrics)
    assert jax.tree.structure(new_g) == jax.tree.structure(g)
    assert new_g.collections[OBJECTIVE]["path_length"] > 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((new_d, new_g)))


def test_numbers_of_all_are_leaves():
    numbers = jax.tree.map(float, jax.tree.leaves(everything()))
    assert sorted(numbers) == sorted(
        [0.3, 0.99, 1.0, 10_000.0, 0.05, 1.0, 0.6, 8, 1, 0.5, 2.0, 0.01]
    )


# Devices


REMEMBERING = make_objective(
    regularizers=(LeCam(0.3), Lazy(R1(1.0), 2)), augmentation=InstanceNoise(std=0.3)
)
CONSISTENT = make_objective(regularizers=(BalancedConsistency(InstanceNoise(std=0.3)),))


@pytest.mark.parametrize(
    ("objective", "transform"),
    [
        (REMEMBERING, "pmap"),
        (REMEMBERING, "shard_map"),
        (CONSISTENT, "shard_map"),
        (Unrolled(make_objective(), 2), "shard_map"),
    ],
    ids=["remembering, pmap", "remembering", "consistent", "unrolled"],
)
def test_shards_of_a_batch_give_what_the_whole_gives(objective, transform):
    d, g = states(objective, d_tx=optax.adam(1e-3, b1=0.5, eps_root=1e-8))
    for step, one, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        assert_devices_do_not_matter(transform, step, one, other, points(8), objective)


@pytest.mark.parametrize("at", [0, 1])
def test_shards_have_one_path_length(at):
    objective, batch = path_length_objective(), {"real": jnp.zeros((4, 2, 2, 1))}
    d, g = states(objective, batch, generator=Styled(), discriminator=Sum())
    g = g.replace(step=jnp.int32(at))
    assert_devices_do_not_matter("shard_map", gan_jax.g_step, g, d, batch, objective)


def assert_devices_do_not_matter(transform, step, one, other, batch, objective):
    step = functools.partial(step, objective=objective)
    whole, metrics = step(one, other, batch, KEY)
    parted, parts = through(transform, step)(one, other, batch, KEY)
    np.testing.assert_allclose(parts["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(parts["grad_norm"], metrics["grad_norm"], rtol=1e-4)
    for a, b in zip(
        jax.tree.leaves(parted.collections), jax.tree.leaves(whole.collections), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)
