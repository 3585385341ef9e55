"""The workloads on this project's own training program, with the networks that it ships."""

import functools
import hashlib
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

import flax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import flops
from benchmarks.worker import peak_resident_bytes
from benchmarks.workloads import Workload
from gan_jax.compilation import jit
from gan_jax.data import Data, Described, Description, Domains, Examples, Feed, Stream
from gan_jax.degradations.grey import GreySection
from gan_jax.degradations.small import BicubicSection
from gan_jax.networks import (
    cyclegan,
    dcgan,
    layers,
    mlp,
    patchgan,
    r3gan,
    resnet,
    rrdb,
    unet,
    unet_critic,
)
from gan_jax.networks.base import DiscriminatorSection, GeneratorSection
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, Pace, Tally, alternate
from gan_jax.tasks import restoration, translation
from gan_jax.tasks.base import Task, initial_states
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training.program import axis_indices, program_of, replicate


def networks(w: Workload) -> tuple[GeneratorSection, DiscriminatorSection]:
    """Both networks, as sections of a configuration."""
    options: Any = {"width": w.width, "dtype": w.dtype}
    if w.network == "mlp":
        return mlp.GeneratorSection(**options), mlp.DiscriminatorSection(**options)
    if w.network == "dcgan":
        return dcgan.GeneratorSection(**options), dcgan.DiscriminatorSection(**options)
    if w.network == "resnet":
        discriminator = resnet.DiscriminatorSection(**options, norm="spectral")
        return resnet.GeneratorSection(**options), discriminator
    options = {"widths": (w.width,) * w.stages, "dtype": w.dtype}
    return r3gan.GeneratorSection(**options), r3gan.DiscriminatorSection(**options)


def task_of(w: Workload) -> Task:
    """The workload as a run would train it."""
    if w.network == "cyclegan":
        return _translation(w)
    if w.network in ("unet", "rrdb"):
        return _restoration(w)
    generator, discriminator = networks(w)
    penalties = {} if w.penalty is None else {"r1": w.penalty, "r2": w.penalty}
    config = Config(
        name=w.name,
        batch_size=w.batch_size,
        objective=Objective(loss=w.loss, latent_dim=w.latent_dim, penalties=penalties),
        alternation=Alternation(d_steps=w.d_steps),
        generator=generator,
        discriminator=discriminator,
    )
    return config.build(Description(w.shape, None, w.examples, ""))


def _translation(w: Workload) -> translation.Translation:
    config = translation.Config(
        name=w.name,
        batch_size=w.batch_size,
        data=Domains(resolution=w.resolution, scaled_to=w.resolution, flip=False),
        objective=translation.Objective(loss=w.loss),
        generator=cyclegan.TranslatorSection(width=w.width, dtype=w.dtype),
        discriminator=patchgan.DiscriminatorSection(width=w.width, dtype=w.dtype),
    )
    data = Description(w.shape, None, w.examples, "")
    return config.build(Described(data, data))


