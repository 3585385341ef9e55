"""R3GAN against its arithmetic written again, its published size, and what its paper promises."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.r3gan import PRESETS, Discriminator, Generator

KEY = jax.random.key(0)
Z, CLASSES = 5, 3
LABEL = jnp.array([2, 0])
STAGES = {"widths": (6, 4, 4), "groups": (3, 2, 4)}  # 16×16 pixels

every_network = pytest.mark.parametrize("role", [Generator, Discriminator])
every_conditioning = pytest.mark.parametrize("num_classes", [None, CLASSES], ids=["plain", "class"])


def inputs(role, num_classes=None):
    x = jax.random.normal(KEY, (2, Z) if role is Generator else (2, 16, 16, 3))
    return (x,) if num_classes is None else (x, LABEL)


@functools.cache
def example(role, num_classes):
    """A small network, its inputs, and parameters none of which are zero."""
    network = role(**STAGES, num_classes=num_classes)
    arguments = inputs(role, num_classes)
    shapes = jax.eval_shape(network.init, KEY, *arguments)["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda s: jnp.asarray(rng.normal(0, 0.5 / math.sqrt(s.shape[-1] / 4), s.shape), s.dtype),
        shapes,
    )
    return network, arguments, params


# The arithmetic again: NumPy in float64, [n, c, h, w] as in the published code, loops for sums.


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def grouped(x, kernel, groups):
    n, c, h, w = x.shape
    into, out = c // groups, kernel.shape[-1] // groups
    padded = np.zeros((n, c, h + 2, w + 2))
    padded[:, :, 1:-1, 1:-1] = x
    y = np.zeros((n, kernel.shape[-1], h, w))
    for group in range(groups):
        sources = padded[:, group * into : (group + 1) * into]
        for i in range(3):
            for j in range(3):
                taps = kernel[i, j, :, group * out : (group + 1) * out]
                seen = sources[:, :, i : i + h, j : j + w]
                y[:, group * out : (group + 1) * out] += np.einsum("nchw,co->nohw", seen, taps)
    return y


FIR = np.outer(*2 * [np.convolve([1, 2, 1], [1, 1])]) / 64


def convolve_fir(x, padding):
    """Every position of the 4×4 filter, on images padded (before, after)."""
    x = np.pad(x, [(0, 0), (0, 0), padding, padding])
    h, w = x.shape[2] - 3, x.shape[3] - 3
    return sum(FIR[i, j] * x[:, :, i : i + h, j : j + w] for i in range(4) for j in range(4))


def doubled(x):
    n, c, h, w = x.shape
    zeros_between = np.zeros((n, c, 2 * h, 2 * w))
    zeros_between[:, :, ::2, ::2] = x
    return 4 * convolve_fir(zeros_between, (2, 1))


def halved(x):
    return convolve_fir(x, (1, 1))[:, :, ::2, ::2]


def pointwise(x, layer):
    return np.einsum("nchw,co->nohw", x, layer["kernel"][0, 0])


def residual_stage(x, params, resolution, groups):
    def biased(y, layer):
        return leaky(y + layer["bias"][:, None, None])

    for i in range(2):
        block = params[f"stage_{resolution}"][f"block_{i}"]
        y = biased(pointwise(x, block["expand"]), block["expand"])
        y = biased(grouped(y, block["mix"]["kernel"], groups), block["mix"])
        x = x + pointwise(y, block["project"])
    return x


def numpy_generator(params, z, label=None):
    if label is not None:
        z = np.concatenate([z, params["label"]["embedding"][label]], axis=1)
    scale = z @ params["dense"]["kernel"]
    x = params["basis"].transpose(2, 0, 1) * scale[:, :, None, None]
    x = residual_stage(x, params, 4, 3)
    x = residual_stage(doubled(pointwise(x, params["width_8"])), params, 8, 2)
    x = residual_stage(doubled(x), params, 16, 4)
    return pointwise(x, params["image"]).transpose(0, 2, 3, 1)


def numpy_discriminator(params, x, label=None):
    x = pointwise(x.transpose(0, 3, 1, 2), params["image"])
    x = halved(residual_stage(x, params, 16, 4))
    x = pointwise(halved(residual_stage(x, params, 8, 2)), params["width_8"])
    x = residual_stage(x, params, 4, 3)
    x = np.einsum("nchw,hwc->nc", x, params["basis"]) @ params["dense"]["kernel"]
    return x[:, 0] if label is None else np.sum(x * params["label"]["embedding"][label], axis=1)


REFERENCE = {Generator: numpy_generator, Discriminator: numpy_discriminator}


def float64(tree):
    return jax.tree.map(np.float64, tree)


@functools.cache
def value_and_gradients(role, num_classes):
    """The output, weights that make a scalar of it, and its gradients in parameters and input."""
    network, (x, *label), params = example(role, num_classes)

    def scalar(params, x, weights):
        y = network.apply({"params": params}, x, *label)
        return jnp.sum(weights * y), y

    shape = jax.eval_shape(network.apply, {"params": params}, x, *label).shape
    weights = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    gradient = jax.jit(jax.grad(scalar, (0, 1), has_aux=True))
    (params_bar, x_bar), y = gradient(params, x, weights)
    return y, weights, {"params": params_bar, "input": x_bar}


@every_network
@every_conditioning
def test_arithmetic_is_the_paper_s(role, num_classes):
    _, (x, *label), params = example(role, num_classes)
    y, _, _ = value_and_gradients(role, num_classes)
    expected = REFERENCE[role](float64(params), np.float64(x), *map(np.asarray, label))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@every_network
@every_conditioning
def test_gradients_are_the_paper_s(role, num_classes):
    """Of every parameter and of the input, along random directions."""
    _, (x, *label), params = example(role, num_classes)
    _, weights, gradients = value_and_gradients(role, num_classes)
    leaves, treedef = jax.tree.flatten(float64({"params": params, "input": x}))
    rng = np.random.default_rng(3)

    def scalar(changed, i):
        tree = treedef.unflatten([*leaves[:i], changed, *leaves[i + 1 :]])
        y = REFERENCE[role](tree["params"], tree["input"], *map(np.asarray, label))
        return np.sum(weights * y)

    for i, (leaf, gradient) in enumerate(zip(leaves, jax.tree.leaves(gradients), strict=True)):
        direction = rng.normal(size=leaf.shape)
        step = 1e-8 * direction
        expected = (scalar(leaf + step, i) - scalar(leaf - step, i)) / 2e-8
        ours = np.sum(direction * np.float64(gradient))
        scale = np.linalg.norm(gradient)
        assert scale > 1e-3
        assert abs(ours - expected) < 1e-4 * scale


def test_r1_has_pytorch_s_gradient():
    """The second derivative: R1 of the same discriminator written in PyTorch, differentiated by
    every parameter."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    network, (x, label), params = example(Discriminator, CLASSES)

    def r1(params):
        def total(x):
            return jnp.sum(network.apply({"params": params}, x, label))

        return jnp.mean(jnp.sum(jnp.square(jax.grad(total)(x)), (1, 2, 3)))

    ours, gradients = jax.jit(jax.value_and_grad(r1))(params)

    weights = jax.tree.map(lambda p: torch.tensor(np.float64(p), requires_grad=True), params)

    def conv(x, layer, **options):
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        return functional.conv2d(x, kernel, layer.get("bias"), **options)

    def blocks(x, resolution, groups):
        for i in range(2):
            block = weights[f"stage_{resolution}"][f"block_{i}"]
            y = functional.leaky_relu(conv(x, block["expand"]), 0.2)
            y = functional.leaky_relu(conv(y, block["mix"], padding=1, groups=groups), 0.2)
            x = x + conv(y, block["project"])
        return x

    def half(x):
        c = x.shape[1]
        fir = torch.tensor(FIR).expand(c, 1, 4, 4)
        return functional.conv2d(x, fir, stride=2, padding=1, groups=c)

    pixels = torch.tensor(np.float64(x).transpose(0, 3, 1, 2), requires_grad=True)
    y = half(blocks(conv(pixels, weights["image"]), 16, 4))
    y = conv(half(blocks(y, 8, 2)), weights["width_8"])
    y = (blocks(y, 4, 3) * weights["basis"].permute(2, 0, 1)).sum((2, 3))
    y = (y @ weights["dense"]["kernel"]) * weights["label"]["embedding"][label.tolist()]
    (slope,) = torch.autograd.grad(y.sum(), pixels, create_graph=True)
    theirs = slope.square().sum((1, 2, 3)).mean()
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-4)

    leaves = jax.tree.leaves(weights)
    expected = torch.autograd.grad(theirs, leaves, allow_unused=True)
    for ours, theirs in zip(jax.tree.leaves(gradients), expected, strict=True):
        if theirs is None:
            np.testing.assert_array_equal(ours, 0)
        else:
            scale = theirs.abs().max().item()
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4 * scale)


