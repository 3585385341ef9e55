"""MS-SSIM, perceptual path length and the classification accuracy score."""

from math import pi

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve
from scipy.signal.windows import gaussian

from gan_jax import metrics
from gan_jax.metrics.ms_ssim import WEIGHTS, _random_pairs


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def images(side, n=4, channels=3):
    """Smooth ones, so that the coarse scales hold something."""
    rng = np.random.default_rng(side)
    noise = rng.normal(size=(n, side, side, channels))
    smooth = gaussian_filter(noise, (0, side / 12, side / 12, 0), mode="wrap")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.round(255 * smooth).astype(np.uint8)


def by_scipy(a, b, weights):
    """MS-SSIM of two square images, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    result = 1.0
    for scale, weight in enumerate(weights):
        side = len(a)
        size = min(11, side)
        line = gaussian(size, 1.5 * size / 11)
        window = np.outer(line, line)[:, :, None] / line.sum() ** 2

        def blur(x, window=window):
            return convolve(x, window, mode="valid", method="direct")

        ma, mb = blur(a), blur(b)
        va, vb, c = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        cs = (2 * c + 58.5225) / (va + vb + 58.5225)  # (0.03 · 255)² = 7.65²
        luminance = (2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025)  # 2.55²
        last = scale == len(weights) - 1
        result *= (luminance * cs if last else cs).mean() ** weight
        half = side // 2
        a, b = (
            x[: 2 * half, : 2 * half].reshape(half, 2, half, 2, -1).mean(axis=(1, 3))
            for x in (a, b)
        )
    return result


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (9, 3), (28, 1), (32, 3), (64, 3)])
def test_ms_ssim_of_identical_images_is_one(side, channels):
    x = images(side, channels=channels)
    np.testing.assert_allclose(metrics.ms_ssim(x, x), 1, atol=2e-6)
    other = metrics.ms_ssim(x, x[::-1])
    assert np.all((other >= 0) & (other < 0.99))
    assert other.shape == (4,)


# 176 pixels: 11 at the coarsest of five scales, so that no window is shrunk. At 28 there are four
# scales, of 28, 14, 7 and 3; at 8 three, of 8, 4 and 2.
@pytest.mark.parametrize(("side", "scales"), [(8, 3), (28, 4), (32, 5), (176, 5)])
def test_ms_ssim_is_that_by_scipys_filter(side, scales, rng):
    weights = np.array(WEIGHTS[:scales]) / (1 if scales == 5 else sum(WEIGHTS[:scales]))
    a = images(side, n=2)
    b = np.clip(a + 20.0 * rng.normal(size=a.shape) + 10, 0, 255).astype(np.uint8)
    expected = [by_scipy(x, y, weights) for x, y in zip(a, b, strict=True)]
    assert 0.3 < min(expected) < 0.99
    np.testing.assert_allclose(metrics.ms_ssim(a, b), expected, rtol=1e-4)
    floats = metrics.ms_ssim(jnp.asarray(a, jnp.float32), b)
    np.testing.assert_allclose(floats, metrics.ms_ssim(a, b), rtol=1e-6)


@pytest.mark.parametrize("side", [8, 32])
def test_ms_ssim_of_constant_images_is_their_luminance(side):
    # No variance: structure is c₂/c₂ = 1. Luminance is (2·100·50 + 6.5025)/(100² + 50² + 6.5025) to
    # the power of the last scale's weight: of five at 32 pixels, of the first three at 8.
    weight = 0.1333 if side == 32 else 0.3001 / (0.0448 + 0.2856 + 0.3001)
    a, b = (np.full((1, side, side, 1), value, np.uint8) for value in (100, 50))
    expected = (10006.5025 / 12506.5025) ** weight
    # Variances of 10⁴ − 10⁴ are off by 10⁻³ in float32, beside c₂ = 58.5.
    np.testing.assert_allclose(metrics.ms_ssim(a, b), expected, rtol=1e-4)


def test_ms_ssim_of_a_image_and_its_negative_is_zero(rng):
    # Covariance is minus the variance of high-contrast noise: negative factors count as none.
    x = rng.integers(0, 2, size=(2, 16, 16, 1)) * np.uint8(255)
    np.testing.assert_array_equal(metrics.ms_ssim(x, 255 - x), 0)


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        (np.zeros((2, 8, 8, 1)), np.zeros((2, 8, 8, 3)), "two batches"),
        (np.zeros((8, 8, 1)), np.zeros((8, 8, 1)), "two batches"),
        (np.zeros((2, 8, 1, 1)), np.zeros((2, 8, 1, 1)), "two batches"),
        (np.full((1, 8, 8, 1), -1.0), np.zeros((1, 8, 8, 1)), r"\[0, 255\]"),
        (np.zeros((1, 8, 8, 1)), np.full((1, 8, 8, 1), 256.0), r"\[0, 255\]"),
        (np.zeros((1, 8, 8, 1)), np.full((1, 8, 8, 1), np.nan), r"\[0, 255\]"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_ms_ssim_refuses_what_are_no_images(a, b, match):
    with pytest.raises(ValueError, match=match):
        metrics.ms_ssim(a, b)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_random_pairs_are_different_and_cover_all(n):
    count = n * (n - 1) // 2
    i, j = _random_pairs(n, 10**6, seed=0)
    assert np.all((i >= 0) & (i < j) & (j < n))
    assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == count
    i, _ = _random_pairs(n, 1, seed=0)
    assert len(i) == 1


def test_diversity_is_the_mean_similarity_of_pairs():
    x = images(16, n=3)
    a, b = x[[0, 0, 1]], x[[1, 2, 2]]
    expected = metrics.ms_ssim(a, b).mean()
    assert metrics.ms_ssim_diversity(x) == pytest.approx(expected, rel=1e-6)
    collapsed = np.repeat(x[:1], 5, axis=0)
    assert metrics.ms_ssim_diversity(collapsed) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="1 images"):
        metrics.ms_ssim_diversity(x[:1])


def path_length(generate=lambda z, label: z, features=lambda x: x, **options):
    options = {"latent_dim": 3, "n": 500} | options
    return metrics.perceptual_path_length(generate, features, **options)


def test_path_length_of_a_straight_line():
    # One dimension has no circles: G(z) = 3z moves by 3(z₂ − z₁) over t from 0 to 1, and
    # E (z₂ − z₁)² = 2, so 9 · 2. The mean of 20,000 such squares, whose standard deviation is √2 of
    # their mean, is known to 1 %; four standard errors are 4 %.
    length = path_length(lambda z, _: 3 * z, latent_dim=1, n=20_000, discard=(0.0, 1.0))
    assert length == pytest.approx(18, rel=0.04)


def test_path_length_of_a_linear_generator(rng):
    # In many dimensions latents are of length √d and at right angles, so they go along a quarter of
    # a circle at the speed √d · π/2: (W z)' is of square d · π²/4 · tr(WᵀW)/d on average.
    d = 400
    matrix = rng.normal(size=(d, 7)).astype(np.float32)
    length = path_length(
        lambda z, _: jnp.asarray(z) @ matrix, latent_dim=d, n=2000, discard=(0.0, 1.0)
    )
    assert length == pytest.approx(np.sum(matrix**2) * pi**2 / 4, rel=0.05)
    # To 2 % by another way: the derivative along each path in float64, from the same draws.
    draws = np.random.default_rng(0)
    a, b = draws.normal(size=(2, 2000, d))
    t = draws.uniform(size=2000)[:, None]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    angle = np.arccos(np.sum(a * b, axis=1) / norms)[:, None]
    speed = angle * (np.cos(t * angle) * b - np.cos((1 - t) * angle) * a) / np.sin(angle)
    expected = np.mean(np.sum((speed @ matrix) ** 2, axis=1))
    assert length == pytest.approx(expected, rel=2e-3)


def test_path_length_grows_with_the_square_of_features():
    once, twice = path_length(), path_length(features=lambda x: 2 * x)
    assert twice == pytest.approx(4 * once, rel=1e-3)
    assert path_length(features=lambda x: 0 * x) == 0


def test_path_length_is_that_of_whole_batches_and_of_the_seed():
    shapes = set()

    def generate(z, label):
        shapes.add((z.shape, z.dtype.name))
        return z

    options = {"generate": generate, "n": 10}
    assert path_length(**options, batch_size=4) == path_length(**options, batch_size=10)
    assert shapes == {((4, 3), "float32"), ((10, 3), "float32")}
    assert path_length(**options) != path_length(**options, seed=1)


def test_path_length_keeps_each_path_to_its_label():
    # A label adds a constant, which moves nothing, or multiplies.
    labels = np.arange(30) % 3
    options = {"n": 30, "labels": labels, "batch_size": 7, "discard": (0.0, 1.0)}
    shifted = path_length(lambda z, label: z + 10.0 * label[:, None], **options)
    # Values of 20 are rounded to 10⁻⁶, a hundredth of a step.
    assert shifted == pytest.approx(path_length(n=30, discard=(0.0, 1.0)), rel=0.01)
    assert path_length(lambda z, label: z * (label == 5)[:, None], **options) == 0
    with pytest.raises(ValueError, match="30 paths"):
        path_length(n=30, labels=labels[:29])


def test_path_length_discards_both_ends(rng):
    # In one dimension paths are straight, and a generator told its label can scale each as it
    # likes. Quantiles keep the values they fall on.
    n = 1001
    slopes = rng.permutation(n).astype(np.float64)

    def generate(z, label):
        return slopes[label][:, None] * np.asarray(z, np.float64)

    options = {"latent_dim": 1, "n": n, "labels": np.arange(n)}
    start, end = np.random.default_rng(0).normal(size=(2, n, 1))
    lengths = np.sort(np.square(slopes * (end - start)[:, 0]))
    # The 1 % and 99 % quantiles of 1,001 are numbers 10 and 990, which stay.
    expected = lengths[10:991].mean()
    assert path_length(generate, **options) == pytest.approx(expected, rel=1e-3)
    everything = path_length(generate, **options, discard=(0.0, 1.0))
    assert everything == pytest.approx(lengths.mean(), rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"epsilon": 0.0},
        {"n": 0},
        {"batch_size": 0},
        {"discard": (0.5, 0.5)},
        {"discard": (0.0, 99.0)},
    ],
)
def test_path_length_refuses_nonsense(options):
    with pytest.raises(ValueError, match=r"positive|quantile"):
        path_length(**options)


def nearest_mean(x, labels):
    """A classifier by the nearest class mean."""
    classes = np.unique(labels)
    means = np.stack([x[labels == c].mean(axis=0) for c in classes])
    return lambda x: classes[np.abs(x[:, None] - means).sum(axis=-1).argmin(axis=1)]


def test_classification_accuracy_trains_on_fake_and_tests_on_real():
    # Fake classes 0 and 1 have means 0 and 10; of the real points 1, 4, 6 and 7, all of class 0,
    # two are nearer to 0. Trained on real ones, or tested on fake ones, all would be right.
    fake, real = (np.array(x)[:, None] for x in ([-1.0, 1.0, 9.0, 11.0], [1.0, 4.0, 6.0, 7.0]))
    fake_labels, real_labels = np.array([0, 0, 1, 1]), np.zeros(4, int)
    score = metrics.classification_accuracy_score(
        fake, fake_labels, real, real_labels, fit=nearest_mean
    )
    assert score == 0.5


@pytest.mark.usefixtures("unchecked")
def test_classification_accuracy_refuses_labels_that_do_not_fit():
    x, y = np.zeros((4, 1)), np.zeros(4, int)
    score = metrics.classification_accuracy_score
    for labels in ((y[:3], y), (y, y[:3]), (y, y[:, None])):
        with pytest.raises(ValueError, match=r"4 (fake|real) images, labels"):
            score(x, labels[0], x, labels[1], fit=nearest_mean)
    with pytest.raises(ValueError, match="predictions"):
        score(x, y, x, y, fit=lambda x, labels: lambda x: np.zeros((4, 10)))
