"""The augmentations of StyleGAN2-ADA, one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from gan_jax.augment import ADA, CATEGORIES, colors, wavelets
from gan_jax.augment.affine import resample

KEY = jax.random.key(0)
LUMA = np.ones(3) / 3**0.5


def images(n, height, width=None, channels=3):
    shape = (n, height, width or height, channels)
    return jax.random.uniform(KEY, shape, minval=-1)


@jax.jit
def augmented(augmentation, x):
    return augmentation(x, KEY)


def plausible(count, n, probability):
    """Whether that many of n are, within four standard deviations."""
    return abs(count - n * probability) < 4 * (n * probability * (1 - probability)) ** 0.5


def altered(x, y):
    return np.any(np.asarray(x) != np.asarray(y), axis=(1, 2, 3))


# Wavelets.


@pytest.mark.parametrize("taps", [wavelets.SYM2, wavelets.SYM6], ids=["sym2", "sym6"])
def test_taps_are_those_of_orthogonal_wavelets(taps):
    products = np.correlate(taps, taps, "full")[len(taps) - 1 :: 2]
    np.testing.assert_allclose(products, np.eye(len(products))[0], atol=1e-9)
    np.testing.assert_allclose(taps.sum(), 2**0.5)
    alternating = taps * (-1.0) ** np.arange(len(taps))
    moments = [np.sum(alternating * np.arange(len(taps)) ** k) for k in range(len(taps) // 2)]
    scale = [np.sum(np.abs(taps) * np.arange(len(taps)) ** k) for k in range(len(taps) // 2)]
    np.testing.assert_array_less(np.abs(moments), 1e-9 * np.array(scale))


@pytest.mark.parametrize("n", [2, 5, 16])
def test_up_and_down_is_the_identity(n):
    period = 4 * (n - 1)
    samples = (np.arange(2 * n + wavelets.REACH) - wavelets.CENTER) % period
    fine = wavelets.upsampling(n)
    np.testing.assert_allclose(wavelets.downsampling(n) @ fine[samples], np.eye(n), atol=1e-6)
    np.testing.assert_array_equal(fine[period], fine[0])


def test_filter_bank_splits_octaves():
    bank = wavelets.filter_bank()
    np.testing.assert_allclose(bank.sum(axis=0), np.eye(43)[21], atol=1e-9)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-9)
    response = np.abs(np.fft.rfft(bank, 1024))  # 512 is the highest frequency
    edges = [0, 64, 128, 256, 512]
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        within = response[:, int(1.25 * low) : int(0.75 * high) + 1]
        assert within.min(axis=1).argmax() == band
        assert within[band].min() > 0.6
    np.testing.assert_allclose(response[0, 0], 1, atol=1e-9)
    np.testing.assert_allclose(response[3, 512], 1, atol=1e-9)


@pytest.mark.parametrize("n", [8, 30])
def test_band_filters_reflect(n):
    signal = np.random.default_rng(0).normal(size=n)
    padded = np.pad(signal, 21, mode="reflect")
    expected = [np.convolve(padded, taps, "valid") for taps in wavelets.filter_bank()]
    np.testing.assert_allclose(wavelets.band_filtering(n) @ signal, expected, atol=1e-5)


# Geometry.


def published(image, inverse):
    """The published chain for one image [h, w, c], in its own homogeneous coordinates: pad by
    reflection, insert zeros, filter, look up, filter, crop, and drop every other sample."""
    taps = wavelets.SYM6 / wavelets.SYM6.sum()
    h, w, _ = image.shape
    fine = np.pad(image, ((h - 1, h - 1), (w - 1, w - 1), (0, 0)), mode="reflect")
    for axis in (0, 1):
        stuffed = np.insert(fine, np.arange(1, fine.shape[axis] + 1), 0.0, axis=axis)
        convolved = np.apply_along_axis(np.convolve, axis, stuffed, 2 * taps)
        fine = convolved.take(range(5, 5 + stuffed.shape[axis]), axis)

    def translation(t):
        return np.array([[1, 0, t], [0, 1, t], [0, 0, 1.0]])

    double = np.diag([2, 2, 1.0])
    inverse = double @ inverse @ np.linalg.inv(double)
    inverse = translation(-0.5) @ inverse @ translation(0.5)
    rows, columns = np.mgrid[: 2 * (h + 6), : 2 * (w + 6)]
    positions = np.stack([columns - (w + 5.5), rows - (h + 5.5), np.ones(rows.shape)])
    x, y, _ = np.einsum("ij,jhw->ihw", inverse, positions)
    where = [y + (fine.shape[0] - 1) / 2, x + (fine.shape[1] - 1) / 2]
    looked_up = [scipy.ndimage.map_coordinates(c, where, order=1) for c in np.moveaxis(fine, 2, 0)]
    result = np.stack(looked_up, axis=-1)[1:-1, 1:-1]
    for axis in (0, 1):
        result = np.apply_along_axis(np.correlate, axis, result, taps)
        result = result.take(range(0, result.shape[axis], 2), axis)
    return result


def affine_maps(n, seed=0):
    """Turns, stretches and moves."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, n)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.moveaxis(turn, 2, 0) @ (np.eye(2) + rng.uniform(-0.2, 0.2, (n, 2, 2)))
    return matrix, rng.uniform(-2, 2, (n, 2))


