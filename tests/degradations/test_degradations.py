"""What all degradations promise, and each against hand-computed values or an independent
implementation: Pillow's resizing and JPEG, SciPy's Gaussian filter."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import fft, ndimage

from gan_jax.degradations import (
    FILTERS,
    Bicubic,
    Blurred,
    Camera,
    Degradation,
    DegradationSection,
    Edges,
    Given,
    Grey,
    Masked,
    resize,
)
from gan_jax.degradations.small import blur, dct, jpeg
from gan_jax.errors import InputError

KEY = jax.random.key(0)
KINDS = DegradationSection.kinds()
every_kind = pytest.mark.parametrize("kind", KINDS)
RANDOM = {"blurred", "camera", "masked"}


def images(n=8, side=16, channels=3):
    """Smooth ones, with some noise."""
    coarse = jax.random.uniform(KEY, (n, 5, 5, channels), minval=-1.2, maxval=1.2)
    noise = 0.1 * jax.random.normal(KEY, (n, side, side, channels))
    return jnp.clip(resize(coarse, side, side, "bicubic") + noise, -1, 1)


def channels_for(kind, channels):
    """Of pairs, twice as many."""
    return 2 * channels if kind == "given" else channels


@jax.jit
def degraded(degradation, x, key=KEY):
    return degradation(x, key)


# --- Of every kind --------------------------------------------------------------------------------


def test_kinds():
    assert list(KINDS) == ["bicubic", "blurred", "camera", "edges", "given", "grey", "masked"]


@every_kind
@pytest.mark.parametrize("shape", [(8, 16, 16, 3), (2, 24, 8, 1)], ids=["rgb", "grey"])
def test_shape_range_and_channels(kind, shape):
    section = KINDS[kind]()
    section.validate("degradation")
    degradation = section.build()
    assert isinstance(degradation, Degradation)
    assert section.scale == degradation.scale
    n, h, w, c = shape = (*shape[:3], channels_for(kind, shape[3]))
    x = jnp.sign(jax.random.normal(KEY, shape))  # the extremes, where overshoots would be seen
    y = degraded(degradation, x)
    scale = degradation.scale
    assert y.shape == (n, h // scale, w // scale, degradation.channels(c))
    assert y.dtype == jnp.float32
    assert np.isfinite(y).all()
    assert -1 <= y.min() < y.max() <= 1


@every_kind
def test_black_and_white_stay_so(kind):
    """But for noise, and for the steps in which JPEG has brightness."""
    clean = {"noise": (0, 0), "shot": (0, 0), "quality": (100, 100)}
    options = clean if kind == "camera" else {}
    degradation = KINDS[kind](**options).build()
    for value in (-1.0, 1.0):
        y = degraded(degradation, jnp.full((2, 16, 16, channels_for(kind, 3)), value))
        expected = 1.0 if kind == "edges" else value
        if kind == "masked":
            y = y[..., :3][y[..., 3] < 0]
        np.testing.assert_allclose(y, expected, atol=1e-5)


@every_kind
def test_draws_are_of_the_key_and_the_example(kind):
    degradation = KINDS[kind]().build()
    channels = channels_for(kind, 3)
    x = jnp.broadcast_to(images(1, channels=channels), (8, 16, 16, channels))
    y, again, other = (np.asarray(degraded(degradation, x, jax.random.key(i))) for i in (0, 0, 1))
    np.testing.assert_array_equal(y, again)
    assert (kind in RANDOM) == bool(np.any(y != other))
    assert (kind in RANDOM) == (len({row.tobytes() for row in y}) > 1)


@every_kind
@pytest.mark.parametrize("transform", [jax.vmap, jax.pmap], ids=["vmap", "pmap"])
def test_devices_do_not_matter(kind, transform):
    """Nor does the rest of the batch, then."""
    if transform is jax.pmap and jax.device_count() < 4:
        pytest.skip("needs four devices")
    degradation, x = KINDS[kind]().build(), images(channels=channels_for(kind, 3))
    split = transform(lambda x, key: degradation(x, key, "i"), axis_name="i", in_axes=(0, None))
    parts = jax.jit(split)(x.reshape(4, 2, *x.shape[1:]), KEY)
    whole = np.asarray(degraded(degradation, x))
    # What is compared or rounded may come out otherwise by the rounding of sums: rarely.
    different = np.abs(np.reshape(parts, whole.shape) - whole) > 1e-5
    assert different.mean() < 0.01


@every_kind
def test_numbers_are_leaves_and_structure_is_static(kind):
    section = KINDS[kind]()
    values = dataclasses.asdict(section)
    for static in ("scale", "swap"):
        values.pop(static, None)
    numbers = sorted(np.hstack([*values.values()]) if values else [])
    leaves, treedef = jax.tree.flatten(section.build())
    np.testing.assert_allclose(sorted(leaves), numbers)
    assert jax.tree.unflatten(treedef, leaves).scale == section.scale


def test_numbers_can_be_mapped_over():
    x = images(2)
    many = jax.vmap(lambda s: Edges(threshold=s)(x, KEY))(jnp.array([0.01, 0.05]))
    for y, threshold in zip(many, (0.01, 0.05), strict=True):
        np.testing.assert_allclose(y, degraded(Edges(threshold=threshold), x), atol=1e-4)


# --- Resizing -------------------------------------------------------------------------------------

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
sizes = pytest.mark.parametrize(
    ("before", "after"),
    [((32, 32), (8, 8)), ((30, 41), (7, 13)), ((8, 8), (32, 32)), ((9, 12), (20, 31))],
)


def by_pillow(image, height, width, filter):
    channels = [
        np.asarray(Image.fromarray(channel).resize((width, height), filter))
        for channel in np.moveaxis(np.asarray(image, np.float32), -1, 0)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("filter", PILLOW)
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
@sizes
def test_resize_is_pillows(filter, channels, before, after):
    x = jax.random.uniform(KEY, (2, *before, channels), minval=-1)
    y = resize(x, *after, filter)
    assert y.shape == (2, *after, channels)
    expected = np.stack([by_pillow(image, *after, PILLOW[filter]) for image in x])
    np.testing.assert_allclose(y, expected, atol=1e-5)  # 1/255 of the range is 8e-3


@pytest.mark.parametrize("after", [(32, 32), (4, 4)])
def test_resize_of_bytes_is_pillows(after):
    """Pillow rounds these after each axis, and clips them: there is nothing to clip here."""
    levels = np.random.default_rng(0).integers(80, 176, (8, 8, 3), np.uint8)
    y = resize(jnp.float32(levels)[None], *after, "bicubic")[0]
    expected = Image.fromarray(levels).resize(after, Image.Resampling.BICUBIC)
    np.testing.assert_allclose(y, np.float32(expected), atol=1.6)


def test_area_is_the_mean_over_what_a_pixel_covers():
    x = images(2)
    expected = np.asarray(x).reshape(2, 4, 4, 4, 4, 3).mean((2, 4))
    np.testing.assert_allclose(resize(x, 4, 4, "area"), expected, atol=1e-6)
    three = jnp.arange(3.0).reshape(1, 1, 3, 1)
    # Pixels 1.5 wide: (0 + 1/2)/1.5 and (1/2 + 2)/1.5.
    np.testing.assert_allclose(resize(three, 1, 2, "area").ravel(), [1 / 3, 5 / 3], rtol=1e-6)


@pytest.mark.parametrize("filter", FILTERS)
@sizes
def test_resizing_keeps_constants_and_the_identity(filter, before, after):
    np.testing.assert_allclose(resize(jnp.ones((1, *before, 1)), *after, filter), 1, atol=1e-6)
    x = jax.random.normal(KEY, (1, *before, 1))
    np.testing.assert_allclose(resize(x, *before, filter), x, atol=1e-6)


def test_unknown_filter(unchecked):
    with pytest.raises(ValueError, match="unknown filter 'box': one of area, bilinear, bicubic"):
        resize(images(), 4, 4, "box")


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_bicubic_is_pillows(scale):
    x = images(2, 32)
    y = degraded(Bicubic(scale), x)
    side = 32 // scale
    expected = np.stack([by_pillow(image, side, side, PILLOW["bicubic"]) for image in x])
    np.testing.assert_allclose(y, np.clip(expected, -1, 1), atol=1e-5)


@pytest.mark.parametrize("degradation", [Bicubic(), Camera()], ids=["bicubic", "camera"])
def test_sides_that_are_no_multiples(degradation):
    with pytest.raises(ValueError, match="images of 18×16 pixels cannot be made 4 times smaller"):
        degradation(jnp.zeros((1, 18, 16, 3)), KEY)


# --- Grey, masked, blurred ------------------------------------------------------------------------


def test_luma_by_hand():
    colors = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1], [0.5, -0.2, 0.1]]
    x = jnp.array(colors, jnp.float32).reshape(1, 1, 5, 3)
    # 0.299 − 0.587 − 0.114, …; 0.1495 − 0.1174 + 0.0114
    expected = [-0.402, 0.174, -0.772, 1, 0.0435]
    np.testing.assert_allclose(degraded(Grey(), x).ravel(), expected, atol=1e-6)
    grey = images(channels=1)
    np.testing.assert_array_equal(degraded(Grey(), grey), grey)
    with pytest.raises(ValueError, match="1 \\(grey\\) or 3 \\(RGB\\) channels, not 2"):
        Grey()(images(channels=2), KEY)


@pytest.mark.parametrize(("share", "size"), [(0.5, (4, 6)), (0.3, (2, 4)), (0.01, (1, 1))])
def test_masked_rectangle(share, size):
    x = jax.random.uniform(KEY, (400, 8, 12, 3), minval=0.5)  # nothing is 0
    y = np.asarray(degraded(Masked(share), x))
    mask = y[..., 3]
    assert set(np.unique(mask)) == {-1, 1}
    inside = mask == 1
    np.testing.assert_array_equal(y[..., :3], np.where(inside[..., None], 0, x))
    assert (inside.sum(axis=(1, 2)) == size[0] * size[1]).all()  # none reaches out of the image
    assert (inside.any(axis=2).sum(axis=1) == size[0]).all()
    assert (inside.any(axis=1).sum(axis=1) == size[1]).all()
    places = {row.tobytes() for row in inside}
    possible = (8 - size[0] + 1) * (12 - size[1] + 1)
    assert 0.9 * possible <= len(places) <= possible


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_blur_is_scipys(sigma):
    x = images(2, 24)
    expected = [ndimage.gaussian_filter(np.asarray(i), (sigma, sigma, 0), truncate=8) for i in x]
    np.testing.assert_allclose(degraded(Blurred(sigma, sigma), x), expected, atol=1e-5)


def test_blur_of_0_is_none():
    x = images(2)
    np.testing.assert_allclose(degraded(Blurred(0.0, 0.0), x), x, atol=1e-6)
    sharp = blur(x, jnp.zeros((2, 2)), jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(sharp, x, atol=1e-5)


def test_blur_is_drawn_uniformly():
    """The mean square of white noise after a Gaussian blur is near 1 / (4π σ²)."""
    n = 500
    x = jnp.broadcast_to(jnp.zeros((32, 32, 1)).at[16, 16].set(1), (n, 32, 32, 1))
    sigma = np.sqrt(1 / (4 * np.pi * np.sum(np.square(degraded(Blurred(1.0, 2.0), x)), (1, 2, 3))))
    assert 0.99 < sigma.min() < 1.02
    assert 1.98 < sigma.max() < 2.01
    assert abs(sigma.mean() - 1.5) < 4 / (12 * n) ** 0.5


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
def test_given_inputs_are_the_first_channels(channels):
    first, second = images(2, channels=channels), -images(2, channels=channels)
    pairs = jnp.concatenate([first, second], -1)
    for degradation, given, target in (
        (Given(), first, second),
        (Given(swap=True), second, first),
    ):
        assert degradation.channels(2 * channels) == channels
        np.testing.assert_array_equal(degraded(degradation, pairs), given)
        np.testing.assert_array_equal(degradation.targets(pairs), target)


# --- Edges ----------------------------------------------------------------------------------------


def disc(side=64, radius=20.0):
    """Grey on black, with soft edges."""
    i, j = np.mgrid[:side, :side] - (side - 1) / 2
    inside = 1 / (1 + np.exp(np.hypot(i, j) - radius))
    return jnp.float32(inside - 1).reshape(1, side, side, 1)


@pytest.mark.parametrize("axis", [1, 2])
def test_an_edge_is_one_black_line(axis):
    """Between pixels 7 and 8, where its gradient is the same on both."""
    x = jnp.where(jnp.arange(16) < 8, -0.5, 0.5)
    x = jnp.broadcast_to(jnp.expand_dims(x, 2 - axis), (16, 16))[None, ..., None]
    y = np.moveaxis(degraded(Edges(sigma=1.0), x)[0, ..., 0], axis - 1, 0)
    lines = np.flatnonzero(y[:, 0] < 1)
    assert len(lines) == 1
    assert lines[0] in (7, 8)
    np.testing.assert_allclose(y[lines], -1)
    np.testing.assert_allclose(np.delete(y, lines, axis=0), 1)


def test_a_disc_is_a_thin_circle():
    line = np.asarray(degraded(Edges(), disc()))[0, ..., 0] < 0
    i, j = np.nonzero(line)
    np.testing.assert_allclose(np.hypot(i - 31.5, j - 31.5), 20, atol=1.5)
    # Between the pixels of a line that may step along diagonals and one that may not.
    assert 8 / np.sqrt(2) * 20 - 5 <= line.sum() <= 8 * 20
    _, count = ndimage.label(line, np.ones((3, 3)))
    assert count == 1, "it is closed"
    _, count = ndimage.label(~line)
    assert count == 2, "and has an inside"


def test_strength_of_lines():
    """A slope of g per pixel is white up to the threshold, black from twice that on: 1 − 2(g/t − 1)
    between."""

    def darkest(gradient):
        # One bend each way, so that the slope's middle has the greatest gradient.
        x = np.tanh(np.arange(-16, 16) * gradient * 2)  # from black to white: slope 2·gradient
        x = jnp.broadcast_to(jnp.float32(x), (1, 32, 32))[..., None]
        return float(degraded(Edges(sigma=0.0, threshold=0.05), x).min())

    assert darkest(0.045) == 1
    assert darkest(0.075) == pytest.approx(0.0, abs=0.05)
    assert darkest(0.12) == -1


def test_more_smoothing_or_threshold_draws_less():
    x = images(4, 32)
    ink = [
        float(jnp.sum(1 - degraded(Edges(sigma, threshold), x)))
        for sigma, threshold in ((1.0, 0.02), (1.0, 0.04), (2.0, 0.04))
    ]
    assert ink[0] > ink[1] > ink[2] > 0


# --- Camera ---------------------------------------------------------------------------------------


def test_dct_is_scipys_and_orthonormal():
    np.testing.assert_allclose(dct() @ dct().T, np.eye(8), atol=1e-6)
    np.testing.assert_allclose(dct(), fft.dct(np.eye(8), axis=0, norm="ortho"), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
@pytest.mark.parametrize("quality", [10, 35, 50, 75, 100])
def test_jpeg_is_pillows(channels, quality):
    """But for libjpeg's cosine transform, which is of whole numbers: now and then it makes a step
    of what is just below a half, or none of one that is just above."""
    x = images(1, 100, channels)  # padded to 104
    levels = np.round((np.asarray(x[0]) + 1) * 127.5).astype(np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(levels if channels == 3 else levels[..., 0])
    image.save(file, "JPEG", quality=quality, subsampling=0)
    expected = np.float32(Image.open(file)).reshape(levels.shape)
    y = (np.asarray(jax.jit(jpeg)(x, jnp.array([float(quality)]))[0]) + 1) * 127.5
    errors = np.abs(y - expected)
    assert errors.mean() < 0.4
    assert (errors < 1.5).mean() > 0.9


def test_jpeg_by_quality():
    x = images(3, 32)
    y = jax.jit(jpeg)(x, jnp.array([100.0, 50.0, 10.0]))
    errors = np.abs(y - x).mean((1, 2, 3)) * 127.5
    assert errors[0] < 1  # of 255 levels
    assert 1 < errors[1] < errors[2]
    assert errors[2] > 5

    def blocks(image):
        """Differences between pixels across the borders of blocks, as a share of those inside."""
        differences = np.abs(np.diff(np.asarray(image), axis=0)).mean((1, 2))
        across = np.arange(31) % 8 == 7
        return differences[across].mean() / differences[~across].mean()

    assert abs(blocks(x[2]) - 1) < 0.3
    assert blocks(y[2]) > 2


def test_anisotropic_blur():
    """The response to an impulse has the covariance R diag(σ₁², σ₂²) Rᵀ."""
    sigmas, angle = np.array([3.0, 1.0]), 0.6
    x = jnp.zeros((1, 48, 48, 1)).at[0, 24, 24].set(1)
    y = np.asarray(blur(x, jnp.float32(sigmas)[None], jnp.array([angle])))[0, ..., 0]
    assert y.sum() == pytest.approx(1, abs=1e-4)
    down, right = np.mgrid[:48, :48] - 24
    covariance = [[np.sum(y * a * b) for b in (right, down)] for a in (right, down)]
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        covariance, rotation @ np.diag(sigmas**2) @ rotation.T, rtol=1e-2, atol=1e-2
    )


def test_blur_along_the_axes_is_scipys():
    x = images(2, 24)
    y = blur(x, jnp.array([[2.0, 0.7]] * 2), jnp.array([0.0, jnp.pi / 2]))
    for image, blurred, sigma in zip(x, y, [(0.7, 2.0, 0), (2.0, 0.7, 0)], strict=True):
        expected = ndimage.gaussian_filter(np.asarray(image), sigma, truncate=8)
        np.testing.assert_allclose(blurred, expected, atol=1e-4)


CLEAN = Camera(blur=(0.0, 0.0), noise=(0.0, 0.0), shot=(0.0, 0.0), quality=(100.0, 100.0))


def test_camera_that_does_nothing_resizes_by_each_filter():
    """Up to the rounding of a JPEG of quality 100."""
    x = jnp.broadcast_to(images(1, 32), (60, 32, 32, 3))
    y = np.asarray(degraded(CLEAN, x))
    expected = np.stack([np.clip(resize(x[:1], 8, 8, f)[0], -1, 1) for f in FILTERS])
    errors = np.abs(y[:, None] - expected).mean((2, 3, 4)) * 127.5
    assert (errors.min(axis=1) < 1).all()
    counts = np.bincount(errors.argmin(axis=1), minlength=3)
    assert (np.abs(counts - 20) < 4 * (60 * 2 / 9) ** 0.5).all()


def test_noise_of_camera():
    """Its variance is noise² + shot² · v, and a share of the images have the same in all
    channels."""
    n, noise, shot = 200, 0.02, 0.05
    camera = CLEAN.replace(noise=(noise, noise), shot=(shot, shot), scale=2)
    for value in (-0.5, 0.5):
        x = jnp.full((n, 16, 16, 3), value)
        residual = (np.asarray(degraded(camera, x)) - value) / 2
        variance = noise**2 + shot**2 * (value + 1) / 2
        colored = residual.std(axis=3).mean(axis=(1, 2)) > 0.01
        assert residual[colored].var() == pytest.approx(variance, rel=0.05)
        assert residual[~colored].var() == pytest.approx(variance, rel=0.05)
        assert abs((~colored).mean() - 0.4) < 4 * (0.4 * 0.6 / n) ** 0.5


def test_default_camera_leaves_images_recognizable():
    """Each input is nearer to its own image than to any other, by far."""
    x = images(8, 128)
    y, clean = np.asarray(degraded(Camera(), x)), np.asarray(resize(x, 32, 32, "area"))
    distances = np.sqrt(np.square(y[:, None] - clean).mean((2, 3, 4)))
    own = np.diag(distances)
    assert (own > 0.01).all()
    assert (own < 0.15).all()
    assert (distances[~np.eye(8, dtype=bool)] > 0.3).all()


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("bicubic", {"scale": 3}, "input.scale is 2, 4 or 8, not 3"),
        ("camera", {"scale": 0}, "input.scale is 2, 4 or 8, not 0"),
        ("camera", {"quality": (0.0, 90.0)}, "input.quality is two numbers, the lower one first, "
         "of at least 1 and at most 100, not 0.0 90.0"),
        ("camera", {"blur": (2.0, 1.0)}, "input.blur is two numbers, the lower one first, of at "
         "least 0, not 2.0 1.0"),
        ("camera", {"gray_noise": 1.5}, "input.gray_noise is at least 0 and at most 1, not 1.5"),
        ("blurred", {"least": 4.0}, "input.least 4 is above input.most 3: set"),
        ("masked", {"share": 1.0}, "input.share is above 0 and below 1, not 1.0"),
        ("edges", {"threshold": 0.0}, "input.threshold is above 0, not 0.0"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(kind, options, message):
    with pytest.raises(InputError) as error:
        KINDS[kind](**options).validate("input")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "options", "shape", "message"),
    [
        ("bicubic", {}, (30, 32, 3), "images of 30×32 pixels cannot be made 4 times smaller: set "
         "input.scale to a divisor of their sides, or data.resolution to a multiple of 4"),
        ("camera", {"scale": 8}, (36, 36, 3), "images of 36×36 pixels cannot be made 8 times"),
        ("camera", {}, (32, 32, 2), "camera inputs are made of images with 1 (grey) or 3 (RGB) "
         "channels, not 2: set input.kind"),
        ("edges", {}, (4, 4, 3), "images of 4×4 pixels have no line drawing: set data.resolution"),
        ("grey", {}, (32, 32, 1), "the images are grey already, so there are no colours to learn: "
         "set input.kind to another, or data.channels 3"),
        ("masked", {"share": 0.01}, (32, 32, 3), "input.share 0.01 of 32 pixels is none of them"),
        ("masked", {"share": 0.99}, (32, 32, 3), "input.share 0.99 of 32 pixels is all of them"),
        ("given", {}, (32, 32, 3), "input.kind given takes pairs: set data.source to pairs:PATH, "
         "or input.kind to what the inputs are to be made by"),
        ("blurred", {}, (4, 4, 3), "input.most 3 would blur images of 4×4 pixels to one colour: "
         "set input.most to at most 2"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_degraded(kind, options, shape, message):
    section = KINDS[kind](**options)
    with pytest.raises(InputError) as error:
        section.check(shape, "input")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@every_kind
def test_images_that_can_be_degraded(kind):
    KINDS[kind]().check((32, 64, channels_for(kind, 3)), "input")
