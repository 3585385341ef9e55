"""Every experiment file, shrunk, from its command line to an image, and what comes after."""

import dataclasses
import gzip
import json
import re
import runpy
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import EXPERIMENTS
from PIL import Image

from gan_jax.config import Config, from_json
from gan_jax.data import Described, Description, gaussians
from gan_jax.runs import Run
from gan_jax.tasks.base import initial_states

DIGITS = EXPERIMENTS / "digits.py"
RECIPES = ("dcgan", "sngan", "biggan", "stylegan2", "r3gan")
SMALLEST = {
    "translation": "--data.source-b digits --generator.kind unet --generator.halvings 1",
    "pairs": "--data.channels 3 --generator.halvings 1",
    "superresolution": (
        "--generator.growth 2 --generator.blocks 0 --discriminator.kind patchgan "
        "--objective.perceptual 0"
    ),
}
"""Recipes that make images of images, and what makes them small, of digits."""
FILES = [p for p in sorted(EXPERIMENTS.glob("*.py")) if p.stem != "sweep"]
SHORT = [
    "--iterations", "2", "--batch-size", "8", "--log-every", "1", "--sample-every", "2",
    "--checkpoint-every", "2",
]  # fmt: skip
SMALL = [*SHORT, "--generator.width", "2", "--discriminator.width", "2"]


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs an experiment file with flags, in this process; returns what it printed."""

    def run(path: Path, *flags) -> str:
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, flags)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run


def narrow_for(recipe: Path) -> list[str]:
    """As few channels as may be, by the settings that its networks have."""
    flags = []
    for network in ("generator", "discriminator"):
        if recipe.stem == "r3gan":
            flags += [f"--{network}.widths", *"44", f"--{network}.groups", *"11"]
        else:
            flags += [f"--{network}.width", "2"]
        if recipe.stem == "stylegan2":
            flags += [f"--{network}.max-width", "4"]
    return flags


def flags_for(path: Path, request) -> list:
    """A prepared dataset is read in part: what matters is that it is read. Recipes train on digits,
    which need no dataset, at a resolution that they have."""
    if path.stem in RECIPES:
        resolution = "32" if path.stem in ("sngan", "biggan") else "8"
        data = ["--data.source", "digits", "--data.resolution", resolution]
        return [*SHORT, *narrow_for(path), *data]
    if path.stem in SMALLEST:
        data = ["--data.source", "digits", "--data.resolution", "16"]
        return [*SMALL, *data, *SMALLEST[path.stem].split(), "--discriminator.layers", "1"]
    if path.stem not in ("mnist", "cifar10"):
        return SMALL
    return [*SMALL, "--data-dir", request.getfixturevalue("tfds_dir"), "--data.split", "test[:64]"]


LONG = ("sngan", "biggan", "stylegan2", "r3gan", "pairs", "superresolution")
"""Up to half a minute each, of compilation."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in FILES],
)
def test_it_trains_and_leaves_an_image(path, command, request, tmp_path):
    out = tmp_path / "run"
    output = command(path, "--out", out, *flags_for(path, request))
    assert f"done: {out}" in output
    assert "what next" in output
    assert str(out / "samples" / "0000002.png") in output
    with Image.open(out / "samples" / "0000002.png") as image:
        assert np.asarray(image).std() > 0
    assert Run.open(out).states()[0].step >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dry_run_prints_the_config_and_both_sizes_and_does_nothing(
    path, command, request, tmp_path
):
    flags = [*flags_for(path, request), "--seed", "3", "--objective.loss", "hinge"]
    output = command(path, "--dry-run", "--out", tmp_path / "run", *flags)
    end = output.index("\n}\n") + 2
    config = from_json(Config, output[:end])
    assert (config.seed, config.objective.loss, config.iterations) == (3, "hinge", 2)
    assert "generator: " in output[end:]
    assert "discriminator: " in output[end:]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_is_valid(name, command, tmp_path):
    """And two of them down to the shapes of both networks."""
    module = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))
    configs = module["CONFIGS"]
    for config in configs.values():
        config.validate()
    for preset in (next(iter(configs)), "cifar10-narrow"):
        config = configs[preset]
        resolution = config.data.resolution or 32
        data = Description((resolution, resolution, 3), 10, 100, "")
        task = config.build(data)
        d, g = jax.eval_shape(lambda task=task: initial_states(task))
        assert d.params
        assert g.params


@pytest.mark.parametrize("name", SMALLEST)
def test_every_preset_of_translators_fits_its_images(name):
    for config in runpy.run_path(str(EXPERIMENTS / f"{name}.py"))["CONFIGS"].values():
        config.validate()
        side = config.data.resolution or 32
        data = Description((side, side, 3), 10, 1000, "")
        if name == "translation":
            data = Described(data, data)
        else:  # whose perceptual loss takes a trained classifier
            objective = dataclasses.replace(config.objective, perceptual=0.0)
            config = dataclasses.replace(config, objective=objective)
        task = config.build(data)
        task.check()
        d, g = jax.eval_shape(lambda task=task: initial_states(task))
        assert d.params
        assert g.params


def test_presets_are_chosen_by_name(command, capsys):
    output = command(
        EXPERIMENTS / "dcgan.py", "--preset", "mnist-narrow", "--dry-run",
        "--data.source", "digits", "--data.resolution", "32",
    )  # fmt: skip
    assert json.loads(output[: output.index("\n}\n") + 2])["name"] == "dcgan-mnist-narrow"
    with pytest.raises(SystemExit) as end:
        command(EXPERIMENTS / "dcgan.py", "--preset", "nothing")
    assert end.value.code == 2
    assert "cifar10, mnist-narrow, cifar10-narrow" in capsys.readouterr().err


