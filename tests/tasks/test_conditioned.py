"""A model that is told numbers in place of a class: trained, sampled, varied, scored."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same
from PIL import Image

import gan_jax
from gan_jax import report
from gan_jax.config import Evaluation, Optimizer
from gan_jax.data import Data, load
from gan_jax.errors import InputError
from gan_jax.networks import dcgan, mlp
from gan_jax.runs import Run
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=2e-3, options={"b1": 0.0, "b2": 0.9})


def points(path, n=2000):
    """Points whose first feature follows a condition far from unit scale."""
    rng = np.random.default_rng(0)
    where = rng.uniform(1000, 3000, n)
    other = rng.integers(0, 2, n)
    real = np.stack([(where - 2000) / 1000, np.zeros(n)], axis=1) + rng.normal(0, 0.1, (n, 2))
    conditions = np.stack([where, other], axis=1)
    names = np.array(["where", "other"])
    np.savez(path, points=real.astype(np.float32), conditions=conditions, condition_names=names)
    return f"npz:{path}"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return Config(
        name="conditions",
        iterations=400,
        batch_size=128,
        data=Data(source=points(tmp_path_factory.mktemp("data") / "points.npz")),
        objective=Objective(
            loss="relativistic_pairing", latent_dim=2, conditional=True, penalties={"r1": 0.1}
        ),
        generator=mlp.GeneratorSection(width=32, depth=2),
        discriminator=mlp.DiscriminatorSection(width=32, depth=2),
        d_optimizer=ADAM,
        g_optimizer=ADAM,
        evaluation=Evaluation(every=400, samples=300, metrics=("fid", "ppl")),
        checkpoint_every=200,
        check_every=200,
        sample_every=400,
    )


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    return gan_jax.train(config, out=tmp_path_factory.mktemp("run"))


def test_samples_follow_their_condition(trained):
    run = Run.open(trained.directory)
    for where in (1300, 2000, 2700):
        made = run.sample(300, condition={"where": where})
        np.testing.assert_allclose(made.mean(axis=0), ((where - 2000) / 1000, 0), atol=0.2)
    # Without one, they are spread as the real ones are.
    assert 0.4 < run.sample(300)[:, 0].std() < 0.75


def test_a_number_varies_along_a_row(trained):
    walks = Run.open(trained.directory).interpolate(20, 5, vary="where")
    assert walks.shape == (20, 5, 2)
    means = walks[..., 0].mean(axis=0)
    assert (np.diff(means) > 0.2).all()
    other = Run.open(trained.directory).interpolate(20, 5, vary="other")
    assert np.abs(np.diff(other[..., 0].mean(axis=0))).max() < 0.2


def test_it_is_checked_and_scored(trained):
    health = [json.loads(x) for x in (trained.directory / "health.jsonl").read_text().splitlines()]
    assert {"auc", "auc_held_out"} <= health[-1]["signals"].keys()
    lines = (trained.directory / "evaluations.jsonl").read_text().splitlines()
    scores = {name: value for x in lines for name, value in json.loads(x)["scores"].items()}
    assert scores.keys() == {"FID", "PPL"}
    assert scores["FID"] < 0.5
    report.write([Run.open(trained.directory)], trained.directory / "report.html")


def test_a_run_that_was_cut_in_two_is_the_same(config, trained, tmp_path):
    gan_jax.train(dataclasses.replace(config, iterations=200), out=tmp_path / "cut")
    d, g, _ = gan_jax.train(config, out=tmp_path / "cut")
    assert_same((d, g), (trained.d, trained.g))


def test_what_it_is_not_told_is_refused_in_words(config, trained):
    run = Run.open(trained.directory)
    with pytest.raises(InputError, match="is told numbers, not a class: --condition where=… other"):
        run.sample(3, label=1)
    with pytest.raises(InputError, match="no condition age: only where, other"):
        run.sample(3, condition={"age": 1})
    with pytest.raises(InputError, match="no condition age: only where, other"):
        run.interpolate(3, 2, vary="age")
    plain = dataclasses.replace(config.objective, conditional=False)
    task = dataclasses.replace(run.task, config=dataclasses.replace(config, objective=plain))
    with pytest.raises(InputError, match="not told numbers: it takes no condition"):
        task.labels(3, condition={"where": 1})
    with pytest.raises(InputError, match="told no numbers: there is no where to vary"):
        task.varied(None, "where", 3)


def test_classes_are_not_asked_of_what_has_none(config):
    chosen = dataclasses.replace(config.data, conditions=("where",))
    plain = dataclasses.replace(config.objective, conditional=False)
    with pytest.raises(InputError, match=r"set objective\.conditional"):
        dataclasses.replace(config, data=chosen, objective=plain).validate()
    auxiliary = dataclasses.replace(config.objective, auxiliary=1.0)
    guessing = dataclasses.replace(
        config, objective=auxiliary, discriminator=gan_jax.networks.resnet.DiscriminatorSection()
    )
    with pytest.raises(InputError, match=r"guesses classes, and data\.conditions are in place"):
        dataclasses.replace(guessing, data=chosen).validate()
    with pytest.raises(InputError, match=r"guesses classes, and npz:.* has none"):
        guessing.build(config.load().description).check()
    scored = dataclasses.replace(config, evaluation=Evaluation(metrics=("cas",)))
    with pytest.raises(InputError, match="cas needs a model of images that is told classes"):
        scored.build(config.load().description).check()


# Of images, as it is typed.


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A run on images as bright as their condition says."""
    folder = tmp_path_factory.mktemp("shades")
    rows = [("file", "light", "odd")]
    for i in range(64):
        Image.new("L", (8, 8), 4 * i).save(folder / f"{i:02}.png")
        rows.append((f"{i:02}.png", 4 * i, i % 2))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    config = Config(
        name="shades",
        iterations=2,
        batch_size=8,
        data=Data(source=f"folder:{folder}"),
        objective=Objective(latent_dim=4, conditional=True),
        generator=dcgan.GeneratorSection(width=2),
        discriminator=dcgan.DiscriminatorSection(width=2),
        evaluation=Evaluation(every=2, samples=16),
    )
    return gan_jax.train(config, out=tmp_path_factory.mktemp("run")).directory


