"""From a folder to samples, and on from there: `gan-jax train folder:PATH` and `gan-jax resume`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.runs import Run

NARROW = ["--generator.width", "2", "--discriminator.width", "2", "--batch-size", "4"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of 22 images of several sizes."""
    path = tmp_path_factory.mktemp("data") / "pics"
    random = np.random.default_rng(0)
    for name in ("summer", "winter"):
        (path / name).mkdir(parents=True)
        for i in range(22):
            array = random.integers(0, 256, (8 + i % 3, 10, 3), dtype=np.uint8)
            Image.fromarray(array).save(path / name / f"{i}.png")
    (path / "notes.txt").write_text("for me")
    return path


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """Where a run on them is, once a test has asked for a copy of it."""
    return tmp_path_factory.mktemp("run") / "run"


@pytest.fixture
def run(trained, pictures, gan_jax_command, tmp_path):
    """A copy of a run that was trained on them for 4 iterations, and what was said."""
    if not trained.exists():
        flags = [*NARROW, "--iterations", 4, "--evaluation.every", 0, "--out", trained]
        out, error = gan_jax_command("train", f"folder:{pictures}", *flags)
        assert error == ""
        (trained / "said.txt").write_text(out)
    return shutil.copytree(trained, tmp_path / "copy"), (trained / "said.txt").read_text()


def test_it_looks_chooses_says_why_and_trains(run):
    directory, said = run
    assert "44 images in folder:" in said
    assert "10×10 pixels, the center of each: the images are 9 pixels" in said
    assert "2 classes, each sampled by its name: by folder (--objective.conditional" in said
    assert "warning: 44 images are few" in said
    assert "2 classes: summer 22, winter 22" in said
    assert "left out: 1 .txt" in said
    assert " --label summer --out more.png" in said
    opened = Run.open(directory)
    assert opened.config.data.resolution == opened.data.shape[0] == 10
    assert opened.config.objective.conditional
    assert opened.data.class_names == ("summer", "winter")
    samples = sorted(p.name for p in (directory / "samples").iterdir())
    # On a slow machine there is one more, after so many seconds.
    assert (samples[0], samples[-1]) == ("0000000.png", "0000004.png")


def test_the_command_that_goes_on_is_said_and_does(run, trained, gan_jax_command):
    directory, said = run
    command = next(line for line in said.splitlines() if "train longer" in line)
    words = command.split("resume ")[1].split()
    assert words == [str(trained), "--iterations", "8"]
    out, error = gan_jax_command("resume", directory, *words[1:])
    assert error == ""
    assert "going on from the checkpoint at iteration 4" in out
    assert Run.open(directory).latest() == 8
    assert Run.open(directory).config.iterations == 8


def test_minutes_are_measured(run, gan_jax_command):
    directory, _ = run
    out, error = gan_jax_command("resume", directory, "--minutes", 0.1)
    assert error == ""
    run = Run.open(directory)
    assert run.latest() == run.config.iterations > 4
    more = run.latest() - 4
    assert f"0.1 minutes are about {more:,} iterations: {4 * more:,} images, or " in out


def test_lengths_that_are_none_are_refused_of_both(run, pictures, gan_jax_command):
    directory, _ = run
    for start in (("resume", directory), ("train", f"folder:{pictures}")):
        for more in ((), ("--dry-run",) if start[0] == "train" else ()):
            _, error = gan_jax_command(*start, "--minutes", 0, *more)
            assert error == "error: --minutes is above 0, not 0\n"


def test_a_bad_image_met_on_the_way_says_how_to_go_on_without(tmp_path, gan_jax_command):
    random = np.random.default_rng(0)
    Path("some").mkdir()
    for i in range(22):
        array = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(array).save(f"some/{i:02}.jpg", quality=90)
    bad = Path("some/20.jpg")
    bad.write_bytes(bad.read_bytes()[:-100])  # its header is as it was
    flags = [*NARROW, "--evaluation.every", 0, "--data.budget-gib", 0, "--data.resolution", 8]
    _, error = gan_jax_command("train", "folder:some", *flags, "--iterations", 12, "--out", "run")
    assert "cannot read the image some/20.jpg" in error
    command = error.strip().partition("go on without such files: ")[2]
    assert "gan-jax train run --out run --fork NEW_DIR --skip-bad-images" in command
    assert error.count("\n") == 1
    reached = Run.open("run").latest()
    _, error = gan_jax_command("resume", "run", "--skip-bad-images")
    assert "(20 examples then, 19 now)" in error
    assert "--fork NEW_DIR --skip-bad-images" in error
    words = command.replace("NEW_DIR", "new").split()
    out, error = gan_jax_command(*words[1:])
    assert error == ""
    assert "left out: 1 that cannot be read" in out
    assert Run.open("new").origin().iteration == reached
    _, error = gan_jax_command("resume", "new", "--iterations", 13)
    assert "if it was begun with --skip-bad-images, give that again" in error


