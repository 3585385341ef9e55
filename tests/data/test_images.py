"""Files as people have them: each is decoded to what a person sees in it, or refused by name."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from gan_jax.data import images
from gan_jax.data.images import BadImageError, Form

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WHITE, BLACK = images.WHITE, images.BLACK
AS_IT_IS = Form()


def quarters(top_left, top_right, bottom_left, bottom_right, side=16, mode="RGB"):
    """An image of four colors, each of which is seen a few pixels from the corners."""
    image = Image.new(mode, (2, 2))
    for place, color in zip(
        ((0, 0), (1, 0), (0, 1), (1, 1)),
        (top_left, top_right, bottom_left, bottom_right),
        strict=True,
    ):
        image.putpixel(place, color)
    return image.resize((side, side), Image.Resampling.NEAREST)


def corners(array):
    """The colors of an image of quarters."""
    h, w = array.shape[:2]
    places = [(y, x) for y in (h // 4, -h // 4) for x in (w // 4, -w // 4)]
    return [tuple(int(v) for v in array[place]) for place in places]


def read(image, name="image.png", form=AS_IT_IS, **options):
    image.save(name, **options)
    return images.read(Path(name), form)


def seen(image, *args, **options):
    return corners(read(image, *args, **options))


def alike(found, wanted, most=12):
    """As they would be, but for scaling and compression."""
    assert np.abs(np.subtract(found, wanted)).max() <= most, found


def refused(path, match, form=AS_IT_IS):
    with pytest.raises(BadImageError, match=match) as error:
        images.read(Path(path), form)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# What is transparent.

HIDDEN = (10, 200, 30)


def test_what_is_transparent_is_seen_through():
    image = quarters((*RED, 255), (*HIDDEN, 0), (*BLACK, 51), (*BLUE, 255), mode="RGBA")
    assert seen(image) == [RED, WHITE, (204, 204, 204), BLUE]
    on_red = Form(background=RED)
    assert seen(image, form=on_red) == [RED, RED, (204, 0, 0), BLUE]
    assert seen(image, form=Form(channels=1)) == [(76,), (255,), (204,), (29,)]


@pytest.mark.parametrize("side", [4, 8])
def test_what_is_hidden_does_not_bleed_where_images_are_scaled(side):
    image = quarters((*WHITE, 255), (*BLACK, 0), (*BLACK, 0), (*WHITE, 255), mode="RGBA")
    assert (read(image, form=Form(side)) == 255).all()


def test_grey_and_opacity():
    image = quarters((0, 255), (90, 0), (0, 51), (255, 255), mode="LA")
    assert seen(image, form=Form(channels=1)) == [(0,), (255,), (204,), (255,)]
    assert seen(image) == [BLACK, WHITE, (204, 204, 204), WHITE]


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_a_palette_with_a_transparent_entry(name):
    image = quarters(0, 1, 2, 2, mode="P")
    image.putpalette([*RED, *HIDDEN, *BLUE])
    assert seen(image, name, transparency=1) == [RED, WHITE, BLUE, BLUE]


def test_a_palette_with_opacities():
    image = quarters(0, 1, 2, 2, mode="P")
    image.putpalette([*RED, *HIDDEN, *BLACK])
    assert seen(image, transparency=bytes([255, 0, 51])) == [RED, WHITE, (204,) * 3, (204,) * 3]


def test_a_color_that_stands_for_transparency():
    image = quarters(RED, HIDDEN, BLUE, BLUE)
    assert seen(image, transparency=HIDDEN) == [RED, WHITE, BLUE, BLUE]
    grey = quarters(0, 90, 200, 200, mode="L")
    assert seen(grey, transparency=90) == [BLACK, WHITE, (200,) * 3, (200,) * 3]


# More than 8 bits.


def grey16(*values, side=16):
    (a, b), (c, d) = np.reshape(np.array(values, np.uint16), (2, 2))
    array = np.kron(np.array([[a, b], [c, d]]), np.ones((side // 2, side // 2), np.uint16))
    return Image.fromarray(array.astype(np.uint16))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_by_their_range(name):
    image = grey16(0, 65535, 257 * 100, 257 * 7)
    assert seen(image, name, form=Form(channels=1)) == [(0,), (255,), (100,), (7,)]


def test_12_bits_in_16_are_refused_until_their_white_is_known():
    image = grey16(0, 4095, 2048, 100)
    image.save("a.png")
    refused("a.png", r"values from 0 to 4095, .* set data\.white, as to 4095")
    assert seen(image, form=Form(channels=1, white=4095)) == [(0,), (255,), (128,), (6,)]
    assert seen(image, form=Form(channels=1, white=65535)) == [(0,), (16,), (8,), (0,)]


def numbers(values):
    return Image.fromarray(np.kron(np.reshape(values, (2, 2)), np.ones((8, 8))).astype(np.float32))


def test_floats():
    assert seen(numbers([0, 1, 0.5, 0.2]), "a.tif", form=Form(channels=1)) == [
        (0,),
        (255,),
        (128,),
        (51,),
    ]
    numbers([0, 1000, 500, 10]).save("a.tif")
    refused("a.tif", r"values from 0 to 1000, .* set data\.white")
    scaled = seen(numbers([-3, 1000, 500, 200]), "a.tif", form=Form(channels=1, white=1000))
    assert scaled == [(0,), (255,), (128,), (51,)]
    numbers([0, 1, np.nan, 0]).save("a.tif")
    refused("a.tif", "not finite", Form(white=1))


# How it is held.


AS_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # counterclockwise: the camera was turned clockwise
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", AS_STORED)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_images_are_upright(name, orientation):
    upright, how = quarters(RED, GREEN, BLUE, WHITE, side=64), AS_STORED[orientation]
    stored = upright if how is None else upright.transpose(how)
    exif = Image.Exif()
    exif[0x0112] = orientation
    alike(seen(stored, name, exif=exif), [RED, GREEN, BLUE, WHITE])


# Colors.


def swapped_profile():
    """A profile by which red is blue: sRGB's with two primaries exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "abcd".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"tmp?").replace(b"bXYZ", b"rXYZ").replace(b"tmp?", b"bXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_profiles_are_applied(mode):
    image = quarters(RED, GREEN, BLUE, WHITE).convert(mode)
    alike(seen(image, icc_profile=swapped_profile()), [BLUE, GREEN, RED, WHITE], most=2)