def test_sizes_are_those_of_the_networks(command, tmp_path):
    """Points, width 2, depth 4. G: five layers of 2·2+2. D: four of 2·2+2, then 2·1+1."""
    output = command(EXPERIMENTS / "gaussians.py", "--dry-run", *SMALL)
    assert "generator: 30 parameters" in output
    assert "discriminator: 27 parameters" in output


def test_help_names_every_flag(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        command(DIGITS, "--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for flag in ("out", "fork", "data-dir", "skip-bad-images", "dry-run", "seed", "distributed"):
        assert f"--{flag}" in text
    for flag in ("objective.loss", "alternation.d-steps", "d-optimizer.learning-rate"):
        assert f"--{flag}" in text
    assert "relativistic_average" in text
    # In two lines: not broken where the source is, too.
    lines = [line.strip("│ ") for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("--on-failure"))
    assert lines[start + 2].endswith("at half the learning rates. (default: warn)")
    assert lines[start + 3].startswith("--")


def test_an_optimisers_options_are_named_numbers(command):
    output = command(DIGITS, "--dry-run", *SMALL, "--data.source", "digits",
                     "--d-optimizer.options", "b1=0.25", "eps=1e-6")  # fmt: skip
    config = json.loads(output[: output.index("\n}\n") + 2])
    assert config["d_optimizer"]["options"] == {"b1": 0.25, "eps": 1e-6}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A small trained run, conditional on ten classes."""
    out = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(DIGITS), "--out", str(out), *SMALL])
        runpy.run_path(str(DIGITS), run_name="__main__")
    return out


def test_sample_as_png(digits, gan_jax_command, tmp_path):
    gan_jax_command("sample", digits, "--n", 20, "--out", tmp_path / "a.png")
    gan_jax_command("sample", digits, "--n", 20, "--out", tmp_path / "b.png")
    gan_jax_command("sample", digits, "--n", 20, "--seed", 1, "--out", tmp_path / "c.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_truncation_is_for_styles(digits, gan_jax_command, tmp_path):
    _, error = gan_jax_command("sample", digits, "--truncation", 0.7, "--out", tmp_path / "a.png")
    assert "truncation is for stylegan2, not dcgan" in error


def test_sample_as_npz_can_be_trained_on(digits, gan_jax_command, command, tmp_path):
    path = tmp_path / "samples.npz"
    gan_jax_command("sample", digits, "--n", 30, "--out", path)
    with np.load(path) as arrays:
        assert arrays["images"].shape == (30, 8, 8, 1)
        assert arrays["images"].dtype == np.uint8
        assert list(arrays["labels"]) == list(range(10)) * 3
    command(DIGITS, "--dry-run", *SMALL, "--data.source", f"npz:{path}")


def test_sample_as_folder_with_one_class(digits, gan_jax_command, tmp_path):
    gan_jax_command("sample", digits, "--n", 5, "--label", 3, "--format", "folder",
                    "--out", tmp_path / "out")  # fmt: skip
    assert len(list((tmp_path / "out" / "3").glob("*.png"))) == 5


def test_sampling_from_python_is_the_same(digits, gan_jax_command, tmp_path):
    gan_jax_command("sample", digits, "--n", 4, "--seed", 7, "--out", tmp_path / "s.npz")
    images = Run.open(digits).sample(4, seed=7)
    with np.load(tmp_path / "s.npz") as arrays:
        np.testing.assert_allclose(images, arrays["images"] / 127.5 - 1, atol=0.5 / 127)


def test_interpolate(digits, gan_jax_command, tmp_path):
    output, _ = gan_jax_command("interpolate", digits, "--paths", 2, "--steps", 5,
                                "--out", tmp_path / "walk.png")  # fmt: skip
    assert "2 walks of 5 samples" in output
    with Image.open(tmp_path / "walk.png") as image:
        assert image.width > image.height


def test_an_earlier_checkpoint_can_be_sampled(digits, command):
    command(DIGITS, "--out", digits, *SMALL, "--iterations", 4)
    run = Run.open(digits)
    assert run.states(2)[0].step == 2
    assert run.states()[0].step == 4
    assert not np.array_equal(run.sample(4, iteration=2), run.sample(4))


def test_a_finished_run_says_so(digits, command):
    before = Run.open(digits).states()[0].step
    output = command(DIGITS, "--out", digits, *SMALL)
    assert "trained for" in output
    assert f"--iterations {2 * before}\n" in output
    assert Run.open(digits).states()[0].step == before


def test_mixtures_are_where_the_literature_puts_them():
    np.testing.assert_allclose(np.linalg.norm(gaussians.ring_centers(), axis=1), 1, rtol=1e-6)
    assert len(np.unique(gaussians.grid_centers(), axis=0)) == 25
    assert np.abs(gaussians.grid_centers()).max() == 4


def test_profile_says_where_it_is(command, tmp_path):
    output = command(DIGITS, "--out", tmp_path / "run", *SMALL, "--profile")
    path = re.search(r"profile +open (\S+) at https://ui.perfetto.dev", output)[1]
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    assert any("hlo_op" in event.get("args", {}) for event in events)


def test_profile_of_a_run_that_is_done_already(command, tmp_path):
    command(DIGITS, "--out", tmp_path / "run", *SMALL)
    output = command(DIGITS, "--out", tmp_path / "run", *SMALL, "--profile")
    assert "done:" in output
    assert "perfetto" not in output
