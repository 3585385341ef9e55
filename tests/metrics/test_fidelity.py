"""PSNR and SSIM of images and their true ones, and the perceptual distance of features."""

from math import inf, log10, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def constant(value, side=16, channels=1):
    return np.full((1, side, side, channels), value, np.uint8)


def pairs(rng, *shape):
    """Dark, bright and noisy true images, and worse ones."""
    h, w, c = shape
    y, x, k = np.mgrid[:h, :w, :c]
    smooth = 100 + 90 * np.sin(x / 5 + k) * np.cos(y / 7)
    truth = np.stack([smooth, 5 + smooth / 30, 245 + smooth / 30, rng.uniform(0, 255, shape)])
    noise = rng.normal(size=truth.shape) * np.array([10, 2, 2, 40])[:, None, None, None]
    return tuple(np.clip(a, 0, 255).round().astype(np.uint8) for a in (truth + noise, truth))


SIZES = pytest.mark.parametrize("shape", [(11, 11, 3), (11, 30, 1), (32, 32, 3), (47, 64, 1)])


def test_psnr_by_hand():
    # One of four pixels is off by 6, in one of two channels: 36/8 is the mean square.
    truth = np.full((2, 2, 2, 2), 10, np.uint8)
    image = truth.copy()
    image[0, 1, 0, 1] = 4
    image[1] = 255 - truth[1]  # off by 235 everywhere, and nothing wraps
    expected = [10 * log10(255**2 / (36 / 8)), 20 * log10(255 / 235)]
    np.testing.assert_allclose(metrics.psnr(image, truth), expected, rtol=1e-12)
    np.testing.assert_allclose(metrics.psnr(truth, image), expected, rtol=1e-12)


def test_ssim_of_constant_images_is_their_luminance():
    # No variance: structure is c₂/c₂ = 1. c₁ = (0.01 · 255)² = 6.5025.
    expected = (2 * 100 * 50 + 6.5025) / (100**2 + 50**2 + 6.5025)
    np.testing.assert_allclose(metrics.ssim(constant(100), constant(50)), expected, rtol=1e-6)


def test_ssim_of_one_window_by_hand():
    # Eleven by eleven pixels are one window. A pixel that stands out at its center, by 100 from 0,
    # has the weight p = 1/(Σ exp(−x²/4.5))², x from −5 to 5; one at the corner has q, which is
    # smaller by exp(−25/4.5)². Their covariance is −100p · 100q.
    p = 1 / np.sum(np.exp(-(np.arange(-5, 6) ** 2) / 4.5)) ** 2
    q = p * np.exp(-50 / 4.5)
    a, b = constant(0, 11), constant(0, 11)
    a[0, 5, 5], b[0, 0, 0] = 100, 100
    c1, c2 = 6.5025, 58.5225
    var_a, var_b = 100**2 * (p - p**2), 100**2 * (q - q**2)
    luminance = (2 * 100 * p * 100 * q + c1) / ((100 * p) ** 2 + (100 * q) ** 2 + c1)
    structure = (2 * -(100**2) * p * q + c2) / (var_a + var_b + c2)
    np.testing.assert_allclose(metrics.ssim(a, b), luminance * structure, rtol=1e-4)


@SIZES
def test_psnr_is_that_of_scikit_image(shape, rng):
    skimage = pytest.importorskip("skimage.metrics")
    images, truth = pairs(rng, *shape)
    expected = [
        skimage.peak_signal_noise_ratio(y, x, data_range=255)
        for x, y in zip(images, truth, strict=True)
    ]
    assert 10 < min(expected) < max(expected) < 50
    np.testing.assert_allclose(metrics.psnr(images, truth), expected, rtol=1e-9)
    floats = metrics.psnr(jnp.asarray(images, jnp.float32), truth)
    np.testing.assert_allclose(floats, expected, rtol=1e-9)


def ssim_by_scikit_image(images, truth):
    skimage = pytest.importorskip("skimage.metrics")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return [
        skimage.structural_similarity(
            x.astype(np.float64), y.astype(np.float64), data_range=255, channel_axis=-1, **options
        )
        for x, y in zip(images, truth, strict=True)
    ]


