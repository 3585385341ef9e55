"""Translation between two domains through the trainer: trained, resumed, checked, scored, shown."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import arbitrary_states, assert_same, largest_difference
from PIL import Image

import gan_jax
from gan_jax.cli.main import main
from gan_jax.config import Average, Evaluation, Optimizer, to_json
from gan_jax.data import Domains
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.pixels import pixels
from gan_jax.metrics import frechet_distance
from gan_jax.networks import patchgan, stylegan2, unet
from gan_jax.runs import Run
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.translation import Config, Objective

RATE = Optimizer(learning_rate=1e-3)
CONFIG = Config(
    name="colors",
    iterations=4,
    batch_size=4,
    data=Domains(resolution=16, held_out=2),
    objective=Objective(pool=6),
    generator=unet.TranslatorSection(width=2, halvings=1),
    discriminator=patchgan.DiscriminatorSection(width=2, layers=1),
    g_optimizer=RATE,
    d_optimizer=RATE,
    average=Average(half_life=8),
    evaluation=Evaluation(every=4, metrics=("fid",), extractor="pixels", samples=5),
    check_every=2,
    log_every=2,
    sample_every=4,
    checkpoint_every=2,
)
SIZES = {"trainA": 12, "trainB": 9, "testA": 4, "testB": 3}
COLUMN, GAP = 16, 1


def write_domains(path, sizes=SIZES):
    """Reddish discs (A) and bluish squares (B) on noise, of 24×20 pixels."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[:20, :24]
    for folder, n in sizes.items():
        for i in range(n):
            image = rng.integers(0, 60, (20, 24, 3))
            y, x = rng.integers(5, 15, 2)
            if folder.endswith("A"):
                inside, channel = np.hypot(down - y, right - x) < 5, 0
            else:
                inside, channel = np.maximum(abs(down - y), abs(right - x)) < 5, 2
            image[..., channel] += 60 + 120 * inside
            file = path / folder / f"{i:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(file)
    return path


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    return write_domains(tmp_path_factory.mktemp("domains"))


