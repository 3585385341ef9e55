"""The steps: isolation, purity, and that they follow the dynamics they should."""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from helpers import assert_same, dcgans, images, make_objective, mlps, points

import gan_jax
from gan_jax import losses, networks, regularizers
from gan_jax.regularizers import R1, R2

NORMS = [("batch", "spectral"), ("spectral", "batch")]


@pytest.mark.parametrize(("g_norm", "d_norm"), NORMS)
def test_each_step_changes_its_own_network_and_nothing_of_the_other(g_norm, d_norm):
    objective = make_objective()
    batch = images(labels=True)
    d, g = dcgans(objective, g_norm=g_norm, d_norm=d_norm, labels=True)
    copies = jax.tree.map(np.array, (d, g))

    new_d, _ = gan_jax.d_step(d, g, batch, jax.random.key(1), objective=objective)
    assert_same((d, g), copies)  # neither modified nor donated
    assert _all_changed(d.params, new_d.params)
    assert _changed(d.collections, new_d.collections) or d_norm == "none"
    assert new_d.step == 1

    new_g, _ = gan_jax.g_step(g, d, batch, jax.random.key(1), objective=objective)
    assert_same((d, g), copies)
    assert _all_changed(g.params, new_g.params)
    assert _changed(g.collections, new_g.collections)
    assert new_g.step == 1


def test_no_gradient_reaches_the_opponent():
    objective = make_objective(regularizers=(regularizers.R1(), regularizers.R2()))
    d, g = dcgans(objective, d_norm="spectral")
    batch, key = images(), jax.random.key(1)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradients(d_params, g_params):
        return objective.d_loss(d_params, d, g.replace(params=g_params), batch, key)[0]

    own, reaching = gradients(d.params, g.params)
    assert all(not x.any() for x in jax.tree.leaves(reaching))  # the fakes are constants to it
    new, _ = gan_jax.d_step(d, g, batch, key, objective=objective)
    assert_close(new.opt_state[0].mu, jax.tree.map(lambda x: 0.5 * x, own))  # b1 = ½


@pytest.mark.parametrize("make", [(dcgans, images), (mlps, points)], ids=["dcgan", "mlp"])
@pytest.mark.parametrize("average", [{}, {"ema": None}], ids=["averaged", "not averaged"])
def test_states_the_other_way_around_are_told(make, average):
    states, batch = make
    objective = make_objective(**average)
    d, g = states(objective)
    arguments = batch(), jax.random.key(0)
    for step, first, second in ((gan_jax.d_step, g, d), (gan_jax.g_step, d, g)):
        with pytest.raises(ValueError, match="generator's state where the discriminator's belongs"):
            step(first, second, *arguments, objective=objective)


def test_a_mistake_in_a_network_is_its_own():
    """Not taken for states that were swapped."""

    def broken(variables, z, label=None, *, train):
        raise KeyError("mine")

    d, g = mlps(make_objective(ema=None))
    with pytest.raises(KeyError, match="mine"):
        gan_jax.d_step(
            d, g.replace(apply_fn=broken), points(), jax.random.key(0),
            objective=make_objective(ema=None),
        )  # fmt: skip


def test_examples_of_another_shape_are_told():
    objective = make_objective()
    d, g = dcgans(objective)
    batch = {"real": jnp.zeros((8, 32, 32, 1))}
    with pytest.raises(ValueError, match=r"makes examples of \[16, 16, 1\], .* \[32, 32, 1\]"):
        gan_jax.d_step(d, g, batch, jax.random.key(0), objective=objective)


@pytest.mark.parametrize("name", ["real", "a"])
def test_stored_images_are_no_batch(name):
    """They are integers from 0 to 255."""
    objective = make_objective()
    d, g = dcgans(objective)
    images = np.zeros((8, 16, 16, 1), np.float32)
    batch = {"real": images, name: images.astype(np.uint8)}
    stacked = {name: x[None] for name, x in batch.items()}
    options = {"objective": objective, "alternation": gan_jax.Alternation()}
    for take in (
        lambda: gan_jax.d_step(d, g, batch, jax.random.key(1), objective=objective),
        lambda: gan_jax.g_step(g, d, batch, jax.random.key(1), objective=objective),
        lambda: gan_jax.alternate(d, g, stacked, jax.random.key(1), **options),
    ):
        with pytest.raises(ValueError, match=rf"batch\['{name}'\] is uint8: scale images"):
            take()


