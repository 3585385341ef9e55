"""Restoration through the trainer, from inputs that are made and inputs that are given: trained,
resumed, checked, scored beside doing nothing, and shown."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from PIL import Image

import gan_jax
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data, Description
from gan_jax.degradations.blurred import BlurredSection
from gan_jax.degradations.given import GivenSection
from gan_jax.degradations.grey import GreySection
from gan_jax.degradations.masked import MaskedSection
from gan_jax.degradations.small import BicubicSection, CameraSection
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors import classifier
from gan_jax.networks import patchgan, rrdb, stylegan2, unet
from gan_jax.runs import Run
from gan_jax.tasks.restoration import Config, Objective

RATE = Optimizer(learning_rate=1e-3)
UNET = unet.TranslatorSection(width=2, halvings=2)  # whose inner layer has dropout
RRDB = rrdb.TranslatorSection(width=2, growth=2, blocks=0)
CONFIG = Config(
    name="colors",
    iterations=4,
    batch_size=4,
    objective=Objective(pixel=10.0),
    generator=UNET,
    discriminator=patchgan.DiscriminatorSection(width=2, layers=1),
    g_optimizer=RATE,
    d_optimizer=RATE,
    average=Average(half_life=8),
    evaluation=Evaluation(every=4, metrics=("psnr", "ssim"), samples=10),
    check_every=2,
    log_every=2,
    sample_every=4,
    checkpoint_every=2,
)
N, HELD_OUT = 24, 3
KINDS = ("grey", "bicubic", "given")


def noise(n=N):
    """Smooth images of 16×16 pixels with some noise, in color."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 215, (n, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return (coarse + rng.integers(-30, 30, coarse.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """One a kind, of images in one file, or of drawings beside photographs in files."""
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "images.npz", images=noise())
    (folder / "pairs").mkdir()
    for i, image in enumerate(noise()):
        Image.fromarray(np.hstack([255 - image, image])).save(folder / "pairs" / f"{i:02}.png")
    images = Data(source=f"npz:{folder / 'images.npz'}", held_out=HELD_OUT, flip=True)
    pairs = Data(source=f"pairs:{folder / 'pairs'}", held_out=HELD_OUT)
    change = functools.partial(dataclasses.replace, CONFIG)
    return {
        "grey": change(data=images, input=GreySection()),
        "bicubic": change(
            data=images,
            input=BicubicSection(scale=2),
            generator=RRDB,
            objective=Objective(loss="relativistic_average", pixel=1.0, adversarial=0.1),
            discriminator=patchgan.DiscriminatorSection(width=2, layers=1, norm="spectral"),
            check_every=4,
        ),
        "given": change(
            data=pairs,
            input=GivenSection(),
            generator=unet.TranslatorSection(width=2, halvings=1),
            check_every=9,
        ),
    }


@pytest.fixture(scope="module")
def trained(configs, tmp_path_factory):
    """The result of each kind, trained when it is first asked for."""

    @functools.cache
    def get(kind):
        return gan_jax.train(configs[kind], out=tmp_path_factory.mktemp(kind))

    return get


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def run(trained, kind):
    return Run.open(trained(kind).directory)


def lines_of(run, name):
    return [json.loads(line) for line in (run.directory / name).read_text().splitlines()]


def held_out(run):
    """The true images, [n, 16, 16, 3]."""
    return run.config.load(budget_bytes=1e9).held_out[0].source.real[..., -3:]


def unchanged(kind, images):
    """What doing nothing makes of them, by hand and by Pillow, as uint8."""
    if kind == "given":
        return 255 - images
    if kind == "grey":
        luma = images @ np.array([0.299, 0.587, 0.114])
        return np.round(luma)[..., None].repeat(3, -1).astype(np.uint8)

    def resized(image, side):
        channels = [
            Image.fromarray(np.float32(image[..., c])).resize((side, side), Image.BICUBIC)
            for c in range(3)
        ]
        return np.clip(np.stack(channels, -1), 0, 255)

    return np.stack([np.round(resized(resized(image, 8), 16)) for image in images]).astype(np.uint8)


# ---- what a run leaves ----


def test_losses_and_terms_are_logged(run, kind):
    lines = lines_of(run, "metrics.jsonl")
    assert [line["iteration"] for line in lines] == [2, 4]
    weights = run.config.objective
    for line in lines:
        assert {"d/loss", "d/accuracy", "g/adversarial", "g/pixel", "g/loss"} <= line.keys()
        total = weights.adversarial * line["g/adversarial"] + weights.pixel * line["g/pixel"]
        assert line["g/loss"] == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("kind", ["grey", "bicubic"], indirect=True)
def test_it_is_checked_with_what_the_discriminator_sees(run, kind):
    """The input and the image, or the image alone."""
    checks = lines_of(run, "health.jsonl")
    assert [check["iteration"] for check in checks] == ([2, 4] if kind == "grey" else [4])
    named = {"auc", "auc_held_out", "recognition", "distance", "diversity", "drift", "feedback"}
    assert named <= checks[-1]["signals"].keys()
    assert checks[-1]["state"]
    assert run.task.conditional == (kind == "grey")


def test_psnr_and_ssim_stand_beside_those_of_doing_nothing(run, kind):
    made, nothing = lines_of(run, "evaluations.jsonl")
    name = {"grey": "inputs as they are", "bicubic": "bicubic", "given": "inputs as they are"}[kind]
    assert nothing["conventions"] == f"{made['conventions']}, {name}"
    assert made["conventions"].endswith(f", train, {HELD_OUT}")
    assert made["scores"].keys() == nothing["scores"].keys() == {"PSNR", "SSIM"}
    assert run.best().name == "PSNR"
    truth = held_out(run)
    errors = np.square(np.float64(unchanged(kind, truth)) - truth).mean((1, 2, 3))
    expected = np.mean(10 * np.log10(255**2 / errors))
    assert nothing["scores"]["PSNR"] == pytest.approx(expected, rel=2e-3)
    assert made["scores"] != nothing["scores"]


def test_previews_show_input_result_and_truth(run, kind):
    with Image.open(run.directory / "samples" / "0000004.png") as sheet:
        array = np.asarray(sheet)
    factor = array.shape[0] // (8 * 17 + 1)
    array = array[::factor, ::factor]
    assert array.shape == (8 * 17 + 1, 6 * 17 + 1, 3)
    tiles = array[1:, 1:].reshape(8, 17, 2, 3, 17, 3)[:, :16, :, :, :16]
    tiles = tiles.transpose(0, 2, 3, 1, 4, 5).reshape(16, 3, 16, 16, 3)
    truth = held_out(run)[np.arange(16) % HELD_OUT]
    np.testing.assert_array_equal(tiles[:, 2], truth)
    np.testing.assert_allclose(np.int32(tiles[:, 0]), unchanged(kind, truth), atol=1)
    made = tiles[:, 1]
    np.testing.assert_array_equal(made[0], made[HELD_OUT])  # of the same image
    assert len({image.tobytes() for image in made}) == HELD_OUT
    assert "the input, what is made of it, and the true image" in run.task.shown


def test_resuming_is_exact(configs, trained, kind, tmp_path):
    gan_jax.train(dataclasses.replace(configs[kind], iterations=2), out=tmp_path)
    resumed = gan_jax.train(configs[kind], out=tmp_path)
    assert_same(resumed[:2], trained(kind)[:2])


# ---- what it is for ----


def test_images_of_any_size_are_made(run, trained, kind):
    image = np.random.default_rng(0).uniform(-1, 1, (21, 30, 3)).astype(np.float32)
    convert = run.converter()
    made = convert(image)
    scale = 2 if kind == "bicubic" else 1
    assert made.shape == (scale * 21, scale * 30, 3)
    given = image @ np.float32([[0.299], [0.587], [0.114]]) if kind == "grey" else image
    multiple = {"grey": 4, "bicubic": 1, "given": 2}[kind]
    edges = ((0, -21 % multiple), (0, -30 % multiple), (0, 0))
    padded = np.pad(given, edges, mode="reflect")
    g = jax.device_put(trained(kind).g)
    whole, _ = g.apply(g.ema_params, jnp.asarray(padded[None]), train=False)
    np.testing.assert_allclose(made, whole[0, : scale * 21, : scale * 30], atol=1e-4)


def test_it_has_the_command_for_what_it_does(run, kind):
    command = "upscale" if kind == "bicubic" else "translate"
    assert run.task.commands == {command, "evaluate", "report"}


def test_there_is_one_direction(run, kind):
    with pytest.raises(InputError, match="learns one direction"):
        run.converter("a2b")


def test_data_are_told_with_the_inputs(run, kind):
    source = run.config.data.source
    expected = source if kind == "given" else f"{source}, from {kind} inputs"
    assert run.task.data_name == expected


def test_given_inputs_can_be_swapped(configs):
    config = dataclasses.replace(configs["given"], input=GivenSection(swap=True))
    dataset = config.load(budget_bytes=1e9)
    stored = dataset.streams[0].source.real[:5]
    pairs = config.build(dataset.description).pairs(stored)
    np.testing.assert_allclose(pairs["input"], np.float32(stored[..., 3:]) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(pairs["target"], -pairs["input"], atol=1e-6)


# ---- inputs that are drawn ----

COLORED = Description((16, 16, 3), None, 1000, "")


def prepared(section, images, key, axis_name=None, *, flip=True):
    config = dataclasses.replace(CONFIG, input=section, data=Data(flip=flip))
    return config.build(COLORED).prepare({"image": images}, key, axis_name)


def test_random_inputs_are_the_same_on_one_and_four_devices():
    """Of two batches of 8, of one image again and again."""
    images = jnp.broadcast_to(jnp.asarray(noise(1)), (2, 8, 16, 16, 3))
    section = CameraSection(scale=2)
    prepare = functools.partial(prepared, section)
    whole = jax.jit(prepare)(images, jax.random.key(0))
    assert whole["input"].shape == (2, 8, 8, 8, 3)
    assert whole["target"].shape == images.shape
    spread = jax.jit(
        jax.vmap(
            functools.partial(prepare, axis_name="i"), in_axes=(1, None), out_axes=1, axis_name="i"
        )
    )(images.reshape(2, 4, 2, 16, 16, 3), jax.random.key(0))
    for name, x in whole.items():
        # What is rounded may come out otherwise by the rounding of sums: rarely.
        different = np.abs(spread[name].reshape(x.shape) - x) > 1e-4
        assert different.mean() < 0.01, name
    drawn = {image.tobytes() for image in np.asarray(whole["input"]).reshape(16, -1)}
    assert len(drawn) == 16  # no two alike, in either batch
    others = jax.jit(prepare)(images, jax.random.key(1))["input"]
    assert len(drawn | {image.tobytes() for image in np.asarray(others).reshape(16, -1)}) == 32


def test_how_inputs_are_made_says_nothing_of_what_is_mirrored():
    """Neither is drawn by the other's key."""
    half = jnp.arange(16) < 8
    image = jnp.where(half[:, None] & half, 255, 0).astype(jnp.uint8)  # white at the top left
    images = jnp.broadcast_to(image[:, :, None], (1, 64, 16, 16, 3))
    section = BlurredSection(least=0.5, most=6.0)
    made = jax.jit(functools.partial(prepared, section))(images, jax.random.key(0))
    mirrored = np.asarray(made["target"][0, :, 0, 0, 0]) < 0
    contrast = np.asarray(made["input"][0]).std((1, 2, 3))
    agreement = np.mean(mirrored == (contrast < np.median(contrast)))
    assert 0.25 < agreement < 0.75
    assert 16 < mirrored.sum() < 48


