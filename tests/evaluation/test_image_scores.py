"""Scores of what makes images of images: PSNR and SSIM beside the truth, and the target domain."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_objective, mlps

from gan_jax.data import Description, Examples
from gan_jax.errors import InputError
from gan_jax.evaluation import metric
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.evaluation.metric import Setting
from gan_jax.evaluation.subject import Subject

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (6, 16, 16, 1), np.uint8)
SOURCE = Examples(Description((16, 16, 1), None, len(REAL), ""), REAL, None)


def plain(images):
    """Features and logits of images: their mean, and how far it is from either end."""
    mean = jnp.mean(jnp.float32(images), (1, 2, 3))[:, None]
    return mean, jnp.concatenate([255 - mean, mean], axis=1)


def scores(subject, metrics, *, samples, logits="classes", maps=None):
    plainly = Extractor("plain", plain, logits=logits, maps=maps)
    evaluator = Evaluator(
        subject, SOURCE, metrics, extractor=plainly, samples=samples, split="test"
    )
    _, g = mlps(make_objective())  # which the subjects here have no need of
    return evaluator(g)


def floats(images):
    return np.float32(images) / 127.5 - 1


def as_floats(images):
    """Feature maps of images: the images."""
    return (jnp.float32(images),)


def subject(made, truth=None, **options):
    return Subject(lambda g, n, labels: floats(made[:n]), truth=truth, **options)


def test_psnr_is_the_mean_over_images():
    """Off by 5 and by 10 of 255 everywhere: 20·log₁₀(255/5) and 20·log₁₀(255/10)."""
    truth = np.full((2, 16, 16, 1), 100, np.uint8)
    made = truth + np.array([5, 10], np.uint8)[:, None, None, None]
    (score,) = scores(subject(made, truth), ("psnr",), samples=2)
    expected = (20 * np.log10(51) + 20 * np.log10(25.5)) / 2
    assert score.name == "PSNR"
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert score.higher_is_better
    assert score.conventions == "plain, test, 2"


def test_equal_images_have_100_decibels():
    """And not infinitely many, which no mean could show."""
    made = REAL.copy()
    made[0] ^= 255
    psnr, ssim = scores(subject(REAL, REAL), ("psnr", "ssim"), samples=6)
    assert (psnr.value, ssim.value) == (100, pytest.approx(1))
    (some,) = scores(subject(made, REAL), ("psnr",), samples=6)
    one = 10 * np.log10(255**2 / np.mean((np.float64(made[0]) - REAL[0]) ** 2))
    assert some.value == pytest.approx((5 * 100 + one) / 6, rel=1e-6)


def test_ssim_is_by_hand_of_flat_images():
    """Without any variance it is (2·x·y + C₁) / (x² + y² + C₁), C₁ = (0.01·255)²."""
    truth, made = (np.full((2, 16, 16, 1), v, np.uint8) for v in (100, 150))
    (score,) = scores(subject(made, truth), ("ssim",), samples=2)
    c = 2.55**2
    assert score.name == "SSIM"
    assert score.value == pytest.approx((2 * 100 * 150 + c) / (100**2 + 150**2 + c), rel=1e-5)
    assert score.higher_is_better


def test_each_image_is_compared_with_its_own_truth():
    (own,) = scores(subject(REAL, REAL), ("ssim",), samples=6)
    (shuffled,) = scores(subject(REAL, REAL[::-1]), ("ssim",), samples=6)
    assert own.value > 0.99 > 0.5 > shuffled.value


def test_of_fewer_samples_the_first_truths_count():
    (score,) = scores(subject(REAL, REAL), ("psnr",), samples=4)
    assert (score.value, score.conventions) == (100, "plain, test, 4")


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_without_truth_there_is_no_fidelity(name):
    with pytest.raises(InputError, match=f"the metric {name} needs a model that learns from pairs"):
        scores(subject(REAL), (name,), samples=6)


def test_images_smaller_than_the_window_have_no_ssim():
    def setting(side):
        truth = np.zeros((0, side, side, 3), np.uint8)
        return Setting(Subject(lambda *_: None, truth=truth), images=True, logits="none")

    with pytest.raises(InputError, match="the metric ssim needs images of at least 11 pixels"):
        metric.check(("ssim",), setting(10))
    assert metric.check(("ssim",), setting(11)) == ("ssim",)
    assert metric.check((), setting(8))[0] == "psnr"
    assert "ssim" not in metric.check((), setting(8))


def test_by_default_they_are_measured_where_the_truth_is_known():
    known = Setting(subject(REAL, REAL), images=True, logits="none")
    assert metric.check((), known)[:2] == ("psnr", "ssim")
    unknown = dataclasses.replace(known, subject=subject(REAL))
    assert {"psnr", "ssim", "target"}.isdisjoint(metric.check((), unknown))


def test_perceptual_distance_is_on_the_extractor_s_maps():
    """Of maps that are the images themselves, by hand: a gray pixel's vector of channels has one
    direction whatever its brightness, and red and green ones are √2 apart."""
    red, green = np.zeros((2, 6, 16, 16, 3), np.uint8)
    red[..., 0], green[..., 1] = 200, 100
    for made, truth, expected in ((red, green, 2.0), (red, red // 2, 0.0)):
        (score,) = scores(subject(made, truth), ("perceptual",), samples=6, maps=as_floats)
        assert score.name == "perceptual distance"
        assert score.value == pytest.approx(expected, abs=1e-5)
        assert not score.higher_is_better
    with pytest.raises(InputError, match="perceptual needs the extractor efficientnet-lite0"):
        scores(subject(REAL, REAL), ("perceptual",), samples=6)


def test_target_is_the_share_that_is_taken_for_it():
    """Bright images, above 127.5, are of class 1."""
    levels = np.array([10, 200, 150, 250, 90], np.uint8)
    made = np.broadcast_to(levels[:, None, None, None], (5, 16, 16, 1)).copy()
    for target, share in ((1, 3 / 5), (0, 2 / 5)):
        (score,) = scores(subject(made, target=target), ("target",), samples=5)
        assert score.name == "target"
        assert score.value == pytest.approx(share)
        assert score.conventions == "plain, test, 5"
        assert score.higher_is_better


def test_target_needs_a_classifier_and_a_translation():
    with pytest.raises(InputError, match="the metric target needs the extractor classifier"):
        scores(subject(REAL, target=0), ("target",), samples=5, logits="none")
    with pytest.raises(InputError, match="the metric target needs a model that translates"):
        scores(subject(REAL), ("target",), samples=5)