def test_images_are_iterations(pictures, gan_jax_command):
    out, _ = gan_jax_command("train", f"folder:{pictures}", *NARROW, "--images", 41, "--dry-run")
    assert '"iterations": 11' in out
    for flags, says in (
        (["--images", 1, "--minutes", 1], "--minutes or --images, not both"),
        (["--minutes", 0], "--minutes is above 0, not 0"),
    ):
        _, error = gan_jax_command("train", f"folder:{pictures}", *flags)
        assert says in error


def test_data_may_be_moved(run, pictures, gan_jax_command):
    directory, _ = run
    shutil.copytree(pictures, "elsewhere")
    _, error = gan_jax_command(
        "resume", directory, "--iterations", 5, "--source", "folder:elsewhere"
    )
    assert error == ""
    assert Run.open(directory).latest() == 5
    Path("elsewhere/summer/0.png").unlink()
    _, error = gan_jax_command("resume", directory, "--iterations", 6)
    assert "the data have changed" in error


def test_classes_are_sampled_by_name(run, gan_jax_command):
    directory, _ = run
    gan_jax_command("sample", directory, "--n", 3, "--label", "winter", "--out", "some")
    assert [p.parent.name for p in Path("some").rglob("*.png")] == ["winter"] * 3
    _, error = gan_jax_command("sample", directory, "--label", "spring")
    assert error == "error: label spring is none of the classes summer, winter\n"
    _, error = gan_jax_command("sample", directory, "--n", 2, "--out", "some")
    assert error == "error: some is not empty: samples go into a folder of their own\n"
    gan_jax_command("sample", directory, "--n", 4, "--out", "all.npz")
    with np.load("all.npz") as arrays:
        assert arrays["labels"].tolist() == ["summer", "winter"] * 2
    gan_jax_command("interpolate", directory, "--paths", 2, "--steps", 3)
    assert (directory / "interpolation.png").is_file()


def test_points_of_any_scale_are_trained_on_and_sampled_without_them(gan_jax_command):
    points = np.random.default_rng(0).normal(1e6, 1e4, (100, 2))
    np.savez("far.npz", points=points)
    flags = ["--generator.width", 2, "--discriminator.width", 2, "--iterations", 2, "--out", "run"]
    out, error = gan_jax_command("train", "npz:far.npz", *flags)
    assert error == ""
    assert "100 points in npz:far.npz; to train on them" in out
    assert "each feature standardized" in out
    Path("far.npz").unlink()
    gan_jax_command("sample", "run", "--n", 50, "--out", "some.npz")
    with np.load("some.npz") as arrays:
        assert 0.9e6 < arrays["points"].mean() < 1.1e6


def test_a_sheet_has_rows_of_classes(run, gan_jax_command):
    directory, _ = run
    gan_jax_command("sample", directory, "--n", 64, "--out", "sheet.png")
    with Image.open("sheet.png") as sheet:
        assert sheet.width == sheet.height  # 8 columns, and 4 rows of either


def test_what_is_transparent_and_not_square_stays_so(gan_jax_command, tmp_path):
    Path("icons").mkdir()
    random = np.random.default_rng(0)
    for i in range(20):
        array = random.integers(0, 256, (16, 24, 4), dtype=np.uint8)
        Image.fromarray(array).save(f"icons/{i}.png")
    flags = ["--data.resolution", "8x12", "--data.channels", 4, "--evaluation.every", 0]
    flags += [*NARROW, "--iterations", 2]
    out, error = gan_jax_command("train", "folder:icons", *flags)
    assert error == ""
    assert "20 of 20 images can be transparent: kept (data.channels)" in out
    assert Run.open(Path("runs/icons")).data.shape == (8, 12, 4)
    gan_jax_command("sample", "runs/icons", "--n", 2, "--out", "two")
    for path in Path("two").iterdir():
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((12, 8), "RGBA")
    gan_jax_command("interpolate", "runs/icons", "--out", "between.png")
    with Image.open("between.png") as image:
        assert image.mode == "RGBA"
    assert gan_jax_command("evaluate", "runs/icons", "--n", 20)[1] == ""