def test_real_points_are_no_integers():
    objective = make_objective()
    d, g = mlps(objective)
    batch = {"real": points()["real"].astype(np.int32)}
    with pytest.raises(ValueError, match=r"batch\['real'\] is int32"):
        gan_jax.d_step(d, g, batch, jax.random.key(1), objective=objective)


def test_steps_are_pure():
    objective = make_objective(regularizers=(regularizers.WassersteinGP(),))
    d, g = mlps(objective)
    batch, key = points(), jax.random.key(1)
    once = gan_jax.d_step(d, g, batch, key, objective=objective)
    assert_same(once, gan_jax.d_step(d, g, batch, key, objective=objective))
    gan_jax.d_step.clear_cache()
    assert_same(once, gan_jax.d_step(d, g, batch, key, objective=objective))  # recompiled
    once = gan_jax.g_step(g, d, batch, key, objective=objective)
    assert_same(once, gan_jax.g_step(g, d, batch, key, objective=objective))


def test_the_key_decides_the_latents():
    objective = make_objective()
    d, g = mlps(objective)
    one, _ = gan_jax.d_step(d, g, points(), jax.random.key(1), objective=objective)
    two, _ = gan_jax.d_step(d, g, points(), jax.random.key(2), objective=objective)
    assert _all_changed(one.opt_state[0].mu, two.opt_state[0].mu)


def test_each_update_draws_fresh_latents():
    """A discriminator that returns what it is shown tells us which latents were drawn."""
    seen = []

    def generator(variables, z, label, train):
        return z + variables["params"]["shift"]

    def discriminator(variables, x, label, train):
        jax.debug.callback(lambda x: seen.append(np.array(x)), x, ordered=True)
        return jnp.sum(x, axis=1) * variables["params"]["scale"]

    tx = optax.sgd(0.0)
    d = gan_jax.TrainState.create(
        apply_fn=discriminator, variables={"params": {"scale": jnp.ones(())}}, tx=tx
    )
    g = gan_jax.TrainState.create(
        apply_fn=generator, variables={"params": {"shift": jnp.zeros(2)}}, tx=tx
    )
    objective = make_objective(latent_dim=2, ema=None)
    batches = jax.tree.map(lambda x: jnp.zeros((3, *x.shape)), points(5))
    gan_jax.alternate(
        d, g, batches, jax.random.key(0), objective=objective,
        alternation=gan_jax.Alternation(d_steps=3, g_steps=2),
    )  # fmt: skip
    jax.effects_barrier()
    examples = np.concatenate(seen)
    fakes = examples[examples.any(axis=1)]
    assert len(np.unique(fakes, axis=0)) == 25  # no latent twice


def test_alternate_is_its_steps_in_a_row():
    objective = make_objective(
        loss=losses.relativistic_pairing, regularizers=(regularizers.R1(0.5),)
    )
    d, g = mlps(objective)
    key = jax.random.key(7)
    batches = jax.tree.map(lambda *x: jnp.stack(x), *[points(seed=i) for i in range(3)])
    alternation = gan_jax.Alternation(d_steps=3, g_steps=2)
    new_d, new_g, metrics = gan_jax.alternate(
        d, g, batches, key, objective=objective, alternation=alternation
    )

    d_key, g_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    d_losses = []
    for i in range(3):
        d, m = gan_jax.d_step(
            d, g, points(seed=i), jax.random.fold_in(d_key, i), objective=objective
        )
        d_losses.append(m["loss"])
    for j in range(2):
        g, _ = gan_jax.g_step(
            g, d, points(seed=j), jax.random.fold_in(g_key, j), objective=objective
        )
    assert_close((new_d, new_g), (d, g))
    assert (new_d.step, new_g.step) == (3, 2)
    np.testing.assert_allclose(metrics["d"]["loss"], np.mean(d_losses), rtol=1e-6)


@pytest.mark.parametrize("one_sided", [(2, 0), (0, 2)])
def test_a_network_without_steps_does_not_move(one_sided):
    objective = make_objective()
    d, g = mlps(objective)
    alternation = gan_jax.Alternation(*one_sided)
    batches = jax.tree.map(lambda x: jnp.stack([x] * alternation.batches), points())
    new_d, new_g, metrics = gan_jax.alternate(
        d, g, batches, jax.random.key(0), objective=objective, alternation=alternation
    )
    still, moved = ((g, new_g), (d, new_d)) if one_sided[0] else ((d, new_d), (g, new_g))
    assert_same(*still)
    assert _all_changed(moved[0].params, moved[1].params)
    assert set(metrics) == {"d" if one_sided[0] else "g"}


