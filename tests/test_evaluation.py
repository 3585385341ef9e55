"""Scores of generators, with their conventions."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import build
from gan_jax.config import Config, Data, Network, Objective
from gan_jax.data import Examples, cache, hold_out, load
from gan_jax.errors import InputError
from gan_jax.metrics import classifier, evaluation, extractors
from gan_jax.metrics.evaluation import Evaluator, Score, better, make_extractor

DIGITS = Config(
    data=Data(source="digits"),
    objective=Objective(conditional=True, latent_dim=8),
    generator=Network(width=4),
    discriminator=Network(width=4),
)
RING = Config(
    data=Data(source="ring"),
    objective=Objective(latent_dim=2),
    generator=Network(kind="mlp", width=8),
    discriminator=Network(kind="mlp", width=8),
)


@pytest.fixture(scope="module")
def digits():
    return load(DIGITS.data)


@pytest.fixture(scope="module")
def generator(digits):
    return jax.jit(lambda: build.states(DIGITS, digits.description)[1])()


@pytest.fixture(scope="module")
def trained(digits):
    """A classifier of digits, and the held-out part."""
    training, test = hold_out(digits, 359)
    return classifier.fit(training.real, training.label, 10, updates=1000), test


def evaluate(generator, source, metrics, *, config=DIGITS, extractor=None, samples=300, **options):
    extractor = extractor or make_extractor("pixels", config.data, source)
    evaluator = Evaluator(config, source, metrics, extractor=extractor, samples=samples, **options)
    return {score.name: score for score in evaluator(generator)}


def test_the_classifier_knows_97_percent_of_digits(trained):
    network, test = trained
    assert network.accuracy(test.real, test.label) > 0.97


def test_a_classifier_is_trained_once_for_the_same_data(digits, monkeypatch):
    few = dataclasses.replace(
        digits, description=dataclasses.replace(digits.description, fingerprint="few")
    )
    calls = []

    def fit(pictures, labels, num_classes):
        calls.append(len(pictures))
        return original(pictures, labels, num_classes, updates=100)

    original = classifier.fit
    monkeypatch.setattr(classifier, "fit", fit)
    first, accuracy = classifier.for_source(few)
    again, remembered = classifier.for_source(few)
    assert calls == [1797 - 359]
    assert accuracy == remembered > 0.5
    features = [c.extractor("x")(digits.real[:5]).features for c in (first, again)]
    assert np.array_equal(*features)


def test_scores_carry_their_conventions(generator, digits):
    scores = evaluate(generator, digits, ("fid", "precision_recall"), split="test")
    assert scores["FID"].conventions == "pixels-pca64, test, 1.8k/300"
    assert scores["precision"].conventions == "pixels-pca64, test, 300/300"
    assert str(Score("FID", 12.3, "digits-cnn, test, 1.8k/10k")) == (
        "FID[digits-cnn, test, 1.8k/10k] 12.3"
    )


def test_every_metric_of_a_conditional_model(generator, digits, trained, monkeypatch):
    monkeypatch.setattr(evaluation, "_PATHS", 20)
    monkeypatch.setattr(classifier, "fit", lambda *_: trained[0])
    metrics = ("fid", "kid", "is", "precision_recall", "density_coverage", "swd", "ms_ssim",
               "ppl", "cas", "modes")  # fmt: skip
    extractor = trained[0].extractor("digits-cnn")
    scores = evaluate(generator, digits, metrics, extractor=extractor)
    assert [*scores] == [n for n in evaluation.score_names(metrics) if n != "high quality"]
    assert 1 <= scores["IS"].value <= 10
    assert scores["CAS"].value > 0.97  # of the classifier that stands in here


def test_real_pictures_as_samples_score_perfectly(digits, monkeypatch):
    real = digits.real[:500] / 127.5 - 1
    monkeypatch.setattr(evaluation.sampling, "sample", lambda *_, **__: real)
    extractor = make_extractor("pixels", DIGITS.data, digits)
    every = evaluate(None, digits, ("fid", "density_coverage", "kid"), extractor=extractor)
    assert every["FID"].value < 0.2
    assert abs(every["KID"].value) < 0.05
    assert every["coverage"].value > 0.9


def test_modes_of_a_mixture(monkeypatch):
    source = load(RING.data)
    half = source.real[source.label < 4][:300]
    monkeypatch.setattr(evaluation.sampling, "sample", lambda *_, **__: half)
    scores = evaluate(None, source, (), config=RING, samples=300)
    assert scores["modes"].value == 4
    assert scores["high quality"].value > 0.97
    assert scores["KL(fake‖real)"].value == pytest.approx(np.log(2), abs=0.02)
    assert scores["SWD"].conventions == "points, train, 10k/300"


def test_reference_features_are_computed_once(generator, digits):
    calls = []

    def counted(pictures):
        calls.append(1)
        return plain.apply(pictures)

    plain = extractors.pixels(digits.real)
    extractor = extractors.Extractor("counted", counted)
    first = evaluate(generator, digits, ("fid",), extractor=extractor)
    key = f"features/counted--{digits.description.fingerprint}"
    assert cache.load(key)["features"].shape == (1797, 64)
    cache.store(key, mean=np.zeros(64), covariance=np.eye(64), count=5, features=np.zeros((5, 64)))
    second = evaluate(generator, digits, ("fid",), extractor=extractor)
    assert second["FID"].conventions.endswith("5/300")  # what was kept is what is used
    assert first["FID"].value != second["FID"].value


@pytest.mark.parametrize(
    ("config", "metric", "needs"),
    [
        (DIGITS, "is", "classifier or inception"),
        (DIGITS, "modes", "ring or grid"),
        (RING, "ms_ssim", "pictures"),
        (RING, "cas", "conditional"),
        (DIGITS, "vibes", "no metric"),
    ],
)
def test_metrics_that_do_not_apply_are_refused(config, metric, needs):
    with pytest.raises(InputError, match=needs):
        evaluation.check(config, load(config.data).description, (metric,), "pixels")


def test_better():
    assert better("FID", 3.0, None)
    assert better("FID", 3.0, 4.0)
    assert not better("FID", 5.0, 4.0)
    assert better("coverage", 0.5, 0.4)
    assert not better("coverage", float("nan"), None)
    assert not better("KL(real‖fake)", float("inf"), None)


@pytest.mark.slow
def test_the_classifier_knows_99_percent_of_mnist(tfds_dir):
    training = load(Data(source="tfds:mnist"), data_dir=str(tfds_dir))
    test = load(Data(source="tfds:mnist", split="test"), data_dir=str(tfds_dir))
    network = classifier.fit(training.real, training.label, 10)
    assert network.accuracy(test.real, test.label) > 0.99


def test_stacks_are_classified_channel_by_channel(monkeypatch, digits):
    """A classifier that reads the class off a corner; stacks that spell 0 to 999."""

    def apply(pictures):
        number = pictures[:, 0, 0, 0].astype(jnp.int32)
        return number[:, None].astype(jnp.float32), 100 * jax.nn.one_hot(number, 10)

    def fake_classifier(source):
        return SimpleNamespace(extractor=lambda name: extractors.Extractor(name, apply)), 1.0

    monkeypatch.setattr(classifier, "for_source", fake_classifier)
    numbers = np.arange(1000)
    corners = np.stack([numbers // 100, numbers // 10 % 10, numbers % 10], axis=-1)
    real = np.zeros((1000, 4, 4, 3), np.uint8)
    real[:, 0, 0] = corners
    description = dataclasses.replace(
        digits.description, shape=(4, 4, 3), num_classes=1000, examples=1000
    )
    stacks = Examples(description, real, numbers.astype(np.int32))
    data = Data(source="stacked_mnist")
    extractor = make_extractor("classifier", data, stacks)
    features, logits = extractor(real)
    np.testing.assert_array_equal(logits.argmax(axis=1), numbers)
    np.testing.assert_array_equal(features, corners)
    config = dataclasses.replace(DIGITS, data=data, objective=Objective(latent_dim=8))
    half = Evaluator(config, stacks, ("modes",), extractor=extractor, samples=500)
    monkeypatch.setattr(half, "_sample", lambda g: (real[:500], None, extractor(real[:500])))
    scores = {score.name: score for score in half(None)}
    assert scores["modes"].value == 500
    assert scores["KL(fake‖real)"].value == pytest.approx(np.log(2))
    assert scores["modes"].conventions == "stacked-mnist-cnn, train, 500"
