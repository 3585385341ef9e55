"""Pairs: losses by hand, what steps change, what the discriminator sees, devices, and errors."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from helpers import arbitrary_states, assert_same, largest_difference, through

import gan_jax
from gan_jax import losses, parallel
from gan_jax.networks.layers import batch_norm
from gan_jax.objectives import Paired
from gan_jax.regularizers import R1, LeCam

KEY = jax.random.key(0)
OWN = {"grad_norm", "update_ratio"}  # metrics of the steps


def softplus(x):
    return np.log1p(np.exp(x))


class Line(nn.Module):
    """x ↦ scale·x + shift, and with a key some noise in every image, by its global index."""

    noise: float = 0.0

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None, key=None):
        scale = self.param("scale", nn.initializers.ones, ())
        shift = self.param("shift", nn.initializers.zeros, ())
        if self.noise and key is not None:
            draw = functools.partial(jax.random.uniform, shape=x.shape[1:])
            x = x + self.noise * parallel.per_example(draw, key, len(x), axis_name)
        return scale * x + shift


class Weighing(nn.Module):
    """A logit for each pixel: its channels times weights, and a shift. If it `compares`, less the
    mean over the batch."""

    compares: bool = False

    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        weights = self.param("weights", nn.initializers.ones, x.shape[-1:])
        shift = self.param("shift", nn.initializers.zeros, ())
        logits = x @ weights
        return (logits - logits.mean(0) if self.compares else logits) + shift


class Normed(nn.Module):
    """A layer with batch norm in every pixel, to an image or a map of logits."""

    logits: bool = False

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None):
        y = batch_norm(train, axis_name, jnp.float32, "norm")(nn.Dense(2)(x))
        y = nn.Dense(1)(jnp.tanh(y))
        return y[..., 0] if self.logits else jnp.tanh(y)


def images(n=8, seed=0, channels=(1, 1)):
    """Inputs and targets of 4×4 pixels."""
    keys = jax.random.split(jax.random.key(seed))
    return {
        name: jax.random.uniform(key, (n, 4, 4, c), minval=-1)
        for name, key, c in zip(("input", "target"), keys, channels, strict=True)
    }


def constant(given=0.6, target=-0.2):
    return {
        name: jnp.full((2, 4, 4, 1), value)
        for name, value in (("input", given), ("target", target))
    }


def states(objective, d=None, g=None, batch=None):
    """`(d, g)`, with arbitrary parameters."""
    create = functools.partial(
        gan_jax.create_train_states,
        generator=g or Line(),
        discriminator=d or Weighing(),
        objective=objective,
        batch=batch or constant(),
        d_tx=optax.sgd(1.0),
        g_tx=optax.sgd(1.0),
    )
    return arbitrary_states(create)


def by_hand(objective, weights=(1.0, 2.0), **options):
    """D(x, y) = x + 2y + ½ (or 2y + ½), G(x) = x/2 + 0.1."""
    d, g = states(objective, **options)
    if not objective.conditional:
        weights = weights[1:]
    d = d.replace(params={"weights": jnp.array(weights), "shift": jnp.float32(0.5)})
    return d, g.replace(params={"scale": jnp.float32(0.5), "shift": jnp.float32(0.1)})


def assert_metrics(metrics, expected):
    assert expected.keys() == metrics.keys() - OWN
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)


# ---- known answers: an input of 0.6 and a target of −0.2, of which G makes 0.4 ----

LOGITS = {
    True: (0.6 + 2 * -0.2 + 0.5, 0.6 + 2 * 0.4 + 0.5),  # 0.7 and 1.9
    False: (2 * -0.2 + 0.5, 2 * 0.4 + 0.5),  # 0.1 and 1.3
}
either = pytest.mark.parametrize("conditional", [True, False], ids=["conditional", "alone"])


@either
def test_the_discriminators_loss_by_hand(conditional):
    """With the input it sees, the input's channel comes first: that has the weight 1."""
    objective = Paired(conditional=conditional)
    d, g = by_hand(objective)
    real, fake = LOGITS[conditional]
    new, metrics = gan_jax.d_step(d, g, constant(), KEY, objective=objective)
    expected = {
        "loss": softplus(-real) + softplus(fake),
        "real_logit": real,
        "fake_logit": fake,
        "accuracy_real": 1,
        "accuracy_fake": 0,
        "accuracy": 0.5,
    }
    assert_metrics(metrics, expected)
    # ∂/∂(weight of what is judged): −y·σ(−real) + G(x)·σ(fake)
    gradient = 0.2 / (1 + np.exp(real)) + 0.4 / (1 + np.exp(-fake))
    np.testing.assert_allclose(new.params["weights"][-1], 2 - gradient, rtol=1e-5)


