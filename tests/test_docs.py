"""What the documentation shows works as it stands."""

import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gan_jax

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Language, title and text of the code blocks of a page that have a title."""
    return _BLOCK.findall((DOCS / page).read_text())


def load(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A whole GAN in 100 lines.


def test_the_whole_gan_has_100_lines_and_needs_the_core_only():
    source = (DOCS / "hundred_lines.py").read_text()
    assert len(source.splitlines()) <= 100
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported <= {"functools", "flax", "jax", "numpy", "optax", "gan_jax"}


def test_the_whole_gan_learns_the_ring():
    whole = load("hundred_lines", DOCS / "hundred_lines.py")
    _, scores = whole.train(iterations=300)
    first, last = scores[0], scores[-1]
    assert len(scores) == 3
    assert last.covered >= 6  # of 8; one mode is what a collapsed generator has
    assert last.high_quality > max(0.3, first.high_quality)


def test_the_whole_gan_draws_points_where_they_are():
    whole = load("hundred_lines", DOCS / "hundred_lines.py")
    lines = whole.draw(np.array([[1.29, 1.29]] * 2 + [[-1.29, -1.29]])).split("\n")
    assert lines[0].endswith(":")  # two points at the top on the right
    assert lines[-1].startswith(".")
    assert "".join(lines).count(" ") == 30 * 60 - 2


# The README.


def test_the_readme_is_short_and_names_no_commit():
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert not re.search(r"\bcommit [0-9a-f]{7}", text)


def test_the_readmes_example_for_importers_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    code = code.replace("(64, 32, 32, 3)", "(4, 8, 8, 1)")
    code = code.replace("Generator()", "Generator(resolution=8, channels=1, width=2)")
    code = code.replace("Discriminator()", "Discriminator(resolution=8, width=2)")
    names: dict = {}
    exec(code, names)
    assert (names["d"].step, names["g"].step) == (1, 1)
    assert np.isfinite(float(names["metrics"]["d"]["loss"]))


@pytest.mark.parametrize("page", [README, *sorted(DOCS.rglob("*.md"))], ids=lambda p: p.stem)
def test_links_and_images_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", page.read_text())
    targets += re.findall(r'<img src="([^"]+)"', page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_tables_are_up_to_date(capsys):
    tables = load("make_tables", DOCS / "make_tables.py")
    assert tables.main(["--check"]) == 0, capsys.readouterr().out


def test_a_table_whose_results_changed_is_not_up_to_date(tmp_path, monkeypatch, capsys):
    tables = load("make_tables", DOCS / "make_tables.py")
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setitem(tables.TABLES, "toy", lambda: tables.markdown(["a"], [["1"]]))
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- table: toy -->\n<!-- end -->\n\nAfter.\n")
    assert tables.main(["--check"]) == 1
    assert "page.md is not up to date" in capsys.readouterr().out
    assert tables.main([]) == 0
    assert "| a |\n| --- |\n| 1 |\n" in page.read_text()
    assert page.read_text().startswith("Before.\n")
    assert page.read_text().endswith("\n\nAfter.\n")
    assert tables.main(["--check"]) == 0


# The guides.


class _Layer(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        x = nn.Dense(self.features)(x)
        return x if self.features > 1 else x[:, 0]


def test_the_objective_of_the_guide_trains_either_network_alone():
    ((_, _, code),) = blocks("guides/objective.md")
    guide = types.ModuleType("guide")
    sys.modules["guide"] = guide  # where struct looks for a class's annotations
    exec(code, guide.__dict__)
    objective = guide.Paired(l1=1.0)
    batch = {"input": jnp.ones((4, 2)), "target": jnp.zeros((4, 2))}
    d, g = gan_jax.create_train_states(
        jax.random.key(0), generator=_Layer(2), discriminator=_Layer(1), objective=objective,
        batch=batch, d_tx=optax.sgd(0.1), g_tx=optax.sgd(0.1),
    )  # fmt: skip
    options = {"objective": objective}
    new_d, _ = gan_jax.d_step(d, g, batch, jax.random.key(1), **options)
    new_g, metrics = gan_jax.g_step(g, d, batch, jax.random.key(1), **options)
    kernel = np.asarray(g.params["Dense_0"]["kernel"])
    # Inputs are 1 and targets 0: the distance is that of the kernel's columns' sums from 0.
    np.testing.assert_allclose(metrics["distance"], np.abs(kernel.sum(axis=0)).mean(), rtol=1e-5)
    for new, old in ((new_d, d), (new_g, g)):
        before, after = (state.params["Dense_0"]["kernel"] for state in (old, new))
        assert not np.allclose(before, after)


@pytest.mark.parametrize("number", [0, 1])
def test_the_penalties_of_the_guide_are_what_they_say(number):
    text = (DOCS / "guides" / "penalty.md").read_text()
    codes = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    guide = types.ModuleType("penalties")
    sys.modules["penalties"] = guide
    for code in codes:
        exec(code, guide.__dict__)
    real, fake = jnp.array([[3.0], [4.0]]), jnp.zeros((2, 1))
    critic = gan_jax.Critic.of(lambda x: 2 * x[:, 0], real, fake)
    penalty = (guide.drift, guide.Drift(1e-3))[number]
    # Logits of 6 and 8: (36 + 64) / 2 = 50, times 1e-3.
    np.testing.assert_allclose(penalty(critic, real, fake, jax.random.key(0)), 0.05, rtol=1e-6)


# Developing.

CHECK = """
import jax, jax.numpy as jnp, numpy as np
from gan_jax import losses, steps
from gan_jax.config import from_json, to_json
from gan_jax.data import Data, load
from gan_jax.data.sources import Description
from gan_jax.evaluation.metric import metrics
from gan_jax.health import diagnosis
from gan_jax.networks.base import GeneratorSection
from gan_jax.tasks.generation import Config, Objective
from gan_jax.tasks.base import initial_states