def test_targets_are_mirrored_with_their_inputs():
    """Given ones, whose input is the target's negative."""
    images = jnp.asarray(noise(8))
    pairs = jnp.concatenate([255 - images, images], -1)[None]
    config = dataclasses.replace(CONFIG, input=GivenSection(), data=Data(flip=True))
    task = config.build(dataclasses.replace(COLORED, shape=(16, 16, 6)))
    made = jax.jit(functools.partial(task.prepare, axis_name=None))(
        {"image": pairs}, jax.random.key(0)
    )
    np.testing.assert_allclose(made["input"], -made["target"], atol=1e-6)
    changed = np.abs(made["target"][0] - (images / 127.5 - 1)).max((1, 2, 3)) > 0.1
    assert 0 < changed.sum() < 8


def test_what_is_scored_and_shown_is_always_the_same():
    task = dataclasses.replace(CONFIG, input=CameraSection(scale=2), generator=RRDB).build(COLORED)
    first, again = (task.pairs(noise(5)) for _ in range(2))
    np.testing.assert_array_equal(first["input"], again["input"])


# ---- what cannot be ----


def test_what_has_learned_to_fill_in_fills_in():
    task = dataclasses.replace(CONFIG, input=MaskedSection()).build(COLORED)
    assert task.form.shape == (16, 16, 3)
    _, g = task.create(jax.random.key(0))
    converter = task.converter(None)(g)
    assert (converter.channels, converter.fills) == (3, True)
    image = np.zeros((18, 20, 4), np.float32)
    image[..., 3] = -1
    image[2:9, 5:7, 3] = 1
    made = converter(image)
    assert made.shape == (18, 20, 3)
    changed = (made != 0).any(axis=-1)
    np.testing.assert_array_equal(changed, image[..., 3] > 0)