@either
def test_the_generators_loss_by_hand(conditional):
    objective = Paired(conditional=conditional, adversarial=2.0, pixel=3.0)
    d, g = by_hand(objective)
    new, metrics = gan_jax.g_step(g, d, constant(), KEY, objective=objective)
    adversarial = softplus(-LOGITS[conditional][1])
    loss = 2 * adversarial + 3 * 0.6
    assert_metrics(metrics, {"adversarial": adversarial, "pixel": 0.4 + 0.2, "loss": loss})
    # ∂/∂shift: 2·(−σ(−fake))·2 + 3·1
    gradient = -4 / (1 + np.exp(LOGITS[conditional][1])) + 3
    np.testing.assert_allclose(new.params["shift"], 0.1 - gradient, rtol=1e-5)


def test_the_papers_weights_are_the_default():
    objective = Paired()
    d, g = by_hand(objective)
    _, metrics = gan_jax.g_step(g, d, constant(), KEY, objective=objective)
    assert metrics["loss"] == pytest.approx(softplus(-1.9) + 100 * 0.6, rel=1e-5)


def test_without_adversarial_the_discriminator_has_no_say():
    objective = Paired(adversarial=None, pixel=3.0)
    d, g = by_hand(objective)
    another = d.replace(params=jax.tree.map(lambda x: x + 7, d.params))
    new, metrics = gan_jax.g_step(g, d, constant(), KEY, objective=objective)
    assert_metrics(metrics, {"pixel": 0.6, "loss": 1.8})
    assert_same(new, gan_jax.g_step(g, another, constant(), KEY, objective=objective)[0])
    np.testing.assert_allclose(new.params["shift"], 0.1 - 3, rtol=1e-5)
    _, d_metrics = gan_jax.d_step(d, g, constant(), KEY, objective=objective)  # it learns still
    np.testing.assert_allclose(d_metrics["loss"], softplus(-0.7) + softplus(1.9), rtol=1e-5)


def features(weight, x):
    """Two layers: (x, weight) in every pixel, and (x², 1) in every second one."""
    ones = jnp.ones_like(x)
    second = jnp.concatenate([x**2, ones], -1)[:, ::2, ::2]
    return jnp.concatenate([x, weight * ones], -1), second


def test_the_perceptual_distance_by_hand():
    objective = Paired(
        adversarial=None,
        pixel=0.0,
        perceptual=0.5,
        features=jax.tree_util.Partial(features, jnp.float32(2.0)),
    )
    d, g = by_hand(objective)
    _, metrics = gan_jax.g_step(g, d, constant(), KEY, objective=objective)

    def unit(*vector):
        return np.array(vector) / np.linalg.norm(vector)

    distance = np.sum((unit(0.4, 2) - unit(-0.2, 2)) ** 2)
    distance += np.sum((unit(0.16, 1) - unit(0.04, 1)) ** 2)
    assert_metrics(metrics, {"pixel": 0.6, "perceptual": distance, "loss": distance / 2})


def test_relativistic_losses_see_real_logits_too():
    objective = Paired(loss=losses.relativistic_pairing, pixel=0.0)
    d, g = by_hand(objective)
    _, d_metrics = gan_jax.d_step(d, g, constant(), KEY, objective=objective)
    _, g_metrics = gan_jax.g_step(g, d, constant(), KEY, objective=objective)
    expected = [softplus(-(0.7 - 1.9)), softplus(0.7 - 1.9)]
    np.testing.assert_allclose([d_metrics["loss"], g_metrics["loss"]], expected, rtol=1e-5)