# Sizes.


def stage_sizes(preset):
    """Parameters in the stages, and in what leads from one to the next and to or from colours."""
    blocks = [
        2 * (2 * 2 * w * w + 9 * 2 * w * (2 * w // g) + 2 * 2 * w)
        for w, g in zip(preset.widths, preset.groups, strict=True)
    ]
    between = [a * b for a, b in itertools.pairwise(preset.widths) if a != b]
    return sum(blocks) + sum(between) + 3 * preset.widths[-1]


def head_sizes(preset):
    """Parameters at 4×4: a basis, a linear map and an embedding, in either network."""
    classes, z, w = preset.num_classes, preset.latent_dim, preset.widths[0]
    if classes is None:
        return 16 * w + z * w, 16 * w + w
    return 16 * w + 2 * z * w + classes * z, 16 * w + w * w + classes * w


@functools.cache
def count(role, name):
    preset = PRESETS[name]
    network = role(preset.widths, preset.groups, num_classes=preset.num_classes)
    resolution = 4 * 2 ** (len(preset.widths) - 1)
    shape = (1, preset.latent_dim) if role is Generator else (1, resolution, resolution, 3)
    label = None if preset.num_classes is None else LABEL[:1]
    variables = jax.eval_shape(network.init, KEY, jnp.ones(shape), label)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize("name", ["cifar10", "ffhq-256", "imagenet-64"])
def test_parameter_counts(name):
    body, heads = stage_sizes(PRESETS[name]), head_sizes(PRESETS[name])
    assert count(Generator, name) == body + heads[0]
    assert count(Discriminator, name) == body + heads[1]


@pytest.mark.parametrize(("name", "size"), [("ffhq-256", 0.645), ("imagenet-64", 2.94)])
def test_published_checkpoints_are_as_large(name, size):
    """Those at huggingface.co/brownvc hold, in float32, the generator, its moving average and both
    of Adam's moments, and the discriminator with the latter. Sizes in GB to three figures."""
    total = 4 * (4 * count(Generator, name) + 3 * count(Discriminator, name))
    assert float(f"{total / 1e9:.3g}") == size


# The start of training.


@functools.cache
def initial(role):
    network = role((64, 32), (8, 4), num_classes=50)
    x = jax.random.normal(KEY, (3, 64) if role is Generator else (3, 8, 8, 3))
    label = jnp.array([0, 7, 49])
    return network, x, label, jax.jit(network.init)(KEY, x, label)["params"]


@every_network
def test_initial_variances(role):
    params = initial(role)[-1]
    gain = math.sqrt(2 / (1 + 0.2**2)) / 4**0.25  # four blocks
    expected = {}
    for stage, width, groups in ("stage_4", 64, 8), ("stage_8", 32, 4):
        expected[stage, "expand"] = gain / math.sqrt(width)
        expected[stage, "mix"] = gain / math.sqrt(9 * 2 * width / groups)
        expected[stage, "project"] = 0
    if role is Generator:
        expected |= {"basis": 1, "dense": 128**-0.5, "label": 50**-0.5, "image": 32**-0.5}
        expected["width_8"] = 64**-0.5
    else:
        expected |= {"basis": 1 / 4, "dense": 64**-0.5, "label": (50 * 64) ** -0.5}
        expected |= {"image": 3**-0.5, "width_8": 32**-0.5}
    for path, leaf in jax.tree.leaves_with_path(params):
        names = [part.key for part in path]
        place = (names[0], names[2]) if names[0].startswith("stage") else names[0]
        std = 0 if names[-1] == "bias" else expected[place]
        tolerance = 5 / math.sqrt(2 * leaf.size)
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(leaf))), std, rtol=tolerance)


