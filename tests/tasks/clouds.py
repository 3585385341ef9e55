"""A tiny task of another kind: two unpaired clouds of points, and a generator each way.

It proves that the trainer, checkpoints, checks, scores and the report know what they train through
the task alone: there are two discriminators in one state, two generators in the other, and batches
hold `a` and `b` of different datasets, each in an order of its own.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax import config as base
from gan_jax import figures, losses, parallel
from gan_jax.data import Data, Description, Stream, hold_out_each, load
from gan_jax.ema import EMA
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.base import points
from gan_jax.evaluation.subject import Subject
from gan_jax.health import signals
from gan_jax.networks import mlp
from gan_jax.nodes import Node
from gan_jax.objectives import Aux
from gan_jax.state import TrainState
from gan_jax.tasks.base import Dataset

_LOSS = losses.least_squares


class Translation(Node):
    """From a to b and back: adversarial losses in both domains, and cycles that end where they
    began (Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", 2017, eq. 3)."""

    cycle: float | Float[Array, ""] = 1.0
    ema: EMA | None = EMA(half_life=1000.0)

    def init(self, key, *, generator, discriminator, batch):
        """Of both networks of either kind, by domain."""
        variables = []
        for modules in (discriminator, generator):
            params = {}
            for domain, module in modules.items():
                key, own = jax.random.split(key)
                params[domain] = module.init(own, batch[domain][:1])["params"]
            variables.append({"params": params})
        return tuple(variables)

    def d_loss(self, d_params, d, g, batch, key, axis_name=None):
        loss, metrics = 0.0, {}
        for domain, other in (("a", "b"), ("b", "a")):
            fake, _ = g.apply(g.params, batch[other], domain=domain, train=True)
            real_logits, _ = d.apply(d_params, batch[domain], domain=domain, train=True)
            fake_logits, _ = d.apply(
                d_params, jax.lax.stop_gradient(fake), domain=domain, train=True
            )
            loss += _LOSS.discriminator(
                parallel.gather(real_logits, axis_name), parallel.gather(fake_logits, axis_name)
            )
            metrics[f"accuracy_{domain}"] = jnp.mean(real_logits > 0.5)
        return loss, Aux(d.collections, {"loss": loss, **metrics})

    def g_loss(self, g_params, g, d, batch, key, axis_name=None):
        loss = 0.0
        for domain, other in (("a", "b"), ("b", "a")):
            fake, _ = g.apply(g_params, batch[other], domain=domain, train=True)
            back, _ = g.apply(g_params, fake, domain=other, train=True)
            logits, _ = d.apply(d.params, fake, domain=domain, train=True)
            logits = parallel.gather(logits, axis_name)
            loss += _LOSS.generator(logits, logits)
            cycle = jnp.mean(jnp.abs(back - batch[other]))
            loss += self.cycle * parallel.mean(cycle, axis_name)
        return loss, Aux(g.collections, {"loss": loss})


@dataclasses.dataclass(frozen=True)
class Domains:
    """Both datasets."""

    a: Description
    b: Description

    @property
    def examples(self) -> int:
        return max(self.a.examples, self.b.examples)

    def __str__(self) -> str:
        return f"{self.a.examples} and {self.b.examples} points"


@dataclasses.dataclass(frozen=True)
class Config(base.Config, kind="clouds"):
    """Everything that determines a run."""

    description_type: ClassVar[type[Any]] = Domains

    a: Data = Data(source="ring", limit=3000)
    b: Data = Data(source="grid", limit=2000)
    width: int = 16
    cycle: float = 1.0

    def load(self, *, data_dir=None, skip_bad_images=False, budget_bytes=0.0) -> Dataset:
        sources = [
            load(data, seed=self.seed, budget_bytes=budget_bytes) for data in (self.a, self.b)
        ]
        streams = [
            Stream(source, name, number=i)
            for i, (source, name) in enumerate(zip(sources, "ab", strict=True))
        ]
        training, held_out = hold_out_each(streams, 100)
        a, b = (stream.source.description for stream in training)
        return Dataset(training, held_out, Domains(a, b))

    def build(self, data: Domains) -> "Clouds":
        return Clouds(self, data)


def _apply(modules, variables, x, *, domain, train):
    return modules[domain].apply({"params": variables["params"][domain]}, x, None, train=train)


@functools.cache
def _networks(width: int):
    """The functions of all four, the same for equal widths."""
    generators = {domain: mlp.Generator(2, width, 1) for domain in "ab"}
    discriminators = {domain: mlp.Discriminator(width, 1) for domain in "ab"}
    return tuple(
        (modules, functools.partial(_apply, modules)) for modules in (discriminators, generators)
    )


@dataclasses.dataclass(frozen=True)
class Clouds:
    """The task."""

    config: Config
    data: Domains

    commands: ClassVar[frozenset[str]] = frozenset({"report"})

    data_name: ClassVar[str] = "ring and grid"
    shown: ClassVar[str] = "Points of the grid, made of those of a line."

    def check(self) -> None:
        pass

    def essence(self) -> "Clouds":
        return Clouds(self.config.essence(), self.data)

    @property
    def objective(self) -> Translation:
        return Translation(self.config.cycle)

    def create(self, key, *, traced=False):
        config = self.config
        (discriminators, d_apply), (generators, g_apply) = _networks(config.width)
        d_variables, g_variables = self.objective.init(
            key,
            generator=generators,
            discriminator=discriminators,
            batch={domain: jnp.zeros((1, 2)) for domain in "ab"},
        )
        options = {"images": config.batch_size, "traced": traced}
        d_tx = config.d_optimizer.build(config.annealing, **options)
        g_tx = config.g_optimizer.build(config.annealing, **options)
        return (
            TrainState.create(apply_fn=d_apply, variables=d_variables, tx=d_tx),
            TrainState.create(apply_fn=g_apply, variables=g_variables, tx=g_tx, ema=True),
        )

    def prepare(self, examples, key, axis_name):
        return examples

    def preview(self, g, dataset):
        real = jnp.linspace(-1, 1, 64)
        return translate(g, jnp.stack([real, -real], axis=1), "b")

    def draw(self, preview, dataset):
        return figures.scatter(preview, dataset.streams[1].source.real[:200])

    def checks(self, dataset):
        return Checks(dataset)

    def evaluator(self, dataset, settings=None, *, split=None, data_dir=None, weights=None):
        a, b = (stream.source for stream in dataset.streams)
        subject = Subject(lambda g, n, labels: translate(g, jnp.asarray(a.real[:n]), "b"))
        settings = settings or self.config.evaluation
        return Evaluator(subject, b, ("swd",), extractor=points(), samples=settings.samples)


@functools.partial(jax.jit, static_argnames="domain")
def translate(g: TrainState, x: Array, domain: str) -> Array:
    """Points of the other domain, by the moving average."""
    return g.apply(g.ema_params, x, domain=domain, train=False)[0]


@jax.jit
def _measure(d, g, inputs, reference):
    def judge(x, _):
        return d.apply(d.params, x, domain="b", train=True)[0]

    fake = g.apply(g.params, inputs, domain="b", train=True)[0]
    averaged = g.apply(g.ema_params, inputs, domain="b", train=False)[0]
    return signals.compare(reference, fake, averaged, judge=judge, generator_loss=_LOSS.generator)


class Checks:
    """Of the direction from a to b."""

    parts = ()

    def __init__(self, dataset: Dataset):
        a, b = (stream.source.real for stream in dataset.streams)
        self.inputs = jnp.asarray(a[: signals.EXAMPLES])
        held_out = dataset.held_out[1].source.real
        self.reference, self.target = signals.make_reference(
            b, None, held_out, None, signals.features_of(b)
        )

    def measure(self, iteration, d, g):
        return _measure(d, g, self.inputs, self.reference)

    def finish(self, measured, before):
        return signals.finish(measured, self.target, before)