@SIZES
def test_ssim_is_that_of_scikit_image(shape, rng):
    images, truth = pairs(rng, *shape)
    expected = ssim_by_scikit_image(images, truth)
    assert 0.3 < min(expected) < 0.97
    np.testing.assert_allclose(metrics.ssim(images, truth), expected, atol=1e-4)
    floats = metrics.ssim(jnp.asarray(images, jnp.float32), truth)
    np.testing.assert_allclose(floats, metrics.ssim(images, truth), rtol=1e-6)


def test_ssim_of_bright_smooth_images_keeps_its_digits(rng):
    # Variances of 1 beside squares of 255², of which float32 keeps 7 digits.
    truth = rng.integers(247, 254, (20, 11, 11, 3)).astype(np.uint8)
    images = (truth + rng.integers(-1, 2, truth.shape)).astype(np.uint8)
    expected = ssim_by_scikit_image(images, truth)
    np.testing.assert_allclose(metrics.ssim(images, truth), expected, atol=1e-5)


def test_ssim_of_large_images_and_many_is_that_of_each(rng, monkeypatch):
    images, truth = (np.tile(x, (10, 1, 1, 1)) for x in pairs(rng, 12, 15, 1))
    together = metrics.ssim(images, truth)
    assert together.shape == (40,)
    monkeypatch.setattr("gan_jax.metrics.fidelity._VALUES", 3 * 12 * 15)
    np.testing.assert_allclose(metrics.ssim(images, truth), together, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"luma": True}, {"border": 2}])
def test_equal_images_are_as_near_as_can_be(options, rng):
    _, truth = pairs(rng, 16, 16, 3)
    np.testing.assert_array_equal(metrics.psnr(truth, truth, **options), [inf] * 4)
    np.testing.assert_allclose(metrics.ssim(truth, truth, **options), 1, rtol=1e-6)


def test_of_no_images_there_are_no_values():
    none = np.zeros((0, 16, 16, 3), np.uint8)
    assert metrics.psnr(none, none).shape == metrics.ssim(none, none).shape == (0,)


def test_luma_weighs_the_channels():
    # Black is 16 and white 235. Green off by 51 = 255/5 moves luma by 128.553/5.
    black, white = constant(0, channels=3), constant(255, channels=3)
    expected = 20 * log10(255 / (65.481 + 128.553 + 24.966))
    np.testing.assert_allclose(metrics.psnr(black, white, luma=True), expected, rtol=1e-9)
    green = black.copy()
    green[..., 1] = 51
    expected = 20 * log10(255 / (128.553 / 5))
    np.testing.assert_allclose(metrics.psnr(green, black, luma=True), expected, rtol=1e-9)
    expected = (2 * 16 * 235 + 6.5025) / (16**2 + 235**2 + 6.5025)
    np.testing.assert_allclose(metrics.ssim(black, white, luma=True), expected, rtol=1e-5)


def test_luma_is_that_of_scikit_image(rng):
    color = pytest.importorskip("skimage.color")
    images, truth = pairs(rng, 20, 24, 3)
    y_images, y_truth = (color.rgb2ycbcr(x)[..., :1] for x in (images, truth))
    for measure in (metrics.psnr, metrics.ssim):
        luma = measure(images, truth, luma=True)
        np.testing.assert_allclose(luma, measure(y_images, y_truth), rtol=1e-5)
    np.testing.assert_allclose(
        metrics.ssim(images, truth, luma=True), ssim_by_scikit_image(y_images, y_truth), atol=1e-4
    )


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_a_border_is_cut_off_each_side(measure, rng):
    images, truth = pairs(rng, 17, 21, 3)
    expected = measure(images[:, 3:14, 3:18], truth[:, 3:14, 3:18])
    images[:, :3] = images[:, 14:] = images[:, :, :3] = images[:, :, 18:] = 0
    np.testing.assert_allclose(measure(images, truth, border=3), expected, rtol=1e-6)
    assert np.all(measure(images, truth, border=2) < expected)


@pytest.mark.parametrize(
    ("images", "truth", "options", "match"),
    [
        (constant(0), constant(0, side=17), {}, "two batches"),
        (constant(0), constant(0, channels=3), {}, "two batches"),
        (constant(0)[0], constant(0)[0], {}, "two batches"),
        (constant(0) - 1.0, constant(0), {}, r"\[0, 255\]"),
        (constant(0), constant(0) + np.nan, {}, r"\[0, 255\]"),
        (constant(0), constant(0), {"luma": True}, "1 channels"),
        (constant(0), constant(0), {"border": -1}, "border of -1"),
        (constant(0), constant(0), {"border": 8}, "border of 8 each side, are too small"),
    ],
)
@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_compared_is_refused(measure, images, truth, options, match):
    with pytest.raises(ValueError, match=match):
        measure(images, truth, **options)


