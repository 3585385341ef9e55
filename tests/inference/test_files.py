"""Image files of any kind: read as they are seen, written as they were."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from gan_jax.data import png16
from gan_jax.data.decoding import BadImageError
from gan_jax.errors import InputError
from gan_jax.inference import files
from gan_jax.inference.files import ImageFile

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(1, 256, (5, 7), dtype=np.uint8)
DEEP = RANDOM.integers(1, 65536, (5, 7, 4), dtype=np.uint16)  # no alpha of 0


def saved(array_or_image, name="image.png", **options) -> Path:
    image = array_or_image
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(name, **options)
    return Path(name)


def samples(image: ImageFile, bits=8):
    """Color and alpha as integers."""
    top = 2**bits - 1
    assert image.color.min() >= -1
    assert image.color.max() <= 1
    color = np.round((image.color.astype(np.float64) + 1) * top / 2).astype(int)
    alpha = image.alpha
    return color, None if alpha is None else np.round(alpha.astype(np.float64) * top).astype(int)


def gray_of(array):
    return np.repeat(array[..., None], 3, axis=-1)


# Modes.


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.TIFF"])
def test_rgb_is_read_as_it_is(name):
    image = files.read(saved(RGB, name))
    color, alpha = samples(image)
    np.testing.assert_array_equal(color, RGB)
    assert (alpha, image.bits, image.gray, image.profile) == (None, 8, False, None)
    assert image.color.dtype == np.float32


@pytest.mark.parametrize(("value", "wanted"), [(0, -1), (255, 1), (51, -0.6), (204, 0.6)])
def test_colors_are_from_minus_one_to_one(value, wanted):
    image = files.read(saved(np.full((1, 1, 3), value, np.uint8)))
    np.testing.assert_allclose(image.color, wanted, atol=1e-7)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.bmp"])
def test_gray_has_three_channels_alike(name):
    array = np.repeat(RGB[..., 0], 8, 0).repeat(8, 1)
    image = files.read(saved(array, name, **({"quality": 100} if name == "a.jpg" else {})))
    color, alpha = samples(image)
    np.testing.assert_allclose(color, gray_of(array), atol=2 if name == "a.jpg" else 0)
    assert (alpha, image.bits, image.gray) == (None, 8, True)


def test_gray_and_alpha():
    image = files.read(saved(np.stack([RGB[..., 0], ALPHA], -1)))
    color, alpha = samples(image)
    np.testing.assert_array_equal(color, gray_of(RGB[..., 0]))
    np.testing.assert_array_equal(alpha, ALPHA)
    assert image.gray


def test_rgb_and_alpha():
    image = files.read(saved(np.dstack([RGB, ALPHA])))
    color, alpha = samples(image)
    np.testing.assert_array_equal(color, RGB)
    np.testing.assert_array_equal(alpha, ALPHA)
    assert image.alpha.dtype == np.float32
    assert not image.gray


def test_one_bit_is_black_and_white():
    bits = RGB[..., 0] > 100
    image = files.read(saved(Image.fromarray(bits)))
    np.testing.assert_array_equal(samples(image)[0], gray_of(bits * 255))
    assert image.gray


@pytest.mark.parametrize("transparent", [False, True])
def test_palettes(transparent):
    indices = Image.fromarray(RGB[..., 0] % 3, mode="P")
    palette = np.array([[255, 0, 0], [0, 128, 7], [1, 2, 3]])
    indices.putpalette(palette.astype(np.uint8).tobytes())
    path = saved(indices, **({"transparency": bytes([9, 255, 100])} if transparent else {}))
    image = files.read(path)
    color, alpha = samples(image)
    np.testing.assert_array_equal(color, palette[RGB[..., 0] % 3])
    if transparent:
        np.testing.assert_array_equal(alpha, np.array([9, 255, 100])[RGB[..., 0] % 3])
    else:
        assert alpha is None
    assert not image.gray


@pytest.mark.parametrize(("array", "key"), [(RGB, (3, 4, 5)), (RGB[..., 0], 3)])
def test_a_color_may_stand_for_transparency(array, key):
    array = array.copy()
    array[array == 3] = 17
    array[1, 2] = key
    image = files.read(saved(array, transparency=key))
    wanted = np.full((5, 7), 255)
    wanted[1, 2] = 0
    np.testing.assert_array_equal(samples(image)[1], wanted)
    assert image.gray == (array.ndim == 2)


def test_cmyk():
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[:, :4, 0] = 255  # cyan, beside white
    image = files.read(saved(Image.fromarray(inks, mode="CMYK"), "a.tif"))
    color, _ = samples(image)
    np.testing.assert_array_equal(color[:, :4], np.broadcast_to([0, 255, 255], (8, 4, 3)))
    assert (color[:, 4:] == 255).all()
    assert not image.gray


def test_of_an_animation_it_is_the_first_frame():
    frames = [Image.new("RGB", (4, 3), c) for c in ("red", "blue")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    color, _ = samples(files.read(Path("a.gif")))
    np.testing.assert_array_equal(color, np.broadcast_to([255, 0, 0], (3, 4, 3)))


# Sixteen bits.


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_gray_of_16_bits_is_exact(name):
    array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = files.read(saved(array, name))
    np.testing.assert_array_equal(samples(image, 16)[0], gray_of(array))
    assert (image.bits, image.gray, image.alpha) == (16, True, None)
    files.write(image, Path("out") / name)
    with Image.open(Path("out") / name) as out:
        assert out.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(out), array)


def test_integers_within_16_bits_are_taken_as_such():
    array = np.array([[0, 77], [65535, 300]], np.int32)
    image = files.read(saved(array, "a.tif"))
    np.testing.assert_array_equal(samples(image, 16)[0], gray_of(array))


@pytest.mark.parametrize(
    "array",
    [np.array([[-5, 15, 95]], np.int32), np.array([[0.25, 0.45, 1.25]], np.float32)],
)
def test_values_without_a_range_are_scaled_by_their_own(array):
    image = files.read(saved(array, "a.tif"))
    # A fifth of the way: 0.2 · 65535 = 13107.
    np.testing.assert_array_equal(samples(image, 16)[0][0, :, 0], [0, 13107, 65535])
    assert (image.bits, image.gray) == (16, True)


def test_a_constant_without_a_range_is_black():
    image = files.read(saved(np.full((2, 2), 7.5, np.float32), "a.tif"))
    assert (image.color == -1).all()


def handmade(lines: list[bytes], width: int, height: int, color_type: int, *extra, interlaced=0):
    """A PNG file of 16 bits, by its filtered lines."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, interlaced)
    Path("hand.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(*item) for item in extra)
        + chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + chunk(b"IEND", b"")
    )
    return Path("hand.png")


