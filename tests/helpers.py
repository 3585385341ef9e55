"""Small GANs that several tests train."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import gan_jax
from gan_jax import losses, networks

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
LATENT_DIM = 4


def images(n: int = 8, *, labels: bool = False, seed: int = 0) -> dict[str, jax.Array]:
    """Random images of 16×16 pixels."""
    real = jax.random.uniform(jax.random.key(seed), (n, 16, 16, 1), minval=-1)
    return {"real": real} | ({"label": jnp.arange(n) % 3} if labels else {})


def points(n: int = 8, seed: int = 0) -> dict[str, jax.Array]:
    return {"real": jax.random.normal(jax.random.key(seed), (n, 2))}


def make_objective(**fields) -> gan_jax.Adversarial:
    defaults = {"loss": losses.non_saturating, "latent_dim": LATENT_DIM}
    return gan_jax.Adversarial(**defaults | fields)


def dcgans(objective, **options):
    """Both networks of a small convolutional GAN: `(d, g)`."""
    return _dcgans(objective.ema is not None, **options)


@functools.cache
def _dcgans(ema, *, g_norm="batch", d_norm="none", labels=False, width=2, seed=0):
    options = {"resolution": 16, "width": width, "num_classes": 3 if labels else None}
    return _states(
        ema,
        networks.dcgan.Generator(channels=1, norm=g_norm, **options),
        networks.dcgan.Discriminator(norm=d_norm, **options),
        images(labels=labels),
        seed,
    )


def mlps(objective, **options):
    """Both networks of a small GAN on points: `(d, g)`."""
    return _mlps(objective.ema is not None, **options)


@functools.cache
def _mlps(ema, *, width=8, seed=0):
    generator = networks.mlp.Generator(width=width, depth=2)
    return _states(ema, generator, networks.mlp.Discriminator(width=width, depth=2), points(), seed)


def _states(ema, generator, discriminator, batch, seed):
    objective = make_objective() if ema else make_objective(ema=None)
    create = functools.partial(
        gan_jax.create_train_states,
        generator=generator,
        discriminator=discriminator,
        objective=objective,
        batch=batch,
        d_tx=optax.adam(1e-3, b1=0.5),
        g_tx=optax.adam(5e-4, b1=0.5),
    )
    return arbitrary_states(create, seed)


def abstract(module, *inputs):
    """Shapes and dtypes of a Linen module's output and variables."""
    return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), *inputs, train=True))


def arbitrary_states(create, seed=0):
    """Train states as `create` makes of a key, with arbitrary variables, which need not be compiled
    as initial ones have to be."""

    def filled(state):
        def fill():  # each time anew: states whose leaves share a buffer cannot be donated
            return arbitrary({"params": state.params, **state.collections}, seed)

        collections = fill()
        return state.replace(
            step=jnp.int32(0),
            params=collections.pop("params"),
            collections=collections,
            opt_state=jax.tree.map(
                lambda x: jnp.asarray(np.zeros(x.shape, x.dtype)), state.opt_state
            ),
            ema_params=None if state.ema_params is None else fill()["params"],
        )

    d, g = jax.eval_shape(create, jax.random.key(seed))
    return filled(d), filled(g)


def arbitrary(shapes, seed=0):
    """Variables of these shapes that no initialiser would give, by which all units are alive."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        value = rng.normal(0, 0.3, leaf.shape)
        if "spectral" in path[0].key:
            value /= np.linalg.norm(value)
        elif path[-1].key in ("scale", "var"):
            value = 1 + np.abs(value)
        elif path[-1].key == "bias":
            value = np.abs(value)
        return jnp.asarray(np.asarray(value).astype(leaf.dtype))

    return jax.tree.map_with_path(fill, shapes)


def assert_same(a, b) -> None:
    """Bit for bit, leaf by leaf."""
    ours, theirs = jax.tree.leaves_with_path(a), jax.tree.leaves_with_path(b)
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (path, x), (_, y) in zip(ours, theirs, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype, path
        assert x.tobytes() == y.tobytes(), jax.tree_util.keystr(path)


def largest_difference(a, b) -> float:
    """Over all leaves, relative to the leaf's largest entry (or 1)."""
    gaps = [
        np.max(np.abs(np.asarray(x) - np.asarray(y))) / max(1, np.max(np.abs(x)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    ]
    return float(max(gaps))


def split(batch: dict, members: int = 4) -> dict:
    return jax.tree.map(lambda x: x.reshape(members, -1, *x.shape[1:]), batch)


def need_devices(n: int = 4) -> None:
    """Skips a test where there are fewer, as on most accelerators."""
    if jax.device_count() < n:
        pytest.skip(f"needs {n} devices, and there are {jax.device_count()}")


def through(transform: str, step):
    """`step(state, opponent, batch, key)` over 4 devices, as a function of the whole batch."""
    if transform != "vmap":
        need_devices()
    step = functools.partial(step, axis_name="i")
    if transform == "pmap":
        mapped = jax.pmap(step, axis_name="i", in_axes=(None, None, 0, None), out_axes=None)
        return lambda s, o, batch, key: mapped(s, o, split(batch), key)
    if transform == "vmap":
        mapped = jax.vmap(step, axis_name="i", in_axes=(None, None, 0, None), out_axes=0)
        first = functools.partial(jax.tree.map, lambda x: x[0])
        return jax.jit(lambda s, o, batch, key: first(mapped(s, o, split(batch), key)))
    mesh = Mesh(np.array(jax.devices()), ("i",))
    specs = {"in_specs": (P(), P(), P("i"), P()), "out_specs": P()}
    check = transform == "shard_map"
    return jax.jit(jax.shard_map(step, mesh=mesh, **specs, check_vma=check))
