"""That the benchmarks measure what they say."""

import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from PIL import Image

from benchmarks import (
    accelerator,
    accelerator_parts,
    flops,
    growth,
    jax_side,
    options,
    pytest_log,
    records,
    throughput,
)
from benchmarks.workloads import WORKLOADS
from gan_jax.data import pack
from gan_jax.networks import layers
from gan_jax.steps import alternate
from gan_jax.tasks.base import initial_states


def test_flops_of_products_and_convolutions():
    x, w = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert flops.count(jnp.matmul, x, w) == 2 * 3 * 4 * 5
    assert flops.count(jnp.matmul, x, w[:, 0]) == 0
    assert flops.count(jax.vmap(jnp.matmul), jnp.ones((6, 3, 4)), jnp.ones((6, 4, 5))) == 720
    images, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((4, 4, 3, 5))
    assert flops.count(layers._down, images, kernel) == 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3)


def test_flops_of_gradients():
    """Each of a convolution's two gradients costs what it costs, also where strides dilate them."""
    images, kernel = jnp.ones((2, 8, 8, 6)), jnp.ones((4, 4, 6, 5))
    forward = flops.count(layers._down, images, kernel)

    def both(x, k):
        return jax.grad(lambda x, k: jnp.sum(layers._down(x, k) ** 2), (0, 1))(x, k)

    assert flops.count(both, images, kernel) == 3 * forward

    def grouped(x, k):
        return layers._convolve(x, k, (1, 1), (1, 1), groups=2)

    kernel = jnp.ones((3, 3, 3, 4))

    def grouped_both(x, k):
        return jax.grad(lambda x, k: jnp.sum(grouped(x, k) ** 2), (0, 1))(x, k)

    assert flops.count(grouped, images, kernel) == 2 * (2 * 8 * 8 * 4) * (3 * 3 * 3)
    assert flops.count(grouped_both, images, kernel) == 3 * flops.count(grouped, images, kernel)


def test_flops_of_loops():
    x = jnp.ones((4, 4))

    def repeated(x):
        return jax.lax.scan(lambda c, _: (c @ x, None), x, length=7)[0]

    assert flops.count(repeated, x) == 7 * 2 * 4**3
    with pytest.raises(ValueError, match="while"):
        flops.count(lambda x, n: jax.lax.fori_loop(0, n, lambda _, c: c @ x, x), x, 3)


def test_unused_results_cost_nothing():
    assert flops.count(lambda x: (x @ x, x)[1], jnp.ones((4, 4))) == 0