@every_network
def test_blocks_start_as_the_identity(role):
    """What is left is linear, hence odd; the leaky ReLUs are not."""
    network, x, label, params = initial(role)
    if role is Generator:  # an input as well
        params = params | {"label": jax.tree.map(jnp.zeros_like, params["label"])}
    apply = jax.jit(lambda params, x: network.apply({"params": params}, x, label))
    y, opposite = apply(params, x), apply(params, -x)
    scale = np.abs(y).max()
    assert scale > 1e-3
    np.testing.assert_allclose(y, -opposite, rtol=0, atol=1e-5 * scale)
    awake = jax.tree.map(lambda p: p + 0.1, params)
    assert np.abs(apply(awake, x) + apply(awake, -x)).max() > 0.1


def test_r1_at_the_start_has_a_finite_gradient():
    network, x, label, params = initial(Discriminator)

    def r1(params):
        slope = jax.grad(lambda x: jnp.sum(network.apply({"params": params}, x, label)))(x)
        return jnp.mean(jnp.sum(jnp.square(slope), (1, 2, 3)))

    value, gradients = jax.jit(jax.value_and_grad(r1))(params)
    assert value > 0
    for path, leaf in jax.tree.leaves_with_path(gradients):
        names = [part.key for part in path]
        assert np.isfinite(leaf).all()
        # The first two layers of a block wait for the last to leave zero.
        waits = "expand" in names or "mix" in names
        assert (np.abs(leaf).max() > 0) != waits, names