def test_samples_are_written_with_their_numbers(images, gan_jax_command):
    out, error = gan_jax_command(
        "sample", images, "--n", 5, "--condition", "light=40", "--out", "some.npz"
    )
    assert (out, error) == ("5 samples: some.npz\n", "")
    with np.load("some.npz") as file:
        assert file["condition_names"].tolist() == ["light", "odd"]
        assert (file["conditions"][:, 0] == 40).all()
        assert {*file["conditions"][:, 1].tolist()} == {0, 1}
    gan_jax_command("sample", images, "--n", 5, "--condition", "light=40", "--out", "some")
    assert len([*Path("some").glob("*.png")]) == 5
    written = json.loads(Path("some/dataset.json").read_text())
    assert written["conditions"] == ["light", "odd"]
    assert written["labels"][0][0] == "000000.png"
    again = load(Data(source="folder:some"), conditional=True)
    assert again.description.conditions.names == ("light", "odd")
    assert (again.label[:, 0] == 40).all()
    gan_jax_command("sample", images, "--out", "sheet.png")
    assert Image.open("sheet.png").size[0] > 8 * 8


def test_a_number_varies_on_a_sheet(images, gan_jax_command):
    out, error = gan_jax_command("interpolate", images, "--vary", "light", "--paths", 3)
    assert (error, "3 walks of 10 samples" in out) == ("", True)
    assert (images / "interpolation.png").is_file()
    flags = ["--vary", "odd", "--condition", "odd=1"]
    _, error = gan_jax_command("interpolate", images, *flags)
    assert error == "error: odd is to vary, and cannot be set, too\n"
    _, error = gan_jax_command("interpolate", images, "--vary", "age")
    assert error == "error: there is no condition age: only light, odd\n"


@pytest.mark.parametrize("given", ["light", "=3", "light=dark"])
def test_what_is_no_number_is_refused(images, gan_jax_command, given):
    _, error = gan_jax_command("sample", images, "--condition", given)
    assert error == f"error: --condition takes names and numbers, as age=30, not {given!r}\n"


def test_what_is_set_twice_or_too_large_is_refused(images, gan_jax_command):
    _, error = gan_jax_command("sample", images, "--condition", "odd=1", "odd=0")
    assert error == "error: --condition sets odd twice\n"
    _, error = gan_jax_command("sample", images, "--condition", "odd=1e39")
    assert error == "error: the condition odd is a number, not 1e+39\n"


def test_another_split_is_read_by_the_names_of_the_run(images, gan_jax_command):
    """In whichever order it has them, and with more of them."""
    folder = Path(Run.open(images).config.data.source.partition(":")[2])
    for split, heads in (("train", "file,light,odd"), ("test", "file,odd,more,light")):
        Path("parts", split).mkdir(parents=True)
        rows = [heads]
        for i in range(16):
            Image.open(folder / f"{i:02}.png").save(f"parts/{split}/{i:02}.png")
            numbers = {"light": 4 * i, "odd": i % 2, "more": 7}
            rows.append(",".join([f"{i:02}.png", *(str(numbers[h]) for h in heads.split(",")[1:])]))
        Path("parts", split, "labels.csv").write_text("\n".join(rows))
    data = Data(source="folder:parts")
    config = dataclasses.replace(Run.open(images).config, iterations=1, data=data)
    task = gan_jax.train(config, out="run") and Run.open("run").task
    evaluator = task.evaluator(task.config.load(), split="test")
    order = np.argsort(evaluator.real.labels[:, 0])
    np.testing.assert_array_equal(evaluator.real.labels[order, 0], 4.0 * np.arange(16))


def test_a_fork_is_told_the_same(images):
    config = Run.open(images).config
    other = dataclasses.replace(config.data, conditions=("odd", "light"))
    config = dataclasses.replace(config, iterations=4, data=other)
    with pytest.raises(InputError, match="is told light, odd, and the fork odd, light"):
        gan_jax.train(config, out=images, fork="fork")


def test_what_is_asked_for_is_chosen_for(gan_jax_command):
    Path("mixed").mkdir()
    rows = ["file,label,age"]
    for i in range(60):
        Image.new("L", (8, 8), 4 * i).save(f"mixed/{i:02}.png")
        rows.append(f"{i:02}.png,{'cat' if i % 2 else 'dog'},{i}")
    Path("mixed/labels.csv").write_text("\n".join(rows))
    out, error = gan_jax_command("train", "folder:mixed", "--dry-run")
    assert (error, "2 classes" in out) == ("", True)
    flags = ["--data.conditions", "age", "--dry-run"]
    out, error = gan_jax_command("train", "folder:mixed", *flags)
    assert error == ""
    assert "conditioned on age: by labels.csv" in out


def test_it_is_evaluated_again_and_reported(images, gan_jax_command):
    out, error = gan_jax_command("evaluate", images, "--n", 16)
    assert (error, "FID[" in out) == ("", True)
    _, error = gan_jax_command("report", images, "--out", "report.html")
    assert error == ""
    page = Path("report.html").read_text()
    assert "conditioned on light" in page
    for name in ("light", "odd"):
        assert f"6 samples as {name} grows from " in page
