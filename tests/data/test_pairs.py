"""Pairs of images in folders: side by side or under equal names; what is none, in one line."""

import runpy
import sys

import numpy as np
import pytest
from helpers import EXPERIMENTS
from PIL import Image

from gan_jax import cli
from gan_jax.data import Data, load
from gan_jax.degradations.given import GivenSection
from gan_jax.errors import InputError
from gan_jax.tasks import generation, restoration, translation

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def pairs(path, *, skip_bad_images=False, **options):
    data = Data(source=f"pairs:{path}", **options)
    return load(data, skip_bad_images=skip_bad_images)


def refusal(path, **options) -> str:
    """What is said of pairs that cannot be loaded, in one line."""
    with pytest.raises(InputError) as error:
        pairs(path, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


# ---- side by side ----


def test_the_input_is_on_the_left(tmp_path):
    first, second = (write(tmp_path / f"{name}.png", noise(8, 16, 3)) for name in "ab")
    source = pairs(tmp_path)
    assert source.description.shape == (8, 8, 6)
    assert source.description.num_classes is None
    assert source.real.dtype == np.uint8
    for read, file in zip(source.real, (first, second), strict=True):
        np.testing.assert_array_equal(read[..., :3], file[:, :8])
        np.testing.assert_array_equal(read[..., 3:], file[:, 8:])


def test_files_in_subfolders_are_found(tmp_path):
    for name in ("x/1.png", "y/1.png", "y/z/2.jpg"):
        write(tmp_path / name, noise(8, 16, 3))
    # Two folders alone would be inputs and targets.
    write(tmp_path / "3.png", noise(8, 16, 3))
    assert pairs(tmp_path).description.examples == 4


def test_each_half_is_fitted_by_itself(tmp_path):
    """Halves of 16×24 pixels at a side of 8: made half as large, and cut to the middle."""
    file = write(tmp_path / "a.png", np.kron(noise(12, 16, 3), np.ones((2, 2, 1), np.uint8)))
    (read,) = pairs(tmp_path, resolution=8).real
    for half, channels in ((file[:, :16], read[..., :3]), (file[:, 16:], read[..., 3:])):
        expected = Image.fromarray(half).resize((8, 12), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(channels, np.asarray(expected)[2:10])


def test_odd_widths_are_named(tmp_path):
    write(tmp_path / "a.png", noise(8, 16, 3))
    write(tmp_path / "b.png", noise(8, 17, 3))
    assert refusal(tmp_path) == (
        f"{tmp_path}/b.png is 17 pixels wide: two images side by side have an even width"
    )


def test_halves_need_not_be_square(tmp_path):
    write(tmp_path / "a.png", noise(8, 24, 3))
    assert pairs(tmp_path).description.shape == (8, 12, 6)
    assert pairs(tmp_path, resolution="8x4").description.shape == (8, 4, 6)
    assert pairs(tmp_path, resolution=8).description.shape == (8, 8, 6)


# ---- two folders ----


@pytest.mark.parametrize(
    "names",
    [("input", "target"), ("a", "b"), ("A", "B"), ("edges", "photos"), ("1", "2")],
    ids="/".join,
)
def test_the_first_folder_is_of_the_inputs(tmp_path, names):
    images = {}
    for file in ("x.png", "y.png", "deep/x.png"):
        for folder in names:
            images[folder, file] = write(tmp_path / folder / file, noise(8, 8, 3))
    source = pairs(tmp_path)
    assert source.description.shape == (8, 8, 6)
    assert source.description.examples == 3
    for read, file in zip(source.real, ("deep/x.png", "x.png", "y.png"), strict=True):
        for folder, half in zip(names, (read[..., :3], read[..., 3:]), strict=True):
            np.testing.assert_array_equal(half, images[folder, file])


def test_suffixes_may_differ(tmp_path):
    write(tmp_path / "a" / "x.png", noise(8, 8, 3))
    write(tmp_path / "b" / "x.JPG", noise(8, 8, 3))
    assert pairs(tmp_path).description.examples == 1


def test_numbers_that_differ_are_told_with_who_is_alone(tmp_path):
    for name in ("1", "2", "3"):
        write(tmp_path / "a" / f"{name}.png", noise(8, 8, 3))
    for name in ("1", "3"):
        write(tmp_path / "b" / f"{name}.png", noise(8, 8, 3))
    assert refusal(tmp_path) == (
        f"{tmp_path}/a and {tmp_path}/b hold pairs by name, 3 and 2 images, and 2 is in "
        f"{tmp_path}/a alone"
    )


def test_as_many_images_of_other_names_are_no_pairs(tmp_path):
    write(tmp_path / "a" / "x.png", noise(8, 8, 3))
    write(tmp_path / "b" / "w.png", noise(8, 8, 3))
    assert f"1 and 1 images, and w is in {tmp_path}/b alone" in refusal(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    for name in ("a/x.png", "a/x.jpg", "b/x.png"):
        write(tmp_path / name, noise(8, 8, 3))
    message = refusal(tmp_path)
    assert message == (
        f"{tmp_path}/a/x.jpg and {tmp_path}/a/x.png have one name: which is of the pair?"
    )


def test_sizes_that_differ_in_a_pair_need_a_resolution(tmp_path):
    write(tmp_path / "a" / "x.png", noise(8, 8, 3))
    write(tmp_path / "b" / "x.png", noise(16, 16, 3))
    assert refusal(tmp_path) == (
        f"the images of the pair {tmp_path}/a/x.png differ: (8, 8, 3) and (16, 16, 3); set "
        "data.resolution"
    )
    assert pairs(tmp_path, resolution=8).description.shape == (8, 8, 6)


def test_sizes_that_differ_between_pairs_need_a_resolution(tmp_path):
    for folder in "ab":
        write(tmp_path / folder / "x.png", noise(8, 8, 3))
        write(tmp_path / folder / "y.png", noise(16, 16, 3))
    assert "(8, 8, 6) and (16, 16, 6)): set data.resolution" in refusal(tmp_path)


# ---- either ----


def test_grey_pairs_have_two_channels(tmp_path):
    file = write(tmp_path / "a.png", noise(8, 16))
    source = pairs(tmp_path, channels=1)
    assert source.description.shape == (8, 8, 2)
    np.testing.assert_array_equal(source.real[0, ..., 0], file[:, :8])
    np.testing.assert_array_equal(source.real[0, ..., 1], file[:, 8:])


def test_grey_images_are_made_rgb_beside_colored_ones(tmp_path):
    drawing = write(tmp_path / "a" / "x.png", noise(8, 8))
    write(tmp_path / "b" / "x.png", noise(8, 8, 3))
    (read,) = pairs(tmp_path).real
    assert read.shape == (8, 8, 6)
    np.testing.assert_array_equal(read[..., :3], np.repeat(drawing[..., None], 3, -1))


def test_a_missing_folder(tmp_path):
    assert refusal(tmp_path / "none") == f"there is no folder {tmp_path}/none"


def test_an_empty_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert refusal(tmp_path).startswith(f"there are no images in {tmp_path}, only 1 .txt; names")


def test_one_that_cannot_be_read_is_named_or_left_out(tmp_path):
    for name in "xyz":
        for folder in "ab":
            write(tmp_path / folder / f"{name}.png", noise(8, 8, 3))
    (tmp_path / "b" / "y.png").write_bytes(b"junk")
    assert f"{tmp_path}/b/y.png" in refusal(tmp_path)
    source = pairs(tmp_path, skip_bad_images=True)
    assert source.description.examples == 2
    assert source.notes == ("left out: 1 that cannot be read",)


def test_a_fingerprint_changes_with_either_side(tmp_path):
    def fingerprint():
        return pairs(tmp_path).description.fingerprint

    for folder in "ab":
        write(tmp_path / folder / "x.png", np.zeros((8, 8, 3), np.uint8))
    seen = [fingerprint(), fingerprint()]
    for folder in "ab":
        write(tmp_path / folder / "x.png", noise(8, 8, 3))
        seen.append(fingerprint())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


# ---- what is learned of them ----


@pytest.fixture
def folder(tmp_path):
    for i in range(20):
        write(tmp_path / "images" / f"{i}.png", noise(16, 32, 3))
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("config", "flags", "says"),
    [
        (generation.Config(), ["--batch-size", "8"], "holds pairs, which restoration learns from"),
        (
            translation.Config(),
            ["--data.source-b", "digits", "--data.resolution", "16"],
            "the domains differ",
        ),
        (restoration.Config(), [], "holds pairs: set input.kind to given"),
    ],
    ids=["generation", "translation", "restoration"],
)
def test_other_tasks_refuse_pairs_in_one_line(
    config, flags, says, folder, tmp_path, monkeypatch, capsys
):
    flags += ["--data.source", f"pairs:{folder}", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["experiment", *flags])
    with pytest.raises(SystemExit) as end:
        cli.experiment(config, "An experiment.")
    said = capsys.readouterr()
    assert end.value.code == 2
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_two_domains_of_pairs_are_refused(folder):
    data = translation.Config().data
    data = type(data)(f"pairs:{folder}", f"pairs:{folder}", resolution=16)
    config = translation.Config(data=data)
    task = config.build(config.load().description)
    with pytest.raises(InputError, match="holds pairs, which restoration learns from"):
        task.check()


def test_given_inputs_are_of_pairs_only():
    config = restoration.Config(data=Data("digits", resolution=16), input=GivenSection())
    task = config.build(config.load().description)
    with pytest.raises(InputError, match="given takes pairs: set"):
        task.check()


def test_the_digits_experiment_refuses_pairs(folder, monkeypatch, capsys):
    arguments = [str(EXPERIMENTS / "digits.py"), "--data.source", f"pairs:{folder}"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--objective.no-conditional", "--dry-run"])
    with pytest.raises(SystemExit):
        runpy.run_path(arguments[0], run_name="__main__")
    assert capsys.readouterr().err == (
        f"error: pairs:{folder} holds pairs, which restoration learns from: see "
        "experiments/pairs.py\n"
    )
