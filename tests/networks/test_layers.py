"""Convolutions in both forms, spectral norm, and the small layers."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import need_devices

from gan_jax.networks import layers
from gan_jax.networks.layers import (
    Conv,
    Dense,
    Embed,
    batch_norm,
    conv_down,
    conv_grouped,
    conv_same,
    conv_stride,
    conv_transpose,
    conv_up,
    conv_valid,
    instance_norm,
    pad,
)
from gan_jax.networks.resampling import average_down, repeat_up

KEY = jax.random.key(0)


def in_two_groups(x, kernel):
    return conv_grouped(x, kernel, 2)


# convolution, shape of the input, shape of the kernel
CASES = [
    (conv_same, (2, 5, 4, 3), (3, 3, 3, 5)),
    (conv_same, (18, 4, 3, 2), (3, 3, 2, 1)),  # more examples than are summed at a time
    (conv_same, (2, 1, 1, 3), (3, 3, 3, 2)),  # the kernel outgrows its input
    (in_two_groups, (2, 5, 4, 6), (3, 3, 3, 4)),
    (in_two_groups, (2, 4, 4, 64), (3, 3, 32, 2)),  # groups wide enough to stay apart
    (conv_down, (2, 6, 4, 3), (4, 4, 3, 5)),
    (conv_down, (3, 2, 2, 1), (4, 4, 1, 2)),
    (conv_down, (2, 4, 6, 17), (4, 4, 17, 5)),  # wide enough for the other products
    (conv_up, (2, 3, 5, 3), (4, 4, 3, 2)),
    (conv_up, (3, 1, 1, 5), (4, 4, 5, 3)),
    (conv_up, (2, 3, 5, 4), (4, 4, 4, 18)),  # wide enough for a convolution per phase
    (conv_valid, (2, 6, 5, 3), (4, 4, 3, 5)),
    (conv_valid, (18, 5, 6, 1), (5, 5, 1, 2)),  # more examples than are summed at a time
    (conv_valid, (2, 8, 7, 2), (7, 7, 2, 3)),
    (conv_stride, (2, 6, 4, 3), (3, 3, 3, 5)),
    (conv_stride, (3, 2, 2, 1), (3, 3, 1, 2)),
    (conv_transpose, (2, 3, 5, 3), (3, 3, 3, 2)),
    (conv_transpose, (3, 1, 1, 5), (3, 3, 5, 3)),
]
HALVING = (conv_down, conv_stride)
every_convolution = pytest.mark.parametrize(
    ("convolve", "x_shape", "kernel_shape"),
    CASES,
    ids=[f"{c[0].__name__}-{'x'.join(map(str, c[1]))}" for c in CASES],
)


def inputs(*shapes):
    return [
        jax.random.normal(k, s)
        for k, s in zip(jax.random.split(KEY, len(shapes)), shapes, strict=True)
    ]


def numpy_convolution(convolve, x, kernel):
    """From the definition, in float64: every input pixel through every tap."""
    (n, h, w, _), (kh, kw, _, c) = x.shape, kernel.shape
    if convolve is in_two_groups:
        xs, kernels = np.split(x, 2, axis=-1), np.split(kernel, 2, axis=-1)
        parts = [numpy_convolution(conv_same, *pair) for pair in zip(xs, kernels, strict=True)]
        return np.concatenate(parts, axis=-1)
    x, kernel = np.float64(x), np.float64(kernel)
    upwards, stride = convolve in (conv_up, conv_transpose), 1 + (convolve in HALVING)
    padding = 0 if convolve is conv_valid else 1
    shape = [2 * h, 2 * w] if upwards else [
        (size + 2 * padding - k) // stride + 1 for size, k in ((h, kh), (w, kw))
    ]  # fmt: skip
    y = np.zeros((n, *shape, c))
    for i, j, a, b in np.ndindex(h, w, kh, kw):
        if upwards:  # input i reaches output 2i + a − 1
            o, p, partial = 2 * i + a - 1, 2 * j + b - 1, False
        else:  # output o reads input o·stride + a − padding
            (o, r), (p, s) = divmod(i + padding - a, stride), divmod(j + padding - b, stride)
            partial = r or s
        if not partial and 0 <= o < y.shape[1] and 0 <= p < y.shape[2]:
            y[:, o, p] += x[:, i, j] @ kernel[a, b]
    return y


def derivatives(convolve):
    """Value, both gradients, and both gradients of a penalty on these: five arrays."""

    def critic(x, kernel):
        return jnp.sum(jnp.tanh(convolve(x, kernel)))

    def penalty(x, kernel):
        return sum(jnp.sum(jnp.square(g)) for g in jax.grad(critic, (0, 1))(x, kernel))

    def everything(x, kernel):
        first = jax.grad(critic, (0, 1))(x, kernel)
        return convolve(x, kernel), *first, *jax.grad(penalty, (0, 1))(x, kernel)

    return jax.jit(everything)


@functools.cache
def results(convolve, x_shape, kernel_shape, canonical):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "canonical_form", lambda: canonical)
        return derivatives(convolve)(*inputs(x_shape, kernel_shape))


@every_convolution
@pytest.mark.parametrize("canonical", [True, False], ids=["canonical", "lax"])
def test_convolution_agrees_with_its_definition(convolve, x_shape, kernel_shape, canonical):
    y, *_ = results(convolve, x_shape, kernel_shape, canonical)
    expected = numpy_convolution(convolve, *inputs(x_shape, kernel_shape))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@every_convolution
def test_both_forms_agree_in_every_derivative(convolve, x_shape, kernel_shape):
    canonical, plain = (results(convolve, x_shape, kernel_shape, c) for c in (True, False))
    for ours, theirs in zip(canonical, plain, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * scale)


@every_convolution
def test_canonical_in_every_derivative(convolve, x_shape, kernel_shape):
    """XLA's fast kernel takes NHWC and HWIO, no dilation, and no kernel larger than its input:
    every convolution of the program must be so."""
    if not layers.canonical_form():
        pytest.skip("the canonical form is for CPUs")
    if min(x_shape[1:3]) < 3:
        pytest.skip("smaller than the kernel from the start")
    text = derivatives(convolve).lower(*inputs(x_shape, kernel_shape)).as_text()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) >= 2
    for line in convolutions:
        assert "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
        windows = dict(re.findall(r"(\w+) = (\[[^=]*?\])[,}]", line.split("window = {")[1]))
        for name in ("lhs_dilate", "rhs_dilate"):
            assert set(re.findall(r"\d+", windows.get(name, ""))) <= {"1"}
        assert "feature_group_count = 1 :" in line
        image, kernel = re.findall(r"tensor<(\d+)x(\d+)x(\d+)x(\d+)xf32>", line)[:2]
        assert int(kernel[0]) <= int(image[1]) + 1
        assert int(kernel[1]) <= int(image[2]) + 1


def test_up_is_the_transpose_of_down():
    @jax.jit
    def products(x, y, kernel):
        down, up = conv_down(x, kernel), conv_up(y, kernel.swapaxes(2, 3))
        return jnp.vdot(down, y), jnp.vdot(x, up)

    left, right = products(*inputs((2, 6, 8, 3), (2, 3, 4, 5), (4, 4, 3, 5)))
    assert abs(left) > 1
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_transpose_is_the_transpose_of_stride():
    x, y, kernel = inputs((2, 6, 8, 3), (2, 3, 4, 5), (3, 3, 3, 5))
    left = jnp.vdot(conv_stride(x, kernel), y)
    right = jnp.vdot(x, conv_transpose(y, kernel.swapaxes(2, 3)))
    assert abs(left) > 1
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_strides_are_those_of_torch():
    torch = pytest.importorskip("torch")
    x, kernel = inputs((2, 6, 4, 3), (3, 3, 3, 5))
    image = torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)
    weight = torch.from_numpy(np.array(kernel))
    down = torch.nn.functional.conv2d(image, weight.permute(3, 2, 0, 1), stride=2, padding=1)
    up = torch.nn.functional.conv_transpose2d(
        image, weight.permute(2, 3, 0, 1), stride=2, padding=1, output_padding=1
    )
    for ours, theirs in ((conv_stride(x, kernel), down), (conv_transpose(x, kernel), up)):
        np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


def test_a_mirror_stands_at_the_outermost_pixel():
    row = jnp.broadcast_to(jnp.arange(1.0, 5)[:, None], (1, 4, 4, 1))
    padded = pad(row, 3, "reflect")
    assert padded.shape == (1, 10, 10, 1)
    assert padded[0, 0, :, 0].tolist() == [4, 3, 2, 1, 2, 3, 4, 3, 2, 1]


@pytest.mark.parametrize(("mode", "numpy_mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_padding_is_that_of_numpy(mode, numpy_mode):
    (x,) = inputs((2, 5, 4, 3))
    expected = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=numpy_mode)
    np.testing.assert_array_equal(pad(x, 2, mode), expected)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("size", [3, 4, 5, 7, 9])
def test_conv_of_any_size_keeps_the_resolution(size, padding):
    """But of size 4 it loses a pixel."""
    (x,) = inputs((1, 6, 5, 2))
    layer = Conv(3, size=size, padding=padding)
    y, variables = layer.init_with_output(KEY, x)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (size, size, 2, 3)
    edge = (size - 1) // 2
    edges = ((0, 0), (edge, edge), (edge, edge), (0, 0))
    padded = np.pad(x, edges, mode="reflect" if padding == "reflect" else "constant")
    assert y.shape == ((1, 5, 4, 3) if size == 4 else (1, 6, 5, 3))
    np.testing.assert_allclose(y, numpy_convolution(conv_valid, padded, kernel), atol=1e-5)


@pytest.mark.parametrize(
    ("resample", "shape"),
    [
        ("same", (2, 6, 4, 5)),
        ("down", (2, 3, 2, 5)),
        ("up", (2, 12, 8, 5)),
        ("stride", (2, 3, 2, 5)),
        ("transpose", (2, 12, 8, 5)),
    ],
)
def test_conv_resamples(resample, shape):
    (x,) = inputs((2, 6, 4, 3))
    layer = Conv(5, resample)
    assert layer.init_with_output(KEY, x)[0].shape == shape


def test_conv_of_three_pixels_that_resamples():
    (x,) = inputs((2, 6, 4, 3))
    kernel = Conv(5).init(KEY, x)
    down = average_down(Conv(5).apply(kernel, x))
    np.testing.assert_allclose(Conv(5, "down", size=3).apply(kernel, x), down, atol=1e-6)
    up = Conv(5).apply(kernel, repeat_up(x))
    np.testing.assert_allclose(Conv(5, "up", size=3).apply(kernel, x), up, atol=1e-6)


def test_conv_of_one_pixel_is_a_product():
    (x,) = inputs((2, 3, 4, 5))
    y, variables = Conv(7, size=1).init_with_output(KEY, x)
    np.testing.assert_allclose(y, x @ variables["params"]["kernel"][0, 0], rtol=1e-5)


def test_a_group_sees_its_own_channels_only():
    (x,) = inputs((1, 4, 4, 6))
    layer = Conv(9, groups=3)
    variables = layer.init(KEY, x)
    assert variables["params"]["kernel"].shape == (3, 3, 2, 9)
    changed = layer.apply(variables, x.at[..., 2:4].add(1.0)) != layer.apply(variables, x)
    assert np.nonzero(changed.any(axis=(0, 1, 2)))[0].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "layer",
    [
        Conv(4, size=2),
        Conv(4, "down", size=1),
        Conv(4, "down", size=5),
        Conv(4, "stride", size=4),
        Conv(4, "transpose", size=4),
        Conv(4, "sideways"),
        Conv(4, "stride", padding="reflect"),
        Conv(4, size=1, groups=2),
        Conv(4, size=5, groups=2),
        Conv(4, padding="reflect", groups=2),
        Conv(4, groups=4),
    ],
    ids=[
        "size",
        "size-down",
        "size-down-5",
        "size-stride",
        "size-transpose",
        "resample",
        "reflect-stride",
        "groups-1x1",
        "groups-5x5",
        "groups-reflect",
        "groups-divide",
    ],
)
def test_convolutions_that_do_not_exist(layer):
    with pytest.raises(ValueError, match=r"convolution|groups"):
        jax.eval_shape(layer.init, KEY, *inputs((1, 4, 4, 6)))


@pytest.mark.parametrize("layer", [Conv(5), Dense(5)], ids=["conv", "dense"])
def test_bias_starts_at_zero_and_is_added(layer):
    (x,) = inputs((2, 4, 4, 3))
    y, variables = layer.init_with_output(KEY, x)
    np.testing.assert_array_equal(variables["params"]["bias"], np.zeros(5))
    bias = jnp.arange(5.0)
    biased = layer.apply({"params": variables["params"] | {"bias": bias}}, x)
    np.testing.assert_allclose(biased, np.asarray(y) + np.arange(5), rtol=1e-6)
    without = layer.clone(use_bias=False)
    assert set(without.init(KEY, x)["params"]) == {"kernel"}
    np.testing.assert_array_equal(without.apply(variables, x), y)


def test_dense_maps_the_last_axis():
    x, kernel = inputs((2, 3, 4), (4, 5))
    y = Dense(5, use_bias=False).apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(y, np.einsum("abc,cd->abd", x, kernel), rtol=1e-4, atol=1e-5)


def test_embed_looks_rows_up():
    label = jnp.array([2, 0, 2])
    y, variables = Embed(3, 4).init_with_output(KEY, label)
    table = np.asarray(variables["params"]["embedding"])
    np.testing.assert_array_equal(y, table[[2, 0, 2]])
    # Only the classes that occur learn, and in proportion.
    gradient = jax.grad(lambda v: jnp.sum(Embed(3, 4).apply(v, label)))(variables)
    np.testing.assert_array_equal(
        gradient["params"]["embedding"], np.array([[1.0], [0.0], [2.0]]) * np.ones((3, 4))
    )


LAYERS = {
    "conv": (Conv(6, use_bias=False), (2, 4, 4, 3)),
    "dense": (Dense(6, use_bias=False), (2, 9)),
    "embed": (Embed(5, 6), (5,)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def layer_and_input(name):
    layer, shape = LAYERS[name]
    return layer, jnp.arange(5) if name == "embed" else jax.random.normal(KEY, shape)


@functools.cache
def initial(name):
    """A layer, its input, and its first output and variables with spectral norm."""
    layer, x = layer_and_input(name)
    return layer, x, *jax.jit(layer.clone(spectral=True).init_with_output)(KEY, x)


@functools.cache
def example(name):
    """A layer, its input, and a weight that its singular vectors know nothing of."""
    layer, x, _, variables = initial(name)
    params = jax.tree.map(lambda p: jax.random.normal(KEY, p.shape), variables["params"])
    return layer, x, params, variables["spectral"]


@functools.cache
def spectral_pass(name, train):
    """(params, vectors) to (output, vectors), by the layer with spectral norm."""
    layer, x, _, _ = example(name)

    def call(params, vectors):
        variables = {"params": params, "spectral": vectors}
        y, changed = layer.clone(spectral=True).apply(
            variables, x, train=train, mutable=["spectral"]
        )
        return y, changed["spectral"]

    return jax.jit(call)


def largest_singular_value(params):
    (weight,) = jax.tree.leaves(params)
    return np.linalg.svd(np.float64(weight).reshape(-1, 6), compute_uv=False)[0]


@every_layer
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["f32", "bf16"])
def test_computes_in_dtype_with_float32_parameters(name, dtype):
    layer, x = layer_and_input(name)
    layer = layer.clone(dtype=dtype, spectral=True)
    y, variables = jax.eval_shape(layer.init_with_output, KEY, x)
    assert y.dtype == dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@every_layer
def test_init_gives_variables(name):
    """No field of a layer may take the name of a method of Linen's modules."""
    layer, x = layer_and_input(name)
    assert set(jax.eval_shape(lambda: layer.init(KEY, x))) == {"params"}


