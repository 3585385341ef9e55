"""What is chosen for data that nobody has trained on: a function of how they look."""

import dataclasses
import re
from pathlib import Path

import pytest

from gan_jax.data import Looks
from gan_jax.evaluation.extractors import efficientnet
from gan_jax.resolutions import parse, sides
from gan_jax.tasks.generation.choice import choose

COLORED, GREY = 3, 1
RECIPES = Path(__file__).parents[2] / "docs" / "guides" / "recipes.md"


def looks(side=256, examples=1231, channels=COLORED, classes=(), wide=0):
    return Looks(((side, side + wide),), examples, channels, classes, classes_by="folder")


def chosen(found, accelerator=False, source="folder:some/pics"):
    return choose(source, found, accelerator=accelerator)


@pytest.mark.parametrize(
    ("side", "on_cpu", "on_accelerator"),
    [
        (5, 8, 8),
        (8, 8, 8),
        (20, 20, 20),
        (28, 28, 28),
        (32, 32, 32),
        (38, 40, 40),
        (48, 48, 48),
        (50, 48, 48),
        (60, 64, 64),
        (96, 64, 96),
        (100, 64, 96),
        (110, 64, 112),
        (4000, 64, 128),
    ],
)
def test_the_size_is_one_that_the_networks_make(side, on_cpu, on_accelerator):
    for accelerator, resolution in ((False, on_cpu), (True, on_accelerator)):
        config = chosen(looks(side), accelerator).config
        config.validate()
        assert config.data.resolution == resolution


@pytest.mark.parametrize(
    ("sizes", "resolution", "cut"),
    [
        ([(48, 64)], "48x64", False),
        ([(480, 640)] * 9 + [(640, 480)], "56x72", True),
        ([(480, 640)] * 8 + [(640, 480)] * 2, 64, True),
        ([(218, 178)], "72x56", True),
        ([(300, 310)], 64, True),
        ([(30, 4000)], 32, True),
    ],
)
def test_images_of_one_shape_keep_it(sizes, resolution, cut):
    choice = chosen(Looks(tuple(sizes), 1000, COLORED))
    choice.config.validate()
    assert choice.config.data.resolution == resolution
    assert ("the center of each" in choice.reasons[0].what) == cut
    height, width = sides(parse(str(resolution)))
    assert height * width < 1.1 * 64**2


@pytest.mark.parametrize(
    ("cut_out", "side", "on_cpu", "on_accelerator"),
    [(0.6, 64, 32, 64), (0.4, 64, 64, 64), (1.0, 24, 24, 24), (1.0, 256, 32, 128)],
)
def test_icons_are_smaller_on_a_cpu(cut_out, side, on_cpu, on_accelerator):
    found = dataclasses.replace(looks(side), cut_out=cut_out)
    choice = chosen(found)
    assert choice.config.data.resolution == on_cpu
    assert ("icons take long" in choice.reasons[0].why) == (on_cpu == 32)
    assert chosen(found, accelerator=True).config.data.resolution == on_accelerator


def test_numbers_are_what_it_is_conditioned_on():
    found = dataclasses.replace(looks(32), conditions=("age", "smiles"), classes_by="labels.csv")
    choice = chosen(found)
    assert choice.config.objective.conditional
    assert choice.config.data.conditions == ()
    assert choice.config.evaluation.extractor == "efficientnet-lite0"
    assert ("conditioned on age, smiles", "by labels.csv") in [r[:2] for r in choice.reasons]


@pytest.mark.parametrize(
    ("classes", "conditional", "why"),
    [
        ((), False, "there are none"),
        ((500,), False, "there are none"),
        ((600, 500), True, "by folder"),
        ((600, 19), False, "one has 19 images only"),
        ((30,) * 101, False, "101 are many"),
    ],
)
def test_classes_are_told_apart_where_they_can_be_learned(classes, conditional, why):
    choice = chosen(looks(32, classes=classes))
    assert choice.config.objective.conditional == conditional
    assert choice.config.generator.label_scale == 0.1
    assert any(why in reason.why for reason in choice.reasons)


