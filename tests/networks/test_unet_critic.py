"""Real-ESRGAN's discriminator against its arithmetic and gradient penalty in PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import abstract, arbitrary

from gan_jax.errors import InputError
from gan_jax.networks.base import DiscriminatorSection as AnyDiscriminatorSection
from gan_jax.networks.base import Form
from gan_jax.networks.resampling import bilinear_up
from gan_jax.networks.unet_critic import Discriminator, DiscriminatorSection

KEY = jax.random.key(0)
WIDTHS = {
    "down_1": 2, "down_2": 4, "down_3": 8, "up_2": 4, "up_1": 2, "up_0": 1, "pixels_0": 1,
    "pixels_1": 1,
}  # fmt: skip


@functools.cache
def example():
    """A small network, an input of two examples, and arbitrary variables."""
    module, x = Discriminator(width=2), jax.random.normal(KEY, (2, 8, 16, 3))
    _, shapes = abstract(module, x)
    variables = arbitrary(shapes)
    # Singular vectors that have seen their weights.
    train = functools.partial(module.apply, train=True, mutable=["spectral"])
    for _ in range(3):
        variables = variables | jax.jit(train)(variables, x)[1]
    return module, x, variables


def r1(params):
    module, x, variables = example()

    def total(x):
        return jnp.sum(module.apply(variables | {"params": params}, x))

    return jnp.mean(jnp.sum(jnp.square(jax.grad(total)(x)), (1, 2, 3)))


def torch_logits(torch, weights, spectral, x):
    """The published code's, from [n, c, h, w], with spectral norm written out."""
    functional = torch.nn.functional

    def conv(x, name, **options):
        kernel = weights[name]["kernel"]
        if name in spectral:
            u, v = (torch.tensor(np.float64(vector)) for vector in spectral[name]["uv"])
            kernel = kernel / (u @ kernel.reshape(-1, kernel.shape[-1]) @ v)
        bias = weights[name].get("bias")
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1, **options)

    def leaky(x):
        return functional.leaky_relu(x, 0.2)

    def up(x):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    x0 = leaky(conv(x, "image"))
    x1 = leaky(conv(x0, "down_1", stride=2))
    x2 = leaky(conv(x1, "down_2", stride=2))
    x3 = leaky(conv(x2, "down_3", stride=2))
    x4 = leaky(conv(up(x3), "up_2")) + x2
    x5 = leaky(conv(up(x4), "up_1")) + x1
    x6 = leaky(conv(up(x5), "up_0")) + x0
    out = leaky(conv(leaky(conv(x6, "pixels_0")), "pixels_1"))
    return conv(out, "logits")[:, 0]


def test_logits_and_the_gradient_of_r1_are_pytorch_s():
    torch = pytest.importorskip("torch")
    module, x, variables = example()
    params = variables["params"]
    weights = jax.tree.map(lambda p: torch.tensor(np.float64(p), requires_grad=True), params)
    pixels = torch.tensor(np.float64(x).transpose(0, 3, 1, 2), requires_grad=True)

    expected = torch_logits(torch, weights, variables["spectral"], pixels)
    logits = jax.jit(module.apply)(variables, x)
    scale = expected.abs().max().item()
    np.testing.assert_allclose(logits, expected.detach(), rtol=0, atol=1e-4 * scale)

    (slope,) = torch.autograd.grad(expected.sum(), pixels, create_graph=True)
    theirs = slope.square().sum((1, 2, 3)).mean()
    ours, gradients = jax.jit(jax.value_and_grad(r1))(params)
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-4)
    leaves = jax.tree.leaves(weights)
    slopes = torch.autograd.grad(theirs, leaves, allow_unused=True)
    for ours, theirs in zip(jax.tree.leaves(gradients), slopes, strict=True):
        if theirs is None:
            np.testing.assert_array_equal(ours, 0)
        else:
            scale = theirs.abs().max().item()
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4 * scale)


def test_r1_has_a_gradient():
    """Of every kernel: the second derivative."""
    value, gradients = jax.jit(jax.value_and_grad(r1))(example()[2]["params"])
    assert value > 0
    for name, layer in gradients.items():
        assert np.isfinite(layer["kernel"]).all()
        assert np.abs(layer["kernel"]).max() > 0, name


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (4, 5)])
def test_bilinear_up_is_pytorch_s(size):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    images = torch.tensor(x).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        images, scale_factor=2, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(bilinear_up(jnp.asarray(x)), expected.permute(0, 2, 3, 1), atol=1e-6)


def test_bilinear_up_by_hand():
    """Quarters of the way between neighbors, and nothing new at the ends."""
    row = jnp.array([0.0, 4.0, 8.0]).reshape(1, 1, 3, 1)
    expected = [0, 1, 3, 5, 7, 8]
    np.testing.assert_array_equal(bilinear_up(row)[0, :, :, 0], [expected, expected])


def test_parameters_of_the_published_network():
    _, variables = abstract(Discriminator(), jnp.ones((1, 8, 8, 3)))
    w, params = 64, variables["params"]
    # Down by 4×4, up and at the full resolution by 3×3.
    down = 16 * w * w * (1 * 2 + 2 * 4 + 4 * 8)
    up = 9 * w * w * (8 * 4 + 4 * 2 + 2 * 1 + 1 + 1)
    expected = 9 * 3 * w + w + down + up + 9 * w + 1
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected == 4_376_897
    widths = {name: layer["kernel"].shape[-1] // w for name, layer in params.items()}
    assert widths == WIDTHS | {"image": 1, "logits": 0}
    assert {name for name, layer in params.items() if "bias" in layer} == {"image", "logits"}
    assert set(variables["spectral"]) == set(WIDTHS)


def test_sizes():
    y, _ = abstract(Discriminator(width=1), jnp.ones((2, 16, 24, 1)))
    assert (y.shape, y.dtype) == ((2, 16, 24), jnp.float32)


def test_singular_vectors_change_in_training_only():
    module, x, variables = example()
    _, same = module.apply(variables, x, mutable=["spectral"])
    jax.tree.map(np.testing.assert_array_equal, same["spectral"], variables["spectral"])
    _, other = module.apply(variables, x, train=True, mutable=["spectral"])
    assert any(
        np.abs(other["spectral"][name]["uv"][0] - variables["spectral"][name]["uv"][0]).max() > 0
        for name in WIDTHS
    )


def test_bfloat16_is_close_and_ends_in_float32():
    module, x, variables = example()
    half = module.clone(dtype=jnp.bfloat16)
    rough, exact = (jax.jit(net.apply)(variables, x) for net in (half, module))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()
    _, shapes = abstract(half, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}


def test_refuses_other_sides():
    with pytest.raises(ValueError, match="multiples of 8, not 16×20"):
        jax.eval_shape(Discriminator(width=1).init, KEY, jnp.ones((1, 16, 20, 3)))


# The section.


def test_section():
    assert AnyDiscriminatorSection.kinds()["unet"] is DiscriminatorSection
    section, form = DiscriminatorSection(width=5, dtype="bfloat16"), Form((24, 24, 3))
    section.check(form, "discriminator")
    assert section.build(form) == Discriminator(5, jnp.dtype("bfloat16"))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Form((28, 28, 3)), "multiples of 8, not 28×28: set data.resolution to one"),
        (Form((32, 32, 3), num_classes=10), "discriminator.kind unet knows no classes"),
        (Form((2,)), "the data are points"),
    ],
)
def test_section_refuses(form, message):
    with pytest.raises(InputError, match=message) as error:
        DiscriminatorSection().check(form, "discriminator")
    assert "\n" not in str(error.value)