def test_five_channels_are_in_no_file():
    config = dataclasses.replace(CONFIG, input=BlurredSection())
    task = config.build(dataclasses.replace(COLORED, shape=(16, 16, 5)))
    with pytest.raises(InputError, match="inputs of 5 channels come in no file"):
        task.converter(None)


def test_discriminators_that_compare_examples_judge_each_kind_by_itself():
    other = dataclasses.replace(CONFIG, discriminator=stylegan2.DiscriminatorSection())
    assert CONFIG.build(COLORED).objective.together
    assert not other.build(COLORED).objective.together


@pytest.mark.parametrize(
    ("changes", "shape", "says"),
    [
        ({}, (16, 16, 1), "the images are grey already"),
        ({}, (2,), "restoration is of images"),
        ({"input": BicubicSection(scale=2)}, (16, 16, 3), "set generator.kind to rrdb"),
        ({"batch_size": 1200}, (16, 16, 3), "a batch of 1200 is larger than the data: 1000"),
        (
            {"evaluation": Evaluation(extractor="classifier")},
            (16, 16, 3),
            "set --evaluation.extractor pixels",
        ),
        ({"evaluation": Evaluation(metrics=("target",))}, (16, 16, 3), "a model that translates"),
        ({}, (8, 8, 3), "the metric ssim needs images of at least 11 pixels"),
    ],
    ids=["grey", "points", "generator", "batch", "classifier", "target", "small"],
)
def test_what_cannot_be_trained_or_scored_is_refused(changes, shape, says):
    task = dataclasses.replace(CONFIG, **changes).build(dataclasses.replace(COLORED, shape=shape))
    with pytest.raises(InputError, match=says):
        task.check()


def test_a_generator_needs_something_to_learn_from():
    with pytest.raises(InputError, match=r"a generator needs objective\.pixel"):
        dataclasses.replace(CONFIG, objective=Objective(pixel=0.0, adversarial=0.0)).validate()


# ---- a perceptual loss ----


def test_the_classifier_of_a_perceptual_loss_is_trained_for_a_run_and_not_for_a_dry_run(
    monkeypatch,
):
    trained = []
    monkeypatch.setattr(classifier, "for_source", lambda source: trained.append(source))
    config = Config(
        data=Data("digits", resolution=16, channels=3),
        objective=Objective(perceptual=1.0),
    )
    config.load()
    assert trained == []
    dataset = config.load(budget_bytes=1e9)
    assert trained == [dataset.streams[0].source]