section = GeneratorSection.of_kind("toy", "generator")(width=3)
config = from_json(Config, to_json(Config(
    batch_size=4, generator=section,
    objective=Objective(loss="pearson", latent_dim=2, penalties={"drift": 0.5}),
    discriminator=type(Config().discriminator).of_kind("toy", "discriminator")(width=5),
)))
config.validate()
task = config.build(Description((4, 4, 1), None, 8, ""))
d, g = initial_states(task)
assert g.params["Dense_0"]["kernel"].shape == (2, 3), g.params
batch = {"real": jnp.zeros((4, 4, 4, 1))}
d, seen = steps.d_step(d, g, batch, jax.random.key(0), objective=task.objective)
# Images are black and biases 0, so the logits are 0, and so is the penalty on them.
assert np.isfinite(seen["loss"]) and seen["penalty"] == 0

moons = load(Data(source="moons"), conditional=True).description
assert (moons.shape, moons.num_classes, moons.examples) == ((2,), 2, 10_000)

from gan_jax.cli.commands.size import COMMAND
assert "how many parameters" in COMMAND.__doc__

# Logits of 1 and 3; of 2: (4/4 + 2) - 2 = 1, and -2.
real, fake = jnp.array([1.0, 3.0]), jnp.array([2.0])
assert losses.LOSSES["pearson"].discriminator(real, fake) == 1
assert losses.LOSSES["pearson"].generator(real, fake) == -2

class Real:
    features = np.array([[0.0, 0.0], [0.0, 2.0]])

class Comparison:
    real, features, fake = Real(), np.array([[3.0, 5.0]]), np.zeros((1, 2))

# Means of (0, 1) and (3, 5) are 5 apart.
assert metrics()["mean_distance"].measure(Comparison()) == ({"mean distance": 5.0}, 2, 1)

check = {"auc": 0.9, "distance": 0.3, "feedback": 1.0, "d/update_ratio": 0.0, "g/update_ratio": 0.0}
history = [{"iteration": i, **check} for i in range(10)]
assert diagnosis.diagnose(history).state == "stalled", diagnosis.diagnose(history)
assert "stalled" in diagnosis.STATES and "stalled" not in diagnosis.GOOD
"""


def apply(diff: str, path: Path) -> None:
    """Makes a file what a diff without line numbers says it becomes."""
    lines = diff.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
    text = path.read_text()
    assert text.count(before) == 1, f"the diff does not fit {path}"
    path.write_text(text.replace(before, after))


def test_what_the_page_for_developers_adds_touches_one_file_each_and_works(tmp_path):
    package = tmp_path / "gan_jax"
    shutil.copytree(ROOT / "gan_jax", package, ignore=shutil.ignore_patterns("__pycache__"))
    toys = blocks("developing.md")
    sections = re.split(r"^## ", (DOCS / "developing.md").read_text(), flags=re.MULTILINE)
    for section in sections:
        assert len(_BLOCK.findall(section)) <= 1, "one file each"
    for language, title, text in toys:
        path = tmp_path / title
        if language == "diff":
            apply(text, path)
        else:
            assert not path.exists()
            assert path.parent.is_dir()
            path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
