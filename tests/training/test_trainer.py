"""The trainer: exact resume, devices and processes that do not matter, and what a run leaves."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import assert_same, largest_difference
from PIL import Image

import gan_jax
from gan_jax.config import Optimizer, to_json
from gan_jax.data import Data, Description
from gan_jax.errors import DivergedError, InputError
from gan_jax.networks import dcgan, mlp
from gan_jax.runs import Run
from gan_jax.runs.lock import alone
from gan_jax.steps import Alternation
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training.train import Result
from gan_jax.training.trainer import Trainer

# Intervals that do not divide each other, so that calls of the program have odd lengths.
POINTS = Config(
    name="points",
    iterations=12,
    batch_size=16,
    data=Data(source="ring"),
    objective=Objective(latent_dim=2, penalties={"r1": 0.1}),
    alternation=Alternation(d_steps=2),
    generator=mlp.GeneratorSection(width=8, depth=2),
    discriminator=mlp.DiscriminatorSection(width=8, depth=2),
    log_every=4,
    sample_every=12,
    checkpoint_every=6,
)
IMAGES = dataclasses.replace(
    POINTS,
    data=Data(source="digits", flip=True),
    objective=Objective(latent_dim=4, conditional=True, loss="relativistic_average"),
    alternation=Alternation(),
    generator=dcgan.GeneratorSection(width=2),
    discriminator=dcgan.DiscriminatorSection(width=2, norm="spectral"),
)


def changed(config: Config, **fields) -> Config:
    return dataclasses.replace(config, **fields)


def test_only_classes_that_were_trained_on_are_shown():
    """Of data without some of their classes, which had ten nevertheless in earlier versions."""
    data = Description((8, 8, 1), 10, 100, "")
    some = changed(IMAGES, data=Data(classes=(8, 3))).build(data)
    assert list(some.labels(5)) == [3, 8, 3, 8, 3]
    assert list(some.labels(2, 8)) == [8, 8]
    with pytest.raises(InputError, match="label 5 is none of"):
        some.labels(2, 5)
    everything = IMAGES.build(data)
    assert list(everything.labels(11)) == [*range(10), 0]
    named = dataclasses.replace(data, num_classes=2, class_names=("owl", "7"))
    of_two = changed(IMAGES, data=Data(classes=("owl", 7))).build(named)
    assert list(of_two.labels(3)) == [0, 1, 0]
    assert list(of_two.labels(1, "owl")) == [0]
    assert list(of_two.labels(1, 7)) == [1]
    with pytest.raises(InputError, match="label cat is none of the classes owl, 7"):
        of_two.labels(1, "cat")


def script(tmp_path: Path, config: Config) -> Path:
    """An experiment file for `config`."""
    path = tmp_path / "experiment.py"
    path.write_text(
        "import json\nfrom gan_jax import cli\nfrom gan_jax.config import Config, from_json\n"
        f"cli.experiment(from_json(Config, {to_json(config)!r}), 'A test.')\n"
    )
    return path


def launch(path: Path, *flags, devices: int = 4, **options) -> subprocess.Popen:
    """A fresh process that runs an experiment file."""
    flags_here = os.environ["XLA_FLAGS"]
    environment = os.environ | {
        "XLA_FLAGS": flags_here.replace("device_count=4", f"device_count={devices}"),
        "JAX_NUM_CPU_DEVICES": str(devices),
    }
    return subprocess.Popen(
        [sys.executable, str(path), *map(str, flags)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def launch_two(path: Path, flags: list, only_second: tuple = ()) -> list[subprocess.Popen]:
    """Two processes of two devices each, that train together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    together = [*flags, "--distributed", f"localhost:{port}", "--processes", 2]
    return [
        launch(path, *together, "--process-id", i, *(only_second if i else ()), devices=2)
        for i in range(2)
    ]


def finish(process: subprocess.Popen, status: int = 0) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status, output
    return output


