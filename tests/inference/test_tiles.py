"""A function applied to images of any size, whole and tile by tile."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from gan_jax.errors import InputError
from gan_jax.inference import tiles

SIZES = [(37, 101), (1, 1), (5, 300), (64, 64), (65, 33), (2, 3), (200, 29)]


def random_image(height, width, channels=3):
    values = np.random.default_rng(height * width).uniform(-1, 1, (height, width, channels))
    return values.astype(np.float32)


class Recorder:
    """A function that remembers the shapes it was called with."""

    def __init__(self, function):
        self.function, self.shapes = function, []

    def __call__(self, batch):
        assert batch.dtype == np.float32
        self.shapes.append(batch.shape)
        return self.function(batch)


def convolution(size, scale=1, mode="mirror"):
    """A random convolution of 3 to 2 channels, of an image enlarged before it."""
    kernels = np.random.default_rng(size).normal(size=(2, size, size, 3))

    def function(batch):
        large = batch[0].astype(np.float64).repeat(scale, 0).repeat(scale, 1)
        made = [
            sum(ndimage.correlate(large[..., c], k[..., c], mode=mode) for c in range(3))
            for k in kernels
        ]
        return np.stack(made, -1)[None]

    return function


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("tile", "overlap"), [(32, 16), (32, 4), (24, 5)])
def test_a_convolution_of_tiles_is_that_of_the_whole(height, width, scale, size, tile, overlap):
    image = random_image(height, width)
    # Mirrored at its border as tiles continue an image: equal there too.
    function = Recorder(convolution(size, scale))
    made = tiles.apply(function, image, scale=scale, tile=tile, overlap=overlap)
    assert set(function.shapes) == {(1, tile, tile, 3)}
    assert made.shape == (height * scale, width * scale, 2)
    assert made.dtype == np.float32
    whole = function.function(image[None])[0]
    # Enlarged by repetition, a mirror at the border repeats other pixels there.
    inner = slice(None) if scale == 1 else slice(2, -2)
    np.testing.assert_allclose(made[inner, inner], whole[inner, inner], atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(37, 101), (64, 64), (200, 32)])
@pytest.mark.parametrize("mode", ["constant", "nearest"])
def test_tiles_end_where_the_image_ends(height, width, mode):
    # What a function pads with at the border is what it pads the whole image with.
    function, image = convolution(5, mode=mode), random_image(height, width)
    made = tiles.apply(function, image, tile=32, overlap=4)
    np.testing.assert_allclose(made, function(image[None])[0], atol=1e-5)


def test_half_of_the_overlap_is_not_used():
    # A function that errs within 4 pixels of its own border, as one of radius 4 does.
    def function(batch):
        made = np.full_like(batch, 100)
        made[:, 4:-4, 4:-4] = batch[:, 4:-4, 4:-4]
        return made

    image = random_image(61, 75)
    made = tiles.apply(function, image, tile=32, overlap=8)
    np.testing.assert_allclose(made[4:-4, 4:-4], image[4:-4, 4:-4], atol=1e-6)
    made = tiles.apply(function, image, tile=32, overlap=6)
    assert abs(made[4:-4, 4:-4] - image[4:-4, 4:-4]).max() > 1


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("overlap", [0, 1, 2, 7, 16])
@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_weights_sum_to_one(height, width, scale, overlap, multiple):
    image = random_image(height, width, channels=1)

    def enlarge(batch):
        return batch.repeat(scale, 1).repeat(scale, 2)

    made = tiles.apply(enlarge, image, multiple=multiple, scale=scale, tile=32, overlap=overlap)
    np.testing.assert_allclose(made, enlarge(image[None])[0], atol=1e-6)


@pytest.mark.parametrize("n", [97, 100, 129])
@pytest.mark.parametrize(("tile", "overlap"), [(32, 16), (32, 6), (16, 8)])
def test_no_weight_is_negative_and_ramps_are_straight(n, tile, overlap):
    # Weights show when each tile is a constant of its own.
    count = [0]
    made = []

    def function(batch):
        count[0] += 1
        return np.full_like(batch, float(count[0] == wanted))

    image = np.zeros((1, n, 1), np.float32)
    totals = []
    wanted = 0
    tiles.apply(function, image, tile=tile, overlap=overlap, progress=lambda _, n: totals.append(n))
    for wanted in range(1, totals[0] + 1):  # noqa: B007, read by the function
        count[0] = 0
        made.append(tiles.apply(function, image, tile=tile, overlap=overlap)[0, :, 0])
    assert np.min(made) >= 0
    np.testing.assert_allclose(np.sum(made, axis=0), 1, atol=1e-6)
    for first, second in itertools.pairwise(made):
        assert np.argmax(first) < np.argmax(second)
    # Between the first two: half of the overlap, in equal steps.
    ramp = made[1][: tile - overlap // 2]
    ramp = ramp[ramp > 0]
    assert len(ramp) == overlap - overlap // 2
    np.testing.assert_allclose(ramp, (np.arange(len(ramp)) + 0.5) / len(ramp), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("multiple", [1, 4, 16])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_whole_image_is_given_once(height, width, multiple, scale):
    image = random_image(height, width)
    function = Recorder(lambda batch: batch.repeat(scale, 1).repeat(scale, 2))
    made = tiles.apply(function, image, multiple=multiple, scale=scale)
    up = [-(-n // multiple) * multiple for n in (height, width)]
    assert function.shapes == [(1, *up, 3)]
    np.testing.assert_array_equal(made, image.repeat(scale, 0).repeat(scale, 1))


def test_images_are_continued_by_their_reflection():
    image = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 5, 1), np.float32)
    image[0, :, 0] = [5, 6, 7, 8, 9]
    seen = []
    tiles.apply(lambda batch: seen.append(batch) or batch, image, multiple=4)
    np.testing.assert_array_equal(seen[0][0, 0, :, 0], [5, 6, 7, 8, 9, 8, 7, 6])
    np.testing.assert_array_equal(seen[0][0, :, 0, 0], [5, 1, 2, 1])


def test_a_single_pixel_is_repeated():
    image = np.full((1, 1, 3), 0.25, np.float32)
    for tile in (None, 32):
        function = Recorder(lambda batch: batch)
        made = tiles.apply(function, image, multiple=8, tile=tile)
        assert function.shapes == [(1, tile or 8, tile or 8, 3)]
        np.testing.assert_array_equal(made, image)


def test_tiles_begin_at_multiples():
    # A function that halves images and enlarges them again: not the same if shifted by a pixel.
    def function(batch):
        return batch[:, ::4, ::4].repeat(4, 1).repeat(4, 2)

    image = random_image(61, 203)
    made = tiles.apply(function, image, multiple=4, tile=32, overlap=6)
    np.testing.assert_allclose(made, tiles.apply(function, image, multiple=4), atol=1e-6)


def test_a_compiled_function_is_compiled_once():
    traced = []

    @jax.jit
    def function(batch):
        traced.append(batch.shape)
        return (2 * batch).astype(jnp.bfloat16)

    image = np.ones((70, 41, 3), np.float32)
    for height in (70, 33):
        made = tiles.apply(function, image[:height], tile=32, overlap=4)
        np.testing.assert_allclose(made, 2, atol=1e-6)
        assert made.dtype == np.float32
    assert traced == [(1, 32, 32, 3)]


def test_tiles_go_row_by_row():
    rows, columns = np.mgrid[:50, :90].astype(np.float32)
    corners, done = [], []

    def function(batch):
        corners.append(tuple(batch[0, 0, 0]))
        return batch

    tiles.apply(
        function,
        np.stack([rows, columns], -1),
        tile=32,
        overlap=4,
        progress=lambda *counts: done.append(counts),
    )
    # 26 apart, and the last so that they end at 50 and 90.
    lefts = [0, 26, 52, 58]
    assert corners == [(top, left) for top in (0, 18) for left in lefts]
    assert done == [(i, 8) for i in range(1, 9)]


def test_the_image_is_not_changed():
    image = random_image(40, 50)
    before = image.copy()
    tiles.apply(lambda batch: batch * 0, image, tile=32)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tile": 30, "multiple": 4}, "^the side of tiles is a multiple of 4, not 30$"),
        ({"tile": 0}, "^the side of tiles is a multiple of 1, not 0$"),
        ({"tile": 32, "overlap": -1}, "^tiles overlap by 0 pixels or more, not -1$"),
        ({"tile": 24}, "^tiles of 24 pixels are too small to overlap by 16: at least 25$"),
        ({"tile": 24, "multiple": 8}, "^tiles of 24 .*: at least 32$"),
    ],
)
def test_tiles_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        tiles.apply(lambda batch: batch, random_image(3, 3), **options)
    least = {"tile": 25} if "multiple" not in options else {"tile": 32, "multiple": 8}
    tiles.apply(lambda batch: batch, random_image(70, 3), **least)


@pytest.mark.parametrize("tile", [None, 32])
def test_a_function_of_another_scale_is_refused(tile):
    with pytest.raises(ValueError, match=r"^the function returned \(1, 32, 32, 3\), not \(1, 64,"):
        tiles.apply(lambda batch: batch, random_image(32, 32), scale=2, tile=tile)


def test_large_images_need_tiles():
    assert tiles.choose(1024, 1024) is None
    assert tiles.choose(1, 1) is None
    assert tiles.choose(1024, 1025) == 512
    assert tiles.choose(10, 11, most_pixels=109, side=100, multiple=16) == 112
    assert tiles.choose(10, 11, most_pixels=110) is None
