"""`gan-jax evaluate`, `features` and `report`, as they are typed."""

import dataclasses
import shutil

import pytest

import gan_jax
from gan_jax.config import Evaluation
from gan_jax.data import Data
from gan_jax.evaluation.extractors import classifier
from gan_jax.networks import dcgan
from gan_jax.runs import Run
from gan_jax.tasks.generation import Config, Objective


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A small run with a best checkpoint that is not the latest."""
    config = Config(
        name="digits",
        iterations=3,
        batch_size=8,
        data=Data(source="digits"),
        objective=Objective(latent_dim=4, conditional=True),
        generator=dcgan.GeneratorSection(width=2, norm="none"),
        discriminator=dcgan.DiscriminatorSection(width=2),
        evaluation=Evaluation(every=2, samples=100, best="Recall"),
    )
    out = tmp_path_factory.mktemp("digits")
    gan_jax.train(config, out=out)
    return out


def test_evaluate_is_what_was_scored_in_training(digits, gan_jax_command):
    best = Run.open(digits).best()
    assert (best.iteration, best.name) == (2, "recall")
    out, _ = gan_jax_command("evaluate", digits, "--checkpoint", "best", "--n", 100)
    assert f"recall[{best.conventions}] {best.value:.4g}" in out.splitlines()
    assert [line.partition("[")[0] for line in out.splitlines()] == [
        "FID", "precision", "recall",
    ]  # fmt: skip


def test_evaluate_says_what_metrics_there_are(digits, gan_jax_command):
    out, _ = gan_jax_command("evaluate", digits, "--metrics", "swd", "ms_ssim", "--n", 50)
    assert out.startswith("SWD[pixels-pca64, train, 1.62k/50] ")
    assert "\nMS-SSIM[pixels-pca64, train, 50] " in out
    _, error = gan_jax_command("evaluate", digits, "--metrics", "is", "--n", 50)
    assert (
        error
        == "error: the metric is needs the extractor classifier, efficientnet-lite0 or inception\n"
    )


def test_what_so_few_samples_cannot_be_scored_by_is_left_out_or_said(digits, gan_jax_command):
    out, _ = gan_jax_command("evaluate", digits, "--n", 2)
    assert [line.partition("[")[0] for line in out.splitlines()] == ["FID"]
    flags = ["--metrics", "precision_recall", "density_coverage", "kid", "swd", "ms_ssim"]
    _, error = gan_jax_command("evaluate", digits, "--n", 3, *flags)
    assert error.splitlines() == [
        "error: the metric precision_recall needs 4 examples, not 3",
        "error: the metric density_coverage needs 6 examples, not 3",
    ]
    out, error = gan_jax_command("evaluate", digits, "--n", 6, *flags)
    assert error == ""
    assert len(out.splitlines()) == 7


def test_only_some_data_have_splits(digits, gan_jax_command):
    for split in ("tset", "train"):
        _, error = gan_jax_command("evaluate", digits, "--split", split)
        assert error == (
            "error: only stacked_mnist, folder:PATH, mix:SOURCE=WEIGHT,…, pairs:PATH, records:PATH "
            "and tfds:NAME have splits: digits has none\n"
        )


def test_a_classifier_can_be_trained_ahead_and_is_then_used(
    digits, gan_jax_command, monkeypatch, empty_cache
):
    calls = []
    original = classifier.fit

    def fit(*arguments):
        calls.append(1)
        return original(*arguments, updates=200)

    monkeypatch.setattr(classifier, "fit", fit)
    out, _ = gan_jax_command("features", "train", "--data.source", "digits")
    assert "% of 323 images that it was not trained on" in out
    out, _ = gan_jax_command(
        "evaluate", digits, "--extractor", "classifier", "--metrics", "is", "--n", 50
    )
    assert out.startswith("IS[digits-cnn, train, 50] ")
    assert len(calls) == 1


def test_the_best_checkpoint_can_be_sampled(digits, gan_jax_command, tmp_path):
    out, _ = gan_jax_command("sample", digits, "--checkpoint", "best", "--out", tmp_path / "b.png")
    assert "64 samples" in out


def test_without_a_best_checkpoint_there_is_none(digits, gan_jax_command, tmp_path):
    config = dataclasses.replace(
        Run.open(digits).config, iterations=1, evaluation=Evaluation(every=0)
    )
    gan_jax.train(config, out=tmp_path / "run")
    _, error = gan_jax_command("evaluate", tmp_path / "run", "--checkpoint", "best")
    assert "has no best checkpoint" in error


def test_report_in_one_command(digits, gan_jax_command):
    out, _ = gan_jax_command("report", digits)
    assert out == f"report: {digits / 'report.html'}\n"
    assert "digits" in (digits / "report.html").read_text()


def test_a_comparison_lies_beside_the_first_run(digits, gan_jax_command, tmp_path):
    copy = shutil.copytree(digits, tmp_path / "runs" / "copy")
    out, _ = gan_jax_command("report", copy, digits)
    assert out == f"report: {tmp_path / 'runs' / 'comparison.html'}\n"
    assert "2 runs compared" in (tmp_path / "runs" / "comparison.html").read_text("utf-8")


def test_help_of_a_report(gan_jax_command):
    out, _ = gan_jax_command("report", "--help")
    assert "(one at least)" in out


def test_report_of_no_run(gan_jax_command):
    _, error = gan_jax_command("report", "/nowhere")
    assert "holds no run" in error