def small(name):
    workload = WORKLOADS[name]
    resolution = None if workload.resolution is None else max(8, workload.resolution // 4)
    if workload.network in ("resnet", "cyclegan", "unet", "rrdb"):
        resolution = 32
    return dataclasses.replace(
        workload, width=8, batch_size=4, resolution=resolution, examples=8, iterations=2
    )


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_do_the_same_work(name):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (it is an extra of the benchmark only)")
    from benchmarks import torch_side

    workload = small(name)
    theirs = torch_side.build(workload, "eager")
    d, g = jax.eval_shape(lambda: initial_states(jax_side.task_of(workload)))
    sizes = {"d": d, "g": g}
    sizes = {k: sum(x.size for x in jax.tree.leaves(s.params)) for k, s in sizes.items()}
    assert sizes == theirs.parameters()
    assert theirs.flops() == pytest.approx(jax_side.flops_of(workload), rel=0.02)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_train(name):
    workload = small(name)
    task = jax_side.task_of(workload)
    task.config.validate()
    d, g = jax.eval_shape(lambda: initial_states(task))
    batches = jax_side.batches_of(workload)
    step = functools.partial(
        alternate, objective=task.objective, alternation=task.config.alternation
    )
    new_d, new_g, metrics = jax.eval_shape(step, d, g, batches, jax.random.key(0))
    assert jax.tree.structure((new_d, new_g)) == jax.tree.structure((d, g))
    assert metrics["d"]["loss"].shape == ()


def test_flops_do_not_depend_on_the_form_that_was_traced_before():
    workload = small("unet64")
    plain = jax_side.flops_of(workload)
    task = jax_side.task_of(workload)
    d, g = jax.eval_shape(lambda: initial_states(task))
    batches = jax_side.batches_of(workload)
    step = functools.partial(
        alternate, objective=task.objective, alternation=task.config.alternation
    )
    assert flops.count(step, d, g, batches, jax.random.key(0)) != plain  # in the canonical form
    assert jax_side.flops_of(workload) == plain


def test_a_workload_is_trained_by_the_training_program():
    training = jax_side.build(small("mlp"), "program")
    assert training.compile_seconds > 0
    before = training.digest()
    assert training.run(3) > 0  # two calls
    assert training.iteration == 3
    assert training.digest() != before
    assert int(training.d.step) == int(training.g.step) == 3
    assert training.memory() > 0


def test_table_of_throughput():
    side = {
        "ms": 2.0, "images_per_s": 5.0, "of_matmul": 0.5, "of_convolution": 0.25, "peak_gib": 1.0,
        "compile_s": 1.5, "first_step_s": 3.0,
    }  # fmt: skip
    figures = {"workload": {"name": "mlp"}, "flops": 10**9, "jax": side}
    other = figures | {
        "torch": side | {"ms": 3.0, "variant": "eager"}, "ratio": 1.5, "ratio_of_turns": [1.4, 1.6]
    }  # fmt: skip
    *_, alone, beside = throughput.table([figures, other]).splitlines()
    assert "| mlp | 1 | 2 | 5 | — | — | 0.50 | 0.25 | 1.0 | 1.5 | 3.0 |" in alone
    assert "| 3 (eager) | **1.50** (1.40–1.60) |" in beside


def test_slope_of_growth():
    assert growth.exponent((1, 2, 4), [9.0, 5.0, 20.0]) == pytest.approx(2.0)


def test_packed_images_are_measured_against_their_folder(tmp_path):
    for i in range(3):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    packed = pack(f"folder:{tmp_path}", tmp_path / "packed").folder
    options = records.Options(tmp_path, resolution=4, rounds=2)
    found = records.measure(options, packed)
    assert set(found) == {f"{w}, {s}" for w in records.WORK for s in ("warm", "cold")}
    assert all(len(rates[name]) == 2 for rates in found.values() for name in ("folder", "records"))


def test_table_of_packed_images():
    rates = {"opening, warm": {"folder": [100.0, 200.0, 400.0], "records": [200.0, 300.0, 1200.0]}}
    assert "| opening, warm | 200 | 300 | 2.00 (1.50–3.00) |" in records.table(rates)


class Script:
    """Parts that are a line of Python each, in place of the real ones."""

    HEAD = (
        "import json, sys, time; out = sys.argv[sys.argv.index('--out') + 1]; "
        "put = lambda **f: open(out, 'w').write(json.dumps(f)); sys.stdin.readline(); "
    )

    def __init__(self, **parts):
        self.parts, self.begun = parts, []

    def __call__(self, name):
        self.begun.append(name)
        return [sys.executable, "-S", "-c", self.HEAD + self.parts[name]]


def drive(path, script, *groups, minutes=1.0):
    results = accelerator.Results(path)
    driver = accelerator.Driver(accelerator.Options(path, minutes), results, script)
    driver.run([tuple(accelerator.Part(*part) for part in group) for group in groups])
    return json.loads(path.read_text())["parts"]


def test_parts_of_the_accelerator(tmp_path, capsys):
    """One that fails or hangs leaves what it had and its last words, and the next one goes on; what
    is there is not measured again, unless it failed."""
    path = tmp_path / "deep" / "found.json"
    script = Script(
        good="put(ms=1.5)",
        bad="put(ms=2.5); print('before'); sys.exit('no such device')",
        hangs="import signal; signal.signal(signal.SIGUSR1, lambda *_: print('here', flush=True)); "
        "put(ms=3.5); time.sleep(60)",
        last="put(ms=4.5)",
    )
    groups = [("good", 20.0)], [("bad", 20.0), ("hangs", 1.0)], [("last", 20.0)]
    parts = drive(path, script, *groups)
    assert parts["good"]["ms"] == 1.5
    assert "error" not in parts["good"]
    assert parts["bad"]["ms"] == 2.5
    assert parts["bad"]["error"] == "before\nno such device"
    assert parts["hangs"]["ms"] == 3.5
    assert parts["hangs"]["error"].endswith("last lines:\nhere")
    assert "stopped after" in parts["hangs"]["error"]
    assert parts["last"]["ms"] == 4.5
    assert "bad: FAILED" in capsys.readouterr().out

    again = Script(bad="put(ms=5.5)", hangs="put(ms=6.5)")
    parts = drive(path, again, *groups)
    assert sorted(again.begun) == ["bad", "hangs"]
    assert [parts[name]["ms"] for name in ("good", "bad", "hangs", "last")] == [1.5, 5.5, 6.5, 4.5]
    assert not any("unfinished" in figures or "error" in figures for figures in parts.values())


def test_no_part_begins_without_time(tmp_path, capsys):
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"environment": {}, "parts": {"old": {"ms": 1}}}))
    script = Script()
    assert drive(path, script, [("new", 20.0)], minutes=0.1) == {"old": {"ms": 1}}
    assert script.begun == []
    assert "new: no time left" in capsys.readouterr().out


