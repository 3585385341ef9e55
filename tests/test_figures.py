"""Images for people."""

import numpy as np
import pytest
from PIL import Image

from gan_jax import figures


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (-1.0, 0),
        (1.0, 255),
        (0.0, 128),
        (-2.0, 0),
        (7.0, 255),
        (-0.5, 64),  # 63.75
        (0.25, 159),  # 159.375
        (100 / 127.5 - 1, 100),
    ],
)
def test_to_uint8(value, wanted):
    out = figures.to_uint8(np.full((2, 3), value, np.float32))
    assert out.dtype == np.uint8
    assert (out == wanted).all()


def test_to_uint8_undoes_normalisation():
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(figures.to_uint8(pixels / np.float32(127.5) - 1), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_sheet_lays_images_out_row_by_row(channels):
    values = np.linspace(-1, 0.9, 6, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (6, 2, 2, channels))
    sheet = figures.sheet(images, columns=3, enlarge_to=0)
    # A pixel of white around each: 2 rows and 3 columns of 2×2.
    assert sheet.shape == (7, 10, channels)
    assert sheet.dtype == np.uint8
    white = np.ones((7, 10), bool)
    for i, value in enumerate(figures.to_uint8(values)):
        top, left = 1 + 3 * (i // 3), 1 + 3 * (i % 3)
        assert (sheet[top : top + 2, left : left + 2] == value).all()
        white[top : top + 2, left : left + 2] = False
    assert (sheet[white] == 255).all()


def test_sheet_leaves_missing_images_white():
    sheet = figures.sheet(-np.ones((3, 2, 2, 1), np.float32), columns=2, enlarge_to=0)
    assert sheet.shape == (7, 7, 1)
    assert (sheet == 0).sum() == 3 * 4
    assert (sheet[4:6, 4:6] == 255).all()


@pytest.mark.parametrize(("enlarge_to", "factor"), [(0, 1), (7, 1), (13, 1), (14, 2), (800, 114)])
def test_sheet_is_enlarged_by_a_whole_factor(enlarge_to, factor):
    images = np.random.default_rng(0).uniform(-1, 1, (4, 2, 2, 3)).astype(np.float32)
    small = figures.sheet(images, 2, enlarge_to=0)
    large = figures.sheet(images, 2, enlarge_to=enlarge_to)
    assert large.shape == (7 * factor, 7 * factor, 3)
    np.testing.assert_array_equal(large[::factor, ::factor], small)
    np.testing.assert_array_equal(large[factor - 1 :: factor, factor - 1 :: factor], small)


def red(image):
    """How many pixels are red."""
    r, g, b = np.moveaxis(image.astype(int), -1, 0)
    return ((r > g + 60) & (r > b + 60)).sum()


def gray(image):
    """How many pixels are of the grey of real points, 0.75."""
    return (image == 191).all(axis=-1).sum()


@pytest.fixture(scope="module")
def clouds():
    """Two clouds of points, apart."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 2)), rng.normal((6, 0), 1, (300, 2))


def test_scatter_shows_both_colors(clouds):
    generated, real = clouds
    both, alone = figures.scatter(generated, real), figures.scatter(generated)
    assert both.dtype == np.uint8
    assert both.shape == alone.shape == (720, 720, 3)
    assert red(both) > 200
    assert red(alone) > 200
    assert gray(both) > gray(alone) + 200


def test_scatter_puts_points_where_they_are():
    # Right and above: matplotlib's y axis points up.
    real = np.array([[-1.0, -1.0], [1.0, 1.0]])
    near_point = np.full((400, 2), 0.8) + np.random.default_rng(0).normal(0, 0.02, (400, 2))
    image = figures.scatter(near_point, real)
    left_below = image[360:, :360]
    assert red(left_below) == 0
    assert red(image[:, 360:]) > 50


def test_scatter_frames_the_real_points(clouds):
    # Stray generated points move nothing: what is real stays where it is.
    generated, real = clouds
    astray = np.concatenate([generated, [[1e6, -1e6]]])
    np.testing.assert_array_equal(figures.scatter(generated, real), figures.scatter(astray, real))


@pytest.mark.parametrize("channels", [1, 3])
def test_save_writes_a_png_that_reads_back(tmp_path, channels):
    array = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    path = tmp_path / "new" / "folder" / "a.png"
    figures.save(array, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == {1: "L", 3: "RGB"}[channels]
        np.testing.assert_array_equal(np.asarray(image).reshape(array.shape), array)
    assert [f.name for f in path.parent.iterdir()] == ["a.png"]


def test_save_replaces(tmp_path):
    for value in (0, 200):
        figures.save(np.full((2, 2, 3), value, np.uint8), tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png")).max() == 200
