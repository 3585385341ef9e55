"""Scores of generators, with their conventions."""

import dataclasses
import importlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Evaluation
from gan_jax.data import Data, Examples, cache, load
from gan_jax.data.held_out import hold_out
from gan_jax.errors import InputError
from gan_jax.evaluation import metric
from gan_jax.evaluation import scores as scores_package
from gan_jax.evaluation.best import Best, deciding, improved
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors import base, classifier, kinds, pixels
from gan_jax.evaluation.extractors.kinds import make_extractor
from gan_jax.evaluation.metric import Score, better
from gan_jax.evaluation.scores import ppl
from gan_jax.evaluation.subject import Subject
from gan_jax.networks import dcgan, mlp
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.generation import Config, Objective

DIGITS = Config(
    data=Data(source="digits"),
    objective=Objective(conditional=True, latent_dim=8),
    generator=dcgan.GeneratorSection(width=4, norm="none"),
    discriminator=dcgan.DiscriminatorSection(width=4),
)
RING = Config(
    data=Data(source="ring"),
    objective=Objective(latent_dim=2),
    generator=mlp.GeneratorSection(width=8),
    discriminator=mlp.DiscriminatorSection(width=8),
)


@pytest.fixture(scope="module")
def digits():
    return load(DIGITS.data)


@pytest.fixture(scope="module")
def generator(digits):
    return initial_states(DIGITS.build(digits.description))[1]


@pytest.fixture(scope="module")
def trained(digits):
    """A classifier of digits, and the held-out part."""
    training, test = hold_out(digits, 359)
    return classifier.fit(training.real, training.label, 10, updates=1000), test


def evaluate(
    generator,
    source,
    metrics,
    *,
    config=DIGITS,
    extractor=None,
    sample=None,
    samples=300,
    **options,
):
    """Scores by name. `sample` stands in for sampling from the generator."""
    extractor = extractor or make_extractor("pixels", source, dataset=config.data.source)
    subject = config.build(source.description).subject
    if sample is not None:
        subject = dataclasses.replace(subject, sample=sample)
    evaluator = Evaluator(subject, source, metrics, extractor=extractor, samples=samples, **options)
    return {score.name: score for score in evaluator(generator)}


def test_the_classifier_knows_97_percent_of_digits(trained):
    network, test = trained
    assert network.accuracy(test.real, test.label) > 0.97


def test_a_classifier_is_trained_once_for_the_same_data(digits, monkeypatch, empty_cache):
    calls = []

    def fit(images, labels, num_classes):
        calls.append(len(images))
        return original(images, labels, num_classes, updates=100)

    original = classifier.fit
    monkeypatch.setattr(classifier, "fit", fit)
    first, accuracy = classifier.for_source(digits)
    again, remembered = classifier.for_source(digits)
    assert calls == [1797 - 359]
    assert accuracy == remembered > 0.5
    features = [c.extractor("x")(digits.real[:5]).features for c in (first, again)]
    assert np.array_equal(*features)


def test_scores_carry_their_conventions(generator, digits):
    scores = evaluate(generator, digits, ("fid", "precision_recall"), split="test")
    assert scores["FID"].conventions == "pixels-pca64, test, 1.8k/300"
    assert scores["precision"].conventions == "pixels-pca64, test, 300/300"
    assert str(Score("FID", 12.3, "digits-cnn, test, 1.8k/10k", higher_is_better=False)) == (
        "FID[digits-cnn, test, 1.8k/10k] 12.3"
    )


def test_every_metric_of_a_conditional_model(generator, digits, trained, monkeypatch):
    monkeypatch.setattr(ppl, "PATHS", 20)
    monkeypatch.setattr(classifier, "fit", lambda *_: trained[0])
    metrics = ("fid", "kid", "is", "precision_recall", "density_coverage", "swd", "ms_ssim",
               "ppl", "cas", "modes")  # fmt: skip
    # Of images of images.
    assert {*metric.metrics()} - {*metrics} == {"psnr", "ssim", "perceptual", "target"}
    extractor = trained[0].extractor("digits-cnn")
    scores = evaluate(generator, digits, metrics, extractor=extractor)
    assert [*scores] == [n for n in metric.score_names(metrics) if n != "high quality"]
    assert 1 <= scores["IS"].value <= 10
    assert all(s.higher_is_better == metric.higher_is_better(s.name) for s in scores.values())
    assert scores["CAS"].value > 0.97  # of the classifier that stands in here