@every_layer
def test_spectral_norm_divides_by_the_largest_singular_value(name):
    layer, x, params, vectors = example(name)
    first, _ = spectral_pass(name, True)(params, vectors)
    for _ in range(60):
        y, vectors = spectral_pass(name, True)(params, vectors)
    expected = layer.apply({"params": params}, x) / largest_singular_value(params)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(first - expected).max() > 1e-2  # the first pass could not know


@every_layer
def test_spectral_norm_is_good_from_the_start(name):
    layer, x, y, variables = initial(name)
    plain = layer.apply({"params": variables["params"]}, x)
    expected = plain / largest_singular_value(variables["params"])
    np.testing.assert_allclose(y, expected, rtol=0.05)


@every_layer
def test_power_iteration_in_training_only(name):
    _, _, params, before = example(name)
    _, outside = spectral_pass(name, False)(params, before)
    _, training = spectral_pass(name, True)(params, before)
    for old, kept, new in zip(*map(jax.tree.leaves, (before, outside, training)), strict=True):
        np.testing.assert_array_equal(old, kept)
        np.testing.assert_allclose(np.linalg.norm(new), 1, rtol=1e-6)
        assert np.abs(old - new).max() > 1e-2


@every_layer
@pytest.mark.parametrize("train", [True, False], ids=["train", "test"])
def test_spectral_norm_differentiates_sigma_but_not_its_vectors(name, train):
    layer, x, params, vectors = example(name)
    y, after = spectral_pass(name, train)(params, vectors)
    (weight,) = jax.tree.leaves(params)
    weight = np.float64(weight)
    u, v = map(np.float64, jax.tree.leaves(after))
    (c,) = inputs(y.shape)

    # The layer is linear in its weight, so the loss is <m, W>/(uᵀWv) for some m.
    def plain(params):
        return jnp.sum(c * layer.apply({"params": params}, x))

    (m,) = map(np.float64, jax.tree.leaves(jax.jit(jax.grad(plain))(params)))

    def loss(w):
        return np.sum(m * w) / (u @ w.reshape(-1, 6) @ v)

    def central_difference(index, eps=1e-6):
        step = np.zeros(weight.shape)
        step[index] = eps
        return (loss(weight + step) - loss(weight - step)) / (2 * eps)

    expected = np.array([central_difference(i) for i in np.ndindex(weight.shape)])

    def normalised(params):
        return jnp.sum(c * spectral_pass(name, train)(params, vectors)[0])

    (gradient,) = jax.tree.leaves(jax.grad(normalised)(params))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.ravel(gradient), expected, rtol=0, atol=1e-4 * scale)