def test_16_bit_rgb_by_hand():
    # Line 1 as it is; in line 2 (filter 1) a byte is what is added to the one six before it; in
    # line 3 (filter 2) to the one above.
    path = handmade(
        [
            b"\x00" + bytes.fromhex("0102 0304 0506  ff00 00ff 8001"),
            b"\x01" + bytes.fromhex("0102 0304 0506  0101 ff00 0001"),
            b"\x02" + bytes.fromhex("0000 0000 0001  0100 0000 0000"),
        ],
        *(2, 3, 2),
    )
    wanted = [
        [[0x0102, 0x0304, 0x0506], [0xFF00, 0x00FF, 0x8001]],
        [[0x0102, 0x0304, 0x0506], [0x0203, 0x0204, 0x0507]],
        [[0x0102, 0x0304, 0x0507], [0x0303, 0x0204, 0x0507]],
    ]
    np.testing.assert_array_equal(png16.read(path), wanted)
    image = files.read(path)
    np.testing.assert_array_equal(samples(image, 16)[0], wanted)
    assert (image.bits, image.gray, image.alpha) == (16, False, None)


def test_16_bit_gray_and_alpha_by_hand():
    path = handmade([b"\x00" + bytes.fromhex("0102 fffe  8001 0001")], 2, 1, 4)
    np.testing.assert_array_equal(png16.read(path), [[[0x0102, 0xFFFE], [0x8001, 1]]])
    image = files.read(path)
    color, alpha = samples(image, 16)
    np.testing.assert_array_equal(color, gray_of(np.array([[0x0102, 0x8001]])))
    np.testing.assert_array_equal(alpha, [[0xFFFE, 1]])
    assert (image.bits, image.gray) == (16, True)