def _restoration(w: Workload) -> restoration.Restoration:
    if w.network == "unet":
        generator = unet.TranslatorSection(width=w.width, dtype=w.dtype)
        discriminator = patchgan.DiscriminatorSection(width=w.width, dtype=w.dtype)
        degradation = GreySection()
    else:
        generator = rrdb.TranslatorSection(
            width=w.width, growth=w.width // 2, blocks=4, dtype=w.dtype
        )
        discriminator = unet_critic.DiscriminatorSection(width=w.width // 2, dtype=w.dtype)
        degradation = BicubicSection(scale=4)
    config = restoration.Config(
        name=w.name,
        batch_size=w.batch_size,
        data=Data(resolution=w.resolution),
        input=degradation,
        objective=restoration.Objective(loss=w.loss, pixel=1.0),
        generator=generator,
        discriminator=discriminator,
    )
    return config.build(Description(w.shape, None, w.examples, ""))


def batches_of(w: Workload) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of what one iteration sees."""
    shape = (w.d_steps, w.batch_size, *w.shape)
    kind = np.float32 if w.resolution is None else np.uint8
    examples = {name: jax.ShapeDtypeStruct(shape, kind) for name in w.arrays}
    task = task_of(w)
    return jax.eval_shape(lambda x, k: task.prepare(x, k, None), examples, jax.random.key(0))


def versions() -> dict[str, str]:
    return {
        "jax": jax.__version__,
        "flax": flax.__version__,
        "device": jax.devices()[0].device_kind,
        "devices": str(jax.device_count()),
    }


def forget_peak() -> None:
    """JAX cannot: its peak includes what XLA tried out while it compiled."""


def rates(dtype: str = "float32") -> dict[str, float]:
    """FLOP/s of a large matrix product and of a large convolution. On an accelerator they are
    larger, and several are asked for at once; on a CPU without bfloat16 they are small."""
    if jax.default_backend() == "cpu":
        side, batch, calls = (2048, 64, 1) if dtype == "float32" else (256, 1, 1)
    else:
        side, batch, calls = 8192, 1024, 10
    a = jax.random.normal(jax.random.key(0), (side, side), dtype)
    x = jax.random.normal(jax.random.key(1), (batch, 32, 32, 128), dtype)
    k = jax.random.normal(jax.random.key(2), (3, 3, 128, 128), dtype)

    def rate(function, arguments, flops):
        function, times = jit(function), []
        for _ in range(6):
            began = time.perf_counter()
            jax.block_until_ready([function(*arguments) for _ in range(calls)])
            times.append(time.perf_counter() - began)
        return calls * flops / min(times)

    return {
        "matmul": rate(jnp.matmul, (a, a), 2 * side**3),
        "convolution": rate(layers.conv_same, (x, k), 2 * batch * 32 * 32 * 9 * 128 * 128),
    }


def flops_of(w: Workload) -> int:
    """Of one iteration's products and convolutions, in their plain form."""
    task = task_of(w)
    iteration = functools.partial(
        alternate, objective=task.objective, alternation=task.config.alternation
    )
    with mock.patch.object(layers, "canonical_form", return_value=False):
        d, g = map(_apart, jax.eval_shape(lambda: initial_states(task)))
        return flops.count(iteration, d, g, batches_of(w), jax.random.key(0))


def _apart(state: TrainState) -> TrainState:
    """The same as another function, for which nothing was traced in the other form."""
    return state.replace(apply_fn=functools.partial(state.apply_fn))


def build(w: Workload, variant: str) -> "WorkloadTraining":
    """The workload, compiled; there is one variant of it."""
    return WorkloadTraining(w)


class Training:
    """The networks of a task and the compiled program that trains them, up to `capacity` iterations
    in a call."""

    def __init__(self, task: Task, streams: Sequence[Stream], *, capacity: int):
        config = task.config
        self.capacity = capacity
        self.feed = Feed(
            streams,
            [stream.order(config.seed, config.batch_size) for stream in streams],
            batches=config.alternation.batches,
            capacity=capacity,
            iterations=10**9,
            axis_indices=axis_indices(),
            members=jax.device_count(),
        )
        self.d, self.g = replicate(jax.tree.map(np.asarray, initial_states(task)))
        self.resident = replicate(self.feed.resident)
        self.iteration = 0
        self.program = program_of(task, Feed.select, capacity, config.alternation, paced=False)

    def compile(self) -> float:
        """Seconds until it is compiled."""
        began = time.perf_counter()
        self.program.compile(*self._arguments(0))
        return time.perf_counter() - began

    def _arguments(self, count: int):
        stop = np.zeros(jax.local_device_count(), np.int32)
        rows = self.feed.rows(self.iteration, count)
        start, number = np.int32(self.iteration), np.int32(count)
        pace = Pace(*map(np.int32, Pace()))
        return self.d, self.g, self.resident, rows, stop, start, number, jax.random.key(1), pace

    def run(self, iterations: int) -> float:
        """Seconds for this many. As in training, the host makes the rows of one call while the
        devices are at the one before."""
        began = time.perf_counter()
        end, flying = self.iteration + iterations, None
        while self.iteration < end:
            count = min(self.capacity, end - self.iteration)
            self.d, self.g, tally, _ = self.program(*self._arguments(count))
            self.iteration += count
            self._wait(flying)
            flying = tally
        self._wait(flying)
        return time.perf_counter() - began

    def _wait(self, tally: Tally | None) -> None:
        """
        Raises:
            RuntimeError: a loss was not finite.
        """
        if tally is None:
            return
        tally = jax.device_get(tally)
        if any(at >= 0 for at in tally.diverged.values()):
            raise RuntimeError(f"a loss is not finite by iteration {self.iteration}")

    def digest(self) -> str:
        """Of every bit of both networks."""
        return digest((self.d, self.g))

    def memory(self) -> int:
        """Bytes on one device that the compiled program needs."""
        analysis = self.program.compiled.memory_analysis()
        return (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes
            - analysis.alias_size_in_bytes
        )


def digest(tree: Any) -> str:
    """Of every bit of its arrays."""
    bits = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        bits.update(np.asarray(leaf).tobytes())
    return bits.hexdigest()[:16]


class WorkloadTraining(Training):
    """A workload, as many iterations of which as it says are one call."""

    def __init__(self, w: Workload):
        self.w = w
        rng = np.random.default_rng(0)
        if w.resolution is None:
            real = rng.standard_normal((w.examples, *w.shape), np.float32)
        else:
            real = rng.integers(0, 256, (w.examples, *w.shape), np.uint8)
        data = Description(w.shape, None, w.examples, "")
        streams = [
            Stream(Examples(data, real, None), name, number=i) for i, name in enumerate(w.arrays)
        ]
        super().__init__(task_of(w), streams, capacity=w.iterations)
        self.compile_seconds = self.compile()

    def parameters(self) -> dict[str, int]:
        return {
            name: sum(x.size for x in jax.tree.leaves(state.params))
            for name, state in (("d", self.d), ("g", self.g))
        }

    def flops(self) -> int:
        return flops_of(self.w)

    def peak_memory(self) -> int:
        """Bytes: on a GPU what was allocated there, otherwise this process's."""
        statistics = jax.devices()[0].memory_stats() or {}
        return statistics.get("peak_bytes_in_use", peak_resident_bytes())