def test_batch_norm_sees_the_global_batch():
    need_devices()
    (x,) = inputs((8, 3))
    x = x + jnp.arange(8.0)[:, None]  # devices would differ on their own
    whole = batch_norm(True, None, jnp.float32, "norm")
    y, variables = whole.init_with_output(KEY, x)
    np.testing.assert_allclose(np.mean(y, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(y, axis=0), 1, atol=1e-3)
    _, stats = whole.apply(variables, x, mutable=["batch_stats"])

    def part(x):
        norm = batch_norm(True, "devices", jnp.float32, "norm")
        return norm.apply(variables, x, mutable=["batch_stats"])

    y_split, stats_split = jax.pmap(part, axis_name="devices")(x.reshape(4, 2, 3))
    np.testing.assert_allclose(np.asarray(y_split).reshape(8, 3), y, atol=1e-5)
    for split, one in zip(*map(jax.tree.leaves, (stats_split, stats)), strict=True):
        np.testing.assert_allclose(np.asarray(split), np.tile(one, (4, 1)), rtol=1e-5)


def test_instance_norm_by_hand():
    """1, 3, 5, 7 have mean 4 and variance (9 + 1 + 1 + 9)/4 = 5; and a channel of equal pixels has
    no direction to go."""
    x = jnp.stack([jnp.array([[1.0, 3.0], [5.0, 7.0]]), jnp.full((2, 2), 9.0)], axis=-1)
    y = instance_norm(jnp.stack([x, 10 * x]))
    expected = (np.array([[1, 3], [5, 7]]) - 4) / np.sqrt(5 + 1e-5)
    np.testing.assert_allclose(y[0, ..., 0], expected, rtol=1e-5)
    np.testing.assert_allclose(y[1, ..., 0], expected, rtol=1e-5)  # each image by itself
    np.testing.assert_array_equal(y[..., 1], 0)
    assert np.isfinite(jax.grad(lambda x: jnp.sum(instance_norm(x) ** 3))(x[None])).all()


def test_instance_norm_is_that_of_flax_and_torch():
    (x,) = inputs((3, 5, 4, 2))
    x = 100 + jnp.array([1.0, 1e-2]) * x  # so small that ε counts
    y = instance_norm(x)
    norm = nn.InstanceNorm(epsilon=1e-5, use_bias=False, use_scale=False, use_fast_variance=False)
    np.testing.assert_allclose(y, norm.apply({}, x), atol=1e-4)
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(np.array(x, np.float64)).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.instance_norm(image).permute(0, 2, 3, 1)
    np.testing.assert_allclose(y, theirs, atol=2e-3)  # 100 in float32 is known to 4e-6


def test_instance_norm_computes_in_float32():
    (x,) = inputs((2, 6, 6, 3))
    x = (x + 4).astype(jnp.bfloat16)
    y = instance_norm(x)
    assert y.dtype == jnp.bfloat16
    expected = instance_norm(x.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(y, expected)


@every_convolution
def test_gradients_of_arrays_of_numpy_outside_of_jit(convolve, x_shape, kernel_shape):
    x, kernel = map(np.asarray, inputs(x_shape, kernel_shape))
    found = jax.grad(lambda x, kernel: jnp.sum(jnp.tanh(convolve(x, kernel))), (0, 1))(x, kernel)
    _, *expected = results(convolve, x_shape, kernel_shape, layers.canonical_form())
    for ours, theirs in zip(found, expected, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