def test_resampling_is_that_of_the_published_code():
    x = images(6, 16, 14)
    matrix, shift = affine_maps(6)
    matrix = 0.7 * matrix  # the published code reflects only once
    y = jax.jit(resample)(x, jnp.float32(matrix), jnp.float32(shift))
    for image, m, t, result in zip(x, matrix, shift, y, strict=True):
        inverse = np.eye(3)
        inverse[:2] = np.column_stack([m, -m @ t])
        np.testing.assert_allclose(result, published(np.float64(image), inverse), atol=2e-5)


def test_resampling_smooth_images_is_plain_interpolation():
    side = 24
    rows, columns = np.mgrid[:side, :side] / side
    image = np.sin(3 * columns + 2) * np.cos(2 * rows)
    matrix, shift = affine_maps(5)
    x = jnp.broadcast_to(jnp.float32(image)[None, :, :, None], (5, side, side, 1))
    y = jax.jit(resample)(x, jnp.float32(matrix), jnp.float32(shift))[..., 0]
    center = np.full(2, (side - 1) / 2)
    for m, t, result in zip(matrix[:, ::-1, ::-1], shift[:, ::-1], y, strict=True):
        offset = center - m @ (center + t)
        expected = scipy.ndimage.affine_transform(image, m, offset, order=3, cval=np.nan)
        inside = scipy.ndimage.binary_erosion(np.isfinite(expected), iterations=3)
        assert inside.sum() > 100
        # The filter is not quite symmetric: a turn moves images by up to a tenth of a pixel.
        np.testing.assert_allclose(result[inside], expected[inside], atol=0.02)


def test_resampling_whole_pixels_and_right_angles():
    side = 16
    rows, columns = np.mgrid[:side, :side] / side
    noise = np.asarray(images(1, side))[0, ..., 0]
    smooth = np.sin(3 * columns + 2) * np.cos(2 * rows)
    x = jnp.float32(np.stack([noise, noise, smooth]))[..., None]
    still, turn = np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])
    matrix = jnp.float32(np.stack([still, still, turn]))
    shift = jnp.array([[0.0, 0.0], [3.0, -2.0], [0.0, 0.0]])
    y = np.asarray(jax.jit(resample)(x, matrix, shift))[..., 0]
    padded = np.pad(noise, 3, mode="reflect")
    np.testing.assert_allclose(y[0], noise, atol=1e-5)
    np.testing.assert_allclose(y[1], padded[5:, :][:side, :side], atol=1e-5)
    np.testing.assert_allclose(y[2][3:-3, 3:-3], np.rot90(smooth)[3:-3, 3:-3], atol=0.02)


def test_general_geometry_happens_with_the_probability():
    n, p = 3000, 0.2
    x = images(n, 4, channels=1)
    count = altered(x, augmented(ADA(("geometric",), p), x)).sum()
    assert plausible(count, n, 1 - (1 - p) ** 4)  # scales, rotations, translation


# Blitting.


