"""The games on this project's own training program."""

import functools
import time
from unittest import mock

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gan_jax
from benchmarks import flops
from benchmarks import networks as residual
from benchmarks.worker import peak_resident_bytes
from benchmarks.workloads import Workload
from gan_jax import compilation, losses, networks, regularizers
from gan_jax.data import Description, Examples, Order, make_feed
from gan_jax.networks import layers
from gan_jax.program import axis_indices, make_program, replicate
from gan_jax.steps import Alternation, Pace, alternate


def modules(w: Workload):
    """`(discriminator, generator)`, Linen modules."""
    dtype = jnp.dtype(w.dtype)
    if w.network == "mlp":
        options = {"width": w.width, "dtype": dtype}
        return networks.mlp.Discriminator(**options), networks.mlp.Generator(**options)
    options = {"resolution": w.resolution, "width": w.width, "dtype": dtype}
    if w.network == "dcgan":
        return networks.dcgan.Discriminator(**options), networks.dcgan.Generator(**options)
    if w.network == "resnet":
        return residual.ResNetDiscriminator(**options), residual.ResNetGenerator(**options)
    return residual.R3GANDiscriminator(**options), residual.R3GANGenerator(**options)


def objective(w: Workload) -> gan_jax.Adversarial:
    penalties = ()
    if w.penalty is not None:
        penalties = (regularizers.R1(w.penalty), regularizers.R2(w.penalty))
    return gan_jax.Adversarial(
        loss=losses.LOSSES[w.loss], regularizers=penalties, latent_dim=w.latent_dim
    )


def states(w: Workload, seed: int | jax.Array = 0):
    """Both players at the start: `(d, g)`."""
    discriminator, generator = modules(w)
    return gan_jax.create_train_states(
        jax.random.key(seed),
        generator=generator,
        discriminator=discriminator,
        objective=objective(w),
        batch={"real": jnp.zeros((1, *w.shape), jnp.float32)},
        d_tx=optax.adam(2e-4, b1=0.5),
        g_tx=optax.adam(2e-4, b1=0.5),
    )


def versions() -> dict[str, str]:
    return {
        "jax": jax.__version__,
        "flax": flax.__version__,
        "device": jax.devices()[0].device_kind,
        "devices": str(jax.device_count()),
    }


def rates() -> dict[str, float]:
    """FLOP/s of a large matrix product and of a large convolution, float32."""
    a = jax.random.normal(jax.random.key(0), (2048, 2048))
    x = jax.random.normal(jax.random.key(1), (64, 32, 32, 128))
    k = jax.random.normal(jax.random.key(2), (3, 3, 128, 128))

    def rate(function, arguments, flops):
        function, times = compilation.jit(function), []
        for _ in range(6):
            began = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            times.append(time.perf_counter() - began)
        return flops / min(times)

    return {
        "matmul": rate(jnp.matmul, (a, a), 2 * 2048**3),
        "convolution": rate(layers.conv_same, (x, k), 2 * 64 * 32 * 32 * 9 * 128 * 128),
    }


def flops_of(w: Workload) -> int:
    """Of one iteration's products and convolutions, in their plain form."""
    iteration = functools.partial(
        alternate, objective=objective(w), alternation=Alternation(d_steps=w.d_steps)
    )
    batches = {"real": jax.ShapeDtypeStruct((w.d_steps, w.batch_size, *w.shape), jnp.float32)}
    with mock.patch.object(layers, "canonical_form", return_value=False):
        d, g = jax.eval_shape(functools.partial(states, w))
        return flops.count(iteration, d, g, batches, jax.random.key(0))


def game(w: Workload, variant: str) -> "Game":
    return Game(w)


class Game:
    """Both players and the compiled program that trains them."""

    def __init__(self, w: Workload):
        self.w = w
        self.alternation = Alternation(d_steps=w.d_steps)
        rng = np.random.default_rng(0)
        if w.resolution is None:
            real = rng.standard_normal((w.examples, 2), np.float32)
        else:
            real = rng.integers(0, 256, (w.examples, *w.shape), np.uint8)
        source = Examples(Description(w.shape, None, w.examples, ""), real, None)
        self.feed = make_feed(
            source,
            Order(0, w.examples, w.batch_size),
            batches=self.alternation.batches,
            capacity=w.iterations,
            iterations=10**9,
            axis_indices=axis_indices(),
            members=jax.device_count(),
            labels=False,
        )
        self.d, self.g = replicate(jax.jit(functools.partial(states, w))())
        self.resident = replicate(self.feed.resident)
        self.iteration = 0
        self.program = make_program(objective(w), self.feed.select, self.alternation, flip=False)
        began = time.perf_counter()
        self.d, self.g, *_ = jax.block_until_ready(self.program(*self._arguments(0)))
        self.compile_seconds = time.perf_counter() - began

    def _arguments(self, count: int):
        stop = np.zeros(jax.local_device_count(), np.int32)
        rows = self.feed.rows(self.iteration, count)
        start, number = np.int32(self.iteration), np.int32(count)
        pace = Pace(np.int32(1), np.int32(1))
        return self.d, self.g, self.resident, rows, stop, start, number, jax.random.key(1), pace

    def run(self, iterations: int) -> float:
        """Seconds for this many."""
        began = time.perf_counter()
        self.d, self.g, tally, _ = self.program(*self._arguments(iterations))
        tally = jax.tree.map(np.asarray, tally)
        seconds = time.perf_counter() - began
        self.iteration += iterations
        if any(at >= 0 for at in tally.diverged.values()):
            raise RuntimeError(f"{self.w.name}: a loss is not finite")
        return seconds

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

    def memory(self) -> int:
        """Bytes on one device that the compiled program needs."""
        analysis = self.program.compiled.memory_analysis()
        return (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes
            - analysis.alias_size_in_bytes
        )
