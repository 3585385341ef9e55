"""Unpaired translation: losses by hand, what steps change, devices, seeds, and the pool."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from helpers import arbitrary_states, assert_same, largest_difference, through

import gan_jax
from gan_jax import losses, networks, parallel
from gan_jax.networks.domains import Domains
from gan_jax.networks.layers import Conv, batch_norm
from gan_jax.objectives import Translation
from gan_jax.objectives.pool import exchange, make_pool
from gan_jax.regularizers import R1, LeCam, WassersteinGP
from gan_jax.schedules import Schedule
from gan_jax.state import OBJECTIVE

KEY = jax.random.key(0)


def images(n=8, seed=0):
    """Of both domains, 4×4 pixels."""
    keys = jax.random.split(jax.random.key(seed))
    draw = functools.partial(jax.random.uniform, shape=(n, 4, 4, 1), minval=-1)
    return {domain: draw(key) for domain, key in zip("ab", keys, strict=True)}


class Line(nn.Module):
    """x ↦ scale·x + shift, and with a key some noise in every image, by its global index."""

    noise: float = 0.0

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None, key=None):
        scale = self.param("scale", nn.initializers.ones, ())
        shift = self.param("shift", nn.initializers.zeros, ())
        if self.noise and key is not None:
            draw = functools.partial(jax.random.normal, shape=x.shape[1:])
            x = x + self.noise * parallel.per_example(draw, key, len(x), axis_name)
        return scale * x + shift


class Patches(nn.Module):
    """The means of 2×2 blocks, times scale and with shift: a map of logits. If it `compares`, less
    the mean over the batch."""

    compares: bool = False

    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        shift = self.param("shift", nn.initializers.zeros, ())
        n, h, w, c = x.shape
        blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4, 5))
        blocks = blocks - blocks.mean(0) if self.compares else blocks
        return scale * blocks + shift


class Small(nn.Module):
    """A convolution with batch norm."""

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None):
        y = Conv(2, use_bias=False, name="conv")(x, train)
        y = batch_norm(train, axis_name, jnp.float32, "norm")(y)
        return jnp.tanh(x + Conv(1, size=1, name="out")(y, train))


def both(network):
    return Domains(a=network, b=network.clone())


LINES = (both(Patches()), both(Line()))
SMALL = (both(networks.patchgan.Discriminator(width=1, layers=1, norm="spectral")), both(Small()))


def states(objective, modules=LINES, *, batch=None, tx=None):
    """`(d, g)`, with arbitrary parameters."""
    d, g = modules
    create = functools.partial(
        gan_jax.create_train_states,
        generator=g,
        discriminator=d,
        objective=objective,
        batch=images() if batch is None else batch,
        d_tx=tx or optax.adam(1e-2, b1=0.5),
        g_tx=tx or optax.adam(1e-2, b1=0.5),
    )
    new_d, new_g = arbitrary_states(create)
    if OBJECTIVE in new_d.collections:
        memory = jax.tree.map(jnp.zeros_like, new_d.collections[OBJECTIVE])
        new_d = new_d.replace(collections=new_d.collections | {OBJECTIVE: memory})
    return new_d, new_g


def larger(n=8, seed=0):
    """Images for SMALL, of 8×8 pixels."""
    return jax.tree.map(lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), images(n, seed))


def lines(objective, d, g, tx=None):
    """States whose parameters are these: by domain, a scale and a shift."""
    old = states(objective, tx=tx or optax.sgd(1.0))

    def params(values):
        return {
            domain: {"scale": jnp.float32(scale), "shift": jnp.float32(shift)}
            for domain, (scale, shift) in values.items()
        }

    return tuple(s.replace(params=params(p)) for s, p in zip(old, (d, g), strict=True))


def constant(a, b):
    return {name: jnp.full((2, 4, 4, 1), value) for name, value in (("a", a), ("b", b))}


# ---- known answers ----

BY_HAND = {"d": {"a": (-1, 0), "b": (1, 0.5)}, "g": {"a": (2, 0.2), "b": (0.5, 0.1)}}
"""D_a(x) = −x, D_b(x) = x + ½; G_a(x) = 2x + 0.2, G_b(x) = x/2 + 0.1. With a = 0.6 and b = −0.2,
G_b(a) = 0.4 and back G_a(0.4) = 1; G_a(b) = −0.2 and back G_b(−0.2) = 0."""


def test_the_generators_loss_by_hand():
    objective = Translation()
    d, g = lines(objective, **BY_HAND)
    _, metrics = gan_jax.g_step(g, d, constant(0.6, -0.2), KEY, objective=objective)
    expected = {
        "adversarial_a": (0.2 - 1) ** 2 / 2,  # D_a(−0.2)
        "adversarial_b": (0.9 - 1) ** 2 / 2,  # D_b(0.4)
        "cycle_a": 1 - 0.6,
        "cycle_b": 0 + 0.2,
        "identity_a": 1.4 - 0.6,  # G_a(0.6)
        "identity_b": 0 + 0.2,  # G_b(−0.2)
        "loss": 0.32 + 0.005 + 5 * (0.4 + 0.2) + 2.5 * (0.8 + 0.2),
    }
    assert expected.keys() == metrics.keys() - {"grad_norm", "update_ratio"}
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)


def test_the_generators_gradient_by_hand():
    """∂/∂scale of G_a of the sum above: (D_a − 1)·(−1)·b + 5·(0.4 + ½·(−0.2)·(+1)) + 2.5·0.6, the
    second from both cycles, of which |G_b(G_a(b)) − b| has the sign + and the slope ½."""
    objective = Translation()
    d, g = lines(objective, **BY_HAND)
    new, _ = gan_jax.g_step(g, d, constant(0.6, -0.2), KEY, objective=objective)
    gradient = (0.2 - 1) * -1 * -0.2 + 5 * (0.4 + 0.5 * -0.2) + 2.5 * 0.6
    np.testing.assert_allclose(new.params["a"]["scale"], 2 - gradient, rtol=1e-5)


def test_the_discriminators_loss_by_hand():
    objective = Translation(pool=0)
    d, g = lines(objective, **BY_HAND)
    new, metrics = gan_jax.d_step(d, g, constant(0.6, -0.2), KEY, objective=objective)
    assert new.collections == {}
    expected = {
        "loss_a": (-0.6 - 1) ** 2 / 2 + 0.2**2 / 2,
        "loss_b": (0.3 - 1) ** 2 / 2 + 0.9**2 / 2,
        "loss": 1.30 + 0.65,
        "real_logit_a": -0.6,
        "fake_logit_a": 0.2,
        "real_logit_b": 0.3,
        "fake_logit_b": 0.9,
        "accuracy_real_a": 0,  # ½ is between the two
        "accuracy_fake_a": 1,
        "accuracy_a": 0.5,
        "accuracy_real_b": 0,
        "accuracy_fake_b": 0,
        "accuracy_b": 0,
        "accuracy": 0.25,
    }
    assert expected.keys() == metrics.keys() - {"grad_norm", "update_ratio"}
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    # ∂/∂shift of each: (D(real) − 1) + D(fake).
    np.testing.assert_allclose(new.params["a"]["shift"], 0 - (-1.6 + 0.2), rtol=1e-5)
    np.testing.assert_allclose(new.params["b"]["shift"], 0.5 - (-0.7 + 0.9), rtol=1e-5)


def patches_of(line, x):
    x = np.float64(x).reshape(-1, 2, 2, 2, 2).mean((2, 4))
    return line[0] * x + line[1]


def test_losses_are_means_over_patches_and_pixels():
    """Over images that are not constant; in float64."""
    objective = Translation(cycle=3.0, identity=0.5, pool=0, loss=losses.least_squares)
    d, g = lines(objective, **BY_HAND)
    batch = images(3)
    _, d_metrics = gan_jax.d_step(d, g, batch, KEY, objective=objective)
    _, g_metrics = gan_jax.g_step(g, d, batch, KEY, objective=objective)
    a, b = (np.float64(batch[domain]) for domain in "ab")
    to = {name: (lambda x, line=line: line[0] * x + line[1]) for name, line in BY_HAND["g"].items()}
    fakes = {"a": to["a"](b), "b": to["b"](a)}
    d_loss = g_loss = 0.0
    for domain, real in (("a", a), ("b", b)):
        critic = BY_HAND["d"][domain]
        d_loss += np.mean((patches_of(critic, real) - 1) ** 2) / 2
        d_loss += np.mean(patches_of(critic, fakes[domain]) ** 2) / 2
        g_loss += np.mean((patches_of(critic, fakes[domain]) - 1) ** 2) / 2
        g_loss += 3.0 * np.mean(np.abs(to[domain](fakes["ba"["ab".index(domain)]]) - real))
        g_loss += 0.5 * np.mean(np.abs(to[domain](real) - real))
    np.testing.assert_allclose(d_metrics["loss"], d_loss, rtol=1e-5)
    np.testing.assert_allclose(g_metrics["loss"], g_loss, rtol=1e-5)


def test_relativistic_losses_see_real_logits_too():
    objective = Translation(loss=losses.relativistic_pairing, cycle=0.0, identity=None, pool=0)
    d, g = lines(objective, **BY_HAND)
    _, d_metrics = gan_jax.d_step(d, g, constant(0.6, -0.2), KEY, objective=objective)
    _, g_metrics = gan_jax.g_step(g, d, constant(0.6, -0.2), KEY, objective=objective)
    margins = {"a": -0.6 - 0.2, "b": 0.3 - 0.9}  # real less fake
    d_loss = sum(np.log1p(np.exp(-m)) for m in margins.values())
    g_loss = sum(np.log1p(np.exp(m)) for m in margins.values())
    np.testing.assert_allclose([d_metrics["loss"], g_metrics["loss"]], [d_loss, g_loss], rtol=1e-5)
    assert "accuracy_real_a" not in d_metrics


def test_no_identity_is_one_of_weight_zero_and_is_not_computed():
    none, zero = Translation(identity=None), Translation(identity=0.0)
    d, g = lines(none, **BY_HAND)
    without, metrics = gan_jax.g_step(g, d, images(), KEY, objective=none)
    with_, _ = gan_jax.g_step(g, d, images(), KEY, objective=zero)
    assert largest_difference(without.params, with_.params) < 1e-6
    assert not any(name.startswith("identity") for name in metrics)


def test_weights_are_leaves_and_may_be_scheduled():
    assert len(jax.tree.leaves(Translation(ema=None))) == 2
    objective = Translation(cycle=Schedule(0.0, 4.0, 16, "linear"), identity=None)
    d, g = lines(objective, **BY_HAND)
    g = g.replace(step=jnp.int32(2))  # of 2 images each: 4
    _, metrics = gan_jax.g_step(g, d, constant(0.6, -0.2), KEY, objective=objective)
    np.testing.assert_allclose(metrics["loss"], 0.32 + 0.005 + 1.0 * 0.6, rtol=1e-5)


# ---- what is initialised ----


def test_a_state_holds_a_network_for_each_domain():
    objective = Translation(pool=5, regularizers=(LeCam(), R1()))
    create = functools.partial(
        gan_jax.create_train_states, generator=SMALL[1], discriminator=SMALL[0],
        objective=objective, batch=larger(), d_tx=optax.sgd(1.0), g_tx=optax.sgd(1.0),
    )  # fmt: skip
    d, g = jax.jit(create)(KEY)
    assert set(d.params) == set(g.params) == set(g.ema_params) == {"a", "b"}
    assert set(d.collections["spectral"]) == set(g.collections["batch_stats"]) == {"a", "b"}
    kernels = [state.params[domain] for state in (d, g) for domain in "ab"]
    first, second = jax.tree.leaves(kernels[2])[-1], jax.tree.leaves(kernels[3])[-1]
    assert np.abs(first - second).max() > 0  # they do not begin alike
    memory = d.collections[OBJECTIVE]
    assert set(memory) == {"a", "b"}
    for remembered in memory.values():
        assert set(remembered) == {"0", "pool"}  # R1 remembers nothing
        assert remembered["pool"]["images"].shape == (5, 8, 8, 1)
        assert remembered["pool"]["count"] == 0


def test_nothing_is_remembered_where_there_is_nothing():
    d, _ = states(Translation(pool=0))
    assert d.collections == {}


def test_a_network_is_of_its_domain():
    network = both(Line())
    variables = {"params": {"a": {"scale": 2.0, "shift": 0.0}, "b": {"scale": 3.0, "shift": 0.0}}}
    x = jnp.ones((1, 2, 2, 1))
    for domain, value in (("a", 2), ("b", 3)):
        assert (network.apply(variables, x, domain=domain) == value).all()
    assert (networks.domains.other("a"), networks.domains.other("b")) == ("b", "a")


# ---- isolation and purity ----

MANY = {
    "penalties": (
        Translation(pool=10, regularizers=(R1(0.5), LeCam(0.3))),
        (both(Patches()), both(Line(0.5))),
    ),
    "collections": (Translation(pool=10), SMALL),
}


def made(name):
    """An objective, states, and a function from seeds to batches."""
    objective, modules = MANY[name]
    make = larger if modules is SMALL else images
    return objective, *states(objective, modules, batch=make()), make


def changed(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return [not np.array_equal(x, y) for x, y in pairs]


def test_each_step_changes_its_own_networks_and_nothing_of_the_others():
    objective, d, g, _ = made("collections")
    copies = jax.tree.map(np.array, (d, g))
    new_d, _ = gan_jax.d_step(d, g, larger(), KEY, objective=objective)
    assert_same((d, g), copies)  # neither modified nor donated
    assert all(changed(d.params, new_d.params))
    for domain in "ab":
        before, after = (s.collections["spectral"][domain] for s in (d, new_d))
        assert all(any(changed(before[layer], after[layer])) for layer in before)
        pool = new_d.collections[OBJECTIVE][domain]["pool"]
        assert pool["count"] == 8
        fakes, _ = g.apply(
            g.params, larger()[networks.domains.other(domain)], domain=domain, train=True
        )
        np.testing.assert_allclose(pool["images"][:8], fakes, atol=1e-5)
        assert not pool["images"][8:].any()

    new_g, _ = gan_jax.g_step(g, new_d, larger(), KEY, objective=objective)
    assert_same(g, copies[1])
    assert all(changed(g.params, new_g.params))
    assert all(changed(g.ema_params, new_g.ema_params))
    assert all(changed(g.collections, new_g.collections))
    assert jax.tree.structure(new_d) == jax.tree.structure(d)
    assert jax.tree.structure(new_g) == jax.tree.structure(g)


def test_batch_statistics_are_of_translated_images_only():
    """What the identities and the ways back would add to them is dropped."""
    objective, d, g, _ = made("collections")
    new, _ = gan_jax.g_step(g, d, larger(), KEY, objective=objective)
    for domain in "ab":
        source = larger()[networks.domains.other(domain)]
        _, expected = g.apply(g.params, source, domain=domain, train=True)
        ours, theirs = (x["batch_stats"][domain] for x in (new.collections, expected))
        assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("count", [0, 12], ids=["empty", "full"])
def test_no_gradient_reaches_the_generators(count):
    """Neither directly nor through the pool."""
    objective = Translation(pool=12, regularizers=(R1(), LeCam()))
    d, g = states(objective)
    memory = jax.tree.map(
        lambda x: jnp.int32(count) if x.dtype == jnp.int32 else x, d.collections[OBJECTIVE]
    )
    d = d.replace(collections={OBJECTIVE: memory})

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradients(d_params, g_params):
        loss, aux = objective.d_loss(d_params, d, g.replace(params=g_params), images(), KEY)
        pools = [aux.collections[OBJECTIVE][domain]["pool"]["images"] for domain in "ab"]
        return loss + sum(map(jnp.sum, pools))

    own, reaching = gradients(d.params, g.params)
    assert all(x.any() for x in jax.tree.leaves(own))
    assert not any(x.any() for x in jax.tree.leaves(reaching))


def test_steps_are_pure():
    objective, d, g, _ = made("penalties")
    for step, own, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        once = step(own, other, images(), KEY, objective=objective)
        assert_same(once, step(own, other, images(), KEY, objective=objective))
        again = jax.jit(lambda *args, step=step: step.__wrapped__(*args[:-1], objective=args[-1]))
        assert_same(once, again(own, other, images(), KEY, objective))  # recompiled


# ---- penalties ----


def test_r1_by_hand():
    """A logit is scale·mean over 16 pixels: ‖∇‖² = 16·(scale/16)² = scale²/16."""
    objective = Translation(pool=0, regularizers=(R1(2.0),))
    d, g = lines(objective, **BY_HAND | {"d": {"a": (3, 0), "b": (-5, 0)}})
    _, metrics = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    _, plain = gan_jax.d_step(d, g, images(), KEY, objective=Translation(pool=0))
    np.testing.assert_allclose(metrics["penalty_a"], 2 / 2 * 9 / 16, rtol=1e-5)
    np.testing.assert_allclose(metrics["penalty_b"], 2 / 2 * 25 / 16, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], plain["loss"], rtol=1e-5)


def test_penalties_are_part_of_what_is_minimised():
    """∂/∂scale of R1 is γ·scale/16."""
    objective = Translation(pool=0, regularizers=(R1(2.0),))
    start = BY_HAND | {"d": {"a": (3, 0), "b": (-5, 0)}}
    d, g = lines(objective, **start)
    new, _ = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    plain, _ = gan_jax.d_step(d, g, images(), KEY, objective=Translation(pool=0))
    for domain, scale in (("a", 3), ("b", -5)):
        step = plain.params[domain]["scale"] - new.params[domain]["scale"]
        np.testing.assert_allclose(step, 2 * scale / 16, rtol=1e-4)


def test_each_discriminator_has_averages_of_its_own_for_lecam():
    objective = Translation(pool=0, regularizers=(R1(1.0), LeCam(0.3)))
    d, g = lines(objective, **BY_HAND)
    new, metrics = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    for domain in "ab":
        memory = new.collections[OBJECTIVE][domain]["1"]
        for kind in ("real", "fake"):
            expected = 0.01 * metrics[f"{kind}_logit_{domain}"]
            np.testing.assert_allclose(memory[kind], expected, rtol=1e-4)
        assert metrics[f"penalty_{domain}"] > 0


def test_domains_have_different_draws():
    """Of WGAN-GP, and of the pool: with the same images and networks for both."""
    objective = Translation(pool=8, regularizers=(WassersteinGP(),))
    same = {"a": images()["a"], "b": images()["a"]}

    class Square(nn.Module):
        @nn.compact
        def __call__(self, x, label=None, *, train=False):
            return self.param("scale", nn.initializers.ones, ()) * jnp.sum(x**2, (1, 2, 3))

    d, g = states(objective, (both(Square()), both(Line())))
    d, g = (s.replace(params={domain: s.params["a"] for domain in "ab"}) for s in (d, g))
    first, metrics = gan_jax.d_step(d, g, same, KEY, objective=objective)
    assert abs(metrics["penalty_a"] - metrics["penalty_b"]) > 1e-3
    second, _ = gan_jax.d_step(first, g, images(seed=1), KEY, objective=objective)
    kept = [
        changed_images(*(s.collections[OBJECTIVE][domain]["pool"] for s in (first, second)))
        for domain in "ab"
    ]
    assert not np.array_equal(*kept)


def changed_images(before, after):
    """Which places have another image."""
    return (np.asarray(before["images"]) != np.asarray(after["images"])).any((1, 2, 3))


def test_penalties_refuse_batch_norm():
    objective = Translation(pool=0, regularizers=(R1(),))

    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x, label=None, *, train=False):
            return jnp.mean(batch_norm(train, None, jnp.float32, "norm")(x), (1, 2, 3))

    d, g = states(objective, (both(Normed()), both(Line())))
    with pytest.raises(ValueError, match="batch norm"):
        gan_jax.d_step(d, g, images(), KEY, objective=objective)
    lecam = Translation(pool=0, regularizers=(LeCam(),))  # which takes no examples apart
    d, g = states(lecam, (both(Normed()), both(Line())))
    new, _ = gan_jax.d_step(d, g, images(), KEY, objective=lecam)
    assert all(changed(d.collections["batch_stats"], new.collections["batch_stats"]))


def test_judging_apart_is_for_discriminators_that_compare():
    together, apart = Translation(pool=0), Translation(pool=0, together=False)
    d, g = lines(together, **BY_HAND)
    results = [gan_jax.d_step(d, g, images(), KEY, objective=o) for o in (together, apart)]
    assert largest_difference(*results) < 1e-5
    d, g = states(apart, (both(Patches(compares=True)), both(Line())))
    _, metrics = gan_jax.d_step(d, g, images(), KEY, objective=apart)
    for domain, kind in itertools.product("ab", ("real", "fake")):  # each less its own mean
        np.testing.assert_allclose(
            metrics[f"{kind}_logit_{domain}"], d.params[domain]["shift"], rtol=1e-4
        )


# ---- devices and seeds ----


def steps_through(name, transform):
    """Both steps over four devices."""
    objective, _ = MANY[name]
    steps = (gan_jax.d_step, gan_jax.g_step)
    return [through(transform, functools.partial(step, objective=objective)) for step in steps]


def assert_near(state, other):
    for field in ("params", "collections", "ema_params"):
        ours, theirs = getattr(state, field), getattr(other, field)
        if jax.tree.leaves(ours):
            assert largest_difference(ours, theirs) < 1e-4, field


@pytest.mark.parametrize("name", MANY)
def test_shards_of_a_batch_give_what_the_whole_gives(name):
    objective, d, g, make = made(name)
    for i in range(2):  # a full pool
        d, _ = gan_jax.d_step(d, g, make(seed=i), jax.random.key(i), objective=objective)
    steps = ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d))
    for (step, own, opponent), parted in zip(steps, steps_through(name, "shard_map"), strict=True):
        whole, metrics = step(own, opponent, make(seed=2), KEY, objective=objective)
        parts, parts_metrics = parted(own, opponent, make(seed=2), KEY)
        assert largest_difference(metrics, parts_metrics) < 1e-4
        assert_near(whole, parts)


def test_a_training_on_four_devices_is_that_on_one():
    """The first batch fills the pool in part, the second one overfills it."""
    objective, d, g, make = made("penalties")
    d_parted, g_parted = steps_through("penalties", "pmap")
    other_d, other_g = d, g
    for i in range(4):
        key = jax.random.key(i)
        d, _ = gan_jax.d_step(d, g, make(seed=i), key, objective=objective)
        g, _ = gan_jax.g_step(g, d, make(seed=i), key, objective=objective)
        other_d, _ = d_parted(other_d, other_g, make(seed=i), key)
        other_g, _ = g_parted(other_g, other_d, make(seed=i), key)
    assert d.collections[OBJECTIVE]["b"]["pool"]["count"] == 10
    assert_near(d, other_d)
    assert_near(g, other_g)


def test_seeds_side_by_side_are_each_seeds_own_run():
    objective, d, g, make = made("penalties")

    def iteration(d, g, key):
        d, _ = gan_jax.d_step(d, g, make(), key, objective=objective)
        g, _ = gan_jax.g_step(g, d, make(), key, objective=objective)
        return d, g

    alone, together = jax.jit(iteration), jax.jit(jax.vmap(iteration))
    many = jax.tree.map(lambda x: jnp.stack([x] * 3), (d, g))
    each = [(d, g)] * 3
    for i in range(4):
        keys = jax.vmap(lambda seed, i=i: jax.random.fold_in(jax.random.key(seed), i))(
            jnp.arange(3)
        )
        many = together(*many, keys)
        each = [alone(*one, key) for one, key in zip(each, keys, strict=True)]
    for i, one in enumerate(each):
        assert largest_difference(one, jax.tree.map(lambda x, i=i: x[i], many)) < 1e-5
    assert largest_difference(each[0][0].params, each[1][0].params) > 1e-4


def test_passes_of_one_update_draw_each_for_itself():
    """With noise of its own, an image's way there and back is not the identity's noise again."""

    class Drawn(nn.Module):
        """Nothing but what it draws, and a shift."""

        @nn.compact
        def __call__(self, x, label=None, *, train=False, axis_name=None, key=None):
            drawn = parallel.per_example(jax.random.uniform, key, len(x), axis_name)
            seen.append(drawn)
            shift = self.param("shift", nn.initializers.zeros, ())
            return jnp.broadcast_to(drawn[:, None, None, None], x.shape) + shift

    for identity in (None, 2.5):
        seen = []
        objective = Translation(identity=identity, pool=0)
        d, g = states(objective)
        g = g.replace(apply_fn=both(Drawn()).apply, params={d: {"shift": 0.0} for d in "ab"})
        objective.g_loss(g.params, g, d, images(), KEY)
        assert len(seen) == 4  # there and back, of both, and the identities with the former
        drawn = np.concatenate(seen)
        assert len(np.unique(drawn)) == len(drawn)


# ---- the pool ----


def numbered(first, n):
    """Images [n, 1, 1, 1], each of a number."""
    return jnp.arange(first, first + n, dtype=jnp.float32).reshape(-1, 1, 1, 1)


def full(size):
    """A pool of the images 0, 1, …"""
    return {"images": numbered(0, size), "count": jnp.int32(size)}


@functools.cache
def trials(size, n, count):
    """Images 100, 101, … shown to a pool, under many keys: `(shown, after)`, of numbers."""
    pool = full(size) | {"count": jnp.int32(count)}
    keys = jax.random.split(KEY, 2000)
    run = jax.jit(jax.vmap(lambda key: exchange(pool, numbered(100, n), key, None)))
    shown, after = run(keys)
    return np.asarray(shown).reshape(2000, n), np.asarray(after["images"]).reshape(2000, size)


def test_a_pool_fills_first():
    pool = make_pool(5, numbered(0, 1))
    assert (pool["images"].shape, pool["images"].dtype, pool["count"]) == (
        (5, 1, 1, 1), jnp.float32, 0
    )  # fmt: skip
    for i in range(2):
        new = numbered(10 * i + 1, 2)
        shown, pool = exchange(pool, new, jax.random.fold_in(KEY, i), None)
        np.testing.assert_array_equal(shown, new)
    assert pool["count"] == 4
    assert pool["images"].reshape(-1).tolist() == [1, 2, 11, 12, 0]


def test_a_batch_that_overfills_it_begins_to_exchange():
    """Of two images one takes the last free place of five, and the other one the first with
    probability ½."""
    shown, after = trials(5, 2, 4)
    assert (shown[:, 0] == 100).all()
    assert (after[:, 4] == 100).all()
    exchanged = shown[:, 1] != 101
    np.testing.assert_array_equal(shown[exchanged, 1], 0)
    np.testing.assert_array_equal(after[:, 0], np.where(exchanged, 101, 0))
    np.testing.assert_array_equal(after[:, 1:4], np.tile([1, 2, 3], (2000, 1)))
    assert abs(exchanged.mean() - 0.5) < 5 * np.sqrt(0.25 / 2000)


def test_half_of_what_comes_out_is_of_earlier():
    shown, _ = trials(6, 3, 6)
    earlier = shown < 100
    assert abs(earlier.mean() - 0.5) < 5 * np.sqrt(0.25 / earlier.size)
    # Independently: all three with probability ⅛.
    assert abs(earlier.all(axis=1).mean() - 1 / 8) < 5 * np.sqrt(7 / 64 / 2000)
    counts = np.bincount(shown[earlier].astype(int), minlength=6)
    n = earlier.sum()
    assert abs(counts - n / 6).max() < 5 * np.sqrt(n * 5 / 36)
    # Each position takes every place.
    for position in range(3):
        assert set(shown[earlier[:, position], position]) == set(range(6))


def test_images_of_a_batch_take_different_places():
    """So nothing is lost and nothing doubled: an image is shown, or in the pool."""
    for size, n in ((6, 3), (4, 4)):
        shown, after = trials(size, n, size)
        everything = np.sort(np.concatenate([shown, after], axis=1), axis=1)
        expected = [*range(size), *range(100, 100 + n)]
        np.testing.assert_array_equal(everything, np.tile(expected, (2000, 1)))
        # Each lies where what is shown instead came from.
        for numbers, pool in zip(shown[:50].astype(int), after[:50], strict=True):
            for position, number in enumerate(numbers):
                assert number == 100 + position or pool[number] == 100 + position


def test_one_image_at_a_time_is_the_published_algorithm():
    """Written out, with coins and places read off what happened."""
    size, known = 4, []
    pool, step = make_pool(size, numbered(0, 1)), jax.jit(exchange, static_argnums=3)
    heads, places = [], []
    for i in range(300):
        (shown,), pool = step(pool, numbered(i, 1), jax.random.fold_in(KEY, i), None)
        shown = int(shown.reshape(()))
        if len(known) < size:
            known.append(i)
            assert shown == i
        elif shown == i:
            heads.append(False)
        else:
            place = known.index(shown)
            known[place] = i
            heads.append(True)
            places.append(place)
        assert pool["images"].reshape(-1)[: len(known)].tolist() == known
        assert pool["count"] == len(known)
    assert abs(np.mean(heads) - 0.5) < 5 * np.sqrt(0.25 / len(heads))
    counts = np.bincount(places, minlength=size)
    assert abs(counts - len(places) / size).max() < 5 * np.sqrt(len(places) * 3 / 16)


@pytest.mark.parametrize("count", [3, 10])
def test_members_of_an_axis_have_one_pool(count):
    pool = full(10) | {"count": jnp.int32(count)}
    whole, after = exchange(pool, numbered(100, 8), KEY, None)
    parts, pools = jax.vmap(lambda x: exchange(pool, x, KEY, "i"), axis_name="i")(
        numbered(100, 8).reshape(4, 2, 1, 1, 1)
    )
    np.testing.assert_array_equal(parts.reshape(whole.shape), whole)
    for member in range(4):
        assert_same(jax.tree.map(lambda x, m=member: x[m], pools), after)


def test_a_batch_that_is_larger_than_the_pool_is_refused():
    with pytest.raises(ValueError, match="a pool of 7 images is too small for batches of 8"):
        exchange(full(7), numbered(0, 8), KEY, None)
    with pytest.raises(ValueError, match="a pool of 7 images is too small for batches of 8"):
        jax.vmap(lambda x: exchange(full(7), x, KEY, "i"), axis_name="i")(
            numbered(0, 8).reshape(4, 2, 1, 1, 1)
        )
    objective = Translation(pool=7)
    d, g = states(objective)
    with pytest.raises(ValueError, match="a pool of 7 images is too small for batches of 8"):
        gan_jax.d_step(d, g, images(), KEY, objective=objective)
    shown, _ = exchange(full(8), numbered(100, 8), KEY, None)
    assert shown.shape == (8, 1, 1, 1)


def test_images_come_out_as_they_went_in():
    shown, pool = exchange(full(4), numbered(100, 4).astype(jnp.bfloat16), KEY, None)
    assert (shown.dtype, pool["images"].dtype) == (jnp.bfloat16, jnp.float32)


def test_the_discriminator_judges_what_comes_out_of_the_pool():
    """Translations are all 0.4, and the pool holds 9: D_b(x) = x + ½ sees a mean of both."""
    objective = Translation(pool=8)
    d, g = lines(objective, **BY_HAND)
    memory = jax.tree.map(
        lambda x: jnp.int32(8) if x.dtype == jnp.int32 else jnp.full_like(x, 9.0),
        d.collections[OBJECTIVE],
    )
    d = d.replace(collections={OBJECTIVE: memory})
    batch = jax.tree.map(lambda x: jnp.tile(x, (4, 1, 1, 1)), constant(0.6, -0.2))
    new, metrics = gan_jax.d_step(d, g, batch, KEY, objective=objective)
    pool = new.collections[OBJECTIVE]["b"]["pool"]["images"][:, 0, 0, 0]
    exchanged = int(np.sum(pool != 9))
    assert 0 < exchanged < 8
    np.testing.assert_allclose(np.asarray(pool)[pool != 9], 0.4, rtol=1e-5)
    expected = (exchanged * 9.5 + (8 - exchanged) * 0.9) / 8
    np.testing.assert_allclose(metrics["fake_logit_b"], expected, rtol=1e-5)
    # The generators' update does not see it.
    _, with_pool = gan_jax.g_step(g, d, batch, KEY, objective=objective)
    np.testing.assert_allclose(with_pool["adversarial_b"], 0.005, rtol=1e-4)


def test_domains_come_in_batches_of_one_size():
    objective = Translation(pool=0)
    d, g = states(objective)
    uneven = {"a": images(4)["a"], "b": images(6)["b"]}
    for step, own, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        with pytest.raises(ValueError, match="as many images of a as of b, not 4 and 6"):
            step(own, other, uneven, KEY, objective=objective)


def test_it_is_an_objective():
    assert isinstance(Translation(), gan_jax.Objective)


def test_a_loss_that_is_none_is_refused_at_once(monkeypatch):
    """Also where nobody checks annotations, as the tests do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match="'hinge' is no Loss: take one of"):
        Translation(loss="hinge")
