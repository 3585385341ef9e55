"""Shapes, dtypes and conditioning of the generators and discriminators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import dcgan, mlp
from gan_jax.networks.base import NORMS, Form

KEY = jax.random.key(0)
Z = 5
LABEL = jnp.array([0, 1, 2])


def tiny(family, role, **options):
    """A small network and an input of three examples."""
    x = jax.random.normal(KEY, (3, Z))
    if role == "Discriminator":
        x = jax.random.normal(KEY, (3, 2) if family is mlp else (3, 8, 8, 3))
    sizes = {"width": 4, "depth": 2} if family is mlp else {"width": 2, "resolution": 8}
    return getattr(family, role)(**sizes, **options), x


every_network = pytest.mark.parametrize("role", ["Generator", "Discriminator"])
every_family = pytest.mark.parametrize("family", [mlp, dcgan], ids=["mlp", "dcgan"])


def abstract(module, *inputs):
    """Shapes and dtypes of the initial variables, without the cost of drawing them."""
    return jax.eval_shape(lambda: module.init(KEY, *inputs, train=True))


def filled(module, *inputs):
    """Variables with arbitrary parameters, and ones in every other collection."""
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), abstract(module, *inputs))
    variables["params"] = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(0, 0.2, p.shape), p.dtype), variables["params"]
    )
    return variables


def shapes(module, *inputs):
    """Shapes of the output, the parameters, and the other collections."""

    def call(key):
        variables = module.init(key, *inputs, train=True)
        collections = [c for c in variables if c != "params"]
        y, _ = module.apply(variables, *inputs, train=True, mutable=collections)
        return y, variables

    y, variables = jax.eval_shape(call, KEY)
    kernels = {k: v["kernel"].shape for k, v in variables["params"].items() if "kernel" in v}
    return y, kernels, set(variables) - {"params"}


@pytest.mark.parametrize(
    ("norm", "channels", "num_classes", "collections"),
    [
        ("batch", 3, None, {"batch_stats"}),
        ("batch", 1, 10, {"batch_stats"}),
        ("spectral", 1, None, {"spectral"}),
        ("spectral", 3, 10, {"spectral"}),
        ("none", 3, None, set()),
        ("none", 1, 10, set()),
    ],
)
@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128])
def test_dcgan_shapes(resolution, norm, channels, num_classes, collections):
    options = {"resolution": resolution, "width": 3, "norm": norm, "num_classes": num_classes}
    label = None if num_classes is None else LABEL
    # From half the resolution, where there are 3 channels, doubling down to 4×4.
    widths = [3 * resolution // (2 * size) for size in (4, 8, 16, 32, 64) if size < resolution]
    into = Z if num_classes is None else 2 * Z

    y, kernels, others = shapes(
        dcgan.Generator(channels=channels, **options), jnp.ones((3, Z)), label
    )
    assert y.shape == (3, resolution, resolution, channels)
    assert others == collections
    assert kernels == {
        "dense": (into, 4 * 4 * widths[0]),
        **{f"up_{i}": (4, 4, widths[i - 1], widths[i]) for i in range(1, len(widths))},
        "image": (4, 4, 3, channels),
    }

    images = jnp.ones((3, resolution, resolution, channels))
    y, kernels, others = shapes(dcgan.Discriminator(**options), images, label)
    assert y.shape == (3,)
    # At 8×8 the only convolution is the first, which has no batch norm.
    assert others == (set() if (norm, resolution) == ("batch", 8) else collections)
    downwards = [channels, *reversed(widths)]
    assert kernels == {
        **{f"down_{i}": (4, 4, *downwards[i : i + 2]) for i in range(len(widths))},
        "logit": (4 * 4 * widths[0], 1),
    }


def test_labels_of_a_dcgan_begin_as_large_as_asked():
    z, label = jnp.zeros((4, 500)), jnp.array([0, 1, 2, 3])
    for scale in (1.0, 0.1):
        section = dcgan.GeneratorSection(width=2, label_scale=scale)
        generator = section.build(Form((8, 8, 1), num_classes=4, latent_dim=500))
        params = generator.init(KEY, z, label)["params"]
        np.testing.assert_allclose(np.std(params["label"]["embedding"]), scale, rtol=0.05)


def test_dcgan_is_the_paper_s_at_64_pixels():
    _, kernels, _ = shapes(dcgan.Generator(resolution=64, width=64), jnp.ones((3, 100)))
    assert kernels == {
        "dense": (100, 4 * 4 * 512),
        "up_1": (4, 4, 512, 256),
        "up_2": (4, 4, 256, 128),
        "up_3": (4, 4, 128, 64),
        "image": (4, 4, 64, 3),
    }


def test_no_batch_norm_at_either_network_s_images():
    options = {"resolution": 32, "width": 2, "norm": "batch"}
    g = abstract(dcgan.Generator(**options), jnp.ones((1, Z)))
    d = abstract(dcgan.Discriminator(**options), jnp.ones((1, 32, 32, 3)))
    assert set(g["batch_stats"]) == {"norm_0", "norm_1", "norm_2"}
    assert set(d["batch_stats"]) == {"norm_1", "norm_2"}
    # A bias before batch norm would do nothing.
    assert {k for k, v in g["params"].items() if "kernel" in v and "bias" in v} == {"image"}
    assert {k for k, v in d["params"].items() if "kernel" in v and "bias" in v} == {
        "down_0",
        "logit",
    }


@every_network
@pytest.mark.parametrize("resolution", [4, 9, 33, 100, 256])
def test_refuses_other_resolutions(role, resolution):
    inputs = {"Generator": (1, Z), "Discriminator": (1, resolution, resolution, 3)}
    with pytest.raises(ValueError, match=f"not for images of {resolution}×{resolution} pixels"):
        jax.eval_shape(
            getattr(dcgan, role)(resolution=resolution).init, KEY, jnp.ones(inputs[role])
        )


@every_network
def test_refuses_unknown_norms(role):
    module, x = tiny(dcgan, role, norm="layer")
    with pytest.raises(ValueError, match="unknown norm 'layer'"):
        jax.eval_shape(module.init, KEY, x)


@pytest.mark.parametrize("size", [(16, 16), (8, 16), (4, 4)])
def test_discriminator_refuses_images_of_another_size(size):
    module = dcgan.Discriminator(resolution=8)
    with pytest.raises(ValueError, match=f"8×8 pixels cannot judge images of {size[0]}×{size[1]}"):
        jax.eval_shape(module.init, KEY, jnp.ones((1, *size, 3)))


@every_network
@pytest.mark.parametrize(
    ("family", "options"),
    [
        (mlp, {}),
        (mlp, {"num_classes": 3}),
        *[(dcgan, {"norm": n, "num_classes": c}) for n in NORMS for c in (None, 3)],
    ],
)
def test_bfloat16_keeps_float32_parameters_and_results(family, role, options):
    module, x = tiny(family, role, dtype=jnp.bfloat16, **options)
    inputs = (x, LABEL) if options.get("num_classes") else (x,)
    variables = abstract(module, *inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    assert jax.eval_shape(module.apply, variables, *inputs).dtype == jnp.float32


@every_family
@every_network
def test_bfloat16_is_close(family, role):
    half, x = tiny(family, role, dtype=jnp.bfloat16)
    full, _ = tiny(family, role)
    variables = filled(half, x)
    rough, exact = (jax.jit(net.apply)(variables, x) for net in (half, full))
    error = np.abs(rough - exact).max() / np.abs(exact).max()
    assert 0 < error < 0.05


@every_family
@every_network
def test_label_matters_when_conditional(family, role):
    module, x = tiny(family, role, num_classes=3)
    variables, apply = filled(module, x, LABEL), jax.jit(module.apply)
    y, other = apply(variables, x, LABEL), apply(variables, x, 2 - LABEL)
    changed = np.abs(y - other).reshape(3, -1).max(axis=1) > 1e-6
    np.testing.assert_array_equal(changed, [True, False, True])  # 2 − 1 is 1 again


@every_family
@every_network
def test_label_is_ignored_when_unconditional(family, role):
    module, x = tiny(family, role)
    variables, apply = filled(module, x), jax.jit(module.apply)
    np.testing.assert_array_equal(apply(variables, x), apply(variables, x, LABEL))


def test_label_is_projected_on_the_last_features():
    """Miyato and Koyama: the logit gains <embedding of the label, features>, so it is linear in the
    embedding, and without it the network is the unconditional one."""
    for family in (mlp, dcgan):
        conditional, x = tiny(family, "Discriminator", num_classes=3)
        plain, _ = tiny(family, "Discriminator")
        params = filled(conditional, x, LABEL)["params"]
        (name,) = [k for k, v in params.items() if "embedding" in v]

        def logits(scale, conditional=conditional, x=x, params=params, name=name):
            table = {"embedding": scale * params[name]["embedding"]}
            return conditional.apply({"params": params | {name: table}}, x, LABEL)

        rest = {k: v for k, v in params.items() if k != name}
        np.testing.assert_allclose(logits(0.0), plain.apply({"params": rest}, x), rtol=1e-5)
        twice, once = logits(2.0) - logits(0.0), logits(1.0) - logits(0.0)
        assert np.abs(once).min() > 0
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-3, atol=1e-6)


def test_mlp_defaults():
    y, kernels, others = shapes(mlp.Generator(), jnp.ones((3, Z)))
    assert y.shape == (3, 2)
    assert list(kernels.values()) == [(Z, 128), (128, 128), (128, 128), (128, 2)]
    y, kernels, more = shapes(mlp.Discriminator(), jnp.ones((3, 2)))
    assert y.shape == (3,)
    assert list(kernels.values()) == [(2, 128), (128, 128), (128, 128), (128, 1)]
    assert others == more == set()


def test_mlp_sizes():
    _, kernels, _ = shapes(
        mlp.Generator(features=7, width=6, depth=1, num_classes=3), jnp.ones((3, Z)), LABEL
    )
    assert list(kernels.values()) == [(Z + 6, 6), (6, 7)]
    _, kernels, _ = shapes(mlp.Discriminator(width=6, depth=0), jnp.ones((3, 2)))
    assert list(kernels.values()) == [(2, 1)]


def test_images_stay_in_range():
    module, z = tiny(dcgan, "Generator")
    variables = filled(module, z)
    variables["params"]["image"]["bias"] = jnp.array([3.0, 0.0, -3.0])
    x = np.asarray(jax.jit(module.apply)(variables, z))
    assert np.abs(x).max() < 1
    # The bias pushes the colours through tanh towards their ends.
    assert x[..., 0].mean() > 0.9
    assert x[..., 2].mean() < -0.9


@every_network
def test_batch_norm_averages_over_devices(role):
    """The networks hand the axis name on: four parts see the statistics of the whole."""
    options = {"resolution": 16, "width": 1, "norm": "batch"}
    module = getattr(dcgan, role)(**options)
    x = jax.random.normal(KEY, (8, Z) if role == "Generator" else (8, 16, 16, 3))
    x = x * jnp.arange(1.0, 9.0).reshape(8, *[1] * (x.ndim - 1))
    variables = filled(module, x)

    def call(x, axis_name=None):
        return module.apply(variables, x, train=True, mutable=["batch_stats"], axis_name=axis_name)

    y, stats = jax.jit(call)(x)
    split = jax.pmap(lambda x: call(x, "devices"), axis_name="devices")
    parts, spread = split(x.reshape(4, 2, *x.shape[1:]))
    np.testing.assert_allclose(np.asarray(parts).reshape(y.shape), y, atol=1e-4)
    for one, replicas in zip(*map(jax.tree.leaves, (stats, spread)), strict=True):
        for replica in np.asarray(replicas):
            np.testing.assert_allclose(replica, one, rtol=1e-4, atol=1e-6)