def test_real_images_as_samples_score_perfectly(generator, digits):
    real = digits.real[:500] / 127.5 - 1
    metrics = ("fid", "density_coverage", "kid")
    every = evaluate(generator, digits, metrics, sample=lambda *_: real, samples=500)
    assert every["FID"].value < 0.2
    assert abs(every["KID"].value) < 0.05
    assert every["coverage"].value > 0.9


def test_modes_of_a_mixture(generator):
    source = load(RING.data)
    half = source.real[source.label < 4][:300]
    scores = evaluate(generator, source, (), config=RING, sample=lambda *_: half, samples=300)
    assert scores["modes"].value == 4
    assert scores["high quality"].value > 0.97
    assert scores["KL(fake‖real)"].value == pytest.approx(np.log(2), abs=0.02)
    assert scores["SWD"].conventions == "points, train, 10k/300"


def test_reference_features_are_computed_once(generator, digits, empty_cache):
    calls = []

    def counted(images):
        calls.append(1)
        return plain.apply(images)

    plain = pixels.pixels(digits.real)
    extractor = base.Extractor("counted", counted)
    first = evaluate(generator, digits, ("fid",), extractor=extractor)
    key = f"features/counted--{digits.description.fingerprint}"
    assert cache.load(key)["features"].shape == (1797, 64)
    cache.store(key, mean=np.zeros(64), covariance=np.eye(64), count=5, features=np.zeros((5, 64)))
    second = evaluate(generator, digits, ("fid",), extractor=extractor)
    assert second["FID"].conventions.endswith("5/300")  # what was kept is what is used
    assert first["FID"].value != second["FID"].value


@pytest.mark.parametrize(
    ("config", "name", "needs"),
    [
        (DIGITS, "is", "classifier, efficientnet-lite0 or inception"),
        (DIGITS, "modes", "ring or grid"),
        (RING, "ms_ssim", "images"),
        (RING, "cas", "told classes"),
        (DIGITS, "vibes", "no metric"),
    ],
)
def test_metrics_that_do_not_apply_are_refused(config, name, needs):
    with pytest.raises(InputError, match=needs):
        metric.check((name,), config.build(load(config.data).description).setting)


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


def test_stacks_are_classified_channel_by_channel(generator, monkeypatch, digits):
    """A classifier that reads the class off a corner; stacks that spell 0 to 999."""

    def apply(images):
        number = images[:, 0, 0, 0].astype(jnp.int32)
        return number[:, None].astype(jnp.float32), 100 * jax.nn.one_hot(number, 10)

    def fake_classifier(source):
        return SimpleNamespace(extractor=lambda n: base.Extractor(n, apply, logits="classes")), 1.0

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
    extractor = make_extractor("classifier", stacks, dataset=data.source)
    features, logits = extractor(real)
    np.testing.assert_array_equal(logits.argmax(axis=1), numbers)
    np.testing.assert_array_equal(features, corners)
    config = dataclasses.replace(DIGITS, data=data, objective=Objective(latent_dim=8))
    scores = evaluate(
        generator,
        stacks,
        ("modes",),
        config=config,
        extractor=extractor,
        sample=lambda *_: real[:500] / np.float32(127.5) - 1,
        samples=500,
    )
    assert scores["modes"].value == 500
    assert scores["KL(fake‖real)"].value == pytest.approx(np.log(2))
    assert scores["modes"].conventions == "stacked-mnist-cnn, train, 500"


TOY = """
from gan_jax.evaluation.metric import Measurement, Metric

TOY = Metric(
    "brightness",
    "how bright samples are",
    ("brightness", "darkness"),
    lambda c: Measurement({"brightness": c.fake.mean(), "darkness": -c.fake.mean()}, 0, 7),
    higher_is_better=("brightness",),
    needs=lambda setting: "" if setting.images else "something to see",
)
"""