def test_periods():
    alternation = gan_jax.Alternation(d_epochs=2, g_epochs=1)
    turns = [alternation.during(epoch) for epoch in range(6)]
    assert [(t.d_steps, t.g_steps) for t in turns] == [(1, 0), (1, 0), (0, 1)] * 2
    within = gan_jax.Alternation(d_steps=5)
    assert within.during(17) is within
    assert (within.batches, alternation.batches) == (5, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"d_steps": -1},
        {"d_steps": 0, "g_steps": 0},
        {"d_epochs": 1},
        {"d_epochs": 1, "g_epochs": 0},
        {"d_steps": 2, "d_epochs": 1, "g_epochs": 1},
    ],
)
def test_impossible_alternations_are_refused(fields):
    with pytest.raises(ValueError, match=r"steps|epochs"):
        gan_jax.Alternation(**fields)


# ---- Dirac-GAN (Mescheder et al., 2018): data at 0, generator at θ, discriminator x ↦ ψx ----


def dirac(psi: float, theta: float, lr: float):
    def discriminator(variables, x, label, train):
        return variables["params"]["psi"] * x[:, 0]

    def generator(variables, z, label, train):
        return variables["params"]["theta"] * jnp.ones((z.shape[0], 1))

    def state(apply_fn, **params):
        params = {name: jnp.float32(value) for name, value in params.items()}
        return gan_jax.TrainState.create(
            apply_fn=apply_fn, variables={"params": params}, tx=optax.sgd(lr)
        )

    return state(discriminator, psi=psi), state(generator, theta=theta)


def train_dirac(objective, steps: int, lr: float) -> np.ndarray:
    """Distances from the equilibrium under simultaneous gradient descent."""
    d, g = dirac(0.0, 0.02, lr)
    batch = {"real": jnp.zeros((2, 1))}
    distances = []
    for i in range(steps):
        key = jax.random.key(i)
        new_d, _ = gan_jax.d_step(d, g, batch, key, objective=objective)
        g, _ = gan_jax.g_step(g, d, batch, key, objective=objective)
        d = new_d
        distances.append(np.hypot(d.params["psi"], g.params["theta"]))
    return np.array(distances)


def test_dirac_gan_spirals_outwards_at_the_known_rate():
    lr = 0.4
    distances = train_dirac(make_objective(loss=losses.minimax, ema=None), 20, lr)
    # f(t) = −softplus(−t), f'(0) = ½: each step multiplies the distance by √(1 + (lr·½)²).
    np.testing.assert_allclose(
        distances[1:] / distances[:-1], np.sqrt(1 + (lr / 2) ** 2), rtol=1e-3
    )


def test_r1_makes_dirac_gan_contract_at_the_known_rate():
    lr, gamma = 0.4, 1.0
    objective = make_objective(
        loss=losses.minimax, regularizers=(regularizers.R1(gamma),), ema=None
    )
    distances = train_dirac(objective, 40, lr)
    # Linearised: (ψ, θ) ↦ [[1 − lr·γ, −lr/2], [lr/2, 1]] (ψ, θ); complex eigenvalues of modulus
    # √(1 − lr·γ + lr²/4) — but for 2·½ < γ they are real: 1 − lr/2 twice at γ = 1.
    eigenvalue = 1 - lr / 2
    assert distances[-1] < 0.01 * distances[0]
    # A double eigenvalue: n·λⁿ, so ratios approach λ from above like λ(n + 1)/n.
    ratio = distances[-1] / distances[-2]
    assert eigenvalue < ratio < eigenvalue * 1.05


# ---- what the steps refuse, and what they report ----


def test_penalties_refuse_batch_norm():
    objective = make_objective(regularizers=(regularizers.R1(),))
    d, g = dcgans(objective, d_norm="batch")
    with pytest.raises(ValueError, match="batch norm"):
        gan_jax.d_step(d, g, images(), jax.random.key(0), objective=objective)


