"""Many runs at once: each is its own run, and hyperparameters compile nothing."""

import dataclasses

import jax
import numpy as np
import pytest

import gan_jax
from gan_jax.config import Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.errors import InputError
from gan_jax.networks import dcgan, mlp
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training import population
from gan_jax.training.population import Population, load_members

ADAM = Optimizer(learning_rate=1e-3, options={"b1": 0.0, "b2": 0.99})
CONFIG = Config(
    iterations=12,
    batch_size=16,
    data=Data(source="ring"),
    objective=Objective(
        loss="relativistic_pairing", latent_dim=2, penalties={"r1": 0.1, "r2": 0.1}
    ),
    generator=mlp.GeneratorSection(width=8, depth=1),
    discriminator=mlp.DiscriminatorSection(width=8, depth=1),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    evaluation=Evaluation(every=0),
    check_every=100,
)
MEMBERS = [
    dataclasses.replace(
        CONFIG,
        seed=seed,
        objective=dataclasses.replace(CONFIG.objective, penalties={"r1": r1, "r2": 0.1}),
        g_optimizer=dataclasses.replace(ADAM, learning_rate=rate),
    )
    for seed, r1, rate in ((0, 0.1, 1e-3), (3, 1.0, 1e-3), (3, 0.1, 1e-2))
]


def trained(configs, every=None):
    return list(Population(configs, load_members(configs)).train(every))


IMAGES = [
    dataclasses.replace(
        CONFIG,
        seed=seed,
        iterations=3,
        batch_size=8,
        data=Data(source="digits", flip=True),
        objective=dataclasses.replace(CONFIG.objective, conditional=True),
        generator=dcgan.GeneratorSection(width=2),
        discriminator=dcgan.DiscriminatorSection(width=2),
    )
    for seed in (0, 1)
]


@pytest.mark.parametrize("members", [MEMBERS, IMAGES], ids=["points", "images"])
def test_each_member_is_its_own_run(members, tmp_path):
    *_, end = trained(members)
    for i, config in list(enumerate(members))[-len(members) // 2 :]:
        alone = gan_jax.train(config, out=tmp_path / str(i))
        for ours, theirs in zip(end.member(i), alone[:2], strict=True):
            assert ours.step == config.iterations
            pairs = zip(
                jax.tree.leaves((ours.params, ours.ema_params)),
                jax.tree.leaves((theirs.params, theirs.ema_params)),
                strict=True,
            )
            for a, b in pairs:
                np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_other_hyperparameters_compile_nothing():
    trained(MEMBERS)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(event) if "backend_compile" in event else None
    )
    before = len(population.programs)
    others = [
        dataclasses.replace(
            member,
            seed=member.seed + 1,
            objective=dataclasses.replace(member.objective, penalties={"r1": 0.3, "r2": 0.7}),
            d_optimizer=dataclasses.replace(ADAM, learning_rate=3e-4),
            average=dataclasses.replace(member.average, half_life=123),
        )
        for member in MEMBERS
    ]
    *_, end = trained(others)
    assert end.iteration == 12
    assert len(population.programs) == before
    assert compiled == []


def test_progress_and_averages():
    first, second, third = trained(MEMBERS, every=5)
    assert [p.iteration for p in (first, second, third)] == [5, 10, 12]
    assert first.averages["d/loss"].shape == (3,)
    assert 0.3 < first.member_averages(0)["d/loss"] < 3
    # Averages are over the iterations since, however many these are.
    assert 0.3 < third.member_averages(0)["d/loss"] < 3
    whole = trained(MEMBERS)[0].averages["d/loss"]
    parts = 5 * first.averages["d/loss"] + 5 * second.averages["d/loss"]
    np.testing.assert_allclose((parts + 2 * third.averages["d/loss"]) / 12, whole, rtol=1e-4)


def test_members_have_data_of_their_own_seed():
    one, other, same = load_members(MEMBERS)
    real, different = (dataset.streams[0].source.real for dataset in (one, other))
    assert not np.array_equal(real, different)
    assert same is other
    assert one.held_out[0].source.description.examples == 512


def test_memory_is_accounted_for():
    datasets = load_members(MEMBERS)
    one = Population(MEMBERS[:1], datasets[:1]).memory()
    three = Population(MEMBERS, datasets).memory()
    assert 0 < one < three


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch_size": 8}, "cannot differ in batch_size"),
        ({"objective": dataclasses.replace(CONFIG.objective, penalties={"r1": 0.1})}, "same pen"),
        (
            {"objective": dataclasses.replace(CONFIG.objective, penalties={"r1": 0.1, "r2": 0})},
            "same penalties",
        ),
    ],
)
def test_members_that_do_not_fit(change, says):
    configs = [CONFIG, dataclasses.replace(CONFIG, **change)]
    with pytest.raises(InputError, match=says):
        Population(configs, load_members(configs))


def test_balanced_runs_are_no_members():
    config = dataclasses.replace(CONFIG, balance=True)
    with pytest.raises(InputError, match="alternate within each iteration"):
        Population([config], load_members([config]))
