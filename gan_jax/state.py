"""`TrainState`: one network under training, as an immutable pytree."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Key, PyTree

OBJECTIVE = "objective"
"""The collection of a state that its network never sees: what the objective remembers from one
update to the next, such as moving averages of logits."""


SPECTRAL = "spectral"
"""The collection of spectral norm's vectors, which depend on the parameters alone."""

AVERAGED = "averaged"
"""The collection of a generator's state that its network never sees either: the moving averages of
those collections that are named in STATISTICS, which belong to `ema_params`."""

STATISTICS = ("batch_stats",)
"""Collections that depend on the parameters as a whole, so that those of one set of parameters do
not fit another: what batch norm knows of its inputs, under Linen's name."""


def remember(collections: dict[str, PyTree], memory: dict[str, PyTree]) -> dict[str, PyTree]:
    """Collections in which the objective remembers this too; the same ones if it is nothing."""
    if not memory:
        return collections
    return collections | {OBJECTIVE: collections.get(OBJECTIVE, {}) | memory}


class TrainState(struct.PyTreeNode):
    """One network under training. Updating it makes a new one.

    `apply_fn(variables, x, label, train=…)` may belong to a Linen module or be any pure function.
    If the state holds collections beside the parameters, it is called with Linen's `mutable=[…]`
    while training and returns `(output, collections)`. If it takes an `axis_name`, it is told over
    which device axis its batch is spread; if it takes a `key`, it gets one in training for what it
    draws itself.
    """

    step: PyTree
    """Updates of this network so far: int32, a scalar (or, as any leaf of a pytree, whatever stands
    for it while JAX transforms a function of states)."""
    params: PyTree
    collections: dict[str, PyTree]
    """Every variable that is not a parameter: batch statistics, spectral-norm vectors; and under
    OBJECTIVE, what the objective remembers, and under AVERAGED, the statistics of `ema_params`."""
    opt_state: optax.OptState
    ema_params: PyTree | None
    """The moving average of `params`: of the generator, None for the discriminator. To generate by
    it, take `averaged()`, which has the statistics that belong to it."""
    apply_fn: Callable[..., Any] = struct.field(pytree_node=False)
    tx: optax.GradientTransformation = struct.field(pytree_node=False)

    @classmethod
    def create(
        cls,
        *,
        apply_fn: Callable[..., Any],
        variables: dict[str, PyTree],
        tx: optax.GradientTransformation,
        ema: bool = False,
    ) -> "TrainState":
        """A state before its first update, from a network's initial `{"params": …, …}`."""
        collections = dict(variables)
        params = collections.pop("params")
        statistics = {name: collections[name] for name in STATISTICS if name in collections}
        if ema and statistics:
            collections[AVERAGED] = jax.tree.map(jnp.copy, statistics)
        return cls(
            step=jnp.zeros((), jnp.int32),
            params=params,
            collections=collections,
            opt_state=tx.init(params),
            # A copy: donating a state whose leaves share a buffer is an error.
            ema_params=jax.tree.map(jnp.copy, params) if ema else None,
            apply_fn=apply_fn,
            tx=tx,
        )

    def __repr__(self) -> str:
        """One line, whatever the networks."""
        sizes = [math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(self.params)]
        beside = [*self.collections, *(() if self.ema_params is None else ("ema_params",))]
        step = self.step if np.ndim(self.step) == 0 else f"{list(np.shape(self.step))}"
        return (
            f"TrainState(step={step}, params: {sum(sizes):,} in {len(sizes)} arrays"
            f"{''.join(f', {name}' for name in beside)})"
        )

    def apply(
        self,
        params: PyTree,
        *inputs: Array | None,
        train: bool,
        axis_name: str | None = None,
        key: Key[Array, ""] | None = None,
        **options: Any,
    ) -> tuple[Any, dict[str, PyTree]]:
        """The network's output with `params` in place of its own, and its collections after.

        `axis_name` and `key` reach networks that take them, `options` any network.
        """
        unseen = (OBJECTIVE, AVERAGED)
        seen = {name: c for name, c in self.collections.items() if name not in unseen}
        variables = {"params": params, **seen}
        options["train"] = train
        for name, value in (("axis_name", axis_name), ("key", key)):
            if value is not None and takes(self.apply_fn, name):
                options[name] = value
        if train and seen:
            output, updated = self.apply_fn(variables, *inputs, mutable=list(seen), **options)
            return output, self.collections | dict(updated)
        return self.apply_fn(variables, *inputs, **options), self.collections

    def averaged(self) -> "TrainState":
        """The state whose `params` are the moving average, with the statistics that belong to it;
        this one, where there is no average."""
        if self.ema_params is None:
            return self
        statistics = self.collections.get(AVERAGED, {})
        return self.replace(params=self.ema_params, collections=self.collections | statistics)

    def updated(self, gradients: PyTree, collections: dict[str, PyTree]) -> "TrainState":
        """The state after one optimiser step."""
        updates, opt_state = self.tx.update(gradients, self.opt_state, self.params)
        return self.replace(
            step=self.step + 1,
            params=optax.apply_updates(self.params, updates),
            collections=collections,
            opt_state=opt_state,
        )


@functools.cache
def takes(apply_fn: Callable[..., Any], name: str) -> bool:
    """Whether a network, by its `apply_fn`, takes this keyword. A module's `apply` takes every one
    and hands it to the module's `__call__`, which is where to look."""
    inside = _inside(apply_fn)
    if inspect.ismethod(inside) and inside.__name__ == "apply" and callable(inside.__self__):
        inside = type(inside.__self__).__call__
    parameters = inspect.signature(inside).parameters
    kinds = {p.kind for p in parameters.values()}
    return name in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _inside(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function or method in a partial, a jitted function, or several of these."""
    if isinstance(function, functools.partial):
        return _inside(function.func)
    inside = inspect.unwrap(function, stop=inspect.ismethod)
    return function if inside is function else _inside(inside)


def create_train_states(
    key: Key[Array, ""],
    *,
    generator: Any,
    discriminator: Any,
    objective: Any,
    batch: dict[str, Array],
    d_tx: optax.GradientTransformation,
    g_tx: optax.GradientTransformation,
) -> tuple[TrainState, TrainState]:
    """Both players before the first update: `(d, g)`.

    `generator` and `discriminator` are Linen modules (anything with `init` and `apply`), `batch` is
    an example of what the steps will see; only its shapes and dtypes count. The generator gets a
    moving average if the objective has an `ema`.
    """
    d_variables, g_variables = objective.init(
        key, generator=generator, discriminator=discriminator, batch=batch
    )
    d = TrainState.create(apply_fn=discriminator.apply, variables=d_variables, tx=d_tx)
    g = TrainState.create(
        apply_fn=generator.apply, variables=g_variables, tx=g_tx, ema=objective.ema is not None
    )
    return d, g