def wait_until(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def checkpoints_in(directory: Path) -> list[int]:
    """Those that are whole: Orbax gives them their name last."""
    names = [path.name for path in directory.glob("checkpoints/*")]
    return sorted(int(name) for name in names if name.isdigit())


def logged(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Each run, uninterrupted, on the 4 devices here."""
    results = {}

    def get(config: Config) -> Result:
        key = to_json(config)
        if key not in results:
            results[key] = gan_jax.train(config, out=tmp_path_factory.mktemp("whole"))
        return results[key]

    return get


# ---- invariant 3: exact resume ----


def test_resuming_in_a_fresh_process_is_exact(whole, tmp_path):
    out = tmp_path / "run"
    path = script(tmp_path, POINTS)
    gan_jax.train(changed(POINTS, iterations=6), out=out)
    output = finish(launch(path, "--out", out))
    assert "going on from the checkpoint at iteration 6" in output
    resumed = Run.open(out).states()
    assert_same(resumed, whole(POINTS)[:2])


def test_resuming_is_exact_with_all_that_states_hold(whole, tmp_path):
    """Statistics of norms and moving averages beside parameters, and labelled, mirrored images."""
    gan_jax.train(changed(IMAGES, iterations=6), out=tmp_path)
    assert_same(gan_jax.train(IMAGES, out=tmp_path)[:2], whole(IMAGES)[:2])


def test_however_a_run_is_cut_it_is_the_same(whole, tmp_path):
    """Other intervals, an interruption off every boundary, and a longer total."""
    first = changed(POINTS, iterations=5, log_every=3, sample_every=2, checkpoint_every=100)
    gan_jax.train(first, out=tmp_path)
    second = changed(POINTS, log_every=100, checkpoint_every=7)
    result = gan_jax.train(second, out=tmp_path)
    assert_same(result[:2], whole(POINTS)[:2])


def test_kill_9_loses_no_more_than_an_interval(tmp_path):
    out = tmp_path / "run"
    # So long that it cannot end before it is killed.
    path = script(tmp_path, changed(POINTS, iterations=10**7, checkpoint_every=20, log_every=10))
    process = launch(path, "--out", out)
    wait_until(lambda: len(checkpoints_in(out)) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()

    seen, reached = logged(out)[-1]["iteration"], checkpoints_in(out)[-1]
    assert reached >= seen - 2 * 20  # the one being written may be lost with the process
    (out / "metrics.jsonl").open("a").write('{"iteration": 99')  # cut short
    end = reached + 10
    resumed = gan_jax.train(changed(POINTS, iterations=end), out=out)
    uninterrupted = gan_jax.train(changed(POINTS, iterations=end), out=tmp_path / "whole")
    assert_same(resumed[:2], uninterrupted[:2])
    iterations = [entry["iteration"] for entry in logged(out)]
    assert iterations == sorted(set(iterations))


def test_ctrl_c_saves_and_exits(tmp_path):
    out = tmp_path / "run"
    path = script(tmp_path, changed(POINTS, iterations=10**7, checkpoint_every=10**7))
    process = launch(path, "--out", out, devices=1)
    wait_until(lambda: (out / "metrics.jsonl").exists() and logged(out), process)
    process.send_signal(signal.SIGINT)
    output = finish(process, status=130)
    assert f"resume {out}" in output
    assert "Traceback" not in output
    assert Run.open(out).states()[0].step > 0


def test_ctrl_c_while_starting_ends_cleanly(tmp_path):
    out = tmp_path / "run"
    path = script(tmp_path, changed(POINTS, iterations=10**7))
    process = launch(path, "--out", out, devices=1)
    wait_until(lambda: (out / "config.json").exists(), process)
    process.send_signal(signal.SIGINT)
    output = finish(process, status=130)
    assert "stopped" in output
    assert "Traceback" not in output
    assert ("to go on: " in output) == bool(checkpoints_in(out))


def test_a_directory_is_one_process_s_at_a_time(tmp_path):
    config = changed(POINTS, iterations=2)
    gan_jax.train(config, out=tmp_path)
    more = changed(POINTS, iterations=4)
    with alone(tmp_path), pytest.raises(InputError, match="another process is training"):
        gan_jax.train(more, out=tmp_path)
    gan_jax.train(more, out=tmp_path)
    assert checkpoints_in(tmp_path)[-1] == 4


# ---- invariant 4: devices do not matter ----


def test_one_device_gives_what_four_give(whole, tmp_path):
    out = tmp_path / "run"
    output = finish(launch(script(tmp_path, IMAGES), "--out", out, devices=1))
    assert "on 1 CPU device" in output
    one, four = Run.open(out), Run.open(whole(IMAGES).directory)
    samples = one.sample(20), four.sample(20)
    np.testing.assert_allclose(*samples, atol=1e-4)
    assert np.std(samples[0]) > 0.001
    assert largest_difference(one.states(), four.states()) < 5e-3


def test_two_processes_give_what_one_gives(whole, tmp_path):
    """2 processes × 2 devices go on from a checkpoint, train and save; 1 process × 4 devices does
    the same."""
    out = tmp_path / "run"
    gan_jax.train(changed(IMAGES, iterations=6), out=out)
    first, second = map(finish, launch_two(script(tmp_path, IMAGES), ["--out", out]))
    assert "going on from the checkpoint at iteration 6" in first
    assert "done:" in first
    assert "done:" not in second
    states = Run.open(out).states()
    assert largest_difference(states, whole(IMAGES)[:2]) < 2e-3
    assert [e["iteration"] for e in logged(out)] == [4, 6, 8, 12]  # one writer
    task = Run.open(out).task
    samples = [Run(d, task).sample(20) for d in (out, whole(IMAGES)[2])]
    np.testing.assert_allclose(*samples, atol=2e-3)


@pytest.mark.parametrize(
    ("only_second", "first_says", "second_says"),
    [
        (("--seed", 1), "not started alike", "not started alike"),
        (("--data.source", "npz:nowhere"), "another process could not start", "no file nowhere"),
    ],
    ids=["other flags", "no data"],
)
def test_processes_start_together_or_not_at_all(only_second, first_says, second_says, tmp_path):
    flags = ["--out", tmp_path / "run"]
    processes = launch_two(script(tmp_path, POINTS), flags, only_second)
    first, second = (finish(process, status=2) for process in processes)
    assert first_says in first
    assert second_says in second
    assert not (tmp_path / "run").exists()


def test_replicas_stay_identical(tmp_path):
    """After training, every device holds the same bits."""
    replicas = []

    class Watching(Trainer):
        def train(self, d, g, first):
            d, g, reached = super().train(d, g, first)
            replicas.extend(jax.tree.leaves((d, g)))
            return d, g, reached

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gan_jax.training.train.Trainer", Watching)
        gan_jax.train(IMAGES, out=tmp_path)
    assert replicas
    for leaf in replicas:
        shards = [np.asarray(shard.data).tobytes() for shard in leaf.addressable_shards]
        assert len(shards) == 4
        assert len(set(shards)) == 1


# ---- what a run is and leaves ----


def test_a_seed_reproduces_a_run_and_another_does_not(whole, tmp_path):
    assert_same(gan_jax.train(POINTS, out=tmp_path / "a")[:2], whole(POINTS)[:2])
    other = gan_jax.train(changed(POINTS, seed=1), out=tmp_path / "b")
    assert largest_difference(other.g.params, whole(POINTS).g.params) > 0.01


def test_streamed_data_train_as_resident_ones(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    for i in range(40):
        path = folder / str(i % 3) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    config = changed(IMAGES, data=Data(source=f"folder:{folder}", flip=True))
    resident = gan_jax.train(config, out=tmp_path / "resident")
    streamed = changed(config, data=dataclasses.replace(config.data, budget_gib=0.0))
    result = gan_jax.train(streamed, out=tmp_path / "streamed")
    assert largest_difference(result[:2], resident[:2]) < 1e-3
    # and it may go on resident where it stopped streaming
    gan_jax.train(changed(config, iterations=13), out=tmp_path / "streamed")


def test_periods_take_turns_by_epochs(tmp_path):
    """1,797 digits in batches of 600: epochs begin at iterations 0, 3, 6, 9, 12 (by examples seen:
    0, 1,800, 3,600, 5,400, 7,200). D trains for two epochs, then G for one."""
    config = changed(
        IMAGES, batch_size=600, iterations=12, alternation=Alternation(d_epochs=2, g_epochs=1)
    )
    result = gan_jax.train(config, out=tmp_path)
    # Iterations 0 to 5 are D's, 6 to 8 G's, 9 to 11 D's again.
    assert (result.d.step, result.g.step) == (9, 3)
    kinds = [{name[0] for name in entry if name[1] == "/"} for entry in logged(tmp_path)]
    assert kinds == [{"d"}, {"d", "g"}, {"d", "g"}]  # logged at 4, 8, 12


def test_what_a_run_leaves(whole):
    directory = whole(IMAGES).directory
    assert Run.open(directory).config == IMAGES
    assert [e["iteration"] for e in logged(directory)] == [4, 8, 12]
    entry = logged(directory)[-1]
    assert {"d/loss", "g/loss", "d/accuracy", "images_per_second", "epoch"} <= set(entry)
    assert entry["images"] == 12 * 16
    assert list(directory.glob("events.out.tfevents*"))
    assert sorted(p.name for p in directory.glob("samples/*")) == ["0000000.png", "0000012.png"]
    with Image.open(directory / "samples" / "0000012.png") as sheet:
        assert sheet.width == sheet.height  # 10 classes × 10 samples
    assert sorted(p.name for p in directory.glob("checkpoints/*")) == ["12", "6"]


def test_logged_metrics_are_averages_over_the_interval(whole, tmp_path):
    each = gan_jax.train(changed(POINTS, log_every=1), out=tmp_path)
    fine, coarse = logged(each.directory), logged(whole(POINTS).directory)
    mean = np.mean([entry["d/loss"] for entry in fine[4:8]])
    np.testing.assert_allclose(coarse[1]["d/loss"], mean, rtol=1e-5)


def test_retention(tmp_path):
    config = changed(POINTS, checkpoint_every=2, keep_last=2, keep_every=4)
    gan_jax.train(config, out=tmp_path)
    assert Run.open(tmp_path).checkpoints().all() == [4, 8, 10, 12]


def test_batches_move_with_the_iteration(tmp_path):
    """Each iteration trains on its own batches: learning rate 0, and yet the loss differs."""
    still = Optimizer(learning_rate=0.0)
    config = changed(POINTS, log_every=1, d_optimizer=still, g_optimizer=still)
    gan_jax.train(config, out=tmp_path)
    losses = [entry["d/real_logit"] for entry in logged(tmp_path)]
    assert len(set(losses)) == len(losses)


# ---- resuming what is not the same ----


def test_a_changed_config_is_refused_by_name(tmp_path):
    gan_jax.train(changed(POINTS, iterations=2), out=tmp_path)
    before = (tmp_path / "config.json").read_text()
    other = changed(POINTS, batch_size=8, objective=Objective(latent_dim=2, penalties={"r1": 0.3}))
    with pytest.raises(InputError, match=r"batch_size: 16 → 8; objective.penalties.r1: 0.1 → 0.3"):
        gan_jax.train(other, out=tmp_path)
    assert (tmp_path / "config.json").read_text() == before


def test_fork_goes_on_under_another_config(whole, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    gan_jax.train(changed(POINTS, iterations=6), out=old)
    before = sorted(p for p in old.rglob("*") if p.is_file())
    other = changed(POINTS, objective=Objective(latent_dim=2, penalties={"r1": 5.0}))
    result = gan_jax.train(other, out=old, fork=new)
    assert result.directory == new
    assert result.d.step == 24
    assert sorted(p for p in old.rglob("*") if p.is_file()) == before
    assert json.loads((new / "fork.json").read_text())["iteration"] == 6
    assert Run.open(new).checkpoints().all() == [6, 12]
    assert largest_difference(result.d.params, whole(POINTS).d.params) > 1e-3
    # Unchanged, a fork is the run itself.
    same = gan_jax.train(POINTS, out=old, fork=tmp_path / "same")
    assert_same(same[:2], whole(POINTS)[:2])


def test_a_fork_of_a_finished_run_stands_on_its_own(tmp_path):
    config = changed(POINTS, iterations=2)
    old = gan_jax.train(config, out=tmp_path / "old")
    new = gan_jax.train(config, out=tmp_path / "old", fork=tmp_path / "new")
    assert_same(new[:2], old[:2])
    assert Run.open(tmp_path / "new").latest() == 2


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    gan_jax.train(changed(POINTS, iterations=1), out=old)
    wider = changed(POINTS, discriminator=mlp.DiscriminatorSection(width=9, depth=2))
    with pytest.raises(InputError, match=r"d/opt_state/0/mu/Dense_0/bias is \(8,\) .* \(9,\)"):
        gan_jax.train(wider, out=old, fork=new)


def test_changed_data_are_refused(tmp_path):
    def write(n):
        np.savez(tmp_path / "points.npz", points=np.arange(2.0 * n).reshape(n, 2))

    config = changed(POINTS, iterations=1, data=Data(source=f"npz:{tmp_path / 'points.npz'}"))
    write(30)
    gan_jax.train(config, out=tmp_path / "run")
    write(31)
    with pytest.raises(InputError, match="27 examples then, 28 now"):
        gan_jax.train(changed(config, iterations=2), out=tmp_path / "run")


def test_divergence_stops_the_run_and_saves_nothing_bad(tmp_path):
    gan_jax.train(changed(POINTS, iterations=6), out=tmp_path)
    runaway = changed(POINTS, iterations=40, d_optimizer=Optimizer(learning_rate=1e25))
    with pytest.raises(DivergedError) as error:
        gan_jax.train(runaway, out=tmp_path, fork=tmp_path / "fork")
    message = str(error.value)
    assert "discriminator's loss or gradient is not finite at iteration 6;" in message
    assert message.endswith(str(tmp_path / "fork" / "checkpoints" / "6"))
    d, _ = Run.open(tmp_path / "fork").states()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(d.params))


@pytest.mark.filterwarnings("ignore:overflow")  # of 1e39 to infinity
def test_an_update_that_is_not_finite_is_not_saved(tmp_path):
    """One iteration: losses and gradients are finite still, the parameters no more."""
    runaway = changed(POINTS, iterations=1, g_optimizer=Optimizer(learning_rate=1e39))
    with pytest.raises(DivergedError, match=r"generator's .* iteration 0; there is no checkpoint"):
        gan_jax.train(runaway, out=tmp_path)
    assert not checkpoints_in(tmp_path)
