"""Reports: all sections, from whatever a run has, in one file that asks for nothing else."""

import base64
import dataclasses
import functools
import html
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import data, figures, report
from gan_jax.config import Evaluation
from gan_jax.data import Data
from gan_jax.health import diagnosis, thresholds
from gan_jax.networks import dcgan, mlp
from gan_jax.report import (
    answer,
    comparison,
    curves,
    groups,
    history,
    memory,
    naming,
    page,
    panels,
    states,
)
from gan_jax.report.charts import Chart, Line, thin
from gan_jax.report.history import Check, Curve
from gan_jax.runs import Run
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.generation import Config, Objective

DIGITS = Config(
    name="small digits",
    iterations=40,
    data=Data(source="digits"),
    objective=Objective(latent_dim=4, conditional=True),
    generator=dcgan.GeneratorSection(width=2, norm="none"),
    discriminator=dcgan.DiscriminatorSection(width=2),
)
RING = Config(
    name="ring",
    iterations=40,
    data=Data(source="ring"),
    objective=Objective(latent_dim=2),
    generator=mlp.GeneratorSection(width=4, depth=1),
    discriminator=mlp.DiscriminatorSection(width=4, depth=1),
)
STATES = ["d_overpowers", "healthy", "mode_collapse", "mode_collapse"]


def write_lines(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def make_run(directory, config=DIGITS, *, checkpoints=False, shift=0.0) -> Run:
    """A run as it would be after four checks, without training anything."""
    source, _ = data.hold_out(data.load(config.data, seed=config.seed), None)
    task = config.build(source.description)
    run = Run.create(directory, task)
    iterations = (10, 20, 30, 40)
    write_lines(
        directory / "metrics.jsonl",
        *(
            {"iteration": i, "seconds": i / 2, "d/loss": 1 / i + shift, "g/loss": 2.0}
            | {"d/accuracy": 0.6, "d/grad_norm": 0.1, "g/grad_norm": 10.0, "d/update_ratio": 0.01}
            for i in iterations
        ),
    )
    write_lines(
        directory / "health.jsonl",
        *(
            {"iteration": i, "signals": {"auc": 0.5 + 1 / i + shift, "diversity": 0.9}}
            | {"state": state, "evidence": f"Seen at {i}.", "suggestion": f"Mend {state}."}
            for i, state in zip(iterations, STATES, strict=True)
        ),
    )
    write_lines(
        directory / "evaluations.jsonl",
        *(
            {"iteration": i, "scores": {"FID": fid + shift, "recall": 0.5}, "conventions": "c, 1k"}
            for i, fid in ((20, 30.0), (30, 12.5), (40, 14.0))
        ),
        {"iteration": 40, "scores": {"FID": 3.0}, "conventions": "pixels"},
    )
    for i in iterations:
        sheet = np.full((16, 16, 1), i, np.uint8)
        figures.save(sheet, directory / "samples" / f"{i:07}.png")
    if checkpoints:
        d, g = initial_states(task)
        for folder, iteration in (("best", 30), ("checkpoints", 40)):
            with Checkpoints(directory / folder) as kept:
                kept.save(iteration, d, g)
        best = {"iteration": 30, "name": "FID", "conventions": "c, 1k", "value": 12.5}
        (directory / "best.json").write_text(json.dumps(best))
    return run


class _Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.headings: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = tag
        if re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, text):
        if re.fullmatch("h[1-6]", self._inside):
            self.headings[-1] += text

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def write(runs, tmp_path) -> tuple[str, _Page]:
    report.write(runs, tmp_path / "new" / "report.html")
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["report.html"]
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    return text, _Page(text)