@pytest.fixture(scope="module")
def config(domains):
    data = dataclasses.replace(CONFIG.data, source=f"folder:{domains}")
    return dataclasses.replace(CONFIG, data=data)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    return gan_jax.train(config, out=tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def run(trained):
    return Run.open(trained.directory)


def lines_of(run, name):
    return [json.loads(line) for line in (run.directory / name).read_text().splitlines()]


def channel_of(images):
    """The brightest one of each: 0 for images of a, 2 for those of b."""
    return np.asarray(images).mean((1, 2)).argmax(-1)


# ---- what a run leaves ----


def test_both_losses_and_all_terms_are_logged(run):
    lines = lines_of(run, "metrics.jsonl")
    assert [line["iteration"] for line in lines] == [2, 4]
    terms = {f"g/{t}_{d}" for t in ("adversarial", "cycle", "identity") for d in "ab"}
    named = {"d/loss", "d/loss_a", "d/loss_b", "d/accuracy", "g/loss"}
    assert terms | named <= lines[-1].keys()
    total = sum(
        lines[-1][f"g/{term}_{domain}"] * weight
        for term, weight in (("adversarial", 1), ("cycle", 5), ("identity", 2.5))
        for domain in "ab"
    )
    assert lines[-1]["g/loss"] == pytest.approx(total, rel=1e-4)


def test_each_direction_is_checked_and_diagnosed(run):
    checks = lines_of(run, "health.jsonl")
    assert [check["iteration"] for check in checks] == [2, 4]
    for check in checks:
        for direction in ("a2b", "b2a"):
            named = {"auc", "auc_held_out", "distance", "diversity", "drift", "feedback"}
            assert {f"{direction}/{name}" for name in named} <= check["signals"].keys()
            assert f"{direction}: " in check["evidence"]
        assert check["state"]
    first, second = (check["signals"] for check in checks)
    assert "a2b/movement" in second
    assert second["a2b/distance"] != second["b2a/distance"]
    assert first["a2b/distance"] != second["a2b/distance"]


def test_both_directions_are_scored_beside_doing_nothing(run):
    (mean, *others) = lines_of(run, "evaluations.jsonl")
    # Of 12 and 9 images, 2 of each are held out.
    assert mean["conventions"] == f"{mean['conventions'].split(', ')[0]}, train, both ways"
    assert [line["conventions"].partition(", ")[2] for line in others] == [
        "train, 7/2, a2b",
        "train, 10/2, b2a",
        "train, 7/2, a2b not translated",
        "train, 10/2, b2a not translated",
    ]
    fids = [line["scores"]["FID"] for line in others]
    assert mean["scores"]["FID"] == pytest.approx(np.mean(fids[:2]))
    assert len(set(fids)) == 4
    # Not translated, images of one domain are compared with those of the other.
    dataset = run.config.load(budget_bytes=1e9)
    seen, kept = (
        {stream.name: stream.source.real[:, 1:17, 1:17] for stream in streams}
        for streams in (dataset.streams, dataset.held_out)
    )
    extract = pixels(np.concatenate([seen["a"], seen["b"]]))
    for fid, inputs, target in ((fids[2], "a", "b"), (fids[3], "b", "a")):
        features = [extract(x).features for x in (seen[target], kept[inputs])]
        # Of so few images, the last of the 64 components are any.
        assert fid == pytest.approx(frechet_distance(*features, warn=False), rel=0.02)
    best = run.best()
    assert (best.iteration, best.name) == (4, "FID")
    assert best.value == pytest.approx(mean["scores"]["FID"])


def test_previews_show_held_out_images_there_and_back(run, trained):
    """Six rows of an image of a, what is made of it and of that, and the same of b."""
    with Image.open(run.directory / "samples" / "0000004.png") as sheet:
        array = np.asarray(sheet)
    factor = array.shape[0] // (6 * (COLUMN + GAP) + GAP)
    array = array[::factor, ::factor]
    assert array.shape == (103, 103, 3)
    tiles = array[GAP:, GAP:].reshape(6, 17, 6, 17, 3)[:, :16, :, :16].swapaxes(1, 2)
    dataset = run.config.load(budget_bytes=1e9)
    for column, domain in ((0, 0), (3, 1)):
        held_out = dataset.held_out[domain].source
        stored = np.stack([held_out.read(i % 2)[0] for i in range(6)])  # of 18 pixels
        np.testing.assert_array_equal(tiles[:, column], stored[:, 1:17, 1:17])
        direction, back = (("a2b", "b2a"), ("b2a", "a2b"))[domain]
        made = run.task.translate(
            trained.g, np.float32(stored[:, 1:17, 1:17]) / 127.5 - 1, direction
        )
        for image, shown in ((made, 1), (run.task.translate(trained.g, made, back), 2)):
            levels = np.round((np.clip(image, -1, 1) + 1) * 127.5)
            assert np.abs(levels - tiles[:, column + shown]).max() <= 1
    assert "held out" in run.task.shown


# ---- invariants ----


def test_resuming_is_exact_with_the_pools(trained, config, tmp_path):
    half = dataclasses.replace(config, iterations=2)
    d, _, _ = gan_jax.train(half, out=tmp_path)
    pools = [d.collections["objective"][domain]["pool"] for domain in "ab"]
    assert [pool["count"] for pool in pools] == [6, 6]  # two batches of 4 have filled them
    resumed = gan_jax.train(config, out=tmp_path)
    assert_same(resumed[:2], trained[:2])
    changed = trained.d.collections["objective"]["a"]["pool"]["images"]
    assert not np.array_equal(changed, pools[0]["images"])


def test_one_device_gives_what_four_give(trained, config, tmp_path):
    alone = dataclasses.replace(
        config, check_every=9, sample_every=9, evaluation=Evaluation(every=0)
    )  # which is no part of training
    script = (
        "import gan_jax\nfrom gan_jax.config import Config, from_json\n"
        f"gan_jax.train(from_json(Config, {to_json(alone)!r}), out={str(tmp_path)!r})\n"
    )
    flags = os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=1")
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_NUM_CPU_DEVICES": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1 CPU device" in " ".join((done.stdout + done.stderr).split())
    states = Run.open(tmp_path).states()
    assert largest_difference(states, trained[:2]) < 5e-3
    pools = [s.collections["objective"]["a"]["pool"]["images"] for s in (states[0], trained.d)]
    np.testing.assert_allclose(*pools, atol=1e-3)


# ---- what it is for ----


@pytest.mark.parametrize("direction", ["a2b", "b2a"])
def test_images_of_any_size_are_translated(run, trained, direction):
    image = np.random.default_rng(0).uniform(-1, 1, (37, 50, 3)).astype(np.float32)
    made = run.converter(direction)(image)
    assert made.shape == (37, 50, 3)
    # What it is of whole multiples of 2, continued by its reflection.
    padded = np.pad(image, ((0, 1), (0, 0), (0, 0)), mode="reflect")
    domain = {"a2b": "b", "b2a": "a"}[direction]
    g = jax.device_put(trained.g)
    whole, _ = g.apply(g.ema_params, jnp.asarray(padded[None]), domain=domain, train=False)
    np.testing.assert_allclose(made, whole[0, :37, :50], atol=1e-4)


@pytest.mark.parametrize(
    ("direction", "says"),
    [(None, "give a direction: a2b"), ("a2c", "there is no direction a2c: a2b")],
)
def test_directions_are_two(run, direction, says):
    with pytest.raises(InputError, match=says):
        run.converter(direction)


def test_another_split_is_scored_both_ways(run, monkeypatch, capsys):
    arguments = ["evaluate", str(run.directory), "--split", "test", "--n", "3"]
    monkeypatch.setattr(sys, "argv", ["gan-jax", *arguments])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("]")[0].partition(", ")[2] for line in lines] == [
        "test, both ways",
        "test, 3/3, a2b",
        "test, 4/3, b2a",
        "test, 3/3, a2b not translated",
        "test, 4/3, b2a not translated",
    ]


