"""Another kind of GAN through the same trainer: trained, resumed, previewed, checked and scored."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from clouds import Config, translate
from helpers import assert_same

import gan_jax
from gan_jax.config import Evaluation, Optimizer
from gan_jax.errors import InputError
from gan_jax.runs import Run

CONFIG = Config(
    name="clouds",
    iterations=12,
    batch_size=16,
    d_optimizer=Optimizer(learning_rate=1e-3),
    g_optimizer=Optimizer(learning_rate=1e-3),
    evaluation=Evaluation(every=6, samples=200),
    check_every=4,
    log_every=3,
    sample_every=6,
    checkpoint_every=6,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return gan_jax.train(CONFIG, out=tmp_path_factory.mktemp("clouds"))


def test_it_trains_and_leaves_what_every_run_leaves(trained):
    directory = trained.directory
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [3, 6, 9, 12]
    assert {"d/loss", "g/loss", "d/accuracy_a", "d/accuracy_b"} <= lines[-1].keys()
    health = [json.loads(line) for line in (directory / "health.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in health] == [4, 8, 12]
    assert {"auc", "auc_held_out", "distance", "movement"} <= health[-1]["signals"].keys()
    scores = (directory / "evaluations.jsonl").read_text().splitlines()
    assert ["SWD" in json.loads(line)["scores"] for line in scores] == [True, True]
    assert (directory / "samples" / "0000012.png").stat().st_size > 0
    assert Run.open(directory).best() is not None


def test_a_run_that_was_cut_in_two_is_the_same(trained, tmp_path):
    half = dataclasses.replace(CONFIG, iterations=6)
    gan_jax.train(half, out=tmp_path / "cut")
    d, g, _ = gan_jax.train(CONFIG, out=tmp_path / "cut")
    assert_same((d, g), (trained.d, trained.g))


def test_it_opens_again_as_what_it_is(trained):
    run = Run.open(trained.directory)
    assert (run.config, run.data.a.examples, run.data.b.examples) == (CONFIG, 2900, 1900)
    assert_same(run.states(), (trained.d, trained.g))


def test_what_it_does_not_have_is_refused_in_words(trained):
    with pytest.raises(InputError, match="learns clouds: it has no samples"):
        Run.open(trained.directory).sample(4)


def test_both_generators_learn(trained):
    initial = jax.tree.leaves(trained.g.params)
    assert len(initial) == 2 * 4  # two layers of two networks
    fake = translate(trained.g, np.zeros((4, 2), np.float32), "b")
    assert fake.shape == (4, 2)
    assert np.isfinite(fake).all()


def test_it_has_a_report(trained):
    from gan_jax import report

    report.write([Run.open(trained.directory)], trained.directory / "report.html")
    assert "clouds" in (trained.directory / "report.html").read_text()
