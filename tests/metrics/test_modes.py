"""Modes counted by hand; and what all metrics have in common."""

import json
import subprocess
import sys
from math import inf, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import metrics
from gan_jax.data import gaussians

CENTERS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_mixture_modes_by_hand():
    # σ = 1: within 3 of a centre. Mode 0: two good points and a bad one; mode 1: one at 3 exactly,
    # which is close enough; mode 2: one bad one, not covered; mode 3: none.
    points = np.array([[0, 0], [1, 1], [4, 0], [13, 0], [3.5, 10]])
    scores = metrics.mixture_modes(points, CENTERS, 1.0)
    assert (scores.covered, scores.modes, scores.high_quality) == (2, 4, 3 / 5)
    # Frequencies 3/5, 1/5, 1/5, 0 against 1/4 each: Σ p log 4p
    assert scores.kl_fake_real == pytest.approx(0.6 * log(2.4) + 2 * 0.2 * log(0.8))
    assert scores.kl_real_fake == inf


def test_mixture_modes_with_none_missing():
    # Frequencies 1/2, 1/6, 1/6, 1/6 over 6 points.
    points = CENTERS[[0, 0, 0, 1, 2, 3]]
    scores = metrics.mixture_modes(jnp.asarray(points), CENTERS, 0.1)
    assert (scores.covered, scores.modes, scores.high_quality) == (4, 4, 1)
    assert scores.kl_fake_real == pytest.approx(0.5 * log(2) + 3 / 6 * log(4 / 6))
    assert scores.kl_real_fake == pytest.approx(0.25 * log(1 / 2) + 3 / 4 * log(6 / 4))


def test_mixture_modes_within_as_many_deviations_as_asked():
    points = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert metrics.mixture_modes(points, CENTERS, 0.5, within=2.0).high_quality == 0.5
    assert metrics.mixture_modes(points, CENTERS, 0.5, within=4.0).high_quality == 1
    assert metrics.mixture_modes(points, CENTERS, 0.5, within=1.9).covered == 0


@pytest.mark.parametrize("shape", ["ring", "grid"])
def test_mixture_modes_of_the_mixture_itself(shape):
    centers = getattr(gaussians, f"{shape}_centers")()
    std = getattr(gaussians, f"{shape.upper()}_STD")
    points, _ = gaussians.mixture(jax.random.key(0), 2500, centers, std)
    scores = metrics.mixture_modes(points, centers, std)
    assert scores.covered == scores.modes == len(centers)
    # 1 − exp(−9/2) = 0.989, give or take four standard errors of √(.989 · .011/2500) = .002
    assert scores.high_quality == pytest.approx(0.989, abs=0.0084)
    # 2n KL is about χ² with modes − 1 degrees of freedom: a mean of 24/5000 = 0.005 at most.
    assert 0 < scores.kl_fake_real < 0.012
    assert 0 < scores.kl_real_fake < 0.012


@pytest.mark.parametrize("options", [{"std": 0.0}, {"std": 1.0, "within": -1.0}])
def test_mixture_modes_needs_positive_widths(options):
    with pytest.raises(ValueError, match="positive"):
        metrics.mixture_modes(CENTERS, CENTERS, **options)


def test_class_modes_by_hand():
    # Counts 2, 1, 1, 0 of 4 classes: Σ p log 4p = ½ log 2 + 2 · ¼ log 1
    scores = metrics.class_modes(np.array([0, 2, 0, 1]), 4)
    assert scores == (3, 4, pytest.approx(0.5 * log(2)), inf)
    assert metrics.class_modes(np.array([0, 2, 0, 1]), 4, minimum=2).covered == 1


def test_class_modes_against_real_labels():
    # Fake 1/2, 1/2, 0; real 1/4, 3/4, 0. A class that neither has adds nothing.
    scores = metrics.class_modes(
        jnp.array([0, 1, 0, 1]), 3, real_labels=np.array([1, 0, 1, 1], np.uint8)
    )
    assert scores.covered == 2
    assert scores.kl_fake_real == pytest.approx(0.5 * log(2) + 0.5 * log(2 / 3))
    assert scores.kl_real_fake == pytest.approx(0.25 * log(1 / 2) + 0.75 * log(3 / 2))
    # A class that only fakes have.
    scores = metrics.class_modes(np.array([0, 2]), 3, real_labels=np.array([0, 0]))
    assert (scores.kl_fake_real, scores.kl_real_fake) == (inf, pytest.approx(log(2)))


def test_class_modes_of_a_collapse_to_some_of_a_thousand():
    # 100 of 1,000 classes, alike: KL(fake ‖ uniform) = log 1000/100
    labels = np.repeat(np.arange(0, 1000, 10), 26)
    scores = metrics.class_modes(labels, 1000)
    assert (scores.covered, scores.modes) == (100, 1000)
    assert scores.kl_fake_real == pytest.approx(log(10))


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [], [0.0, 1.0], [[0, 1]]])
@pytest.mark.usefixtures("unchecked")
def test_class_modes_refuses_what_are_no_labels(labels):
    labels = np.array(labels) if labels else np.zeros(0, int)
    with pytest.raises(ValueError, match="labels are"):
        metrics.class_modes(labels, 3)


OF_TWO_SETS = (
    metrics.frechet_distance,
    metrics.kernel_distance,
    metrics.precision_recall,
    metrics.density_coverage,
    metrics.nearest,
    metrics.sliced_wasserstein,
)


@pytest.mark.parametrize("metric", OF_TWO_SETS, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize(
    ("fake", "match"),
    [
        (np.zeros((9, 3)), "different widths"),
        (np.zeros((9, 2, 1)), "matrices"),
        (np.zeros((0, 2)), "too few"),
        (np.full((9, 2), np.nan), "not finite"),
        (np.full((9, 2), np.inf), "not finite"),
    ],
    ids=["width", "shape", "empty", "nan", "inf"],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_features_are_refused(metric, fake, match):
    with pytest.raises(ValueError, match=match):
        metric(np.ones((9, 2)), fake)


@pytest.mark.parametrize("metric", OF_TWO_SETS[:4], ids=lambda metric: metric.__name__)
@pytest.mark.filterwarnings("ignore:a Fréchet distance")
def test_features_of_any_kind_give_floats(metric):
    real, fake = np.random.default_rng(0).integers(0, 9, size=(2, 20, 3))
    expected = np.ravel(metric(real.astype(np.float64), fake.astype(np.float64)))
    for kind in (np.uint8, np.float32, jnp.bfloat16):
        result = metric(jnp.asarray(real, kind), jnp.asarray(fake, kind))
        fields = result if isinstance(result, tuple) else (result,)
        assert all(type(x) is float for x in fields)
        np.testing.assert_allclose(fields, expected, rtol=1e-6, atol=1e-9)


def test_inputs_are_left_alone():
    real, fake = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    copies = real.copy(), fake.copy()
    for metric in OF_TWO_SETS[1:]:
        metric(real, fake)
    metrics.frechet_distance(real, fake, warn=False)
    np.testing.assert_array_equal((real, fake), copies)


def test_import_is_light():
    code = "import gan_jax.metrics, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    heavy = {"torch", "sklearn", "matplotlib", "PIL", "tensorflow", "tensorflow_datasets", "grain"}
    assert heavy.isdisjoint(loaded)