@pytest.mark.parametrize(("color_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_16_bit_interlaced_by_hand(color_type, channels):
    array = DEEP[..., :channels]
    lines = []
    # Adam7: first row and column of each pass, and its steps.
    for y, x, dy, dx in [
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ]:
        part = array[y::dy, x::dx]
        lines += [b"\0" + row.astype(">u2").tobytes() for row in part if part.size]
    path = handmade(lines, 7, 5, color_type, interlaced=1)
    np.testing.assert_array_equal(png16.read(path), array)


def test_a_16_bit_color_may_stand_for_transparency():
    # Its upper bytes are those of the other pixel too.
    key = (b"tRNS", bytes.fromhex("0102 0304 0506"))
    path = handmade([b"\x00" + bytes.fromhex("0102 0304 0506  0102 0304 0507")], 2, 1, 2, key)
    np.testing.assert_array_equal(files.read(path).alpha, [[0, 1]])
    path = handmade([b"\x00\x01\x02\x01\x03"], 2, 1, 0, (b"tRNS", b"\x01\x03"))
    image = files.read(path)
    np.testing.assert_array_equal(image.alpha, [[1, 0]])
    assert image.gray


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_encoded_samples_of_16_bits_are_read_back_exactly(channels):
    array = DEEP[..., :channels]
    Path("a.png").write_bytes(png16.encode(array))
    image = files.read(Path("a.png"))
    color, alpha = samples(image, 16)
    plain = array[..., :-1] if channels in (2, 4) else array
    np.testing.assert_array_equal(color, np.broadcast_to(plain, (5, 7, 3)))
    if channels in (2, 4):
        np.testing.assert_array_equal(alpha, array[..., -1])
    # Pillow, which checks lengths and checksums, reads the upper bytes.
    with Image.open("a.png") as out:
        out.load()
        if channels == 4:
            np.testing.assert_array_equal(np.asarray(out), array >> 8)


def test_files_of_8_bits_are_not_read_as_16():
    for name in ("a.png", "a.jpg", "a.tif"):
        assert png16.read(saved(RGB, name)) is None


# Orientation.

SEEN = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: SEEN,
    2: SEEN[:, ::-1],
    3: SEEN[::-1, ::-1],
    4: SEEN[::-1],
    5: SEEN.T,
    6: SEEN.T[::-1],  # turned to the left: 40 0 stands lowest
    7: SEEN.T[::-1, ::-1],
    8: SEEN.T[:, ::-1],
}
"""An image as EXIF's eight orientations keep it."""


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_images_are_upright(name, orientation):
    large = gray_of(STORED[orientation].repeat(8, 0).repeat(8, 1))
    exact = {"a.jpg": {"quality": 100}, "a.webp": {"lossless": True}}.get(name, {})
    image = files.read(saved(large, name, exif=oriented(orientation), **exact))
    tolerance = 2 if name == "a.jpg" else 0
    wanted = gray_of(SEEN.repeat(8, 0).repeat(8, 1))
    np.testing.assert_allclose(samples(image)[0], wanted, atol=tolerance)
    # What is written says nothing of it.
    files.write(image, Path("out") / name)
    with Image.open(Path("out") / name) as out:
        assert out.getexif().get(0x0112, 1) == 1
        assert out.size == (24, 16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_of_16_bits_are_upright(orientation):
    stored = STORED[orientation].astype(np.uint16)[..., None] * np.array([1, 257, 3], np.uint16)
    height, width = stored.shape[:2]
    lines = [b"\0" + row.astype(">u2").tobytes() for row in stored]
    exif = (b"eXIf", oriented(orientation).tobytes().removeprefix(b"Exif\0\0"))
    image = files.read(handmade(lines, width, height, 2, exif))
    np.testing.assert_array_equal(samples(image, 16)[0], SEEN[..., None] * np.array([1, 257, 3]))


def test_an_orientation_that_there_is_not_changes_nothing():
    image = files.read(saved(RGB, exif=oriented(9)))
    np.testing.assert_array_equal(samples(image)[0], RGB)


# Transparency.


@pytest.mark.parametrize("deep", [False, True])
def test_what_nobody_saw_is_white(deep):
    array = (DEEP if deep else np.dstack([RGB, ALPHA])).copy()
    array[2:4, 3, 3] = 0
    array[0, 0, 3] = 1  # nearly transparent: it is seen
    path = Path("a.png")
    if deep:
        path.write_bytes(png16.encode(array))
    else:
        saved(array, "a.png")
    color, alpha = samples(files.read(path), bits := 16 if deep else 8)
    wanted = array[..., :3].copy()
    wanted[2:4, 3] = 2**bits - 1
    np.testing.assert_array_equal(color, wanted)
    np.testing.assert_array_equal(alpha, array[..., 3])


def test_opacity_of_another_size():
    alpha = np.zeros((4, 6), np.float32)
    alpha[:, 3:] = 1
    out = files.resized_alpha(alpha, 8, 12)
    assert out.shape == (8, 12)
    assert out.dtype == np.float32
    assert (out.min(), out.max()) == (0, 1)
    assert (out[:, :4] == 0).all()
    assert (out[:, 8:] == 1).all()
    assert (np.diff(out, axis=1) >= 0).all()
    np.testing.assert_allclose(out + out[:, ::-1], 1, atol=1e-6)


def test_opacity_of_the_same_size_or_none_stays():
    alpha = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    assert files.resized_alpha(alpha, 3, 4) is alpha
    assert files.resized_alpha(None, 3, 4) is None


# Writing.


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_png_is_read_back_as_it_was_written(bits, gray, transparent):
    top = 2**bits - 1
    integers = np.random.default_rng(1).integers(1, top + 1, (6, 5, 4))
    if gray:
        integers[..., :3] = integers[..., :1]
    color = (integers[..., :3] / (top / 2) - 1).astype(np.float32)
    alpha = (integers[..., 3] / top).astype(np.float32) if transparent else None
    files.write(ImageFile(color, alpha, bits, gray), Path("deep/er/a.png"))
    image = files.read(Path("deep/er/a.png"))
    np.testing.assert_array_equal(samples(image, bits)[0], integers[..., :3])
    if transparent:
        np.testing.assert_array_equal(samples(image, bits)[1], integers[..., 3])
    else:
        assert image.alpha is None
    assert (image.bits, image.gray) == (bits, gray)


def test_values_beyond_the_range_are_cut():
    color = np.array([[[-3, 0, 3]]], np.float32)
    for bits, wanted in ((8, [0, 128, 255]), (16, [0, 32768, 65535])):
        files.write(ImageFile(color, None, bits, False), Path("a.png"))
        np.testing.assert_array_equal(samples(files.read(Path("a.png")), bits)[0][0, 0], wanted)


def test_a_gray_file_of_colored_output_is_its_luminance():
    color = np.array([[[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]], np.float32)
    files.write(ImageFile(color, None, 8, True), Path("a.png"))
    with Image.open("a.png") as out:
        assert out.mode == "L"
        # 255 times 0.299, 0.587, 0.114
        np.testing.assert_array_equal(np.asarray(out), [[76, 150, 29]])


def smooth(alpha=None, bits=8, gray=False, profile=None) -> ImageFile:
    ramp = np.linspace(-1, 1, 32, dtype=np.float32)
    color = np.stack([*np.meshgrid(ramp, ramp), np.zeros((32, 32), np.float32)], -1)
    return ImageFile(color, alpha, bits, gray, profile)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("name", "format"),
    [
        *(("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")),
        *(("a.tif", "TIFF"), ("a.Tiff", "TIFF"), ("a.PNG", "PNG")),
    ],
)
def test_the_name_tells_the_format(name, format, bits):
    image = smooth(bits=bits)
    files.write(image, Path(name))
    with Image.open(name) as out:
        assert out.format == format
    np.testing.assert_allclose(files.read(Path(name)).color, image.color, atol=0.1)


def test_jpeg_is_put_on_white():
    alpha = np.zeros((32, 32), np.float32)
    alpha[:16] = 1
    alpha[:16, :16] = 0.5
    image = smooth(alpha)
    files.write(image, Path("a.jpg"))
    out = files.read(Path("a.jpg"))
    assert out.alpha is None
    np.testing.assert_allclose(out.color[20:], 1, atol=0.05)
    half = (image.color[:14, :14] + 1) / 2
    np.testing.assert_allclose(out.color[:14, :14], half, atol=0.15)
    np.testing.assert_allclose(out.color[:14, 18:], image.color[:14, 18:], atol=0.15)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("name", ["a.webp", "a.tif"])
def test_other_formats_keep_opacity(name, gray):
    alpha = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    files.write(smooth(alpha, gray=gray), Path(name))
    np.testing.assert_allclose(files.read(Path(name)).alpha, alpha, atol=0.003)


def icc(space):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_a_color_profile_goes_with_the_image(name, bits):
    profile = icc("sRGB")
    files.write(smooth(bits=bits, profile=profile), Path(name))
    image = files.read(Path(name))
    assert image.profile == profile
    files.write(ImageFile(image.color, None, bits, True, profile), Path("gray.png"))
    assert files.read(Path("gray.png")).profile is None  # it is one of RGB


@pytest.mark.parametrize("name", ["a", "a.gif", "a.npz"])
def test_a_name_that_tells_no_format_is_refused(name):
    with pytest.raises(InputError, match=r"its name ends in \.jpeg, .* or \.webp$"):
        files.write(smooth(), Path(name))
    assert not list(Path().iterdir())


def test_an_image_too_large_for_the_format_is_refused_in_one_line():
    wide = ImageFile(np.zeros((1, 65536, 3), np.float32), None, 8, False)
    for name in ("a.jpg", "a.webp"):
        with pytest.raises(InputError, match=rf"^cannot write {name}, try \.png: .*$"):
            files.write(wide, Path(name))
    assert not list(Path().iterdir())


def test_what_is_there_is_replaced_whole_or_not_at_all(monkeypatch):
    path = saved(RGB, "a.png")
    before = path.read_bytes()

    def fails(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fails)
        with pytest.raises(OSError, match="No space"):
            files.write(smooth(), path)
    assert path.read_bytes() == before
    assert [p.name for p in Path().iterdir()] == ["a.png"]
    files.write(smooth(), path)
    assert path.read_bytes() != before
    assert [p.name for p in Path().iterdir()] == ["a.png"]


# Errors.


@pytest.mark.parametrize("kept", [0, 20, 60, 0.5, 0.9])
@pytest.mark.parametrize(
    "name", ["a.png", "deep.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp"]
)
def test_damaged_files_are_refused_in_one_line(name, kept):
    if name == "deep.png":
        Path(name).write_bytes(png16.encode(DEEP))
    else:
        saved(RGB.repeat(9, 0).repeat(9, 1), name)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else kept])
    with pytest.raises(BadImageError, match=rf"^cannot read the image {name}: .+$") as error:
        files.read(Path(name))
    assert "\n" not in str(error.value)