# ---- what differs ----


def test_grey_images_without_pool_and_identity(config):
    """As the experiment file trains them, in tests/test_experiments.py."""
    data = dataclasses.replace(config.data, channels=1)
    grey = dataclasses.replace(config, data=data, objective=Objective(pool=0, identity=0.0))
    dataset = grey.load(budget_bytes=1e9)
    task = grey.build(dataset.description)
    task.check()
    assert task.form.shape == (16, 16, 1)
    assert (task.objective.pool, task.objective.identity) == (0, None)
    d, g = arbitrary_states(task.create)
    assert d.collections == {}
    colored = np.random.default_rng(0).uniform(-1, 1, (20, 24, 3)).astype(np.float32)
    convert = task.converter("b2a")(g)
    made = convert(colored)
    assert made.shape == (20, 24, 1)
    luma = colored @ np.float32([[0.299], [0.587], [0.114]])
    np.testing.assert_allclose(made, convert(luma), atol=1e-6)
    sheet = task.draw(jax.device_get(task.preview(g, dataset)), dataset)
    assert sheet.shape == (7 * 103, 7 * 103, 1)


@pytest.mark.parametrize("few", ["A", "B"])
def test_of_a_domain_of_few_images_none_are_held_out(few, trained, config, tmp_path):
    """A tenth of 5 is none, and the other domain's are no substitute."""
    sizes = {f"train{domain}": 5 if domain == few else 20 for domain in "AB"}
    source = f"folder:{write_domains(tmp_path / 'few', sizes)}"
    data = dataclasses.replace(config.data, source=source, held_out=None)
    unequal = dataclasses.replace(config, data=data)
    dataset = unequal.load(budget_bytes=1e9)
    task = unequal.build(dataset.description)
    assert [stream.name for stream in dataset.held_out] == ["a" if few == "B" else "b"]
    preview = np.asarray(task.preview(trained.g, dataset)).reshape(6, 6, 16, 16, 3)
    assert set(channel_of(preview[:, 0])) == {0}
    assert set(channel_of(preview[:, 3])) == {2}
    checks = task.checks(dataset)
    for domain, channel in (("a", 0), ("b", 2)):
        images = checks._images[domain]
        assert (images.held_out is None) == (domain == few.lower())
        assert set(channel_of(images.stored)) == {channel}
    if few == "A":
        conventions = [score.conventions for score in task.evaluator(dataset)(trained.g)]
        scored = ["18/5, a2b", "5/2, b2a"]
        assert [c.partition("train, ")[2] for c in conventions[1:3]] == scored


def test_discriminators_that_compare_examples_judge_each_kind_by_itself(config):
    other = dataclasses.replace(config, discriminator=stylegan2.DiscriminatorSection())
    description = config.load().description
    assert config.build(description).objective.together
    assert not other.build(description).objective.together


def test_data_are_told_by_both_sources(config, domains):
    task = config.build(config.load().description)
    assert task.data_name == f"folder:{domains}"
    both = dataclasses.replace(config.data, source=f"folder:{domains}/trainA", source_b="digits")
    assert dataclasses.replace(config, data=both).build(task.data).data_name.endswith("and digits")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 12}, "a batch of 12 is larger than the domain a: 10 images to train on"),
        ({"evaluation": Evaluation(metrics=("target",))}, "target needs the extractor classifier"),
        (
            {"evaluation": Evaluation(metrics=("psnr",))},
            "psnr needs a model that learns from pairs",
        ),
        ({"evaluation": Evaluation(metrics=("fid",), best="KID")}, "'KID' is none of the scores"),
    ],
)
def test_what_cannot_be_trained_or_scored_is_refused(config, changes, says):
    other = dataclasses.replace(config, **changes)
    with pytest.raises(InputError, match=says):
        other.build(other.load().description).check()


def test_a_pool_smaller_than_a_batch_is_refused(config):
    with pytest.raises(InputError, match=r"a pool of 3 images is too small for batches of 4"):
        dataclasses.replace(config, objective=Objective(pool=3)).validate()


def test_both_generators_and_discriminators_learn(trained, run):
    for before, after in zip(initial_states(run.task), trained[:2], strict=True):
        assert set(after.params) == {"a", "b"}
        for (path, old), new in zip(
            jax.tree.leaves_with_path(before.params), jax.tree.leaves(after.params), strict=True
        ):
            assert np.abs(old - new).max() > 1e-4, path