def test_inputs_and_images_are_compared_one_by_one():
    """Over images that are not constant, with inputs of three channels, whose first is brightened;
    in float64."""
    objective = Paired(pixel=1.0)

    class First(Line):
        @nn.compact
        def __call__(self, x, label=None, *, train=False):
            return super().__call__(x[..., :1])

    batch = images(3, channels=(3, 1))
    d, g = states(objective, g=First(), batch=batch)
    weights = np.array([0.3, -0.5, 0.7, 1.1])
    d = d.replace(params={"weights": jnp.float32(weights), "shift": jnp.float32(0.2)})
    g = g.replace(params={"scale": jnp.float32(0.5), "shift": jnp.float32(0.1)})
    _, d_metrics = gan_jax.d_step(d, g, batch, KEY, objective=objective)
    _, g_metrics = gan_jax.g_step(g, d, batch, KEY, objective=objective)
    given, target = (np.float64(batch[name]) for name in ("input", "target"))
    fake = given[..., :1] / 2 + 0.1
    real_logits, fake_logits = (
        np.concatenate([given, x], -1) @ weights + 0.2 for x in (target, fake)
    )
    d_loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
    g_loss = softplus(-fake_logits).mean() + np.abs(fake - target).mean()
    np.testing.assert_allclose([d_metrics["loss"], g_metrics["loss"]], [d_loss, g_loss], rtol=1e-5)


@either
def test_r1_is_of_the_image_and_not_of_the_input(conditional):
    """A logit is the mean over 16 pixels, whose weight is 2: ‖∇‖² = 16·(2/16)² = ¼."""
    objective = Paired(conditional=conditional, regularizers=(R1(6.0),))
    d, g = by_hand(objective)
    _, metrics = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    np.testing.assert_allclose(metrics["penalty"], 6 / 2 / 4, rtol=1e-5)
    _, plain = gan_jax.d_step(d, g, images(), KEY, objective=Paired(conditional=conditional))
    np.testing.assert_allclose(metrics["loss"], plain["loss"], rtol=1e-5)


def test_what_penalties_remember_is_kept():
    objective = Paired(regularizers=(R1(), LeCam()))
    d, g = by_hand(objective)
    new, metrics = gan_jax.d_step(d, g, constant(), KEY, objective=objective)
    memory = new.collections["objective"]
    assert list(memory) == ["1"]
    before = d.collections["objective"]["1"]["real"]
    expected = 0.99 * before + 0.01 * metrics["real_logit"]
    np.testing.assert_allclose(memory["1"]["real"], expected, rtol=1e-4)


def test_discriminators_that_compare_can_judge_each_kind_by_itself():
    """Of examples that are all alike, what is left are the shifts."""
    apart, together = (Paired(conditional=False, together=x) for x in (False, True))
    d, g = by_hand(apart, d=Weighing(compares=True))
    _, metrics = gan_jax.d_step(d, g, constant(), KEY, objective=apart)
    np.testing.assert_allclose(metrics["loss"], softplus(-0.5) + softplus(0.5), rtol=1e-5)
    _, metrics = gan_jax.d_step(d, g, constant(), KEY, objective=together)
    logit = 2 * -0.2 - (2 * -0.2 + 2 * 0.4) / 2 + 0.5
    np.testing.assert_allclose(metrics["real_logit"], logit, rtol=1e-5)


def test_weights_are_leaves():
    objective = Paired(ema=None, perceptual=1.0, features=jax.tree_util.Partial(features, 2.0))
    assert jax.tree.leaves(objective) == [1.0, 100.0, 1.0, 2.0]


# ---- isolation and purity ----


