"""Bad input: one line that says what to change, exit code 2, and nothing touched."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import EXPERIMENTS
from PIL import Image

from gan_jax import cli, config
from gan_jax.cli.main import main
from gan_jax.data import Description
from gan_jax.errors import InputError
from gan_jax.losses import LOSSES
from gan_jax.networks import dcgan, stylegan2
from gan_jax.runs import Run
from gan_jax.tasks.generation import Config, Objective

IMAGES_RUN = Config(
    name="tiny",
    iterations=1,
    batch_size=8,
    objective=Objective(latent_dim=4),
    generator=dcgan.GeneratorSection(width=4, norm="none"),
    discriminator=dcgan.DiscriminatorSection(width=4),
)
DIGITS = Description((8, 8, 1), 10, 1797, "")
MLP = ["--generator.kind", "mlp", "--discriminator.kind", "mlp"]


def snapshot(path):
    """Everything below a folder but the cache: files with their content, and folders."""
    return {
        str(p.relative_to(path)): p.read_bytes() if p.is_file() else None
        for p in path.rglob("*")
        if "cache" not in p.relative_to(path).parts
    }


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command line; gives the exit code, stdout and stderr."""

    def run(entry, *flags):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, flags)])
        capsys.readouterr()
        code = 0
        try:
            entry()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def experiment(command):
    """Runs an experiment; gives the exit code, stdout and stderr."""
    return lambda *flags: command(lambda: cli.experiment(IMAGES_RUN, "An experiment."), *flags)


def assert_one_line(result, *says):
    code, out, err = result
    assert code == 2, (code, out, err)
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert [word for word in says if str(word) not in err] == [], err