def test_what_is_no_image_is_refused_in_one_line():
    Path("a.png").write_text("no image")
    for name in ("a.png", "missing.png", "."):
        with pytest.raises(BadImageError, match=r"^cannot read the image [^\n]*$"):
            files.read(Path(name))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    path = saved(np.array([[0, value]], np.float32), "a.tif")
    with pytest.raises(BadImageError, match=r"a\.tif: it holds values that are not finite$"):
        files.read(path)


# Names.


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_a_folder_is_searched_at_any_depth_in_order():
    touch("in/b.PNG", "in/a.jpg", "in/sub/er/c.tiff", "in/notes.txt", "in/sub/d.gif", "in/e.jpeg")
    touch("in/f.webp", "in/g.bmp", "in/h.tif", "in/i.npz")
    Path("in/folder.png").mkdir()
    names = ["a.jpg", "b.PNG", "e.jpeg", "f.webp", "g.bmp", "h.tif", "sub/d.gif", "sub/er/c.tiff"]
    assert files.find(Path("in")) == [(Path("in") / name, Path(name)) for name in names]


def test_a_file_is_found_whatever_its_name():
    touch("in/photo.raw")
    assert files.find(Path("in/photo.raw")) == [(Path("in/photo.raw"), Path("photo.raw"))]