@pytest.mark.parametrize(
    "profile",
    [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"none", None],
    ids=["srgb", "broken", "none"],
)
def test_srgb_and_no_profile_change_nothing(profile):
    array = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(Image.fromarray(array), icc_profile=profile), array)


def test_print_colors():
    image = quarters(RED, GREEN, BLUE, WHITE).convert("CMYK")
    assert seen(image, "a.tif") == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    "name",
    [
        *("a.bmp", "a.gif", "a.jfif", "a.jp2", "a.jpeg", "a.JPG", "a.png", "a.ppm", "a.tif"),
        *("a.TIFF", "a.webp"),
        pytest.param("a.avif", marks=pytest.mark.skipif(not features.check("avif"), reason="none")),
    ],
)
def test_formats(name):
    form = {"a.jfif": "JPEG"}.get(name)
    image = quarters(RED, GREEN, BLUE, WHITE, side=64)
    alike(seen(image, name, format=form), [RED, GREEN, BLUE, WHITE])


def test_of_several_frames_it_is_the_first():
    frames = [quarters(c, c, c, c) for c in (RED, BLUE)]
    assert seen(frames[0], "a.gif", save_all=True, append_images=frames[1:]) == [RED] * 4


# What is no image.


def test_damaged_files_are_refused_by_name():
    image = quarters(RED, GREEN, BLUE, WHITE, side=64)
    image.save("whole.png")
    content = Path("whole.png").read_bytes()
    for name, broken in {
        "empty.png": b"",
        "text.png": b"not an image",
        "cut.png": content[: len(content) // 2],
        "header.png": content[:20],
    }.items():
        Path(name).write_bytes(broken)
        refused(name, "cannot read the image")


def test_a_decompression_bomb_is_refused_by_name():
    out = io.BytesIO()
    quarters(RED, GREEN, BLUE, WHITE).save(out, format="PNG")
    content = bytearray(out.getvalue())
    content[16:24] = struct.pack(">II", 60000, 60000)
    Path("bomb.png").write_bytes(content)
    refused("bomb.png", "cannot read the image")


def test_a_link_that_leads_nowhere_is_refused_by_name():
    Path("a.png").symlink_to("nowhere.png")
    refused("a.png", "cannot read the image")


# To the size of the others.


@pytest.mark.parametrize("size", [(64, 16), (16, 64), (40, 30)])
def test_pad_shows_the_whole_image(size):
    image = quarters(RED, GREEN, BLUE, WHITE).resize(size, Image.Resampling.NEAREST)
    array = read(image, form=Form(32, "pad"))
    assert array.shape == (32, 32, 3)
    scale = 32 / max(size)
    h, w = round(size[1] * scale), round(size[0] * scale)
    top, left = (32 - h) // 2, (32 - w) // 2
    inside = array[top : top + h, left : left + w]
    alike(corners(inside), [RED, GREEN, BLUE, WHITE])
    around = array.copy()
    around[top : top + h, left : left + w] = 0
    assert not around.any()


def test_pad_fills_with_the_background():
    array = read(Image.new("RGB", (64, 16)), form=Form(32, "pad", background=GREEN))
    assert tuple(array[0, 0]) == GREEN
    assert tuple(array[16, 16]) == BLACK
    grey = read(Image.new("RGB", (64, 16)), form=Form(32, "pad", 1, GREEN))
    assert (grey[0, 0], grey[16, 16]) == (150, 0)


def test_pad_does_not_enlarge():
    array = read(Image.new("L", (28, 28), 255), form=Form(32, "pad", 1))
    np.testing.assert_array_equal(
        array, np.pad(np.full((28, 28, 1), 255), ((2, 2), (2, 2), (0, 0)))
    )


@pytest.mark.parametrize("size", [(64, 16), (5, 90)])
def test_stretch_shows_the_whole_image_and_nothing_else(size):
    image = quarters(RED, GREEN, BLUE, WHITE).resize(size, Image.Resampling.NEAREST)
    array = read(image, form=Form(32, "stretch"))
    assert array.shape == (32, 32, 3)
    alike(corners(array), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("fit", images.FITS)
@pytest.mark.parametrize("resolution", [(8, 16), (16, 8), (6, 20)])
def test_every_fit_makes_images_that_are_not_square(fit, resolution):
    found = read(quarters(RED, GREEN, BLUE, WHITE, 64), form=Form(resolution, fit))
    assert found.shape == (*resolution, 3)
    if fit != "pad":
        alike(corners(found), [RED, GREEN, BLUE, WHITE])
    else:  # all of it, between bars
        side = min(resolution)
        bars = [(found[:, :1], found[:, -1:]), (found[:1], found[-1:])][resolution[0] > side]
        assert all((bar == 0).all() for bar in bars)
        assert (found.sum(axis=-1) > 0).sum() == side * side


def test_a_crop_of_another_shape_is_from_the_center():
    wide = Image.new("RGB", (48, 16), RED)
    wide.paste(Image.new("RGB", (16, 16), GREEN), (16, 0))
    assert (read(wide, form=Form((16, 16))) == GREEN).all()
    assert (read(wide, form=Form((8, 24))) != BLUE).any()
    alike(read(wide, form=Form((8, 24)))[4, [2, 12, 21]], [RED, GREEN, RED])


# What stays transparent.


def test_opacity_is_kept_where_four_channels_are_asked_for():
    image = quarters((*RED, 255), (*GREEN, 128), (*HIDDEN, 0), (*BLUE, 255), mode="RGBA")
    kept = seen(image, form=Form(channels=4))
    assert kept == [(*RED, 255), (*GREEN, 128), (0, 0, 0, 0), (*BLUE, 255)]


@pytest.mark.parametrize("side", [8, 12, 40])
def test_hidden_colors_do_not_bleed_into_what_stays_transparent(side):
    image = quarters((*RED, 255), (*RED, 255), (*HIDDEN, 0), (*HIDDEN, 0), mode="RGBA")
    found = read(image, form=Form(side, channels=4)).astype(int)
    assert (found[found[..., 3] == 0] == 0).all()
    visible = found[found[..., 3] > 8]
    assert len(visible) > side * side / 3
    assert (np.abs(visible[:, :3] - RED) <= 4).all()


def test_what_has_no_opacity_is_opaque_and_padded_with_nothing():
    found = read(Image.new("L", (8, 16), 77), form=Form(16, "pad", channels=4))
    assert (found[:, 4:12] == (77, 77, 77, 255)).all()
    assert (found[:, [0, 1, 2, 3, 12, 13, 14, 15]] == 0).all()


@pytest.mark.parametrize(("channels", "expected"), [(1, 255), (3, 255), (4, 0)])
def test_arrays_with_opacity_are_brought_to_other_channels(channels, expected):
    array = np.full((8, 8, 4), 50, np.uint8)
    array[..., 3] = 0
    found = images.refit(array, Form(4, channels=channels))
    assert found.shape == (4, 4, channels)
    assert (found == expected).all()
