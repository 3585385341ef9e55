"""`gan-jax translate` and `upscale`, as they are typed: images of any kind through runs that need
no training."""

import dataclasses
import sys

import numpy as np
import pytest
from helpers import arbitrary_states
from PIL import Image

from gan_jax.cli.main import main
from gan_jax.data import Data, Described, Description, Domains, png16
from gan_jax.degradations.small import BicubicSection
from gan_jax.inference import files
from gan_jax.networks import cyclegan, dcgan, patchgan, rrdb, unet
from gan_jax.runs import Run
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.tasks import generation, restoration, translation

COLORED = Description((16, 16, 3), None, 100, "")
PATCHES = patchgan.DiscriminatorSection(width=2, layers=1)
RRDB = rrdb.TranslatorSection(width=4, growth=2, blocks=0)
CONFIGS = {
    "translation": (
        translation.Config(
            data=Domains(resolution=16),
            generator=cyclegan.TranslatorSection(width=2, blocks=0),
            discriminator=PATCHES,
        ),
        Described(COLORED, COLORED),
    ),
    "colors": (
        restoration.Config(
            generator=unet.TranslatorSection(width=2, halvings=1), discriminator=PATCHES
        ),
        COLORED,
    ),
    "larger": (
        restoration.Config(input=BicubicSection(scale=2), generator=RRDB, discriminator=PATCHES),
        COLORED,
    ),
    "larger-grey": (
        restoration.Config(
            input=BicubicSection(scale=2),
            data=Data(channels=1),
            generator=RRDB,
            discriminator=PATCHES,
        ),
        dataclasses.replace(COLORED, shape=(16, 16, 1)),
    ),
    "generation": (
        generation.Config(
            generator=dcgan.GeneratorSection(width=2),
            discriminator=dcgan.DiscriminatorSection(width=2),
        ),
        Description((8, 8, 1), None, 100, ""),
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The directories of runs by name, each with a checkpoint of arbitrary networks."""
    directory = tmp_path_factory.mktemp("runs")
    for name, (config, data) in CONFIGS.items():
        run = Run.create(directory / name, config.build(data))
        with Checkpoints(run.directory / "checkpoints") as kept:
            kept.save(1, *arbitrary_states(run.task.create))
    return {name: directory / name for name in CONFIGS}


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `gan-jax` with arguments, in this process; gives its status, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gan-jax", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def done(command):
    """What a command prints that succeeds."""

    def run(*arguments):
        status, out, err = command(*arguments)
        assert (status, err) == (0, "")
        return out

    return run


@pytest.fixture
def assert_refused(command, tmp_path):
    """Asserts that a command is refused in one line with these words, and that nothing is
    written."""

    def check(*arguments, says):
        before = sorted(tmp_path.rglob("*"))
        status, out, err = command(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert [word for word in says if str(word) not in err] == [], err
        assert sorted(tmp_path.rglob("*")) == before

    return check


def noise(*shape, dtype=np.uint8, seed=0):
    """Of pixels that are alike in blocks of 4×4."""
    height, width, *channels = shape
    rng = np.random.default_rng(seed)
    few = -(-height // 4), -(-width // 4)
    values = rng.integers(0, np.iinfo(dtype).max, (*few, *channels), dtype)
    return values.repeat(4, 0).repeat(4, 1)[:height, :width]


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def opened(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


# ---- what comes out ----


def test_a_translated_image_keeps_its_size_and_opacity(runs, done, tmp_path):
    image = write(tmp_path / "in.png", noise(321, 481, 4))
    arguments = ["translate", runs["translation"], "in.png", "--out", "out.png"]
    assert done(*arguments, "--direction", "a2b") == "1 image: out.png\n"
    mode, winter = opened("out.png")
    assert (mode, winter.shape) == ("RGBA", image.shape)
    np.testing.assert_array_equal(winter[..., 3], image[..., 3])
    assert winter[..., :3].std() > 1
    done(*arguments, "--direction", "b2a")
    assert not np.array_equal(opened("out.png")[1], winter)


def test_images_smaller_than_a_network_takes_are_continued(runs, done, tmp_path):
    """Of 5×3 pixels, where it takes 16."""
    write(tmp_path / "in.png", noise(3, 5, 3))
    done("translate", runs["translation"], "in.png", "--direction", "a2b", "--out", "out.png")
    assert opened("out.png")[1].shape == (3, 5, 3)


def test_an_enlarged_image_has_an_enlarged_opacity(runs, done, tmp_path):
    image = noise(321, 481, 4)
    image[..., 3] = 255 * (np.arange(481) < 240)
    write(tmp_path / "in.png", image)
    assert done("upscale", runs["larger"], "in.png", "--out", "out.png") == "1 image: out.png\n"
    mode, large = opened("out.png")
    assert (mode, large.shape) == ("RGBA", (642, 962, 4))
    assert (large[:, :470, 3] == 255).all()
    assert (large[:, 490:, 3] == 0).all()


def test_a_folder_keeps_its_names_and_subfolders(runs, done, tmp_path):
    write(tmp_path / "in" / "a.png", noise(24, 40, 3))
    write(tmp_path / "in" / "sub" / "b.jpg", noise(24, 40, 3))
    write(tmp_path / "in" / "sub" / "deep" / "c.png", noise(24, 40))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert done("upscale", runs["larger"], "in", "--out", "out") == "3 images: out\n"
    written = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert list(map(str, written)) == ["a.png", "sub/b.png", "sub/deep/c.png"]
    for name in written:
        mode, image = opened(tmp_path / "out" / name)
        assert (mode, image.shape) == ("RGB", (48, 80, 3)), name


def test_a_file_goes_into_a_folder_under_its_name(runs, done, tmp_path):
    write(tmp_path / "in.jpg", noise(24, 40, 3))
    assert done("upscale", runs["larger"], "in.jpg") == "1 image: upscaled/in.png\n"
    assert opened("upscaled/in.png")[1].shape == (48, 80, 3)


def test_16_bits_are_kept(runs, done, tmp_path):
    path = tmp_path / "in.png"
    path.write_bytes(png16.encode(noise(24, 40, 3, dtype=np.uint16)))
    done("upscale", runs["larger"], path, "--out", "out.png")
    large = files.read(tmp_path / "out.png")
    assert (large.bits, large.color.shape) == (16, (48, 80, 3))
    # As the network makes them, which 8 bits would miss by up to 4e-3.
    made = Run.open(runs["larger"]).converter()(files.read(path).color)
    np.testing.assert_allclose(large.color, np.clip(made, -1, 1), atol=1e-4)


@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 3)], ids=["grey", "color"])
def test_a_grey_network_makes_grey_images_of_any(runs, done, tmp_path, shape):
    write(tmp_path / "in.png", noise(*shape))
    done("upscale", runs["larger-grey"], "in.png", "--out", "out.png")
    mode, large = opened("out.png")
    assert (mode, large.shape) == ("L", (48, 80))


def test_grey_images_become_colored(runs, done, tmp_path):
    """And colored ones are seen as grey."""
    image = noise(24, 40, 3)
    write(tmp_path / "color.png", image)
    write(tmp_path / "grey.png", np.asarray(Image.fromarray(image).convert("L")))
    for name in ("color", "grey"):
        done("translate", runs["colors"], f"{name}.png", "--out", f"{name}-out.png")
    (mode, color), (_, grey) = opened("color-out.png"), opened("grey-out.png")
    assert (mode, color.shape) == ("RGB", (24, 40, 3))
    assert np.abs(np.int32(color) - grey).mean() < 2  # the file's grey levels are rounded


def test_enlarged_tile_by_tile_it_is_what_it_is_at_once(runs, done, tmp_path):
    """Tiles overlap by more than a pixel depends on."""
    write(tmp_path / "in.png", noise(52, 71, 3))
    done("upscale", runs["larger"], "in.png", "--out", "whole.png")
    options = ["--tile", 32, "--overlap", 16]
    done("upscale", runs["larger"], "in.png", "--out", "tiles.png", *options)
    whole, tiles = (np.int32(opened(f"{name}.png")[1]) for name in ("whole", "tiles"))
    inside = np.s_[16:-16, 16:-16]
    assert np.abs(whole - tiles)[inside].max() <= 1
    assert whole[inside].std() > 1
    assert np.mean((whole > 0) & (whole < 255)) * 100 > 10  # not all is clipped


def test_images_that_cannot_be_read_are_left_out_of_a_folder(runs, done, tmp_path):
    write(tmp_path / "in" / "a.png", noise(24, 40, 3))
    (tmp_path / "in" / "b.png").write_bytes(b"junk")
    out = done("upscale", runs["larger"], "in", "--out", "out")
    assert "skipped: cannot read the image in/b.png" in " ".join(out.split())
    assert out.endswith("\n1 image: out, 1 left out\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


# ---- what is refused ----


def test_a_direction_is_needed_between_two_domains(runs, assert_refused, tmp_path):
    write(tmp_path / "in.png", noise(24, 40, 3))
    arguments = ["translate", runs["translation"], "in.png"]
    assert_refused(*arguments, says=["give a direction", "a2b", "b2a"])
    assert_refused(*arguments, "--direction", "a2c", says=["no direction a2c", "a2b", "b2a"])


def test_a_run_of_one_direction_takes_none(runs, assert_refused, tmp_path):
    write(tmp_path / "in.png", noise(24, 40, 3))
    arguments = ["translate", runs["colors"], "in.png", "--direction", "a2b"]
    assert_refused(*arguments, says=["one direction", "--direction"])


@pytest.mark.parametrize(
    ("name", "verb", "able"),
    [
        ("generation", "translate", "evaluate, interpolate, report, sample"),
        ("generation", "upscale", "evaluate, interpolate, report, sample"),
        ("translation", "sample", "evaluate, report, translate"),
        ("translation", "interpolate", "evaluate, report, translate"),
        ("translation", "upscale", "evaluate, report, translate"),
        ("colors", "upscale", "evaluate, report, translate"),
        ("larger", "translate", "evaluate, report, upscale"),
        ("larger", "sample", "evaluate, report, upscale"),
    ],
)
def test_runs_refuse_what_they_have_not_learned(runs, assert_refused, tmp_path, name, verb, able):
    write(tmp_path / "in.png", noise(24, 40, 3))
    images = ["in.png"] if verb in ("translate", "upscale") else []
    kind = CONFIGS[name][0].kind
    says = [runs[name], f"learns {kind}, which has no {verb}: only {able}"]
    assert_refused(verb, runs[name], *images, says=says)


@pytest.mark.parametrize(
    ("images", "flags", "says"),
    [
        ("none.png", [], ["there is no file or folder none.png"]),
        ("empty", [], ["there are no images in empty", ".png"]),
        ("junk.png", [], ["cannot read the image junk.png"]),
        ("junk", [], ["cannot read the image junk/a.png"]),
        ("in.png", ["--out", "in.png"], ["in.png would be overwritten"]),
        ("folder", ["--out", "folder"], ["folder/a.png would be overwritten"]),
        ("folder", ["--out", "out.png"], ["folder is a folder", "out.png"]),
        ("in.png", ["--out", "out.xyz"], ["cannot tell a format from out.xyz"]),
        ("in.png", ["--out", "junk.png/out.png"], ["cannot write to junk.png/out.png"]),
        ("in.png", ["--checkpoint", "7"], ["no checkpoint 7", "[1]"]),
        ("in.png", ["--checkpoint", "best"], ["no best checkpoint"]),
        ("in.png", ["--tile", "18"], ["multiple of 4", "not 18"]),
        ("in.png", ["--tile", "32", "--overlap", "32"], ["tiles of 32", "overlap by 32", "52"]),
        ("in.png", ["--tile", "32", "--overlap", "-1"], ["0 pixels or more", "not -1"]),
        ("in.png", ["--tile", "8", "--overlap", "0"], ["tiles of 16 pixels or more", "not 8"]),
        ("in.png", ["--tile", "0"], ["16 pixels or more", "not 0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_bad_input_is_told_in_one_line(runs, assert_refused, tmp_path, images, flags, says):
    write(tmp_path / "in.png", noise(24, 40, 3))
    write(tmp_path / "folder" / "a.png", noise(24, 40, 3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    for junk in ("junk.png", "junk/a.png"):
        (tmp_path / junk).write_bytes(b"junk")
    arguments = ["translate", runs["translation"], images, "--direction", "a2b"]
    assert_refused(*arguments, *flags, says=says)


def test_where_none_can_be_read_it_is_said(runs, command, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.png").write_bytes(b"junk")
    status, _, err = command("upscale", runs["larger"], "in", "--out", "out")
    assert (status, err) == (2, "error: none of the images in in can be read\n")


# ---- help ----


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("translate", ["Translate images by a trained run", "a2b or b2a"]),
        ("upscale", ["Enlarge images by a trained run", "opacity and 16 bits are kept"]),
    ],
)
def test_help_is_in_plain_words(command, monkeypatch, verb, says):
    monkeypatch.setenv("COLUMNS", "100")
    status, out, _ = command(verb, "--help")
    text = " ".join(line.strip("│ ") for line in out.splitlines())
    assert status == 0
    common = ["RUN", "Directory of the run", "IMAGE_OR_FOLDER", "An image file, or a folder"]
    flags = ["--checkpoint", "--tile", "--overlap", "Pixels that tiles have in common", "--out"]
    assert [word for word in (*common, *flags, *says) if word not in text] == []
    jargon = ["array", "convert", "tensor", "Float", "Path("]
    assert [word for word in jargon if word in text] == []
