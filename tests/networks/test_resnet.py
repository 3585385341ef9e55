"""SNGAN's residual networks, and batch norm with a gain and a bias for each class."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import abstract, arbitrary, largest_difference

import gan_jax
from gan_jax import losses
from gan_jax.networks import resnet
from gan_jax.networks.base import NORMS
from gan_jax.networks.layers import conv_same
from gan_jax.networks.normalization import ClassBatchNorm
from gan_jax.networks.resampling import average_down, repeat_up

KEY = jax.random.key(0)
Z = 6
LABEL = jnp.array([0, 1, 2, 1])
NETWORKS = ("Generator", "Discriminator")
every_network = pytest.mark.parametrize("role", NETWORKS)


def inputs(role, n=4, resolution=32, channels=3):
    shape = (n, Z) if role == "Generator" else (n, resolution, resolution, channels)
    return jax.random.normal(KEY, shape)


def count(module, *inputs):
    _, variables = abstract(module, *inputs)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@functools.cache
def example(role, **options):
    """A small network, an input of four examples, and arbitrary variables."""
    module = getattr(resnet, role)(**{"width": 4, **options})
    x = inputs(role)
    _, shapes = abstract(module, x, LABEL)
    return module, x, arbitrary(shapes)


@functools.cache
def after_training_pass(role):
    """The example of a conditional network once its singular vectors have seen its weights."""
    module, x, variables = example(role, num_classes=3)
    collections = [name for name in variables if name != "params"]
    train = functools.partial(module.apply, train=True, mutable=collections)
    return variables | jax.jit(train)(variables, x, LABEL)[1]


@pytest.mark.parametrize(
    ("norm", "channels", "num_classes", "collections"),
    [
        ("batch", 3, None, {"batch_stats"}),
        ("batch", 1, 3, {"batch_stats"}),
        ("spectral", 1, None, {"spectral"}),
        ("spectral", 3, 3, {"spectral"}),
        ("none", 1, 3, set()),
    ],
)
def test_shapes(norm, channels, num_classes, collections):
    options = {"width": 2, "norm": norm, "num_classes": num_classes}
    label = None if num_classes is None else LABEL
    y, variables = abstract(
        resnet.Generator(channels=channels, **options), inputs("Generator"), label
    )
    assert y.shape == (4, 32, 32, channels)
    assert set(variables) == {"params"} | collections
    images = inputs("Discriminator", channels=channels)
    y, variables = abstract(resnet.Discriminator(**options), images, label)
    assert y.shape == (4,)
    assert set(variables) == {"params"} | collections


def convolution(size, c_in, c_out, bias=True):
    return size * size * c_in * c_out + bias * c_out


def test_parameters_of_the_paper_s_cifar10_networks():
    """Miyato et al., 2018, table 4: 256 channels in the generator, 128 in the discriminator."""
    norm, c = 2 * 256, 256
    # A bias before batch norm would do nothing.
    up = 2 * norm + convolution(3, c, c, bias=False) + convolution(3, c, c) + convolution(1, c, c)
    dense = (128 + 1) * 4 * 4 * c
    expected = dense + 3 * up + norm + convolution(3, c, 3)
    assert count(resnet.Generator(width=256), jnp.ones((2, 128))) == expected == 4_275_971

    c = 128
    same = 2 * convolution(3, c, c)
    first = convolution(3, 3, c) + convolution(3, c, c) + convolution(1, 3, c)
    expected = first + same + convolution(1, c, c) + 2 * same + (c + 1)
    assert count(resnet.Discriminator(width=128), inputs("Discriminator")) == expected == 1_053_825


@pytest.mark.parametrize(
    ("resolution", "up", "down", "lowest"),
    [
        (64, [1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024], 2),
        (128, [1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024], 4),
    ],
)
def test_widths_of_larger_networks_are_the_paper_s(resolution, up, down, lowest):
    """Table 6 for 128 pixels, the published code for 64."""
    _, variables = abstract(
        resnet.Generator(resolution=resolution), jnp.ones((1, 128), jnp.float32)
    )
    params = variables["params"]
    assert params["dense"]["kernel"].shape == (128, 4 * 4 * up[0])
    blocks = [params[f"block_{i}"]["conv_0"]["kernel"].shape for i in range(len(up) - 1)]
    assert blocks == [(3, 3, *up[i : i + 2]) for i in range(len(up) - 1)]
    assert params["image"]["kernel"].shape == (3, 3, 64, 3)

    module, x = resnet.Discriminator(resolution=resolution), jnp.ones((1, *[resolution] * 2, 3))

    @jax.eval_shape
    def intermediates():
        return module.init_with_output(KEY, x, capture_intermediates=True)[1]["intermediates"]

    outputs = [intermediates[f"block_{i}"]["__call__"][0].shape for i in range(len(down))]
    sizes = [max(resolution // 2 ** (i + 1), lowest) for i in range(len(down))]
    assert outputs == [(1, size, size, c) for size, c in zip(sizes, down, strict=True)]
    hidden = [intermediates[f"block_{i}"]["conv_0"]["__call__"][0].shape[-1] for i in range(3)]
    assert hidden == [64, 64, 128]  # the first block's output, then each block's input


@pytest.mark.parametrize("preactivation", [True, False])
@pytest.mark.parametrize("resample", ["up", "same", "down"])
def test_block_is_the_paper_s(resample, preactivation):
    """As published: resampling beside the 3×3 convolutions, shortcut at the higher resolution."""
    x = jax.random.normal(KEY, (2, 4, 6, 3))
    block = resnet.Block(5, resample, hidden=4, preactivation=preactivation)
    variables = block.init(KEY, x, True)
    params = jax.tree.map(lambda p: p + 0.1, variables["params"])

    def convolve(x, name):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        return (conv_same(x, kernel) if kernel.shape[0] == 3 else x @ kernel[0, 0]) + bias

    up = repeat_up if resample == "up" else lambda x: x
    down = average_down if resample == "down" else lambda x: x
    h = convolve(up(jax.nn.relu(x) if preactivation else x), "conv_0")
    h = down(convolve(jax.nn.relu(h), "conv_1"))
    expected = h + down(convolve(up(x), "shortcut"))
    assert params["conv_0"]["kernel"].shape[-1] == 4
    np.testing.assert_allclose(block.apply({"params": params}, x, True), expected, atol=1e-5)


def test_shortcut_is_the_identity_where_nothing_changes():
    x = jax.random.normal(KEY, (2, 4, 4, 3))
    params = resnet.Block(3).init(KEY, x, True)["params"]
    assert set(params) == {"conv_0", "conv_1"}
    params = jax.tree.map(jnp.zeros_like, params)
    np.testing.assert_array_equal(resnet.Block(3).apply({"params": params}, x, True), x)


@pytest.mark.parametrize("train", [True, False])
def test_class_batch_norm_is_what_it_says(train):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(3, 2, (4, 2, 3, 5)), jnp.float32)
    gain, bias, mean, var = jnp.asarray(rng.uniform(0.5, 2, (4, 3, 5)), jnp.float32)
    variables = {
        "params": {"gain": {"embedding": gain}, "bias": {"embedding": bias}},
        "batch_stats": {"norm": {"mean": mean[0], "var": var[0]}},
    }
    y, changed = ClassBatchNorm(3).apply(variables, x, LABEL, train, mutable=["batch_stats"])
    if train:
        m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
    else:
        m, v = mean[0], var[0]
    scale, shift = (np.asarray(a)[LABEL][:, None, None] for a in (gain, bias))
    np.testing.assert_allclose(y, (x - m) / np.sqrt(v + 1e-5) * scale + shift, atol=1e-4)
    remembered = 0.9 * mean[0] + 0.1 * m if train else mean[0]
    np.testing.assert_allclose(changed["batch_stats"]["norm"]["mean"], remembered, rtol=1e-4)


def test_class_batch_norm_starts_as_batch_norm():
    x = jax.random.normal(KEY, (4, 2, 2, 3)) + 5
    y, _ = ClassBatchNorm(3).init_with_output(KEY, x, LABEL, True)
    np.testing.assert_allclose(np.mean(y, (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(y, (0, 1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("role", "norm"),
    [("Generator", "batch"), ("Generator", "none"), ("Discriminator", "none")],
)
def test_label_matters_when_conditional(role, norm):
    module, x, variables = example(role, num_classes=3, norm=norm)
    apply = jax.jit(module.apply)
    y, other = apply(variables, x, LABEL), apply(variables, x, LABEL.at[0].set(2))
    changed = np.abs(y - other).reshape(4, -1).max(axis=1) > 1e-6
    np.testing.assert_array_equal(changed, [True, False, False, False])
    with pytest.raises(ValueError, match="needs labels"):
        jax.eval_shape(module.apply, variables, x)


def test_projection_and_auxiliary_classifier():
    x = jax.random.normal(KEY, (4, 2, 2, 5))
    head = resnet.Head(3)
    params = head.init(KEY, x, LABEL, True)["params"]
    params = jax.tree.map(lambda p: p + 0.5, params)
    features = np.asarray(x).sum((1, 2))
    linear = features @ params["logit"]["kernel"][:, 0] + params["logit"]["bias"]
    rows = np.asarray(params["label"]["embedding"])[np.asarray(LABEL)]
    logits = head.apply({"params": params}, x, LABEL, True)
    np.testing.assert_allclose(logits, linear + (rows * features).sum(1), rtol=1e-5)

    classes = {"kernel": jnp.arange(15.0).reshape(5, 3), "bias": jnp.ones(3)}
    params = {"logit": params["logit"], "class_logits": classes}
    head = resnet.Head(3, "auxiliary")
    logits, class_logits = head.apply({"params": params}, x, None, True)
    np.testing.assert_allclose(logits, linear, rtol=1e-5)
    np.testing.assert_allclose(class_logits, features @ classes["kernel"] + 1, rtol=1e-4)


def test_auxiliary_discriminator_gives_a_pair():
    module = resnet.Discriminator(width=2, num_classes=7, conditioning="auxiliary")
    (logits, class_logits), variables = abstract(module, inputs("Discriminator"))
    assert logits.shape == (4,)
    assert class_logits.shape == (4, 7)
    assert "label" not in variables["params"]["head"]


def test_power_iteration_in_training_only():
    module, x, variables = example("Discriminator", num_classes=3)
    test = jax.jit(functools.partial(module.apply, mutable=["spectral"]))
    _, outside = test(variables, x, LABEL)
    training = after_training_pass("Discriminator")
    for before, same, new in zip(
        *(jax.tree.leaves(v["spectral"]) for v in (variables, outside, training)), strict=True
    ):
        np.testing.assert_array_equal(before, same)
        assert before.size == 1 or np.abs(before - new).max() > 1e-3


def test_every_layer_of_a_spectral_discriminator_is_normalised():
    _, variables = abstract(
        resnet.Discriminator(width=2, num_classes=3), inputs("Discriminator"), LABEL
    )
    kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1]
    assert len(jax.tree.leaves(variables["spectral"])) == 2 * len(kernels)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_batch_norm_sees_the_global_batch(num_classes):
    options = {} if num_classes is None else {"num_classes": num_classes}
    module, x, variables = example("Generator", **options)
    x = x * jnp.arange(1.0, 5.0)[:, None]  # parts would differ on their own
    label = None if num_classes is None else LABEL

    def call(x, label, axis_name=None):
        return module.apply(
            variables, x, label, train=True, axis_name=axis_name, mutable=["batch_stats"]
        )

    y, stats = jax.jit(call)(x, label)
    parts = jax.tree.map(lambda a: a.reshape(2, 2, *a.shape[1:]), (x, label))
    split = jax.vmap(functools.partial(call, axis_name="parts"), axis_name="parts")
    y_parts, spread = jax.jit(split)(*parts)
    np.testing.assert_allclose(y_parts.reshape(y.shape), y, atol=1e-4)
    assert largest_difference(jax.tree.map(lambda s: jnp.stack([s, s]), stats), spread) < 1e-4


def test_both_networks_learn():
    options = {"num_classes": 3}
    batch = {"real": inputs("Discriminator"), "label": LABEL}
    objective = gan_jax.Adversarial(loss=losses.hinge, latent_dim=Z, ema=None)

    def state(role):
        module, _, variables = example(role, **options)
        tx = optax.adam(1e-3)
        return gan_jax.TrainState.create(apply_fn=module.apply, variables=variables, tx=tx)

    g, d = map(state, NETWORKS)
    for step, one, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        new, metrics = step(one, other, batch, KEY, objective=objective)
        assert np.isfinite(metrics["loss"])
        moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), one.params, new.params)
        if one is d:  # where no example is beyond its margin, the hinge's pulls on it cancel
            del moved["head"]["logit"]["bias"]
        assert all(jax.tree.leaves(moved)), moved


@every_network
@pytest.mark.parametrize("norm", NORMS)
def test_bfloat16_keeps_float32_parameters_and_results(role, norm):
    module = getattr(resnet, role)(width=2, norm=norm, num_classes=3, dtype=jnp.bfloat16)
    leaves = jax.tree.leaves(abstract(module, inputs(role), LABEL))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@every_network
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 16}, "not for images of 16×16 pixels, but of 32×32"),
        ({"norm": "layer"}, "unknown norm 'layer'"),
    ],
)
def test_refuses_what_there_is_not(role, options, message):
    with pytest.raises(ValueError, match=message):
        abstract(getattr(resnet, role)(**options), inputs(role))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 64}, "64×64 pixels cannot judge images of 32×32"),
        ({"conditioning": "concat"}, "unknown conditioning 'concat'"),
        ({"conditioning": "auxiliary"}, "auxiliary classifier needs num_classes"),
    ],
)
def test_discriminator_refuses_what_there_is_not(options, message):
    with pytest.raises(ValueError, match=message):
        abstract(resnet.Discriminator(width=2, **options), inputs("Discriminator"))