@pytest.mark.parametrize("of_batches", [True, False])
def test_penalties_refuse_statistics_of_batches_by_any_name(of_batches):
    """What counts is whether a collection depends on what was shown, not what it is called."""

    def apply_fn(variables, x, label=None, *, train, mutable=()):
        del label, train, mutable
        center = jnp.mean(x, axis=0) if of_batches else variables["moments"] + 1
        return jnp.sum(variables["params"] * (x - center), axis=1), {"moments": center}

    variables = {"params": jnp.ones(2), "moments": jnp.zeros(2)}
    d = gan_jax.TrainState.create(apply_fn=apply_fn, variables=variables, tx=optax.sgd(0.1))
    _, g = mlps(make_objective())

    def update(*penalties):
        objective = make_objective(regularizers=penalties)
        return gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)[0]

    assert update().step == 1
    if not of_batches:
        assert update(regularizers.R1()).step == 1
        return
    with pytest.raises(ValueError, match=r"without batch norm.*'moments' is about the batch"):
        update(regularizers.R1())


def plain_penalty(critic, real, fake, key, scale=1.0):
    return scale * 3.0 + 0 * critic(real).sum()


@pytest.mark.parametrize(
    "penalty",
    [plain_penalty, functools.partial(plain_penalty, scale=1.0)],
    ids=["function", "partial"],
)
def test_any_callable_is_a_regularizer(penalty):
    objective = make_objective(regularizers=(penalty,))
    d, g = mlps(objective)
    _, metrics = gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)
    assert metrics["penalty"] == 3


def test_weights_do_not_recompile():
    d, g = mlps(make_objective())
    compilations = []
    for gamma in (0.1, 0.2, 0.3):
        objective = make_objective(regularizers=(regularizers.R1(gamma),), label_smoothing=gamma)
        gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)
        compilations.append(gan_jax.d_step._cache_size())
    assert compilations[0] == compilations[-1]


def test_accuracy():
    """Logits ±1 by the sign of a point: three of four real examples are taken for real, and every
    generated one for fake."""
    real = jnp.array([[2.0], [3.0], [1.0], [-1.0]])

    def sign(variables, x, label, train):
        return jnp.sign(x[:, 0]) + 0 * variables["params"]["w"]

    def minus_one(variables, z, label, train):
        return -jnp.ones((z.shape[0], 1)) * variables["params"]["w"]

    params = {"params": {"w": jnp.ones(())}}
    d = gan_jax.TrainState.create(apply_fn=sign, variables=params, tx=optax.sgd(0.0))
    g = gan_jax.TrainState.create(apply_fn=minus_one, variables=params, tx=optax.sgd(0.0))

    def metrics(loss):
        objective = make_objective(loss=loss)
        return gan_jax.d_step(d, g, {"real": real}, jax.random.key(0), objective=objective)[1]

    level = metrics(losses.hinge)
    assert (level["accuracy_real"], level["accuracy_fake"]) == (0.75, 1)
    assert (level["real_logit"], level["fake_logit"]) == (0.5, -1)
    assert level["accuracy"] == 0.875
    # Pairs: three times 1 > −1, once −1 = −1, which counts half.
    pairs = metrics(losses.relativistic_pairing)
    assert pairs["accuracy"] == 0.875
    assert "accuracy_real" not in pairs


def test_ema_follows_the_generator():
    objective = make_objective(ema=gan_jax.EMA(half_life=8.0, ramp_up=None))
    d, g = mlps(objective)
    assert d.ema_params is None
    new, _ = gan_jax.g_step(g, d, points(8), jax.random.key(0), objective=objective)
    # A batch of one half-life: the average goes half of the way.
    half = jax.tree.map(lambda a, b: (a + b) / 2, g.ema_params, new.params)
    assert_close(new.ema_params, half)


def test_ema_does_not_end_with_32_bits():
    """After 530,000 updates of 4,096 images the average still is one."""
    objective = make_objective(ema=gan_jax.EMA(half_life=8.0 * 4096))
    d, g = mlps(objective)
    g = g.replace(step=jnp.int32(530_000))
    batch = points(4096)
    new, _ = gan_jax.g_step(g, d, batch, jax.random.key(0), objective=objective)
    decay = 0.5 ** (1 / 8)
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, g.ema_params, new.params)
    assert_close(new.ema_params, average)