def test_a_metric_is_added_in_one_file(generator, digits, tmp_path, monkeypatch):
    (tmp_path / "brightness.py").write_text(TOY)
    path = [*scores_package.__path__, str(tmp_path)]
    monkeypatch.setattr(scores_package, "__path__", path)
    assert [*metric.metrics()][-1] == "brightness"
    assert metric.score_names(("fid", "brightness")) == ["FID", "brightness", "darkness"]
    assert metric.higher_is_better("brightness")
    assert not metric.higher_is_better("darkness")
    white = np.ones((300, 8, 8, 1), np.float32)
    found = evaluate(generator, digits, ("brightness",), sample=lambda *_: white)
    assert found["brightness"] == ("brightness", 255.0, "pixels-pca64, train, 7", True)
    assert found["darkness"] == ("darkness", -255.0, "pixels-pca64, train, 7", False)
    dataclasses.replace(DIGITS, evaluation=Evaluation(metrics=("brightness",))).validate()
    with pytest.raises(InputError, match="needs something to see"):
        metric.check(("brightness",), RING.build(load(RING.data).description).setting)


def test_an_extractor_is_added_in_one_file(digits, tmp_path, monkeypatch):
    (tmp_path / "corner.py").write_text(
        "from gan_jax.evaluation.extractors.base import Extractor\n"
        "from gan_jax.evaluation.extractors.kinds import Kind\n"
        "CORNER = Kind('corner', 'one pixel',"
        " lambda request: Extractor('corner', lambda x: (x[:, 0, 0], None)))\n"
    )
    package = importlib.import_module("gan_jax.evaluation.extractors")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert [*kinds.kinds()] == [
        "pixels", "efficientnet-lite0", "classifier", "inception", "corner"
    ]  # fmt: skip
    extractor = make_extractor("corner", digits, dataset="digits")
    assert np.array_equal(extractor(digits.real).features, digits.real[:, 0, 0])
    with pytest.raises(InputError, match="there is no extractor 'eye': one of pixels"):
        make_extractor("eye", digits, dataset="digits")


def test_generators_without_latents_are_scored_too(generator, digits):
    """Such as those that translate images."""
    translated = digits.real[:300] / np.float32(127.5) - 1
    subject = Subject(lambda g, n, labels: translated)
    extractor = pixels.pixels(digits.real)
    found = Evaluator(subject, digits, extractor=extractor, samples=300)(generator)
    assert [score.name for score in found] == ["FID", "precision", "recall"]
    with pytest.raises(InputError, match="ppl needs a generator that makes examples of latents"):
        Evaluator(subject, digits, ("ppl",), extractor=extractor)


def test_the_best_checkpoint():
    first = improved(None, 10, Score("FID", 5.0, "a", False))
    assert first == Best(10, "FID", "a", 5.0)
    assert improved(first, 20, Score("FID", 5.0, "a", False)) is None
    assert improved(first, 20, Score("FID", 4.0, "a", False)) == Best(20, "FID", "a", 4.0)
    assert improved(first, 20, Score("FID", 9.0, "b", False)) == Best(20, "FID", "b", 9.0)
    assert improved(first, 20, Score("recall", float("nan"), "a", True)) is None
    both = [Score("precision", 0.1, "a", True), Score("recall", 0.2, "a", True)]
    assert deciding(both, None) == both[0]
    assert deciding(both, "Recall") == both[1]


def test_every_score_is_explained_in_a_sentence():
    for found in metric.metrics().values():
        assert set(found.meanings) == set(found.scores), found.name
        for score in found.scores:
            assert metric.meaning(score).endswith(".")
    assert metric.meaning("unheard of") == ""


def test_a_score_without_a_sentence_is_what_its_metric_is(monkeypatch):
    plain = metric.Metric("plain", "a distance", ("D",), lambda c: None)
    monkeypatch.setattr(metric, "metrics", lambda: {"plain": plain})
    assert metric.meaning("D") == "A distance."
