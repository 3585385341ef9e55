"""Distances between sets of features, and the Inception score: by hand, and by other people's code.

torch-fidelity is compared with where it is installed; NumPy and SciPy always.
"""

import itertools
import warnings
from math import exp, log, pi

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from gan_jax import metrics
from gan_jax.metrics import Gaussian

_rng = np.random.default_rng(0)
REAL = _rng.normal(size=(60, 5)) @ _rng.normal(size=(5, 5)) + _rng.normal(size=5)
FAKE = _rng.normal(size=(50, 5)) @ _rng.normal(size=(5, 5))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def fidelity(module):
    """A module of torch-fidelity, which needs torchvision for nothing but its import."""
    return pytest.importorskip(f"torch_fidelity.{module}", exc_type=ImportError)


def frechet(real, fake):
    return metrics.frechet_distance(real, fake, warn=False)


def test_frechet_distance_of_gaussians_on_the_axes():
    # ‖μ₁ − μ₂‖² = 3² + 4² = 25; diagonal covariances commute, so the rest is Σ (σ₁ − σ₂)²:
    # (1 − 2)² + (3 − 5)² = 5
    a = Gaussian(np.array([0.0, 0.0]), np.diag([1.0, 9.0]), 9999)
    b = Gaussian(np.array([3.0, 4.0]), np.diag([4.0, 25.0]), 9999)
    assert metrics.frechet_distance(a, b) == pytest.approx(30, rel=1e-12)


def test_frechet_distance_of_features_by_hand():
    # means 1 and 4; variances over N − 1: (1 + 1)/1 = 2 and (4 + 4)/1 = 8
    # 3² + (√2 − √8)² = 9 + (√2)² = 11
    real, fake = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert frechet(real, fake) == pytest.approx(11, rel=1e-12)