@pytest.fixture
def assert_refused(experiment, tmp_path, monkeypatch):
    """Asserts that an experiment is refused, and with which words, before anything is written."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def check(*flags, says):
        before = snapshot(tmp_path)
        out = [] if "--out" in flags else ["--out", tmp_path / "out"]
        assert_one_line(experiment(*flags, *out), *says)
        assert snapshot(tmp_path) == before

    return check


@pytest.fixture
def folder(tmp_path):
    """Sixteen images of 8×8 pixels, in colour."""
    path = tmp_path / "images"
    path.mkdir()
    rng = np.random.default_rng(0)
    for i in range(16):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path / f"{i:02}.png")
    return path


def cut_short(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


# ---- settings ----


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--objective.loss", "hing"], ["'hing'", *LOSSES]),
        (["--data.source", "digit"], ["'digit'", "digits", "ring", "tfds:NAME", "folder:PATH"]),
        (["--data.source", "folder:"], ["'folder:'", "folder:PATH"]),
        (["--data.resolution", "9"], ["not for images of 9×9", "of 10×10 or 8×8", "set data."]),
        (["--data.resolution", "256"], ["not for images of 256×256", "of 224×224", "set data."]),
        (["--data.resolution", "50x64"], ["of 50×64", "of 48×64 or 56×72", "data.resolution"]),
        (["--data.resolution", "64x"], ["data.resolution", "as 48x64, not 64x"]),
        (["--data.resolution", "0"], ["data.resolution", "not 0"]),
        (["--data.limit", "-5"], ["data.limit", "not -5"]),
        (["--data.split", "test"], ["splits", "digits has none"]),
        (["--data.source", "ring"], ["points", "mlp"]),
        (MLP, ["images", "mlp", "dcgan"]),
        (["--generator.kind", "mlp"], ["images", "mlp", "dcgan"]),
        (["--batch-size", "1800"], ["1800", "larger than the data", "1618", "digits"]),
        (["--batch-size", "6"], ["6", "4 devices", "batch_size"]),
        (
            ["--objective.penalties", "r1=1", "--discriminator.norm", "batch"],
            ["penalties.r1", "batch norm"],
        ),
        (
            ["--objective.penalties", "wgan_gp=10", "--discriminator.norm", "batch"],
            ["penalties.wgan_gp", "batch norm"],
        ),
        (
            ["--objective.label-smoothing", "0.1", "--objective.loss", "hinge"],
            ["hinge", "label smoothing"],
        ),
        (
            ["--objective.label-smoothing", "0.1", "--objective.loss", "wasserstein"],
            ["wasserstein", "label smoothing"],
        ),
        (["--d-optimizer.name", "adaam"], ["optimiser", "adaam"]),
        (["--g-optimizer.name", "losses"], ["optimiser", "losses"]),
        (["--g-optimizer.options", "b3=0.5"], ["optax.adam", "b3=0.5", "g_optimizer.options"]),
        (["--d-optimizer.name", "sgd"], ["sgd", "b1"]),
        (["--annealing.learning-rate", "0.1"], ["annealing.learning_rate", "annealing.images"]),
        (["--d-optimizer.freeze", "down_7"], ["down_7", "down_0", "logit"]),
        (["--generator.kind", "r3gan"], ["r3gan", "generator.widths"]),
        (["--generator.kind", "biggan"], ["biggan", "not for images of 8×8", "of 32×32"]),
        (
            [
                *("--augmentation.kind", "ada", "--augmentation.target", "0.6"),
                *("--objective.loss", "relativistic_pairing"),
            ],
            ["relativistic_pairing", "annealing.augmentation"],
        ),
        (["--keep-every", "0"], ["keep_every", "not 0"]),
        (["--seed", str(10**23)], ["seed"]),
        (["--average.half-life", "-1"], ["average.half_life", "-1"]),
        (["--processes", "2"], ["--processes", "--distributed"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_settings(assert_refused, flags, says):
    assert_refused(*flags, says=says)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--d-optimizer.freeze", "down_7"], ["down_7", "down_0", "logit"]),
        (
            [
                *("--generator.kind", "stylegan2", "--discriminator.kind", "stylegan2"),
                *("--data.resolution", "7"),
            ],
            ["7"],
        ),
        (["--evaluation.best", "fit"], ["'fit'", "FID"]),
        (
            ["--data.source", "ring", *MLP, "--evaluation.extractor", "classifier"],
            ["images with labels", "--evaluation.extractor pixels"],
        ),
        (["--init-from", "nowhere"], ["nowhere", "holds no run"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_a_dry_run_refuses_what_a_run_refuses(assert_refused, flags, says):
    assert_refused(*flags, says=says)
    assert_refused("--dry-run", *flags, says=says)


def test_all_that_is_wrong_with_the_settings_is_said_at_once(experiment, tmp_path):
    flags = ["--objective.loss", "hing", "--objective.penalties", "r9=1", "--data.limit", "-5"]
    code, _, err = experiment(*flags, "--keep-every", "0", "--out", tmp_path / "out")
    assert code == 2
    lines = err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["error:"] * 4
    for name in ("keep_every", "data.limit", "objective.loss", "objective.penalties"):
        assert sum(name in line for line in lines) == 1, name


def test_settings_that_do_not_go_together_are_said_at_once(experiment):
    flags = ["--objective.penalties", "r1=1", "--discriminator.norm", "batch"]
    flags += ["--objective.packing", "3", "--objective.path-length", "2"]
    _, _, err = experiment(*flags)
    lines = err.splitlines()
    says = ("objective.penalties.r1", "packs of 3", "objective.path_length")
    assert len(lines) == len(says), err
    assert all(word in line for word, line in zip(says, lines, strict=True)), err


def test_all_of_a_folder_that_does_not_fit_is_said_at_once(experiment, folder, tmp_path):
    flags = ["--data.source", f"folder:{folder}", "--data.resolution", "9", "--batch-size", "24"]
    flags += ["--generator.kind", "r3gan", "--evaluation.extractor", "classifier"]
    before = snapshot(tmp_path)
    _, _, err = experiment(*flags, "--evaluation.metrics", "target", "is", "swd")
    lines = err.splitlines()
    says = [
        ("r3gan networks are not for images of 9×9", "data.resolution"),
        ("dcgan networks are not for images of 9×9", "data.resolution"),
        ("a batch of 24 is larger than the data: 15 examples", "--batch-size"),
        ("the extractor classifier needs images with labels", "--evaluation.extractor"),
        ("the metric target needs a model that translates", "--evaluation.metrics"),
    ]
    assert len(lines) == len(says), err
    for line, words in zip(lines, says, strict=True):
        assert line.startswith("error: ")
        assert all(word in line for word in words), line
    assert snapshot(tmp_path) == before


def test_named_numbers(experiment, tmp_path):
    _, _, err = experiment("--out", tmp_path / "out", "--d-optimizer.options", "b1:0")
    assert "b1:0 is not NAME=NUMBER" in err


@pytest.mark.parametrize(
    "flags",
    [
        ["--no-such-flag", "1"],
        ["--iterations", "many"],
        ["--d-optimizer.options", "b1"],
        ["--alternation.d-steps", "0", "--alternation.g-steps", "0"],
        ["--alternation.d-epochs", "1"],
    ],
    ids=" ".join,
)
def test_flags_that_cannot_be_parsed(experiment, tmp_path, flags):
    code, _, err = experiment("--out", tmp_path / "out", *flags)
    assert code == 2
    assert flags[0].strip("-").split(".")[0] in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_real_command_line(tmp_path):
    command = [sys.executable, EXPERIMENTS / "digits.py", "--objective.loss", "hing"]
    result = subprocess.run(
        [*command, "--out", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert_one_line((result.returncode, result.stdout, result.stderr), "'hing'", *LOSSES)
    assert list(tmp_path.iterdir()) == []


# ---- folders of images ----


def test_missing_folder(assert_refused, tmp_path):
    assert_refused("--data.source", f"folder:{tmp_path}/none", says=[tmp_path / "none"])
    assert_refused("--data.source", f"folder:{tmp_path}/two\nlines", says=[tmp_path / "two lines"])


def test_empty_folder(assert_refused, tmp_path):
    path = tmp_path / "empty"
    path.mkdir()
    (path / "notes.txt").write_text("no image")
    assert_refused("--data.source", f"folder:{path}", says=["no images in", path, "1 .txt"])


@pytest.mark.parametrize("what", ["cut", "junk", "empty"])
def test_corrupt_image(assert_refused, folder, what):
    file = folder / "05.png"
    cut_short(file) if what == "cut" else file.write_bytes(b"junk" * (what == "junk"))
    assert_refused("--data.source", f"folder:{folder}", says=[file])


def test_corrupt_image_found_while_streaming(experiment, folder, tmp_path):
    cut_short(folder / "05.png")
    flags = ["--data.source", f"folder:{folder}", "--data.budget-gib", "0", "--iterations", "2"]
    assert_one_line(experiment(*flags, "--out", tmp_path / "out"), folder / "05.png")
    assert not (tmp_path / "out" / "samples").exists()


def test_skipped_images_are_counted_in_memory(experiment, folder, tmp_path):
    cut_short(folder / "05.png")
    (folder / "07.png").write_bytes(b"junk")
    code, out, err = experiment(
        "--data.source", f"folder:{folder}", "--skip-bad-images", "--out", tmp_path / "out"
    )
    assert (code, err) == (0, "")
    assert f"folder:{folder}: 13 examples of 8×8×3 (1 more held out)" in out
    assert "left out: 2 that cannot be read" in out
    assert (tmp_path / "out" / "samples" / "0000001.png").is_file()


def test_skipped_images_are_counted_while_streaming(experiment, folder, tmp_path):
    cut_short(folder / "05.png")
    flags = ["--data.source", f"folder:{folder}", "--data.budget-gib", "0", "--iterations", "2"]
    code, out, _ = experiment(*flags, "--skip-bad-images", "--out", tmp_path / "out")
    assert code == 0
    assert "left out: 1 that cannot be read" in out


def test_nothing_but_corrupt_images(assert_refused, tmp_path):
    (tmp_path / "a.png").write_bytes(b"junk")
    assert_refused(
        "--data.source", f"folder:{tmp_path}", "--skip-bad-images", says=["none of the images"]
    )


def test_too_few_images_left(assert_refused, folder):
    for i in range(9):
        cut_short(folder / f"{i:02}.png")
    flags = ["--data.source", f"folder:{folder}", "--skip-bad-images"]
    assert_refused(*flags, says=["batch of 8", "7 examples"])


def test_mixed_channels(assert_refused, folder):
    Image.new("L", (8, 8)).save(folder / "09.png")
    says = [folder / "09.png", "grey", "coloured", "data.channels"]
    assert_refused("--data.source", f"folder:{folder}", says=says)


def test_different_sizes(assert_refused, folder):
    Image.new("RGB", (16, 16)).save(folder / "09.png")
    says = ["(8, 8, 3)", "(16, 16, 3)", "data.resolution"]
    assert_refused("--data.source", f"folder:{folder}", says=says)


def test_images_of_sides_that_no_network_makes(assert_refused, tmp_path):
    for i in range(10):
        Image.new("RGB", (17, 8), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    flags = ["--data.source", f"folder:{tmp_path}", "--batch-size", "4"]
    assert_refused(*flags, says=["8×17", "of 8×16", "data.resolution"])


def test_classes_need_subfolders(assert_refused, folder):
    flags = ["--data.source", f"folder:{folder}", "--objective.conditional"]
    says = ["a conditional model", "subfolders", folder / "00.png", "--objective.no-conditional"]
    assert_refused(*flags, says=says)
    (folder / "a").mkdir()
    (folder / "03.png").rename(folder / "a" / "03.png")
    assert_refused(*flags, says=["subfolders", folder / "00.png"])


# ---- tensorflow-datasets ----


def test_tfds_not_prepared(assert_refused, tmp_path):
    says = [
        "'mnist'",
        tmp_path / "tfds",
        "gan-jax[prepare]",
        "download_and_prepare",
        "array_record",
    ]
    assert_refused("--data.source", "tfds:mnist", "--data-dir", tmp_path / "tfds", says=says)


def test_tfds_unknown_dataset(assert_refused, tmp_path):
    flags = ["--data.source", "tfds:no_such_dataset", "--data-dir", tmp_path]
    assert_refused(*flags, says=["TFDS", "'no_such_dataset'"])


def test_tfds_unknown_split(assert_refused, tfds_dir):
    flags = ["--data.source", "tfds:mnist", "--data-dir", tfds_dir, "--data.split", "tset"]
    assert_refused(*flags, says=["'mnist'", "'tset'", "train, test"])


def test_tfds_resolution_the_network_cannot_make(assert_refused, tfds_dir):
    flags = ["--data.source", "tfds:mnist", "--data-dir", tfds_dir, "--data.split", "test[:16]"]
    flags += ["--generator.kind", "resnet", "--discriminator.kind", "resnet"]
    says = ["of 28×28", "of 32×32", "data.resolution"]
    assert_refused(*flags, "--data.budget-gib", "0", says=says)


# ---- npz ----


def arrays(path, **content):
    np.savez(path, **content)
    return path


IMAGES = np.arange(16 * 8 * 8, dtype=np.uint8).reshape(16, 8, 8)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"photos": IMAGES, "texts": IMAGES}, ["neither 'images' nor 'points'", "photos"]),
        ({"images": IMAGES.astype(np.float32)}, ["float32", "uint8"]),
        ({"images": IMAGES[:0]}, ["(0, 8, 8, 1)"]),
        ({"images": IMAGES[0]}, ["(8, 8)"]),
        ({"points": np.zeros(16)}, ["(16,)"]),
        ({"images": IMAGES, "labels": np.zeros(15, int)}, ["labels"]),
        ({"images": IMAGES, "labels": np.full(16, 0.5)}, ["labels"]),
        ({"images": IMAGES, "labels": np.ones((16, 2))}, ["labels", "several classes at once"]),
        ({"images": np.zeros((16, 3, 8, 8), np.uint8)}, ["channels first", "np.moveaxis"]),
        ({"images": IMAGES * 0}, ["all 15 examples", "alike"]),
        ({"images": IMAGES[:1]}, ["1 examples", "two at least"]),
        ({"points": np.full((16, 2), np.nan)}, ["16 of the 16 points", "not finite"]),
    ],
    ids=[
        *(
            "names",
            "float",
            "none",
            "one",
            "flat",
            "short",
            "fractions",
            "several",
            "nchw",
            "alike",
        ),
        *("single", "nan"),
    ],
)
def test_npz(assert_refused, tmp_path, content, says):
    path = arrays(tmp_path / "a.npz", **content)
    assert_refused("--data.source", f"npz:{path}", says=[path, *says])


def test_npz_missing(assert_refused, tmp_path):
    assert_refused("--data.source", f"npz:{tmp_path}/a.npz", says=[tmp_path / "a.npz"])


@pytest.mark.parametrize("content", ["empty", "junk"])
def test_npz_that_is_none(assert_refused, tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(b"junk" * (content == "junk"))
    assert_refused("--data.source", f"npz:{path}", says=[path])


def test_npz_images_of_sides_that_no_network_makes(assert_refused, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 17), dtype=np.uint8)
    path = arrays(tmp_path / "a.npz", images=images)
    assert_refused("--data.source", f"npz:{path}", says=["8×17", "of 8×16", "data.resolution"])


def test_conditional_without_labels(assert_refused, tmp_path):
    path = arrays(tmp_path / "a.npz", images=IMAGES)
    flags = ["--data.source", f"npz:{path}", "--objective.conditional"]
    assert_refused(*flags, says=["labels", path, "--objective.no-conditional"])


# ---- where it is kept ----


@pytest.mark.parametrize("below", [".", "run", "a/b"])
def test_output_that_cannot_be_written(assert_refused, tmp_path, below):
    # Permissions would not stop root; a file in the way stops everybody.
    file = tmp_path / "file"
    file.write_text("mine")
    assert_refused("--out", file / below, says=["cannot write to", file / below])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one iteration, on points: a checkpoint, and all that belongs to it."""
    path = tmp_path_factory.mktemp("finished")
    points = np.random.default_rng(0).normal(size=(16, 2))
    flags = [*MLP, "--generator.width", "4", "--discriminator.width", "4", "--iterations", "1"]
    flags += ["--data.source", f"npz:{arrays(path / 'points.npz', points=points)}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *flags, "--out", str(path / "run")])
        cli.experiment(IMAGES_RUN, "An experiment.")
    assert (path / "run" / "checkpoints" / "1").is_dir()
    return path / "run", flags


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, and the flags that made it."""
    path, flags = finished
    return shutil.copytree(path, tmp_path / "run"), flags


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["--seed", "1"], ["seed: 0 → 1", "--out", "--fork"]),
        (["--generator.width", "8", "--objective.loss", "hinge"], ["width: 4 → 8", "loss: non_"]),
        (["--objective.loss", "hing"], ["'hing'"]),
        (["--batch-size", "6"], ["4 devices"]),
    ],
    ids=["seed", "two", "loss", "devices"],
)
def test_a_run_that_exists_is_not_touched(assert_refused, run, changes, says):
    path, flags = run
    assert_refused("--out", path, *flags, *changes, says=says)


def test_a_run_whose_data_changed_is_not_touched(assert_refused, run, tmp_path, finished):
    path, flags = run
    source = finished[0].parent / "points.npz"
    kept = source.read_bytes()
    try:
        arrays(source, points=np.arange(34.0).reshape(17, 2))
        assert_refused(
            "--out", path, *flags, says=["data have changed", path, "15", "16", "--fork"]
        )
    finally:
        source.write_bytes(kept)


def test_a_run_that_never_began_is_in_nobodys_way(experiment, run):
    path, flags = run
    shutil.rmtree(path / "checkpoints")
    shutil.rmtree(path / "best")
    (path / "best.json").write_text("{}")  # of an evaluation before the first checkpoint
    code, _, err = experiment("--out", path, *flags, "--seed", "1")
    assert (code, err) == (0, "")
    assert Run.open(path).config.seed == 1
    assert Run.open(path).kept() == [1]
    assert Run.open(path).best().iteration == 1  # the new one


@pytest.mark.parametrize("name", ["config.json", "data.json"])
def test_checkpoints_that_nothing_says_what_they_are_of_are_not_touched(assert_refused, run, name):
    path, flags = run
    (path / name).unlink()
    says = [path, f"holds checkpoints, but no {name}", "put that back", "--out"]
    assert_refused("--out", path, *flags, "--seed", "1", says=says)


def test_a_dry_run_says_what_is_taken_from_another(experiment, run, tmp_path):
    path, flags = run
    code, out, _ = experiment("--dry-run", "--init-from", path, *flags, "--out", tmp_path / "new")
    assert code == 0
    assert f"networks of {path}: taken: " in out
    assert not (tmp_path / "new").exists()


def test_a_dry_run_is_of_the_configuration_whatever_is_in_the_directory(experiment, run, tmp_path):
    path, flags = run
    before = snapshot(tmp_path)
    code, out, err = experiment("--dry-run", "--out", path, *flags, "--seed", "1")
    assert (code, err) == (0, "")
    assert '"seed": 1' in out
    assert "discriminator: " in out
    assert snapshot(tmp_path) == before


def test_fork_of_nothing(assert_refused, tmp_path):
    flags = ["--out", tmp_path / "none", "--fork", tmp_path / "new"]
    assert_refused(*flags, says=[tmp_path / "none", "holds no run"])


def test_fork_into_itself(assert_refused, run):
    path, flags = run
    assert_refused("--out", path, "--fork", path, *flags, says=["fork", path])


def test_fork_of_another_architecture(assert_refused, run, tmp_path):
    path, flags = run
    changes = ["--discriminator.width", "8", "--fork", tmp_path / "new"]
    says = ["another architecture", path, "/1 is", "(4,)", "(8,)"]
    assert_refused("--out", path, *flags, *changes, says=says)


def test_fork_without_a_checkpoint(assert_refused, run, tmp_path):
    path, flags = run
    shutil.rmtree(path / "checkpoints")
    (path / "checkpoints").mkdir()
    flags = [*flags, "--out", path, "--fork", tmp_path / "new"]
    assert_refused(*flags, says=[path, "no checkpoint"])


# ---- gan-jax ----


def assert_gan_jax_refuses(command, tmp_path, *flags, says):
    before = snapshot(tmp_path)
    assert_one_line(command(main, *flags), *says)
    assert snapshot(tmp_path) == before


def test_a_classifier_needs_subfolders(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["features", "train", "--data.source", f"folder:{folder}"]
    result = command(main, *flags)
    assert_one_line(result, "a classifier takes its classes from subfolders", folder / "00.png")
    assert "objective" not in result[2]


def test_truncation_below_nothing(tmp_path):
    styled = Run(tmp_path, Config(generator=stylegan2.GeneratorSection()).build(DIGITS))
    with pytest.raises(InputError, match="truncation is at least 0, not -1"):
        styled.sample(1, truncation=-1)


@pytest.mark.parametrize("verb", ["sample", "interpolate"])
def test_no_run_to_sample_from(command, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    says = [tmp_path / "none", "holds no run", "config.json"]
    assert_gan_jax_refuses(command, tmp_path, verb, tmp_path / "none", says=says)


@pytest.mark.parametrize("verb", ["sample", "interpolate"])
def test_a_run_without_checkpoints(command, run, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(run[0] / "checkpoints")
    assert_gan_jax_refuses(command, tmp_path, verb, run[0], says=[run[0], "no checkpoint"])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["sample", "--n", "0"], ["--n", "not 0"]),
        (["sample", "--label", "3"], ["unconditional", "label"]),
        (["interpolate", "--label", "3"], ["unconditional", "label"]),
        (["sample", "--checkpoint", "7"], ["no checkpoint 7", "[1]"]),
        (["interpolate", "--checkpoint", "7"], ["no checkpoint 7", "[1]"]),
        (["interpolate", "--steps", "1"], ["2 steps"]),
        (["interpolate", "--paths", "0"], ["1 path"]),
        (["sample", "--format", "folder"], ["folder", "points"]),
        (["sample", "--out", "data/config.json/a.png"], ["cannot write to", "config.json"]),
        (["interpolate", "--out", "data/config.json/a.png"], ["cannot write to", "config.json"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_a_run_cannot_give(command, run, tmp_path, monkeypatch, flags, says):
    monkeypatch.chdir(tmp_path)
    os.rename(run[0], "data")
    assert_gan_jax_refuses(command, tmp_path, flags[0], "data", *flags[1:], says=says)


def test_a_label_out_of_range(command, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config.from_json(Config, (run[0] / "config.json").read_text())
    values = config.to_dict(settings)
    values["objective"]["conditional"] = True
    (run[0] / "config.json").write_text(config.to_json(config.from_dict(Config, values)))
    data = (run[0] / "data.json").read_text()
    (run[0] / "data.json").write_text(data.replace('"num_classes": null', '"num_classes": 3'))
    flags = ["sample", run[0], "--label", "3"]
    assert_gan_jax_refuses(command, tmp_path, *flags, says=["label 3", "0 to 2"])