def test_every_part_has_something_to_measure(tmp_path):
    for small in (False, True):
        groups = accelerator.plan(accelerator.Options(tmp_path / "found.json", small=small))
        names = [part.name for group in groups for part in group]
        assert len(set(names)) == len(names)
        assert {name.partition("/")[0] for name in names} <= {
            "throughput", *accelerator_parts.PARTS
        }  # fmt: skip


def test_parts_are_chosen_by_the_beginnings_of_their_names(tmp_path):
    options = accelerator.Options(tmp_path / "found.json", only=("presets/r3gan", "digits"))
    names = [part.name for group in accelerator.plan(options) for part in group]
    assert names == ["digits", "presets/r3gan-cifar10", "presets/r3gan-ffhq-64"]


def test_table_of_an_accelerator():
    side = {
        "ms": 2.0, "images_per_s": 5000.0, "gflops": 300.0, "of_matmul": 0.5, "peak_gib": 1.0,
        "compile_s": 1.5,
    }  # fmt: skip
    preset = {"ms": 9.0, "images_per_s": 10.0, "hours": 3.25, "memory_gib": 7.0, "compile_s": 40.0}
    parts = {
        "device": {"backend": "gpu"},
        "tests": {"passed": 3, "failures": {"tests/test_a.py::test_b": "assert | 1"}},
        "throughput/mlp/float32": {"jax": side, "torch": side | {"ms": 6.0}},
        "compiled/mlp/float32": {"ms": 3.0},
        "throughput/sngan32/float32": {"jax": side},
        "dispatch/mlp": {
            "of_64": {"ms": 1.0}, "of_1": {"ms": 4.0}, "host_share_of_single_calls": 0.75
        },
        "determinism/mlp": {"plain_equal": False, "deterministic_equal": True, "cost": 0.125},
        "presets/x": {
            "published_batch_size": 64, "bfloat16": preset | {"batch_size": 32},
        },
        "presets/y": {"error": "last\nwords"},
        "presets/z": {"published_batch_size": 64, "unfinished": True},
        "training/cifar10": {
            "iterations": 1000, "images": 5, "images_per_s": 2.0,
            "scores": [{"iteration": 500, "conventions": "train", "scores": {"FID": 12.0}}],
        },
    }  # fmt: skip
    text = accelerator.table(parts)
    for row in (
        "| device | backend gpu |",
        "| mlp/float32 | 2 | 5,000 | 300 | 0.500 | 6 | 3 | **1.50** | 1.0 / 1.0 | 1.5 |",
        "| sngan32/float32 | 2 | 5,000 | 300 | 0.500 | — | — | — | 1.0 | 1.5 |",
        "one in a call, the host's share | 1, 4, 75.0% |",
        "its cost | False, True, +12.5% |",
        "| x | 32 (halved: memory) | 9 | 10 | 3.2 | 7.0 | 40 |",
        "| iteration 500 | FID 12 [train] |",
        "| presets/y | words |",
        "| tests/test_a.py::test_b | assert / 1 |",
    ):
        assert row in text
    assert accelerator.table({}) == ""


def test_pytest_writes_down_every_result(tmp_path):
    test = tmp_path / "test_three.py"
    test.write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'one'\n"
        "@pytest.mark.skip(reason='not here')\n"
        "def test_skipped(): pass\n"
    )
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "benchmarks.pytest_log"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"}
    environment |= {"PYTEST_LOG": str(log), "PYTHONPATH": str(accelerator.ROOT)}
    command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_three.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    found = pytest_log.read(log)
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 1, 1)
    assert found["failures"] == {"test_three.py::test_bad": "AssertionError: one"}
    assert "not here" in found["skips"]["test_three.py::test_skipped"]


def test_what_default_options_cost(monkeypatch, tmp_path, capsys):
    out = tmp_path / "found.json"
    flags = ["--workloads", "mlp", "--turns", "3", "--seconds", "0.01", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["options", *flags])
    options.main()
    found = json.loads(out.read_text())["workloads"]["mlp"]
    assert (found["batch_size"], len(found["ratio_of_turns"])) == (64, 3)
    assert all(0.1 < ratio < 10 for ratio in found["ratio_of_turns"])
    assert capsys.readouterr().out.startswith(f"mlp: {found['ratio']:.2f} (")
