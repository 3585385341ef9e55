"""From the images of one domain to those of another and back, without pairs: CycleGAN."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax import losses, parallel
from gan_jax.ema import EMA
from gan_jax.losses import Loss
from gan_jax.networks.domains import DOMAINS, other
from gan_jax.nodes import Node
from gan_jax.objectives.critic import Discriminator
from gan_jax.objectives.discrimination import (
    discriminate,
    first_memory,
    settled,
    takes_examples_apart,
)
from gan_jax.objectives.pool import exchange, make_pool
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.streams import AUGMENTATION, NETWORK, POOL
from gan_jax.schedules import Scheduled
from gan_jax.state import OBJECTIVE, TrainState, remember


class Translation(Node):
    """For each domain a loss for a discriminator of its images and for a generator that makes them
    of the other's, and cycles that have to end where they began.

    With G_b from a to b, G_a back, and the loss for each discriminator's logits, the generators
    minimise, for each direction,

        loss(D_b(G_b(a))) + cycle · mean |G_a(G_b(a)) − a| + identity · mean |G_b(b) − b|.

    Batches hold `a` and `b`. Both networks of a state are one module that is called with a
    `domain`, such as `gan_jax.networks.domains.Domains`. Discriminators judge generated images out
    of a pool of earlier ones.

    The paper's weights are 10 and 5 beside a generator's loss without the ½ of
    `losses.least_squares`: with it, 5 and 2.5 are the same, since an optimiser like Adam does not
    depend on the scale of the whole.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", 2017, eq. 3; the identity term, §5.2.

    Raises:
        TypeError: a loss that is none.
        ValueError (when traced): a penalty on a discriminator with batch norm, a batch larger than
            the pool, or one with more images of one domain than of the other.
    """

    loss: Loss = struct.field(pytree_node=False, default=losses.least_squares)
    cycle: Scheduled = 5.0
    """Weight of the cycles."""
    identity: Scheduled | None = 2.5
    """Weight of leaving alone what is of the target domain already. None: it is not computed, which
    saves a third of the generators' work."""
    regularizers: tuple[Any, ...] = ()
    """Penalties on each discriminator, as of `Adversarial`. They see what comes out of the pool."""
    pool: int = struct.field(pytree_node=False, default=50)
    """Generated images of each domain that the discriminators' state remembers. 0: none."""
    ema: EMA | None = EMA()
    """The moving average of both generators."""
    together: bool = struct.field(pytree_node=False, default=True)
    """Let discriminators judge real and generated images in one batch, as of `Adversarial`."""

    def __post_init__(self):
        object.__setattr__(self, "regularizers", settled(self.loss, self.regularizers))

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of all four networks."""
        d_key, g_key = jax.random.split(key)
        d_variables: dict[str, PyTree] = {}
        g_variables: dict[str, PyTree] = {}
        memory: dict[str, PyTree] = {}
        for domain in DOMAINS:
            of_domain = batch[domain][:1]
            options = {"domain": domain, "train": True}
            _add(d_variables, discriminator.init(d_key, of_domain, **options))
            _add(g_variables, generator.init(g_key, batch[other(domain)][:1], **options))
            memory[domain] = first_memory(self.regularizers)
            if self.pool:
                memory[domain]["pool"] = make_pool(self.pool, of_domain)
        memory = {domain: remembered for domain, remembered in memory.items() if remembered}
        return remember(d_variables, memory), g_variables

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """Both discriminators' losses and penalties, on real images and on translated ones."""
        _check_sizes(batch)
        total: Any = 0.0
        metrics: dict[str, Scalar] = {}
        memory = dict(d.collections.get(OBJECTIVE, {}))
        for place, domain in enumerate(DOMAINS):
            own = jax.random.fold_in(key, place)
            real = batch[domain]
            fake, _ = self._translate(g, g.params, batch[other(domain)], domain, own, axis_name)
            fake, remembered = lax.stop_gradient(fake), dict(memory.get(domain, {}))
            if self.pool:
                pool_key = jax.random.fold_in(own, POOL)
                fake, remembered["pool"] = exchange(remembered["pool"], fake, pool_key, axis_name)
            discriminator = _discriminator(d, d_params, domain, own, axis_name)
            judgment = discriminate(
                discriminator,
                real,
                fake,
                own,
                loss=self.loss,
                regularizers=self.regularizers,
                memory=remembered,
                step=d.step,
                together=self.together and takes_examples_apart(d),
                axis_name=axis_name,
            )
            total, remembered = total + judgment.loss, judgment.memory
            if remembered:
                memory[domain] = remembered
            d = d.replace(collections=discriminator.collections)
            metrics |= {f"{name}_{domain}": value for name, value in judgment.metrics.items()}
        metrics |= {"loss": metrics["loss_a"] + metrics["loss_b"]}
        metrics |= {"accuracy": (metrics["accuracy_a"] + metrics["accuracy_b"]) / 2}
        return total, Aux(lax.stop_gradient(remember(d.collections, memory)), metrics)

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """Both generators' losses, cycles and identities. What the discriminators would remember of
        their batches is dropped."""
        _check_sizes(batch)
        total: Any = 0.0
        metrics: dict[str, Scalar] = {}
        keys = {domain: jax.random.fold_in(key, place) for place, domain in enumerate(DOMAINS)}

        def translate(g: TrainState, x: Array, domain: str, nth: int) -> Any:
            return self._translate(g, g_params, x, domain, keys[domain], axis_name, nth)

        fakes, same = {}, None
        for domain in DOMAINS:
            source = batch[other(domain)]
            if self.identity is None:
                fakes[domain], collections = translate(g, source, domain, 0)
            elif g.collections:
                fakes[domain], collections = translate(g, source, domain, 0)
                same, _ = translate(g, batch[domain], domain, 1)
            else:  # examples are apart: twice as large products
                # By turns, so that an example has the same global index on any number of devices.
                both = jnp.stack([source, batch[domain]], axis=1)
                made, collections = translate(g, both.reshape(-1, *source.shape[1:]), domain, 0)
                made = made.reshape(len(source), 2, *made.shape[1:])
                fakes[domain], same = made[:, 0], made[:, 1]
            g = g.replace(collections=collections)
            if self.identity is not None and same is not None:
                metrics[f"identity_{domain}"] = _distance(same, batch[domain])
                total = total + self.identity * metrics[f"identity_{domain}"]
            discriminator = _discriminator(d, d.params, domain, keys[domain], axis_name)
            real_logits, fake_logits = (
                parallel.gather(discriminator.logits(x), axis_name)
                for x in (batch[domain], fakes[domain])
            )
            metrics[f"adversarial_{domain}"] = self.loss.generator(real_logits, fake_logits)
            total = total + metrics[f"adversarial_{domain}"]
        for domain in DOMAINS:
            back, _ = translate(g, fakes[other(domain)], domain, 2)
            metrics[f"cycle_{domain}"] = _distance(back, batch[domain])
            total = total + self.cycle * metrics[f"cycle_{domain}"]
        return total, Aux(g.collections, metrics | {"loss": total})

    def _translate(
        self,
        g: TrainState,
        g_params: PyTree,
        x: Array,
        domain: str,
        key: Key[Array, ""],
        axis_name: str | None,
        nth: int = 0,
    ) -> tuple[Array, dict[str, PyTree]]:
        """Images of this domain, made of those of the other, and the generators' collections; in
        the `nth` pass with this key."""
        own = jax.random.fold_in(jax.random.fold_in(key, NETWORK), nth)
        return g.apply(g_params, x, domain=domain, train=True, axis_name=axis_name, key=own)


def _discriminator(
    d: TrainState, d_params: PyTree, domain: str, key: Key[Array, ""], axis_name: str | None
) -> Discriminator:
    of_domain = d.replace(apply_fn=functools.partial(d.apply_fn, domain=domain))
    key = jax.random.fold_in(key, AUGMENTATION)
    return Discriminator(of_domain, d_params, None, None, key, axis_name)


def _check_sizes(batch: Batch) -> None:
    sizes = [len(batch[domain]) for domain in DOMAINS]
    if sizes[0] != sizes[1]:
        raise ValueError(f"a batch has as many images of a as of b, not {sizes[0]} and {sizes[1]}")


def _distance(x: Array, y: Array) -> Scalar:
    """The mean absolute difference of images from −1 to 1."""
    return jnp.mean(jnp.abs(x.astype(jnp.float32) - y.astype(jnp.float32)))


def _add(variables: dict[str, PyTree], more: Any) -> None:
    """Adds the networks of one domain."""
    for name, collection in more.items():
        variables[name] = {**variables.get(name, {}), **collection}