def test_what_is_nothing_to_train_from(gan_jax_command):
    _, error = gan_jax_command("train", "folder:nowhere")
    assert error == "error: there is no folder nowhere\n"
    _, error = gan_jax_command("train", "nowhere")
    assert "nowhere is neither a configuration nor a run" in error
    _, error = gan_jax_command("resume", "nowhere")
    assert "nowhere holds no run" in error


def test_a_folder_is_looked_through(pictures, gan_jax_command):
    shutil.copytree(pictures, "pics")
    Path("pics/summer/broken.png").write_bytes(b"junk")
    shutil.copy("pics/winter/0.png", "pics/winter/copy.png")
    Image.new("LA", (30, 5)).save("pics/winter/clear.webp")
    out, error = gan_jax_command("data", "check", "pics", "--out", "sheets/seen.png")
    assert error == ""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:9] == [
        "47 images in pics",
        "formats .png 46, .webp 1",
        "sizes from 5×30 to 10×10 (height×width), the shorter side 9 in the middle",
        "colors colored 46",
        "transparent 1 at most (--data.background)",
        "folders summer 23, winter 24",
        "left out: 1 .txt",
        "unreadable 1 (--skip-bad-images leaves them out):",
        "cannot read the image pics/summer/broken.png: cannot identify image file "
        "'pics/summer/broken.png'",
    ]
    assert lines[9:11] == ["copies 1 of others:", "pics/winter/0.png: pics/winter/copy.png"]
    assert lines[-1] == "to train on them: gan-jax train folder:pics --skip-bad-images"
    with Image.open("sheets/seen.png") as sheet:
        assert sheet.width > sheet.height  # 46 in rows of 8
    assert gan_jax_command("data", "check", "no")[1] == "error: there is no folder no\n"


def test_packed_images_are_trained_on(pictures, gan_jax_command):
    shutil.copytree(pictures, "pics")
    Path("pics/summer/broken.png").write_bytes(b"junk")
    _, error = gan_jax_command("data", "pack", "pics", "packed")
    assert error.endswith("--skip-bad-images leaves such files out\n")
    out, error = gan_jax_command("data", "pack", "pics", "packed", "--skip-bad-images")
    assert error == ""
    assert out.splitlines()[0].endswith("MiB, in one file: packed")
    assert out.splitlines()[1:] == [
        "left out: 1 that cannot be read",
        "to train on them: gan-jax train records:packed",
    ]
    out, error = gan_jax_command("train", "records:packed", "--dry-run")
    assert error == ""
    assert "44 images in records:packed; to train on them, these were chosen:" in out
    assert "2 classes, each sampled by its name: by folder" in out
    assert "data: 40 examples of 10×10×3, 2 classes; 4 more held out" in out
    _, error = gan_jax_command("data", "pack", "pics", "packed", "--skip-bad-images")
    assert error == "error: packed is not empty: name a new folder\n"


def test_several_sources_are_trained_on(pictures, gan_jax_command):
    source = f"mix:folder:{pictures}/summer=3,folder:{pictures}/winter=1"
    out, error = gan_jax_command("train", source, "--dry-run", "--data.held-out", 4)
    assert error == ""
    assert f"44 images in {source}; to train on them" in out
    assert "data: 40 examples of 10×10×3; 4 more held out" in out


def test_a_run_goes_on_with_what_was_packed(run, pictures, gan_jax_command):
    directory, _ = run
    gan_jax_command("data", "pack", pictures, "packed")
    _, error = gan_jax_command("resume", directory, "--source", "records:packed", "--iterations", 5)
    assert error == ""
    assert Run.open(directory).kept()[-1] == 5


def test_of_many_only_some_are_named(gan_jax_command):
    Path("pics").mkdir()
    Image.effect_noise((8, 8), 50).save("pics/good.png")
    for i in range(14):
        Path(f"pics/{i:02}.png").write_bytes(bytes(i))
    out, _ = gan_jax_command("data", "check", "pics")
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if "unreadable" in line)
    assert "09.png" in lines[start + 10]
    assert lines[start + 11] == "    and 4 more"


def test_what_is_looked_through_may_be_in_splits(gan_jax_command):
    for i, folder in enumerate(["train", "train", "train", "test"]):
        Path("pics", folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(f"pics/{folder}/{i}.png")
    out, error = gan_jax_command("data", "check", "pics")
    assert error == ""
    assert out.startswith("4 images in pics\n")
    assert "  split train of test 1, train 3\n" in out