def test_fit_is_numpys_covariance_in_float64(rng):
    features = (1e4 + rng.normal(size=(5000, 3))).astype(np.float32)  # more than one block of rows
    gaussian = metrics.fit(jnp.asarray(features))
    assert gaussian.mean.dtype == gaussian.covariance.dtype == np.float64
    assert gaussian.count == 5000
    exact = features.astype(np.float64)
    np.testing.assert_allclose(gaussian.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(gaussian.covariance, np.cov(exact.T), rtol=1e-9)


def test_frechet_distance_is_that_by_scipys_matrix_root():
    a, b = np.cov(REAL.T), np.cov(FAKE.T)
    root = scipy.linalg.sqrtm(a @ b)
    mean = np.sum((REAL.mean(axis=0) - FAKE.mean(axis=0)) ** 2)
    expected = mean + np.trace(a + b - 2 * root).real
    assert frechet(REAL, FAKE) == pytest.approx(expected, rel=1e-10)
    assert frechet(metrics.fit(REAL), FAKE) == frechet(REAL, FAKE)
    assert frechet(FAKE, REAL) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_is_torch_fidelitys():
    theirs = fidelity("metric_fid")
    torch = pytest.importorskip("torch")
    statistics = [theirs.fid_features_to_statistics(torch.tensor(x)) for x in (REAL, FAKE)]
    expected = theirs.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet(REAL, FAKE) == pytest.approx(expected["frechet_inception_distance"], rel=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shape", [(500, 20), (20, 100)], ids=["regular", "singular"])
def test_frechet_distance_of_identical_sets_is_zero(shape, scale, rng):
    features = scale * (5 + rng.normal(size=shape))
    trace = np.trace(np.cov(features.T))
    assert 0 <= frechet(features, features) <= 1e-10 * trace
    # A shift by s leaves covariances alone: ‖s‖², also where they have no inverse.
    shift = scale * rng.normal(size=shape[1])
    assert frechet(features, features + shift) == pytest.approx(np.sum(shift**2), rel=1e-9)


def test_frechet_distance_to_a_constant_set():
    # Σ₂ = 0: what is left is ‖μ₁ − μ₂‖² + tr Σ₁
    constant = np.zeros((10, 5))
    expected = np.sum(REAL.mean(axis=0) ** 2) + np.trace(np.cov(REAL.T))
    assert frechet(REAL, constant) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("real", "fake"), [(2047, 2048), (2048, 2047)])
def test_frechet_distance_warns_of_few_examples_on_either_side(real, fake):
    real, fake = (Gaussian(np.zeros(1), np.eye(1), n) for n in (real, fake))
    with pytest.warns(UserWarning, match="2,047"):
        metrics.frechet_distance(real, fake)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.frechet_distance(real, fake, warn=False)
        larger = max(real, fake, key=lambda side: side.count)
        metrics.frechet_distance(larger, larger)


def test_kernel_distance_by_hand():
    # d = 1, so k(x, y) = (xy + 1)³. Within {0, 1}: k(0, 1) = 1, twice, over 2 pairs: 1.
    # Within {1, 2}: k(1, 2) = 27. Across: k(0, ·) = 1 twice, k(1, 1) = 8, k(1, 2) = 27: 37/4.
    # 1 + 27 − 2 · 37/4 = 9.5; all subsets of two are the whole sets.
    real, fake = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    distance = metrics.kernel_distance(real, fake, subsets=3)
    assert distance == pytest.approx((9.5, 0.0), abs=1e-12)


def test_kernel_distance_divides_products_by_the_width():
    # d = 2: k(x, y) = (x·y/2 + 1)³. Points (2, 0) and (0, 2): k = 1 within. Points 0: k = 1 within
    # and across: 1 + 1 − 2 = 0. Points (2, 0) twice: k = (4/2 + 1)³ = 27 within; across with 0: 1.
    origin, far = np.zeros((2, 2)), np.array([[2.0, 0.0], [2.0, 0.0]])
    assert metrics.kernel_distance(origin, far).mean == pytest.approx(1 + 27 - 2)
    assert metrics.kernel_distance(origin, 2 * np.eye(2)).mean == pytest.approx(0)


def test_kernel_distance_is_the_average_over_tuples():
    def k(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    real, fake = REAL[:20], FAKE[:20]
    within = [np.mean([k(x, y) for x, y in itertools.permutations(s, 2)]) for s in (real, fake)]
    across = np.mean([k(x, y) for x, y in itertools.product(real, fake)])
    distance = metrics.kernel_distance(real, fake, subsets=2)
    assert distance.mean == pytest.approx(sum(within) - 2 * across, rel=1e-10)
    assert distance.std == pytest.approx(0, abs=1e-9 * distance.mean)


def test_kernel_distance_is_torch_fidelitys():
    theirs = fidelity("metric_kid")
    torch = pytest.importorskip("torch")
    expected = theirs.kid_features_to_metric(
        torch.tensor(REAL[:50]), torch.tensor(FAKE), kid_subsets=2, kid_subset_size=50
    )
    ours = metrics.kernel_distance(REAL[:50], FAKE)
    assert ours.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)


def test_kernel_distance_is_unbiased(rng):
    # Of one distribution: about zero over many subsets, and negative in many of them.
    real, fake = rng.normal(size=(2, 4000, 4))
    distance = metrics.kernel_distance(real, fake, subsets=200, subset_size=20)
    assert abs(distance.mean) < 4 * distance.std / np.sqrt(200)
    singles = [
        metrics.kernel_distance(real, fake, subsets=1, subset_size=20, seed=i).mean
        for i in range(20)
    ]
    assert 3 <= np.sum(np.array(singles) < 0) <= 17
    assert len(set(singles)) == 20
    assert singles[0] == metrics.kernel_distance(real, fake, subsets=1, subset_size=20).mean


def test_inception_score_of_sure_and_diverse_samples_is_the_number_of_classes():
    logits = 1000 * np.tile(np.eye(5), (20, 1))
    assert metrics.inception_score(logits) == pytest.approx((5, 0))
    assert metrics.inception_score(jnp.asarray(logits)) == pytest.approx((5, 0))


def test_inception_score_of_undecided_or_collapsed_samples_is_one():
    assert metrics.inception_score(np.full((30, 5), 7.0)) == pytest.approx((1, 0))
    assert metrics.inception_score(1000 * np.eye(5)[[2] * 30]) == pytest.approx((1, 0))


def test_inception_score_by_hand():
    # p(y|x) = (3/4, 1/4) and (1/4, 3/4), p(y) = (1/2, 1/2), so both divergences are
    # 3/4 log(3/2) + 1/4 log(1/2). The second part repeats one sample: score 1.
    sure, other = [log(3), 0.0], [0.0, log(3)]
    score = exp(0.75 * log(3 / 2) + 0.25 * log(1 / 2))
    logits = np.array([sure, other, sure, sure])
    assert metrics.inception_score(logits[:2], splits=1) == pytest.approx((score, 0))
    both = metrics.inception_score(logits, splits=2)
    assert both == pytest.approx(((score + 1) / 2, (score - 1) / 2))
    # Three in two parts: the first alone, and the other two.
    assert metrics.inception_score(logits[:3], splits=2) == pytest.approx(both)


def test_inception_score_is_torch_fidelitys(rng):
    theirs = fidelity("metric_isc")
    torch = pytest.importorskip("torch")
    logits = 3 * rng.normal(size=(103, 7))  # splits of 10 and 11
    expected = theirs.isc_features_to_metric(torch.tensor(logits), splits=10, shuffle=False)
    assert metrics.inception_score(logits) == pytest.approx(tuple(expected.values()), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 30), (7, 40), (1, 3)])
def test_sliced_wasserstein_on_a_line_is_scipys(n, m, rng):
    # In one dimension every direction is ±1.
    real, fake = rng.normal(size=(n, 1)), 1 + 2 * rng.normal(size=(m, 1))
    expected = scipy.stats.wasserstein_distance(real[:, 0], fake[:, 0])
    assert metrics.sliced_wasserstein(real, fake, projections=3) == pytest.approx(expected)


def test_sliced_wasserstein_of_a_shift():
    # A shift by s costs |θ·s| along θ. In the plane its mean over angles is ‖s‖ · 2/π: here 10/π.
    shifted = REAL[:, :2] + np.array([3.0, 4.0])
    distance = metrics.sliced_wasserstein(REAL[:, :2], shifted, projections=4000)
    # |cos| has standard deviation √(1/2 − 4/π²) = 0.31: four standard errors are 0.02 · 5.
    assert distance == pytest.approx(10 / pi, abs=0.1)


def test_sliced_wasserstein_of_a_set_with_itself_is_zero():
    assert metrics.sliced_wasserstein(REAL, REAL[::-1]) == 0
    assert metrics.sliced_wasserstein(REAL, np.repeat(REAL, 3, axis=0)) == pytest.approx(0)


def test_sliced_wasserstein_depends_on_the_seed_alone():
    a, b, c = (metrics.sliced_wasserstein(REAL, FAKE, projections=70, seed=s) for s in (0, 0, 1))
    assert a == b != c
    assert c == pytest.approx(a, rel=0.3)
