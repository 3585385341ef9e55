"""What an iteration of each recipe costs here: its narrow presets, without a loop around them.

    python -m benchmarks.recipes

An iteration is as many images as the batch has. The median of three repeats, in which all recipes
come after one another.
"""

import importlib
import statistics
import time

import jax
import jax.numpy as jnp

from gan_jax import compilation
from gan_jax.data import Description
from gan_jax.steps import iterate
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.generation import Config

RECIPES = ("dcgan", "sngan", "biggan", "stylegan2", "r3gan")
ITERATIONS, REPEATS = 8, 3


class Training:
    """One recipe, compiled, on random images of 32×32 pixels."""

    def __init__(self, config: Config, channels: int):
        task = config.build(Description((32, 32, channels), 10, config.batch_size, ""))
        shape = (config.alternation.batches, config.batch_size)
        real = jax.random.uniform(jax.random.key(0), (*shape, *task.data.shape), minval=-1)
        batches = {"real": real}
        if config.objective.conditional:
            batches["label"] = jnp.zeros(shape, jnp.int32)

        def train(d, g, key):
            d, g, _ = iterate(
                d,
                g,
                lambda i, key: batches,
                key,
                count=ITERATIONS,
                objective=task.objective,
                alternation=config.alternation,
            )
            return d, g

        self.states = initial_states(task)
        self._program = compilation.jit(train)
        self.run()

    def run(self) -> float:
        """Seconds of an iteration."""
        began = time.perf_counter()
        self.states = jax.block_until_ready(self._program(*self.states, jax.random.key(0)))
        return (time.perf_counter() - began) / ITERATIONS

    def parameters(self) -> tuple[int, ...]:
        """Of the generator and of the discriminator."""
        d, g = self.states
        return tuple(sum(x.size for x in jax.tree.leaves(s.params)) for s in (g, d))


def main() -> None:
    compilation.keep_compiled()
    trainings = {}
    for name in RECIPES:
        configs = importlib.import_module(f"experiments.{name}").CONFIGS
        for preset, channels in (("mnist-narrow", 1), ("cifar10-narrow", 3)):
            config = configs[preset]
            trainings[f"{name} {preset}"] = config, Training(config, channels)
    seconds = {name: [] for name in trainings}
    for _ in range(REPEATS):
        for name, (_, training) in trainings.items():
            seconds[name].append(training.run())
    print("| recipe | ms | images/s | iterations | minutes | G | D |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (config, training) in trainings.items():
        s = statistics.median(seconds[name])
        sizes = " | ".join(f"{n:,}" for n in training.parameters())
        print(
            f"| {name} | {1e3 * s:.0f} | {config.batch_size / s:.0f} | {config.iterations:,} "
            f"| {config.iterations * s / 60:.1f} | {sizes} |"
        )


if __name__ == "__main__":
    main()