def test_blits_are_exact_copies():
    """Of all flips, turns and moves, and of nothing else; each as often as it should."""
    n, side, reach, p = 2000, 8, 1, 0.6
    image = np.asarray(images(1, side, channels=1))[0]
    named = {}
    for flip in (0, 1):
        for turns in range(4):
            turned = np.rot90(image[:, ::-1] if flip else image, turns)
            padded = np.pad(turned, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
            for i, j in np.ndindex(3, 3):
                moved = padded[reach - (i - 1) :, reach - (j - 1) :][:side, :side]
                named[moved.tobytes()] = flip, turns, i - 1, j - 1
    assert len(named) == 2 * 4 * 9

    x = jnp.broadcast_to(image, (n, *image.shape))
    drawn = [named[np.asarray(y).tobytes()] for y in augmented(ADA(("blit",), p), x)]
    flips, turns, *moves = np.array(drawn).T
    assert plausible((flips == 1).sum(), n, p / 2)
    for i in (1, 2, 3):
        assert plausible((turns == i).sum(), n, p / 4)
    for move in moves:  # rounded from U(−1, 1)
        assert plausible((move == 1).sum(), n, p / 4)
        assert plausible((move == -1).sum(), n, p / 4)


def test_what_is_not_square_is_turned_upside_down_at_most():
    x = images(400, 16, 8)
    out = augmented(ADA(("blit",), 1.0), x)
    assert out.shape == x.shape
    turned = 0
    for image, result in zip(x, out, strict=True):
        padded = np.pad(image, ((2, 2), (1, 1), (0, 0)), mode="reflect")
        windows = [padded[i : i + 16, j : j + 8] for i in range(5) for j in range(3)]
        ways = [w[:, ::-1] if flip else w for w in windows for flip in (False, True)]
        upright = any(np.array_equal(result, way) for way in ways)
        upside_down = any(np.array_equal(result[::-1, ::-1], way) for way in ways)
        assert upright or upside_down
        turned += upside_down and not upright
    assert plausible(turned, 400, 0.5)


def test_opacity_is_moved_but_keeps_its_values():
    x = images(40, 8, channels=4)
    colored = augmented(ADA(("color",), 1.0), x)
    np.testing.assert_array_equal(colored[..., 3], x[..., 3])
    np.testing.assert_array_equal(colored[..., :3], augmented(ADA(("color",), 1.0), x[..., :3]))
    moved = np.asarray(augmented(ADA(("blit",), 1.0), x))
    assert set(moved[..., 3].ravel()) <= set(np.asarray(x)[..., 3].ravel())
    assert not np.array_equal(moved[..., 3], x[..., 3])


# Colour.


def test_colour_matrices():
    color, grey = np.array([0.3, -0.5, 0.9]), np.array([0.4, 0.4, 0.4])
    luma = color @ LUMA * LUMA
    chroma = color - luma

    flipped = colors.luma_flip(jnp.array(True)) @ color
    np.testing.assert_allclose(flipped, chroma - luma, atol=1e-6)
    np.testing.assert_allclose(colors.luma_flip(jnp.array(True)) @ grey, -grey, atol=1e-6)

    rotated = colors.hue_rotation(jnp.array(0.7)) @ color
    np.testing.assert_allclose(rotated @ LUMA, color @ LUMA, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rotated), np.linalg.norm(color), atol=1e-6)
    cosine = (rotated - luma) @ chroma / (chroma @ chroma)
    np.testing.assert_allclose(cosine, np.cos(0.7), atol=1e-6)
    red, green = np.eye(3)[:2]
    third = colors.hue_rotation(jnp.array(2 * np.pi / 3))
    np.testing.assert_allclose(third @ red, green, atol=1e-6)

    np.testing.assert_allclose(
        colors.saturation(jnp.array(2.5)) @ color, luma + 2.5 * chroma, atol=1e-6
    )

    for identity in (colors.luma_flip(False), colors.hue_rotation(0.0), colors.saturation(1.0)):
        np.testing.assert_array_equal(identity, np.eye(3))


def test_colours_change_as_they_should():
    """Each image's map of colours, measured at four of them."""
    n, p = 1500, 0.5
    corners = np.float32(np.concatenate([np.zeros((1, 3)), np.eye(3)])).reshape(1, 2, 2, 3)
    y = augmented(ADA(("color",), p), jnp.broadcast_to(corners, (n, 2, 2, 3)))
    offset, *columns = np.moveaxis(np.float64(y).reshape(n, 4, 3), 1, 0)
    matrix = np.stack([c - offset for c in columns], axis=-1)
    luma = matrix @ LUMA  # contrast, and the flip's sign
    np.testing.assert_allclose(luma, (luma @ LUMA)[:, None] * LUMA, atol=1e-5)
    signed = luma @ LUMA
    contrast = np.abs(signed)
    # The chroma turns and is scaled by contrast and saturation.
    chroma = matrix - signed[:, None, None] * np.full((3, 3), 1 / 3)
    scale = np.linalg.norm(chroma, axis=(1, 2)) / 2**0.5
    saturation = scale / contrast
    # tr R = 2 cos θ in the plane of chroma
    angle = np.arccos(np.clip(np.trace(chroma, axis1=1, axis2=2) / (2 * scale), -1, 1))
    brightness = offset @ LUMA / signed / 3**0.5

    assert plausible((signed < 0).sum(), n, p / 2)
    for drawn, std in (
        (brightness, 0.2),
        (np.log2(contrast), 0.5),
        (np.log2(saturation), 1.0),
        (angle, np.pi / 3**0.5),
    ):
        happened = np.abs(drawn) > 1e-3
        assert abs(happened.mean() - p) < 4 * (p * (1 - p) / n) ** 0.5 + 0.005
        root_mean_square = np.mean(drawn[happened] ** 2) ** 0.5
        np.testing.assert_allclose(root_mean_square, std, rtol=0.1)


