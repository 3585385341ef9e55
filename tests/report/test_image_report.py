"""Reports of runs that make images of images, made of written log files: no training."""

import json
import re

import numpy as np
import pytest

from gan_jax import figures, report
from gan_jax.data import Described, Description
from gan_jax.degradations.small import BicubicSection
from gan_jax.networks import patchgan, rrdb
from gan_jax.report import curves, groups, history
from gan_jax.runs import Run
from gan_jax.tasks import restoration, translation

COLORED = Description((16, 16, 3), None, 100, "")
ITERATIONS = (10, 20)


def write_lines(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def make_run(directory, config, data, metrics, signals, scores):
    """A run as it would be after two checks."""
    run = Run.create(directory, config.build(data))
    for name, values in (("metrics", metrics), ("health", signals)):
        lines = [
            values if name == "metrics" else {"signals": values, "state": "healthy"}
            for _ in ITERATIONS
        ]
        write_lines(
            directory / f"{name}.jsonl",
            *({"iteration": i, **line} for i, line in zip(ITERATIONS, lines, strict=True)),
        )
    write_lines(
        directory / "evaluations.jsonl",
        *(
            {"iteration": i, "conventions": conventions, "scores": values}
            for i in ITERATIONS
            for conventions, values in scores.items()
        ),
    )
    figures.save(np.zeros((16, 16, 3), np.uint8), directory / "samples" / "0000020.png")
    return run


SIGNALS = {"auc": 0.6, "auc_held_out": 0.55, "diversity": 0.9, "distance": 0.3, "drift": 0.1}


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    metrics = {"d/loss": 0.5, "g/loss": 3.0, "d/accuracy": 0.7}
    metrics |= {f"g/{t}_{d}": 0.5 for t in ("adversarial", "cycle", "identity") for d in "ab"}
    return make_run(
        tmp_path_factory.mktemp("translation"),
        translation.Config(name="seasons"),
        Described(COLORED, COLORED),
        metrics,
        {f"{d}/{name}": value for d in ("a2b", "b2a") for name, value in SIGNALS.items()},
        {
            "cnn, train, both ways": {"KID": 0.15, "target": 0.5},
            "cnn, train, 10/2, a2b": {"KID": 0.1, "target": 0.4},
            "cnn, train, 7/2, b2a": {"KID": 0.2, "target": 0.6},
            "cnn, train, 10/2, a2b not translated": {"KID": 0.3, "target": 0.1},
            "cnn, train, 7/2, b2a not translated": {"KID": 0.4, "target": 0.2},
        },
    )


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory):
    return make_run(
        tmp_path_factory.mktemp("restoration"),
        restoration.Config(
            input=BicubicSection(scale=2),
            generator=rrdb.TranslatorSection(),
            discriminator=patchgan.DiscriminatorSection(layers=1),
        ),
        COLORED,
        {"d/loss": 0.5, "g/loss": 3.0, "g/adversarial": 0.4, "g/pixel": 0.2, "g/perceptual": 0.1},
        SIGNALS,
        {
            "pixels-pca64, train, 3": {"PSNR": 24.0, "SSIM": 0.8},
            "pixels-pca64, train, 3, bicubic": {"PSNR": 25.0, "SSIM": 0.7},
        },
    )


def page_of(run, tmp_path):
    report.write([run], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, [re.sub("<[^>]*>", "", h) for h in re.findall(r"<h\d.*?</h\d>", text)]


def charts_of(run):
    return {chart.title: chart for chart in curves.of_run(history.read(run), [])}


def labels(chart):
    return [line.label for line in chart.lines]


def test_signals_have_a_line_for_each_direction(translated):
    charts = charts_of(translated)
    assert labels(charts["Distance"]) == ["a2b: distance", "b2a: distance"]
    assert labels(charts["Ranking (AUC)"]) == [
        "a2b: training over generated",
        "b2a: training over generated",
        "a2b: held out over generated",
        "b2a: held out over generated",
    ]
    styles = {(line.color, line.dashes) for line in charts["Ranking (AUC)"].lines}
    assert len(styles) == 4
    assert labels(charts["Losses"]) == ["discriminator", "generator"]


def test_the_generators_terms_have_a_line_for_each_domain(translated):
    chart = charts_of(translated)["The generators' terms"]
    assert labels(chart) == [
        f"{term}, {domain}" for term in ("adversarial", "cycle", "identity") for domain in "ab"
    ]
    assert "The generator's terms" not in charts_of(translated)


def test_a_score_has_one_chart_for_all_directions(translated):
    charts = charts_of(translated)
    scored = [title for title in charts if "[" in title]
    assert scored == ["KID[cnn, train]", "target[cnn, train]"]
    kid = charts["KID[cnn, train]"]
    assert labels(kid) == [
        "both ways",
        "10/2, a2b",
        "7/2, b2a",
        "10/2, a2b not translated",
        "7/2, b2a not translated",
    ]
    assert [line.curve.y[0] for line in kid.lines] == [0.15, 0.1, 0.2, 0.3, 0.4]
    assert kid.normal.startswith("Lower is better.")
    assert kid.normal.endswith(" Best (star): 0.15 at iteration 10.")


def test_a_page_of_translations_says_what_is_shown_and_has_no_samples(translated, tmp_path):
    text, headings = page_of(translated, tmp_path)
    assert "In each row, an image of a, what is made of it" in text
    assert [h.partition(" (")[0] for h in headings[:6]] == [
        "seasons",
        "Samples through training",
        "Is it any good?",
        "Is it done?",
        "Diagnosis through training",
        "Curves",
    ]
    assert headings[-1] == "Configuration"
    assert "There are no samples" not in text
    assert "has no checkpoint" not in text
    assert "latents" not in text.partition("Configuration")[0]
    assert "100 and 100 examples of 16×16×3" in text


def test_pages_of_restorations_show_their_terms_and_baseline(enlarged, tmp_path):
    charts = charts_of(enlarged)
    assert labels(charts["The generator's terms"]) == ["adversarial", "pixel", "perceptual"]
    assert "The generators' terms" not in charts
    assert labels(charts["Distance"]) == ["distance"]
    psnr = charts["PSNR[pixels-pca64, train]"]
    assert labels(psnr) == ["3", "3, bicubic"]
    assert psnr.normal.startswith("Higher is better.")
    assert psnr.normal.endswith(" Best (star): 24 at iteration 10.")
    text, headings = page_of(enlarged, tmp_path)
    assert "From left to right: the input, what is made of it" in text
    assert headings[1] == "Samples through training"
    assert headings[-1] == "Configuration"
    assert "digits, from bicubic inputs" in text


def test_runs_of_different_tasks_compare(translated, enlarged):
    runs = [translated, enlarged]
    found = groups.make_groups(runs, [history.read(run) for run in runs], ["a", "b"])
    charts = {chart.title: labels(chart) for chart in curves.of_groups(found)}
    assert len(charts["Discriminator's loss"]) == 2
    assert charts["a2b: Distance"] == ["a"]
    assert charts["Distance"] == ["b"]
    assert len(charts["KID[cnn, train, both ways]"]) == 1
    assert len(charts["PSNR[pixels-pca64, train, 3, bicubic]"]) == 1