def test_ssim_needs_images_as_large_as_its_window():
    x = constant(0, side=10)
    with pytest.raises(ValueError, match=r"10×10 pixels.* needs 11×11"):
        metrics.ssim(x, x)
    x = constant(0, side=12)
    with pytest.raises(ValueError, match=r"12×12 pixels, less a border of 1 .* needs 11×11"):
        metrics.ssim(x, x, border=1)
    assert metrics.psnr(x, x, border=1) == inf


def test_perceptual_distance_by_hand():
    # The first layer has two positions, the second one. (3, 4) is (0.6, 0.8) of unit length, and
    # (0, 2) is (0, 1): 0.6² + 0.2². (1, 0) and (0, 5) are at right angles: 2. Parallel ones: 0. The
    # second pair of images differs in the second layer alone, by (1, 1)/√2 against (1, 0).
    a = (
        jnp.array([[[[3.0, 4.0], [1.0, 0.0]]], [[[1.0, 2.0], [2.0, 0.0]]]]),
        jnp.array([[[[2.0, 2.0, 1.0]]], [[[7.0, 7.0, 0.0]]]]),
    )
    b = (
        jnp.array([[[[0.0, 2.0], [0.0, 5.0]]], [[[2.0, 4.0], [1.0, 0.0]]]]),
        jnp.array([[[[4.0, 4.0, 2.0]]], [[[0.1, 0.0, 0.0]]]]),
    )
    expected = [(0.6**2 + 0.2**2 + 2) / 2 + 0, 0 + (1 - 1 / sqrt(2)) ** 2 + 1 / 2]
    np.testing.assert_allclose(metrics.perceptual_distance(a, b), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.perceptual_distance(b, a), expected, rtol=1e-5)
    np.testing.assert_array_equal(metrics.perceptual_distance(a, a), 0)


def test_perceptual_features_are_as_far_apart():
    rng = np.random.default_rng(0)
    a, b = (
        tuple(jnp.asarray(rng.normal(size=(3, *shape))) for shape in ((4, 5, 6), (2, 1, 3)))
        for _ in range(2)
    )
    flat = metrics.perceptual_features(a) - metrics.perceptual_features(b)
    assert flat.shape == (3, 4 * 5 * 6 + 2 * 1 * 3)
    np.testing.assert_allclose(
        jnp.sum(flat**2, axis=1), metrics.perceptual_distance(a, b), rtol=1e-5
    )


def test_perceptual_distance_of_zero_features_is_finite_with_its_gradient():
    # A vector of zeros stays one, so that its distance to a unit vector is 1. Near zero the norm is
    # √10⁻¹⁰ = 10⁻⁵, so the derivative of (0 − v)² is −2v · 10⁵.
    zeros, ones = (jnp.zeros((1, 1, 1, 4)),), (jnp.ones((1, 1, 1, 4)),)

    def distance(a, b):
        return jnp.sum(metrics.perceptual_distance(a, b))

    value, (gradient,) = jax.jit(jax.value_and_grad(distance))(zeros, ones)
    assert value == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(gradient, np.full((1, 1, 1, 4), -2 * 0.5 * 1e5), rtol=1e-5)
    (gradient,) = jax.grad(distance)(zeros, zeros)
    np.testing.assert_array_equal(gradient, 0)


def test_perceptual_distance_of_half_precision_is_computed_in_float32():
    # 300² overflows float16.
    a, b = (jnp.array([x], jnp.float16).reshape(1, 1, 1, 2) for x in ([300, 0], [0, 300]))
    distance = metrics.perceptual_distance((a,), (b,))
    assert distance.dtype == jnp.float32
    np.testing.assert_allclose(distance, 2, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_perceptual_distance_refuses_layers_that_do_not_fit():
    x, y = jnp.zeros((2, 4, 4, 3)), jnp.zeros((1, 4, 4, 3))
    for a, b in [((), ()), ((x,), (x, x)), ((x,), (y,)), ((x[0],), (x[0],))]:
        with pytest.raises(ValueError, match="no two sets of feature maps"):
            metrics.perceptual_distance(a, b)
