"""What an iteration of each recipe costs here: its narrow presets, without a loop around them.

    python -m benchmarks.recipes

An iteration is as many images as the batch has. The median of three turns, in which all recipes
come after one another.
"""

import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from gan_jax import build, compilation
from gan_jax.config import Config
from gan_jax.data import Description
from gan_jax.steps import iterate

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RECIPES = ("dcgan", "sngan", "biggan", "stylegan2", "r3gan")
ITERATIONS, TURNS = 8, 3


class Game:
    """One recipe, compiled, on random pictures of 32×32 pixels."""

    def __init__(self, config: Config, channels: int):
        data = Description((32, 32, channels), 10, config.batch_size, "")
        objective = build.objective(config, data)
        shape = (config.alternation.batches, config.batch_size)
        batches = {"real": jax.random.uniform(jax.random.key(0), (*shape, *data.shape), minval=-1)}
        if config.objective.conditional:
            batches["label"] = jnp.zeros(shape, jnp.int32)

        def program(d, g, key):
            return iterate(
                d,
                g,
                lambda i, key: batches,
                key,
                count=ITERATIONS,
                objective=objective,
                alternation=config.alternation,
            )[:2]

        self.players = build.states(config, data)
        self._program = compilation.jit(program)
        self.turn()

    def turn(self) -> float:
        """Seconds of an iteration."""
        began = time.perf_counter()
        self.players = jax.block_until_ready(self._program(*self.players, jax.random.key(0)))
        return (time.perf_counter() - began) / ITERATIONS

    def parameters(self) -> tuple[int, ...]:
        """Of the generator and of the discriminator."""
        d, g = self.players
        return tuple(sum(x.size for x in jax.tree.leaves(s.params)) for s in (g, d))


def main() -> None:
    sys.path.insert(0, str(EXPERIMENTS))
    compilation.keep_compiled()
    games = {}
    for name in RECIPES:
        configs = __import__(name).CONFIGS
        for preset, channels in (("mnist-narrow", 1), ("cifar10-narrow", 3)):
            games[f"{name} {preset}"] = configs[preset], Game(configs[preset], channels)
    seconds = {name: [] for name in games}
    for _ in range(TURNS):
        for name, (_, game) in games.items():
            seconds[name].append(game.turn())
    print("| recipe | ms | images/s | iterations | minutes | G | D |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (config, game) in games.items():
        s = statistics.median(seconds[name])
        sizes = " | ".join(f"{n:,}" for n in game.parameters())
        print(
            f"| {name} | {1e3 * s:.0f} | {config.batch_size / s:.0f} | {config.iterations:,} "
            f"| {config.iterations * s / 60:.1f} | {sizes} |"
        )


if __name__ == "__main__":
    main()