def test_nothing_to_be_found_is_said_in_one_line():
    touch("in/notes.txt")
    with pytest.raises(InputError, match=r"^there is no file or folder missing\.png$"):
        files.find(Path("missing.png"))
    with pytest.raises(InputError, match=r"^there are no images in in, only 1 \.txt; names "):
        files.find(Path("in"))


def results(path, out):
    found = files.destinations(Path(path), Path(out))
    assert [file for file, _ in found] == [file for file, _ in files.find(Path(path))]
    return [result.as_posix() for _, result in found]


@pytest.mark.parametrize(
    ("out", "wanted"),
    [
        ("other.jpg", "other.jpg"),
        ("new/other.TIF", "new/other.TIF"),
        ("out", "out/a.png"),
        ("new/out", "new/out/a.png"),
        ("there.png", "there.png/a.png"),
        ("there.v2", "there.v2/a.png"),
    ],
)
def test_a_file_goes_to_a_file_or_into_a_folder(out, wanted):
    touch("in/a.jpg", "there.png/x", "there.v2/x")
    assert results("in/a.jpg", out) == [wanted]


def test_a_folder_keeps_names_and_subfolders():
    touch("in/b.PNG", "in/a.jpg", "in/sub/a.tif", "in/sub.two/a.gif", "in/a.b.webp")
    wanted = ["a.b.png", "a.png", "b.PNG", "sub/a.png", "sub.two/a.png"]
    assert sorted(results("in", "out.v2")) == sorted(f"out.v2/{name}" for name in wanted)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png"]),
        (["a.jpg", "a.webp"], ["a.jpg.png", "a.webp.png"]),
        (["a.jpg", "b/a.png"], ["a.png", "b/a.png"]),
        (["A.jpg", "a.png"], ["A.jpg.png", "a.png"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg.png.png", "a.jpg.png", "a.png"]),
        (["a.gif", "a.gif.bmp", "a.png"], ["a.gif.png", "a.gif.png.png", "a.png"]),
    ],
)
def test_no_two_results_go_to_one_file(names, wanted):
    touch(*(f"in/{name}" for name in names))
    found = dict(files.destinations(Path("in"), Path("out")))
    assert [found[Path("in") / name] for name in names] == [Path("out") / name for name in wanted]


def test_inputs_are_not_overwritten():
    touch("in/a.png", "in/sub/b.jpg", "other/b.jpg")
    Path("link").symlink_to("in")
    for path, out in [
        *(("in/a.png", "in/a.png"), ("in/a.png", "in"), ("in/a.png", "link/../in/a.png")),
        *(("in", "in"), ("in", "link"), ("link", "in")),
    ]:
        with pytest.raises(InputError, match=r"^.*a\.png would be overwritten, which is an input"):
            files.destinations(Path(path), Path(out))
    # Its result is another file.
    assert results("in/sub/b.jpg", "in/sub") == ["in/sub/b.png"]
    assert results("other", "other") == ["other/b.png"]


def test_a_folders_results_do_not_go_to_a_file():
    touch("in/a.png", "file")
    for out in ("out.png", "out.jpg", "file"):
        with pytest.raises(InputError, match=rf"^in is a folder: .* not to the file {out}$"):
            files.destinations(Path("in"), Path(out))


def test_a_result_whose_name_tells_no_format_is_refused():
    touch("in/a.png", "file")
    for out in ("out.gif", "out.npz", "file"):
        with pytest.raises(InputError, match=rf"^cannot tell a format from {out}: "):
            files.destinations(Path("in/a.png"), Path(out))