def test_grey_images_are_greys_in_colour():
    grey = images(16, 4, channels=1)
    in_color = augmented(ADA(("color",), 1.0), jnp.repeat(grey, 3, axis=3))
    y = augmented(ADA(("color",), 1.0), grey)
    np.testing.assert_allclose(y, np.mean(in_color, axis=3, keepdims=True), atol=1e-5)
    with pytest.raises(ValueError, match="not 2"):
        augmented(ADA(("color",)), images(1, 4, channels=2))


# Filtering and corruptions.


def test_filter_amplifies_bands_and_keeps_the_power():
    n = 3000
    x = np.ones((2 * n, 4, 4, 1), np.float32)
    x[n:, ::2, :, 0] *= -1  # the highest frequency downwards, none to the right
    y = np.asarray(augmented(ADA(("filter",), 1.0), jnp.asarray(x)))
    gains = y / x
    np.testing.assert_allclose(gains, gains[:, :1, :1] * np.ones_like(gains), rtol=2e-4)
    gains = gains[:, 0, 0, 0]
    lowest = np.log2(gains[:n]) / 2  # once along each axis
    both = np.log2(gains[n:])

    rng = np.random.default_rng(0)
    power = np.array([10, 1, 1, 1]) / 13
    expected = np.zeros((100_000, 4))
    for band in range(4):
        t = np.ones_like(expected)
        t[:, band] = 2 ** rng.normal(size=len(t))
        expected += np.log2(t / np.sqrt(np.sum(power * t**2, axis=1, keepdims=True)))
    for drawn, reference in ((lowest, expected[:, 0]), (both, expected[:, 0] + expected[:, 3])):
        assert abs(drawn.mean() - reference.mean()) < 4 * reference.std() / n**0.5
        np.testing.assert_allclose(drawn.std(), reference.std(), rtol=0.1)


def test_filter_happens_with_the_probability():
    n, p = 1000, 0.2
    x = images(n, 4, channels=1)
    count = altered(x, augmented(ADA(("filter",), p), x)).sum()
    assert plausible(count, n, 1 - (1 - p) ** 4)  # four bands


def test_noise():
    n, p = 1000, 0.4
    x = images(n, 8, channels=1)
    noise = np.asarray(augmented(ADA(("noise",), p), x)) - x
    std = np.std(noise, axis=(1, 2, 3))
    happened = std > 0
    assert plausible(happened.sum(), n, p)
    # |N(0, 0.1²)| has mean square 0.1² and mean 0.1 √(2/π).
    np.testing.assert_allclose(std[happened].mean(), 0.1 * (2 / np.pi) ** 0.5, rtol=0.15)
    np.testing.assert_allclose(np.mean(std[happened] ** 2) ** 0.5, 0.1, rtol=0.15)


def test_cutout():
    n, p, side = 1000, 0.4, 8
    x = images(n, side) + 2
    y = augmented(ADA(("cutout",), p), x)
    cut = np.all(y == 0, axis=3)
    np.testing.assert_array_equal(y, np.where(cut[..., None], 0, x))
    happened = cut.any(axis=(1, 2))
    assert plausible(happened.sum(), n, p)
    for axis in (1, 2):  # half the side, unless it reaches over the edge
        hit = cut[happened].any(axis=axis)
        lengths = hit.sum(axis=1)
        assert lengths.max() == side // 2
        edge = hit[:, 0] | hit[:, -1]
        assert (lengths[~edge] == side // 2).all()
        np.testing.assert_array_equal(np.abs(np.diff(hit, axis=1)).sum(axis=1), 2 - edge)
        assert plausible((lengths < side // 2).sum(), len(hit), 0.5 - 1 / side)
    np.testing.assert_array_equal(cut, cut.any(axis=2)[:, :, None] & cut.any(axis=1)[:, None, :])


# The whole.


def test_categories_are_drawn_apart():
    n, p = 1000, 0.5
    x = images(n, 4) + 2
    noisy, cut = (altered(x, augmented(ADA((name,), p), x)) for name in ("noise", "cutout"))
    assert plausible((noisy & cut).sum(), n, p**2)


def test_categories_follow_in_order():
    x = images(4, 8)
    one_by_one = x
    for name in CATEGORIES:
        one_by_one = augmented(ADA((name,), 0.8), one_by_one)
    together = augmented(ADA(CATEGORIES[::-1], 0.8), x)
    np.testing.assert_allclose(together, one_by_one, atol=1e-4)


def test_weights_multiply_the_probability():
    x = images(8, 8)
    both = ("color", "cutout")
    weighted = augmented(ADA(both, 0.8, {"color": 0.5}), x)
    stepwise = augmented(ADA(("cutout",), 0.8), augmented(ADA(("color",), 0.4), x))
    np.testing.assert_allclose(weighted, stepwise, atol=1e-5)
    with pytest.raises(ValueError, match="weights for blit"):
        augmented(ADA(both, 0.8, {"blit": 0.5}), x)