def changed(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return [not np.array_equal(x, y) for x, y in pairs]


@either
def test_each_step_changes_its_own_network_and_nothing_of_the_other(conditional):
    objective = Paired(conditional=conditional)
    d, g = states(objective, Normed(logits=True), Normed(), images())
    copies = jax.tree.map(np.array, (d, g))
    new_d, _ = gan_jax.d_step(d, g, images(), KEY, objective=objective)
    assert_same((d, g), copies)  # neither modified nor donated
    assert all(changed(d.params, new_d.params))
    assert all(changed(d.collections, new_d.collections))
    new_g, _ = gan_jax.g_step(g, d, images(), KEY, objective=objective)
    assert_same((d, g), copies)
    assert all(changed(g.params, new_g.params))
    assert all(changed(g.ema_params, new_g.ema_params))
    assert all(changed(g.collections, new_g.collections))
    assert jax.tree.structure((new_d, new_g)) == jax.tree.structure((d, g))
    for step, own, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):  # and they are pure
        once = step(own, other, images(), KEY, objective=objective)
        assert_same(once, step(own, other, images(), KEY, objective=objective))


def test_no_gradient_reaches_the_generator():
    objective = Paired(regularizers=(R1(),))
    d, g = by_hand(objective)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1), has_aux=True)
    def gradients(d_params, g_params):
        return objective.d_loss(d_params, d, g.replace(params=g_params), images(), KEY)

    (own, reaching), _ = gradients(d.params, g.params)
    assert all(x.any() for x in jax.tree.leaves(own))
    assert not any(x.any() for x in jax.tree.leaves(reaching))


def test_nothing_of_a_batch_is_kept_after_the_step():
    objective = Paired()
    d, g = by_hand(objective)
    with jax.checking_leaks():
        jax.jit(lambda batch: objective.d_loss(d.params, d, g, batch, KEY)[0])(constant())


# ---- devices ----


def test_devices_do_not_matter():
    """Noise is by the global index, batch norm is of the whole batch, and so are relations."""
    objective = Paired(loss=losses.relativistic_average, adversarial=3.0, pixel=1.0)

    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, label=None, *, train=False, axis_name=None, key=None):
            x = Line(0.5, name="line")(x, train=train, axis_name=axis_name, key=key)
            return Normed(name="normed")(x, train=train, axis_name=axis_name)

    def both(d, g, batch, key, axis_name=None):
        options = {"objective": objective, "axis_name": axis_name}
        return gan_jax.d_step(d, g, batch, key, **options), gan_jax.g_step(
            g, d, batch, key, **options
        )

    d, g = states(objective, Normed(logits=True), Noisy(), images())
    whole = jax.jit(both)(d, g, images(), KEY)
    spread = through("vmap", both)(d, g, images(), KEY)
    assert largest_difference(whole, spread) < 2e-5
    others = jax.jit(both)(d, g, images(), jax.random.key(1))
    assert largest_difference(whole, others) > 1e-4  # there is noise


# ---- errors ----


def test_a_penalty_needs_a_discriminator_without_batch_norm():
    objective = Paired(regularizers=(R1(),))
    d, g = states(objective, Normed(logits=True), batch=images())
    with pytest.raises(ValueError, match="penalties need a discriminator without batch norm"):
        gan_jax.d_step(d, g, images(), KEY, objective=objective)


def test_a_conditional_discriminator_takes_inputs_of_the_targets_size():
    small = constant() | {"input": jnp.zeros((2, 2, 2, 1))}
    with pytest.raises(ValueError, match=r"of the targets' size, not \(2, 2\) and \(4, 4\)"):
        states(Paired(), batch=small)
    states(Paired(conditional=False), batch=small)


def test_a_perceptual_distance_takes_features():
    objective = Paired(perceptual=1.0)
    d, g = by_hand(objective)
    with pytest.raises(ValueError, match="a perceptual distance takes features"):
        gan_jax.g_step(g, d, constant(), KEY, objective=objective)


def test_a_loss_that_is_none_is_refused_at_once(monkeypatch):
    """Also where nobody checks annotations, as the tests do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match="'hinge' is no Loss: take one of"):
        Paired(loss="hinge")