def test_collections_of_any_name_are_carried():
    import flax.linen as nn

    class Counting(nn.Module):
        @nn.compact
        def __call__(self, x, label=None, *, train):
            count = self.variable("stats", "count", lambda: jnp.zeros((), jnp.int32))
            if train and not self.is_initializing():
                count.value = count.value + 1
            return nn.Dense(1)(x)[:, 0]

    objective = make_objective()
    tx = optax.sgd(0.1)
    d, g = gan_jax.create_train_states(
        jax.random.key(0), generator=networks.mlp.Generator(), discriminator=Counting(),
        objective=objective, batch=points(), d_tx=tx, g_tx=tx,
    )  # fmt: skip
    d, _ = gan_jax.d_step(d, g, points(), jax.random.key(0), objective=objective)
    assert d.collections["stats"]["count"] == 2  # real and fake


def assert_close(a, b, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def _all_changed(a, b) -> bool:
    return _changed(a, b) == len(jax.tree.leaves(a))


def _changed(a, b) -> int:
    """How many leaves differ."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(not np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_sharing_passes_changes_nothing(norm):
    """Loss and penalties from one pass have the gradient of each computed by itself."""
    objective = make_objective(loss=losses.relativistic_pairing, regularizers=(R1(3.0), R2(0.5)))
    d, g = dcgans(objective, d_norm=norm)
    batch, key = images(), jax.random.key(5)

    def by_itself(params):
        fake, _ = objective.generate(g.params, g, batch, jax.random.split(key)[0])
        real_logits, collections = d.apply(params, batch["real"], None, train=True)
        after = d.replace(collections=collections)
        fake_logits, collections = after.apply(params, fake, None, train=True)
        after = after.replace(collections=collections)

        def penalty(gamma, state, x):
            def critic(x):
                return jnp.sum(state.apply(params, x, None, train=False)[0])

            return gamma / 2 * jnp.mean(jnp.sum(jnp.square(jax.grad(critic)(x)), (1, 2, 3)))

        at_real = d.replace(collections=real_collections(params))
        loss = objective.loss.discriminator(real_logits, fake_logits)
        return loss + penalty(3.0, at_real, batch["real"]) + penalty(0.5, after, fake)

    def real_collections(params):
        return d.apply(params, batch["real"], None, train=True)[1]

    @jax.jit
    def both(params):
        shared = jax.grad(lambda p: objective.d_loss(p, d, g, batch, key)[0])(params)
        return shared, jax.grad(by_itself)(params)

    shared, separate = both(d.params)
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(separate), strict=True):
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * scale)


def test_judging_together_is_judging_apart():
    together, apart = (make_objective(loss=losses.hinge, together=t) for t in (True, False))
    d, g = dcgans(together, labels=True)
    batch = images(labels=True)
    results = [
        gan_jax.d_step(d, g, batch, jax.random.key(1), objective=objective)
        for objective in (together, apart)
    ]
    for ours, theirs in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# ---- many iterations ----


def stacked(count: int, batches: int):
    """[count, batches, B, …]"""
    parts = [
        jax.tree.map(lambda *x: jnp.stack(x), *[points(seed=9 * i + j) for j in range(batches)])
        for i in range(count)
    ]
    return jax.tree.map(lambda *x: jnp.stack(x), *parts)


def iterated(objective, d, g, data, *, start=0, **options):
    def batches_at(i, key):
        return jax.tree.map(lambda x: x[i], data)

    return gan_jax.iterate(
        d, g, batches_at, jax.random.key(3), start=start, objective=objective, **options
    )


def test_iterations_are_alternate_in_a_row():
    objective = make_objective(regularizers=(regularizers.R1(0.5),))
    d, g = mlps(objective)
    alternation = gan_jax.Alternation(d_steps=2)
    data = stacked(5, 2)
    run = jax.jit(functools.partial(iterated, objective, alternation=alternation))
    new_d, new_g, tally = run(d, g, data, start=7, count=5)

    sums = {"d": 0.0, "g": 0.0}
    for i in range(5):
        d, g, metrics = gan_jax.alternate(
            d, g, jax.tree.map(lambda x, i=i: x[i], data),
            jax.random.fold_in(jax.random.key(3), 7 + i),
            objective=objective, alternation=alternation,
        )  # fmt: skip
        sums = {network: total + metrics[network]["loss"] for network, total in sums.items()}
    assert_close((new_d, new_g), (d, g))
    for network, total in sums.items():
        np.testing.assert_allclose(tally.sums[network]["loss"], total, rtol=1e-5)
        assert tally.updated[network] == 5
        assert tally.diverged[network] == -1


def test_a_training_may_be_cut_anywhere_bit_for_bit():
    """Its length is traced: all calls run the same compiled iteration."""
    objective = make_objective()
    d, g = mlps(objective)
    data, alternation = stacked(6, 1), gan_jax.Alternation()
    run = jax.jit(functools.partial(iterated, objective, alternation=alternation))
    whole = run(d, g, data, start=0, count=6)[:2]
    parts = run(d, g, data, start=0, count=2)[:2]
    rest = jax.tree.map(lambda x: jnp.roll(x, -2, axis=0), data)
    assert_same(whole, run(*parts, rest, start=2, count=4)[:2])
    assert run._cache_size() == 1
    assert_same((d, g), run(d, g, data, start=0, count=0)[:2])


def test_a_pace_skips_updates():
    objective = make_objective()
    d, g = mlps(objective)
    data, alternation = stacked(7, 1), gan_jax.Alternation()
    pace = gan_jax.Pace(d_every=1, g_every=3)
    new_d, new_g, tally = iterated(
        objective, d, g, data, start=2, count=7, alternation=alternation, pace=pace
    )
    # Iterations 2 to 8, of which 3 and 6 are multiples of 3.
    assert (new_d.step, new_g.step) == (7, 2)
    assert tally.updated == {"d": 7, "g": 2}
    only_d, same_g, _ = iterated(objective, d, g, data, start=1, count=2, alternation=alternation,
                                 pace=pace)  # fmt: skip
    alone, _, _ = iterated(objective, d, g, data, start=1, count=2,
                           alternation=gan_jax.Alternation(1, 0))  # fmt: skip
    assert_same(g, same_g)
    assert_close(only_d.params, alone.params)


@pytest.mark.parametrize("pace", [None, gan_jax.Pace(1, 2)])
def test_the_first_iteration_that_is_not_finite(pace):
    objective = make_objective()
    d, g = mlps(objective)
    data = stacked(6, 1)
    data = {"real": data["real"].at[3].set(jnp.nan)}
    _, _, tally = iterated(
        objective, d, g, data, start=10, count=6, alternation=gan_jax.Alternation(), pace=pace
    )
    assert tally.diverged["d"] == 13
    assert tally.diverged["g"] == (13 if pace is None else 14)


def test_an_update_that_is_not_finite_is_noticed_at_the_end():
    """The gradient is finite, and the optimiser makes infinity of it."""
    objective = make_objective(ema=None)
    d, g = dirac(0.1, 0.2, np.inf)
    data = {"real": jnp.ones((3, 1, 2, 1))}
    _, _, tally = iterated(
        objective, d, g, data, start=4, count=1, alternation=gan_jax.Alternation()
    )
    assert tally.diverged["d"] == 4


@pytest.mark.parametrize("given", [1, 3])
def test_another_number_of_batches_is_refused(given):
    objective = make_objective()
    d, g = mlps(objective)
    batches = jax.tree.map(lambda x: jnp.stack([x] * given), points())
    with pytest.raises(ValueError, match=rf"d_steps=2 takes 2 batch.*{given} for 'real'"):
        gan_jax.alternate(
            d,
            g,
            batches,
            jax.random.key(0),
            objective=objective,
            alternation=gan_jax.Alternation(2),
        )


def test_a_name_is_no_loss(monkeypatch):
    """Also where nobody checks annotations, as the tests do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match=r"'hinge' is no Loss: .*non_saturating"):
        gan_jax.Adversarial(loss="hinge", latent_dim=4)


def test_a_state_is_shown_in_a_line():
    d, g = mlps(make_objective())
    assert repr(d) == "TrainState(step=0, params: 105 in 6 arrays)"  # 2·8+8, 8·8+8, 8+1
    assert repr(g).startswith("TrainState(step=0, params: ")
    assert repr(g).endswith("arrays, ema_params)")
    many = jax.tree.map(lambda x: jnp.stack([x] * 3), d)
    assert repr(many).startswith("TrainState(step=[3], params: ")


def test_the_protocol_is_what_the_steps_need():
    assert isinstance(make_objective(), gan_jax.Objective)
    assert not isinstance(losses.hinge, gan_jax.Objective)