def assert_self_contained(text, found):
    for tag, attributes in found.elements:
        for name in ("src", "href", "xlink:href", "data", "srcset", "action", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#")), (tag, name, value[:80])
        assert "@import" not in attributes.get("style", "")
    assert not re.search(r"@import|url\((?!#)", text)
    assert "http:" not in text
    assert "https:" not in text


@functools.cache
def make_complete(folder: Path) -> tuple[Run, Path]:
    """A run that has everything, not to be changed, and its report; once in a test session."""
    run = make_run(folder / "complete" / "run", checkpoints=True)
    path = folder / "complete" / "report.html"
    report.write([run], path)
    return run, path


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Run:
    return make_complete(tmp_path_factory.getbasetemp())[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Its report: text and elements."""
    text = make_complete(tmp_path_factory.getbasetemp())[1].read_text(encoding="utf-8")
    return text, _Page(text)


def test_all_sections_are_there(whole):
    text, found = whole
    assert found.headings[:10] == [
        "small digits (run)",
        "Samples through training",
        "Is it any good?",
        "Is it done?",
        "Best and last samples",
        "Between samples",
        "Nearest real examples",
        "Diagnosis through training",
        "Curves",
        "FID[c, 1k]",
    ]
    assert found.headings[-1] == "Configuration"
    assert {"Losses", "Ranking (AUC)", "recall[c, 1k]", "FID[pixels]"} <= set(found.headings)
    assert "mode collapse" in text
    assert "Seen at 40." in text
    assert "Mend mode_collapse." in text
    assert diagnosis.get("mode_collapse").meaning in html.unescape(text)
    assert "2 changes of state" in text
    assert "Best (star): 12.5 at iteration 30." in text
    assert "&#34;latent_dim&#34;: 4" in text
    assert f"jax {jax.__version__}" in text


def test_the_page_is_self_contained(whole):
    assert_self_contained(*whole)


def test_images_have_words(whole):
    _, found = whole
    images = found.all("img")
    assert len(images) == 4 + 2 + 10 * 4 + 1  # sheets, best and last, ten with neighbours, walks
    assert all(image["alt"] for image in images)
    drawings = [svg for svg in found.all("svg") if svg.get("class") != "key"]
    assert all(svg["aria-label"] for svg in drawings)
    charts = [figure for figure in found.all("figure") if figure.get("class") == "chart"]
    assert len(drawings) == len(charts) == 9


def test_sheets_are_stored_as_they_are(whole, complete):
    _, found = whole
    sheets = [image for image in found.all("img") if "data-iteration" in image]
    assert [sheet["data-iteration"] for sheet in sheets] == ["10", "20", "30", "40"]
    assert ["hidden" in sheet for sheet in sheets] == [True, True, True, False]
    stored = base64.b64decode(sheets[1]["src"].partition("base64,")[2])
    assert stored == (complete.directory / "samples" / "0000020.png").read_bytes()


def test_many_sheets_are_thinned(tmp_path):
    run = make_run(tmp_path / "run")
    for i in range(50, 1500, 10):
        figures.save(np.zeros((1, 1, 1), np.uint8), run.directory / "samples" / f"{i:07}.png")
    (run.directory / "samples" / "0000050.tmp").touch()
    _, found = write([run], tmp_path)
    shown = [image["data-iteration"] for image in found.all("img")]
    assert len(shown) == 60
    assert (shown[0], shown[-1]) == ("10", "1,490")


def test_a_run_without_anything_says_so(tmp_path):
    run = make_run(tmp_path / "run")
    for path in [*run.directory.glob("*.jsonl"), *run.directory.glob("samples/*")]:
        path.unlink()
    text, found = write([run], tmp_path)
    assert "Not yet: it is at iteration 0 of 40." in text
    assert "not diagnosed" in text
    assert "it has no health.jsonl" in text
    assert "No samples were kept" in text
    assert "has no checkpoint yet" in text
    assert "Curves" not in found.headings


def test_data_that_cannot_be_loaded_are_named(complete, tmp_path):
    lost = dataclasses.replace(DIGITS, data=Data(source=f"folder:{tmp_path / 'gone'}"))
    elsewhere = dataclasses.replace(complete, task=lost.build(complete.data))
    text, found = write([elsewhere], tmp_path)
    assert "The real examples cannot be shown: there is no folder" in text
    assert "Between samples" in found.headings


def test_data_that_changed_are_refused(tmp_path):
    run = make_run(tmp_path / "run")
    other = dataclasses.replace(run.data, fingerprint="another")
    with pytest.raises(memory.InputError, match="has changed since"):
        memory.real_examples(dataclasses.replace(run, task=run.config.build(other)), None)


def test_real_examples_are_those_trained_on(tmp_path):
    run = make_run(tmp_path / "run")
    source, _ = data.hold_out(data.load(run.config.data), None)
    np.testing.assert_array_equal(memory.real_examples(run, None), source.real)


def test_neighbors_by_hand():
    # Real images of one grey level each; samples on one of them and between two.
    levels = np.array([0, 50, 100, 250], np.uint8)
    real = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 1)).copy()
    samples = np.array([50, 120], np.float32)[:, None, None, None] / 127.5 - 1
    found = memory.neighbors(np.broadcast_to(samples, (2, 8, 8, 1)).copy(), real)
    step = 8 / 255  # the distance of images of 8×8 pixels one level apart
    wanted = [[0, 50, 50], [20, 70, 120]]
    for row, levels_apart in zip(found.rows, wanted, strict=True):
        distances = [pair.distance for pair in row.neighbors]
        np.testing.assert_allclose(distances, np.multiply(levels_apart, step), atol=1e-5)
    assert found.of_samples == pytest.approx(10 * step, abs=1e-5)
    assert found.of_real == pytest.approx(50 * step, abs=1e-5)


def test_points_are_scattered(tmp_path):
    text, found = write([make_run(tmp_path / "run", RING, checkpoints=True)], tmp_path)
    assert "Best and last samples" in found.headings
    assert "Nearest real examples" not in found.headings
    assert "Between samples" not in found.headings
    assert_self_contained(text, found)


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_not_finite(tmp_path):
    run = make_run(tmp_path / "run")
    bad = (math.nan, math.inf, -math.inf, None, 1e300, 10**400, "text", [1], True)
    entries = [
        {"iteration": i, "seconds": value, "g/loss": value, "d/grad_norm": value}
        for i, value in enumerate(bad)
    ]
    write_lines(run.directory / "metrics.jsonl", *entries, {"iteration": 20, "g/loss": 1.0})
    write_lines(
        run.directory / "evaluations.jsonl",
        *({"iteration": i, "scores": {"FID": value}} for i, value in enumerate(bad)),
    )
    text, found = write([run], tmp_path)
    assert f"not finite at {len(bad)} of {len(bad) + 1}" in text
    assert {"Losses", "Gradient norms", "FID"} <= set(found.headings)
    assert not re.search(r'd="[^"]*(nan|inf)', text)


def test_lines_that_are_no_lines_are_left_out(tmp_path):
    run = make_run(tmp_path / "run")
    with (run.directory / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"iteration": "ten"}\n{}\n\xff\n{"iteration": 50, "d/lo')
    (run.directory / "rollbacks.json").write_text("{")
    assert history.read(run).iterations == 40


def test_later_entries_replace_earlier_ones(tmp_path):
    # After a rollback, or an evaluation by hand.
    run = make_run(tmp_path / "run")
    write_lines(
        run.directory / "metrics.jsonl",
        *({"iteration": i, "d/loss": y} for i, y in ((10, 1.0), (30, 3.0), (20, 2.0), (30, 4.0))),
    )
    found = history.read(run).curves["d/loss"]
    assert found.x.tolist() == [10, 20, 30]
    assert found.y.tolist() == [1.0, 2.0, 4.0]


def test_seconds_add_up_over_attempts(tmp_path):
    run = make_run(tmp_path / "run")
    seconds = (5, 10, 3, 6, 2)
    entries = [{"iteration": i, "seconds": s} for i, s in enumerate(seconds)]
    write_lines(run.directory / "metrics.jsonl", *entries)
    assert history.read(run).seconds == 10 + 6 + 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(7.71, "7.7 s"), (164, "2 min 44 s"), (59.9, "1 min 0 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds, words):
    assert page.duration(seconds) == words


def test_rollbacks_are_told(tmp_path):
    run = make_run(tmp_path / "run")
    record = {"iteration": 30, "to": 20, "state": "mode_collapse"}
    (run.directory / "rollbacks.json").write_text(json.dumps([record, record | {"factor": 0.5}]))
    text, _ = write([run], tmp_path)
    assert "Rolled back at iteration 30 to 20 because of mode collapse." in text
    assert "because of mode collapse, learning rates × 0.5 from there." in text
    assert "dotted vertical lines are rollbacks" in text


def test_hostile_names_stay_text(tmp_path):
    evil = "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{{"
    run = make_run(tmp_path / "run", dataclasses.replace(DIGITS, name=evil))
    line = {"iteration": 40, "signals": {evil: 1.0}, "state": evil}
    write_lines(run.directory / "health.jsonl", line | {"evidence": evil, "suggestion": evil})
    scores = {"iteration": 40, "scores": {evil: 1.0}, "conventions": '"><script>'}
    write_lines(run.directory / "evaluations.jsonl", scores)
    for runs in ([run], [run, run]):
        text, found = write(runs, tmp_path)
        assert len(found.all("script")) == 1
        assert not any("onerror" in attributes for _, attributes in found.elements)
        assert "<script>alert" not in text
        assert "x" not in [image["src"] for image in found.all("img")]
        assert any(h.startswith("</script>") for h in found.headings)


# ---- several runs ----


def test_seeds_form_a_group(tmp_path):
    runs = [
        make_run(tmp_path / "a", dataclasses.replace(DIGITS, seed=1), shift=0.0),
        make_run(tmp_path / "b", dataclasses.replace(DIGITS, seed=2, name="other"), shift=0.1),
        make_run(tmp_path / "c", dataclasses.replace(DIGITS, batch_size=32), shift=0.3),
    ]
    found = groups.make_groups(runs, [history.read(run) for run in runs], ["a", "b", "c"])
    assert [group.label for group in found] == ["a, b (2 seeds)", "c"]
    assert [[run.directory.name for run in group.runs] for group in found] == [["a", "b"], ["c"]]
    charts = {chart.title: chart for chart in curves.of_groups(found)}
    assert list(charts) == [
        "FID[c, 1k]",
        "recall[c, 1k]",
        "FID[pixels]",
        "Ranking (AUC)",
        "Discriminator's loss",
        "Generator's loss",
    ]
    two, one = charts["FID[c, 1k]"].lines
    assert two.curve.x.tolist() == [20, 30, 40]
    np.testing.assert_allclose(two.curve.y, [30.05, 12.55, 14.05])
    np.testing.assert_allclose(two.low, [30.0, 12.5, 14.0])
    np.testing.assert_allclose(two.high, [30.1, 12.6, 14.1])
    assert one.low is None
    assert one.color != two.color


def test_runs_that_are_but_seeds_each_have_a_color(tmp_path):
    runs = [make_run(tmp_path / str(s), dataclasses.replace(DIGITS, seed=s)) for s in range(3)]
    found = groups.make_groups(runs, [history.read(run) for run in runs], ["0", "1", "2"])
    assert [group.label for group in found] == ["0", "1", "2"]
    assert len({group.color for group in found}) == 3


def test_runs_are_called_by_the_ends_of_their_paths():
    paths = ["/x/a/digits", "/x/b/digits", "/x/rings", "/y/b/digits", "/x/rings"]
    assert naming.names([Path(path) for path in paths]) == [
        "a/digits",
        "x/b/digits",
        "rings",
        "y/b/digits",
        "rings",
    ]
    assert naming.names([Path("/runs"), Path("/runs/runs")]) == ["/runs", "runs/runs"]


def test_what_differs_is_in_one_table(tmp_path):
    runs = [
        make_run(tmp_path / "a", DIGITS),
        make_run(tmp_path / "b", dataclasses.replace(DIGITS, seed=2, name="other")),
        make_run(tmp_path / "c", RING),
    ]
    table = {row.field: row.values for row in groups.differences(runs)}
    assert table["seed"] == ["0", "2", "0"]
    assert table["generator.kind"] == ["dcgan", "dcgan", "mlp"]
    assert table["generator.depth"] == ["", "", "1"]
    assert table["data found"][0].startswith("1,")
    assert {"name", "iterations"}.isdisjoint(table)
    assert groups.differences(runs[:1] * 2) == []


def test_scores_are_side_by_side(tmp_path):
    runs = [make_run(tmp_path / name, shift=shift) for name, shift in (("a", 1.0), ("b", 0.0))]
    (runs[0].directory / "evaluations.jsonl").write_text(
        json.dumps({"iteration": 20, "scores": {"FID": 12.5}, "conventions": "c, 1k"})
    )
    pages = [page.of_run(run, run.directory.name, None, brief=True) for run in runs]
    rows = {row.label: row for row in comparison.of_pages(pages).scores}
    fid, recall = rows["FID[c, 1k]"], rows["recall[c, 1k]"]
    assert [(str(c.best), c.last.iteration) for c in fid.cells] == [("12.5", 20), ("12.5", 40)]
    assert fid.leading == [0, 1]
    assert "Lower is better." in fid.about
    assert recall.cells[0] is None
    assert recall.leading == [1]
    assert "Higher is better." in recall.about


def test_a_comparison_comes_first_then_each_run(tmp_path):
    runs = [
        make_run(tmp_path / name, dataclasses.replace(DIGITS, **differing), shift=shift)
        for shift, (name, differing) in enumerate(
            {"a": {"seed": 0}, "b": {"seed": 1}, "c": {"batch_size": 32}}.items()
        )
    ]
    text, found = write(runs, tmp_path)
    assert found.headings[:5] == ["3 runs compared", "Samples", "Scores", "Differences", "Curves"]
    assert found.headings[-1] == "Configuration"
    assert [a.get("class") for a in found.all("ul")].count("legend all") == 1
    assert text.count("a, b (2 seeds)") == 1
    assert found.headings.count("Samples through training") == 3
    assert "Nearest real examples" not in found.headings
    assert text.count("best 12.5 at 30") == 1
    assert text.count("last 15 at 40") == 1
    assert "from the lowest to the highest" in text
    links = [a["href"] for a in found.all("a")]
    assert links == ["#run-1", "#run-2", "#run-3"]
    assert {link[1:] for link in links} <= {
        attributes.get("id") for _, attributes in found.elements
    }
    assert_self_contained(text, found)


@pytest.mark.filterwarnings("error")
def test_runs_with_nothing_in_common_compare(tmp_path):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", RING)]
    (runs[1].directory / "evaluations.jsonl").unlink()
    write_lines(runs[1].directory / "metrics.jsonl", {"iteration": 5, "d/loss": math.nan})
    text, _ = write(runs, tmp_path)
    assert "generator.depth" in text


def test_no_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least"):
        report.write([], tmp_path / "report.html")


# ---- parts ----


def test_states_last_since_the_check_before():
    checks = [
        Check(i, name, f"at {i}", "") for i, name in zip((10, 20, 30, 40), STATES, strict=True)
    ]
    assert [(s.start, s.end, s.state.name, s.evidence) for s in states.spans(checks)] == [
        (0, 10, "d_overpowers", "at 10"),
        (10, 20, "healthy", "at 20"),
        (20, 40, "mode_collapse", "at 30"),
    ]


def test_every_state_has_a_colour_of_its_own():
    from gan_jax.health.diagnosis import STATES as known

    colors = {states.state(name).color for name in known}
    assert len(colors) == len(known)
    assert states.state("unheard_of").title == "unheard of"


@pytest.mark.parametrize(
    ("name", "index"),
    [("FID[precision, b]", 2), ("SWD", 2), ("precision[FID]", 1), ("IS", 1), ("high quality", 1)],
)
def test_which_score_is_best(name, index):
    assert curves.best(name, Curve(np.arange(4), np.array([np.nan, 3.0, 1.0, 2.0]))) == index


def test_thinning_keeps_spikes_and_order():
    y = np.zeros(100_000)
    y[[777, 50_001]] = 9.0, -9.0
    y[60_000:61_000] = np.nan
    kept = thin(Curve(np.arange(len(y)), y), 1000)
    assert len(kept) <= 1000
    assert (np.diff(kept) > 0).all()
    assert {777, 50_001} <= set(kept.tolist())
    assert np.isnan(y[kept]).any()


def test_a_chart_shows_states_but_not_health():
    curve = Curve(np.array([10, 20]), np.array([1.0, 2.0]))
    checks = [Check(10, "healthy", "", ""), Check(20, "oscillating", "", "")]
    chart = Chart("A", [Line("a", curve, "#123456")], spans=states.spans(checks), end=20)
    assert states.state("oscillating").color.lower() in chart.svg
    assert states.state("healthy").color.lower() not in chart.svg
    assert "#123456" in chart.svg
    assert chart.svg == chart.svg


@pytest.mark.parametrize("log", [False, True])
def test_what_lies_far_out_does_not_hide_the_rest(log):
    y = np.linspace(1, 2, 100)
    curve = Curve(np.arange(100), np.where(np.arange(100) < 95, y, 1e25))
    chart = Chart("A", [Line("a", curve, "#123456")], log=log, end=100)
    assert chart.beyond == 5
    assert Chart("A", [Line("a", Curve(curve.x, y), "#123456")], log=log).beyond == 0


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("y", [[], [0.0], [-1.0, 0.0], [1e-9, 1e9], [2.0, 2.0], [1e-5, 1.1e-5]])
def test_charts_of_anything(y, log):
    curve = Curve(np.arange(len(y)), np.array(y))
    assert "</svg>" in Chart("A", [Line("a", curve, "#123456")], log=log, end=len(y)).svg


# ---- words ----


def test_every_chart_says_what_it_is_and_what_is_normal(complete):
    charts = curves.of_run(history.read(complete), [])
    for chart in charts:
        assert chart.normal.startswith(("Lower is", "Higher is", "Neither way is", "Normal: "))
        assert "Normal: " in chart.normal
        known = chart.title.partition("[")[0] in ("FID", "recall")
        assert chart.about.endswith(".") or not known
    said = {panel.title: panel.normal for panel in panels.OF_RUN}
    assert f"{thresholds.PERFECT:g}" in said["Ranking (AUC)"]
    assert f"{thresholds.NARROW:g}" in said["Diversity"]
    assert f"{thresholds.NEAR:g}" in said["Distance"]


def scored(*values):
    return Curve(np.arange(10, 10 * len(values) + 1, 10), np.array(values))


def test_how_a_score_went():
    found = answer.standing("FID[c, 1k]", scored(9.0, np.nan, 4.0, 5.0))
    assert (found.name, found.since, found.scores) == ("FID", 1, 4)
    assert (found.first, found.best, found.last) == ((10, 9.0), (30, 4.0), (40, 5.0))
    assert answer.standing("precision", scored(0.1, 0.4, 0.3)).best == (20, 0.4)
    assert str(answer.standing("FID", scored(np.nan, 1.0)).first) == "not finite"
    assert answer.standing("FID", scored(np.nan)) is None


def test_the_score_that_decides_is_the_one_shown(complete, tmp_path):
    read = history.read(complete)
    assert answer.chosen(complete, read).label == "FID[c, 1k]"
    by_recall = dataclasses.replace(DIGITS, evaluation=Evaluation(best="Recall"))
    run = make_run(tmp_path / "run", by_recall)
    assert answer.chosen(run, history.read(run)).label == "recall[c, 1k]"
    assert answer.chosen(run, dataclasses.replace(read, scores={})) is None


@pytest.mark.parametrize(
    ("values", "state", "words", "goes_on"),
    [
        ((9.0, 5.0, 4.0), "healthy", "still getting better", True),
        ((9.0, 4.0, 5.0), "healthy", "at iteration 20, with 1 score since that may", True),
        ((4.0, 9.0, 5.0, 5.0), "converged", "Yes. It has done all", False),
        ((9.0, 5.0, 4.0), "mode_collapse", "seldom mends what is diagnosed (mode coll", False),
        ((9.0, 5.0, 4.0), "early", "had only begun", True),
        ((9.0,), "healthy", "tells no trend", True),
        ((), None, "not scored", True),
    ],
)
def test_whether_it_is_done(complete, values, state, words, goes_on):
    score = answer.standing("FID", scored(*values))
    known = state and states.state(state)
    advice = answer.advise(complete, history.read(complete), score, known)
    assert words in advice.words
    assert advice.command.startswith("gan-jax resume ") == goes_on
    assert advice.command.endswith(" --iterations 80") == goes_on


def test_a_run_that_has_not_come_to_its_end_is_not_done(tmp_path):
    longer = dataclasses.replace(DIGITS, iterations=1000)
    run = make_run(tmp_path / "my run", longer)
    advice = answer.advise(run, history.read(run), None, None)
    assert advice.words == "Not yet: it is at iteration 40 of 1,000."
    assert advice.command == f"gan-jax resume '{run.directory}'"


def test_the_slider_starts_before_training(tmp_path):
    run = make_run(tmp_path / "run")
    figures.save(np.zeros((8, 8, 1), np.uint8), run.directory / "samples" / "0000000.png")
    text, found = write([run], tmp_path)
    sheets = [image for image in found.all("img") if "data-iteration" in image]
    assert sheets[0]["data-iteration"] == "0"
    assert sheets[0]["alt"] == "Samples at iteration 0, untrained"
    assert "<span>0, untrained</span><span>40</span>" in text


def test_classes_are_called_by_their_names(complete, tmp_path):
    words = ("nil", *(f"class <{i}>" for i in range(1, 10)))
    named = dataclasses.replace(complete.data, class_names=words)
    run = dataclasses.replace(complete, task=complete.config.build(named))
    text, _ = write([run], tmp_path)
    assert "the classes nil, class &lt;1&gt;, " in text
    rows = re.findall(r'<ol class="rows">(.*?)</ol>', text, re.DOTALL)
    shown = [re.findall("<span>(.*?)</span>", row) for row in rows]
    escaped = [html.escape(word) for word in words]
    # The slider's sheets, best and last, and six walks.
    assert shown == [escaped, escaped, escaped, escaped[:6]]
    captions = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert len([caption for caption in captions if caption in escaped]) == 10


def test_a_checkpoint_that_is_best_and_last_is_shown_once(tmp_path):
    run = make_run(tmp_path / "run", checkpoints=True)
    best = json.loads((run.directory / "best.json").read_text())
    shutil.move(run.directory / "best" / "30", run.directory / "best" / "40")
    (run.directory / "best.json").write_text(json.dumps(best | {"iteration": 40}))
    text, found = write([run], tmp_path)
    assert "Best and last samples" in found.headings
    assert "Best and last checkpoint, iteration 40" in text
    assert list(page.of_run(run, "run", None, brief=False).samples) == ["best and last"]


def test_a_comparison_has_one_legend(tmp_path):
    runs = [make_run(tmp_path / name) for name in "ab"]
    text, _ = write(runs, tmp_path)
    compared = text[text.index('<section class="compared">') : text.index("<h2>Each run")]
    assert compared.count("<li>") == 2
    write_lines(runs[0].directory / "metrics.jsonl", {"iteration": 5, "d/loss": math.nan})
    text, _ = write(runs, tmp_path)
    assert "<em>a: not finite at 1 of 1</em>" in text