@pytest.mark.parametrize(
    ("channels", "installed", "classes", "side", "extractor"),
    [
        (COLORED, True, (), 32, "efficientnet-lite0"),
        (COLORED, True, (600, 500), 64, "efficientnet-lite0"),
        (COLORED, False, (), 32, "pixels"),
        (COLORED, False, (600, 500), 32, "classifier"),
        (COLORED, False, (600, 500), 64, "pixels"),  # a classifier would take as long as the GAN
        (GREY, True, (600, 500), 32, "classifier"),
        (GREY, True, (), 32, "pixels"),
    ],
)
def test_scores_are_by_what_sees_most(channels, installed, classes, side, extractor, monkeypatch):
    monkeypatch.setattr(efficientnet, "installed", lambda: installed)
    found = chosen(looks(side, classes=classes, channels=channels)).config
    assert found.evaluation.extractor == extractor


def test_a_class_that_is_too_small_is_named():
    found = Looks(((64, 64),), 630, COLORED, (600, 11, 19), ("cat", "dog", "owl"))
    assert any("dog has 11 images only" in reason.why for reason in chosen(found).reasons)


@pytest.mark.parametrize(
    ("examples", "channels", "kind", "flip"),
    [
        (1231, COLORED, "diffaugment", True),
        (1231, GREY, "diffaugment", False),
        (5000, COLORED, "none", True),
        (60_000, GREY, "none", False),
    ],
)
def test_few_images_are_augmented(examples, channels, kind, flip):
    config = chosen(looks(examples=examples, channels=channels)).config
    assert (config.augmentation.kind, config.data.flip) == (kind, flip)
    assert config.data.channels == channels
    if kind != "none":
        assert ("color" in config.augmentation.categories) == (channels == COLORED)


def test_too_few_images_are_warned_of():
    assert chosen(looks(examples=100)).warnings == ()
    (warning,) = chosen(looks(examples=40)).warnings
    assert warning.startswith("40 images are few")


def test_a_batch_is_no_larger_than_what_is_trained_on():
    sizes = {n: chosen(looks(examples=n)).config.batch_size for n in (1, 2, 5, 20, 35, 36, 100)}
    assert sizes == {1: 1, 2: 2, 5: 4, 20: 16, 35: 32, 36: 32, 100: 32}


def test_every_choice_has_a_reason_and_flags():
    choice = chosen(looks(wide=100))
    assert all(all(reason) for reason in choice.reasons)
    assert "the center of each" in choice.reasons[0].what
    assert "--data.resolution" in choice.reasons[0].flags
    assert "more takes long on a CPU" in choice.reasons[0].why


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("folder:/a/My Pictures/", "My-Pictures"),
        ("folder:~/x", "x"),
        ("folder:..", "folder"),
        ("digits", "digits"),
        ("tfds:cycle_gan/summer2winter_yosemite", "summer2winter_yosemite"),
    ],
)
def test_the_run_is_called_like_the_data(source, name):
    assert chosen(looks(), source=source).config.name == name


def test_points_are_standardized_and_learned_by_dense_networks():
    choice = choose("npz:some.npz", Looks((), 200, 3, (150, 50)), accelerator=False)
    config = choice.config
    config.validate()
    assert config.data.standardize
    assert (config.generator.kind, config.discriminator.kind) == ("mlp", "mlp")
    assert (config.batch_size, config.objective.latent_dim) == (128, 3)
    assert config.objective.conditional
    assert [reason.what.split(",")[0] for reason in choice.reasons][:2] == [
        "each feature standardized",
        "2 classes",
    ]


def test_the_recipe_page_says_the_same():
    rows = re.findall(r"^\| (CPU|accelerator) \|(.*) \|$", RECIPES.read_text(), re.MULTILINE)
    assert len(rows) == 8
    for hardware, numbers in rows:
        resolution, width, batch, gamma = map(float, numbers.split("|"))
        accelerator = hardware == "accelerator"

        def numbers_of(side, accelerator=accelerator):
            config = chosen(looks(side), accelerator).config
            assert config.generator.width == config.discriminator.width
            penalties = dict(config.objective.penalties)
            return config.data.resolution, config.generator.width, config.batch_size, penalties

        row = (width, batch, {"r1": gamma})
        assert numbers_of(int(resolution)) == (resolution, *row)
        if resolution > 8:
            assert numbers_of(int(0.9 * resolution))[1:] != row