# Interfaces.


@every_network
def test_bfloat16_is_close_and_ends_in_float32(role):
    full, arguments, params = example(role, CLASSES)
    half = full.clone(dtype=jnp.bfloat16)
    exact, _, _ = value_and_gradients(role, CLASSES)

    @jax.jit
    def apply(params):
        return half.apply({"params": params}, *arguments, capture_intermediates=True)

    rough, captured = apply(params)
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()
    inside = captured["intermediates"]
    dtypes = {r: inside[f"stage_{r}"]["__call__"][0].dtype for r in (4, 8, 16)}
    assert dtypes == {4: jnp.float32, 8: jnp.bfloat16, 16: jnp.bfloat16}
    variables = jax.eval_shape(half.init, KEY, *arguments)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@every_network
def test_vmap_over_seeds_and_over_examples(role):
    network, (x, label), params = example(role, CLASSES)
    y, _, _ = value_and_gradients(role, CLASSES)
    seeds = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)

    def one(params, x, label):
        return network.apply({"params": params}, x[None], label[None], axis_name="examples")[0]

    examples = jax.vmap(one, (None, 0, 0), axis_name="examples")
    both = jax.jit(jax.vmap(examples, (0, None, None)))(seeds, x, label)
    np.testing.assert_allclose(both[0], y, rtol=0, atol=1e-5 * np.abs(y).max())
    assert np.abs(both[1] - both[0]).min() > 0


def test_sizes_are_free():
    options = {"widths": (4, 6), "groups": (2, 4), "blocks": 1, "expansion": 4}
    g = Generator(**options, channels=1, num_classes=CLASSES, embedding_dim=7)
    d = Discriminator(**options, num_classes=CLASSES, embedding_dim=7)

    def made(z):
        y, g_variables = g.init_with_output(KEY, z, LABEL)
        logits, d_variables = d.init_with_output(KEY, y, LABEL)
        return y, logits, g_variables["params"], d_variables["params"]

    y, logits, g_params, d_params = jax.eval_shape(made, jnp.ones((2, Z)))
    assert y.shape == (2, 8, 8, 1)
    assert logits.shape == (2,)
    assert g_params["dense"]["kernel"].shape == (Z + 7, 4)
    assert d_params["dense"]["kernel"].shape == (4, 7)
    for params in g_params, d_params:
        assert set(params["stage_8"]) == {"block_0"}
        assert params["stage_8"]["block_0"]["mix"]["kernel"].shape == (3, 3, 6, 24)


@every_network
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"widths": (4, 4), "groups": (2,)}, "not 2 widths, 1 groups and 2 blocks"),
        ({"widths": (), "groups": ()}, "not 0 widths, 0 groups"),
        ({"widths": (4,), "groups": (2,), "blocks": 0}, "and 0 blocks"),
        ({"widths": (4,), "groups": (3,)}, "3 groups do not divide 8"),
    ],
    ids=["lengths", "none", "blocks", "groups"],
)
def test_refuses_impossible_sizes(role, sizes, message):
    x = jnp.ones((1, Z) if role is Generator else (1, 4, 4, 3))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(role(**sizes).init, KEY, x)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (32, 32)])
def test_discriminator_refuses_images_of_another_size(size):
    with pytest.raises(ValueError, match=f"16×16 pixels cannot judge images of {size[0]}×"):
        jax.eval_shape(Discriminator(**STAGES).init, KEY, jnp.ones((1, *size, 3)))


@every_network
def test_conditional_networks_need_labels(role):
    network = role(**STAGES, num_classes=CLASSES)
    with pytest.raises(ValueError, match="labels"):
        jax.eval_shape(network.init, KEY, *inputs(role))
