"""EfficientNet-Lite0 gives its PyTorch port's numbers, and knows what is in photographs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import data as photographs
from skimage.filters import gaussian
from sklearn.datasets import load_sample_image

from gan_jax import metrics
from gan_jax.data import Description
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors import efficientnet
from gan_jax.networks.efficientnet import EfficientNetLite0, _Depthwise


@pytest.fixture(scope="module")
def extractor():
    return efficientnet.load()


def test_outputs_are_those_of_the_port(extractor):
    """Every 200th feature and logit, as efficientnet-lite-pytorch 0.1.0 computes them (PyTorch
    2.13) from the same weights and image."""
    blocks = np.random.default_rng(1).random((2, 7, 7, 3)) * 256
    images = np.kron(blocks, np.ones((1, 32, 32, 1))).astype(np.uint8)
    features, logits = extractor(images)
    assert features.shape == (2, 1280)
    assert logits.shape == (2, 1000)
    np.testing.assert_allclose(
        features[:, ::200],
        [
            [0, 0, 1.4588752, 0.1960746, 0, 0, 0],
            [0, 0, 1.3548949, 0.360636, 0, 0, 0],
        ],
        atol=1e-4,
    )
    np.testing.assert_allclose(
        logits[:, ::200],
        [
            [0.1005614, -0.7812429, 0.3642812, 1.9988244, -0.2927054],
            [0.083257, -0.803752, 0.5437352, 1.959848, -0.2429334],
        ],
        atol=1e-4,
    )


def test_parameters_are_as_many_as_the_port_s():
    shapes = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == 4_652_008


@pytest.mark.parametrize(
    ("image", "classes"),
    [
        (photographs.cat, {281, 282, 285}),  # tabby, tiger and Egyptian cat
        (photographs.coffee, {967}),  # espresso
        (photographs.rocket, {657}),  # missile
        (lambda: load_sample_image("china.jpg"), {698}),  # palace
        (lambda: load_sample_image("flower.jpg"), {985}),  # daisy
    ],
    ids=["cat", "coffee", "rocket", "china", "flower"],
)
def test_it_names_what_is_in_photographs(extractor, image, classes):
    pixels = np.asarray(image())
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    logits = extractor(pixels[None, top : top + side, left : left + side]).logits
    assert int(logits.argmax()) in classes


def test_images_of_all_sizes_and_channels():
    grey = np.arange(600, dtype=np.uint8).reshape(1, 20, 30, 1)
    x = efficientnet.prepare(grey, 64)
    assert x.shape == (1, 64, 64, 3)
    assert float(jnp.abs(x).max()) <= 1
    colored = np.repeat(grey, 3, axis=-1)
    np.testing.assert_allclose(efficientnet.prepare(colored, 64), x, atol=1e-5)
    # What is transparent is seen on white.
    clear = np.concatenate([colored, np.zeros_like(grey)], axis=-1)
    np.testing.assert_allclose(efficientnet.prepare(clear, 64), 1, atol=1e-6)
    with pytest.raises(InputError, match="takes images of 1, 3 or 4 channels, not 2"):
        efficientnet.prepare(np.zeros((1, 20, 30, 2), np.uint8), 64)


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((32, 32, 3), 64),
        ((64, 64, 3), 64),
        ((48, 72, 3), 96),
        ((128, 128, 3), 128),
        ((256, 256, 3), 224),
    ],
)
def test_its_side_is_by_the_size_of_the_data(shape, side):
    assert efficientnet.side_for(Description(shape, None, 10, "")) == side


def test_what_becomes_smaller_is_filtered_first():
    """Stripes a pixel wide become grey, where every other one might have been taken."""
    stripes = np.zeros((1, 128, 128, 1), np.uint8)
    stripes[:, :, ::2] = 255
    inner = efficientnet.prepare(stripes, 64)[:, 4:-4, 4:-4]
    np.testing.assert_allclose(inner, 0.5 / 128, atol=0.02)


def test_a_depthwise_convolution_is_the_usual_one():
    x = jax.random.normal(jax.random.key(0), (2, 9, 8, 3))
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2)):
        module = _Depthwise(kernel, stride)
        variables = module.init(jax.random.key(1), x)
        expected = jax.lax.conv_general_dilated(
            x,
            variables["params"]["kernel"],
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=3,
        )
        np.testing.assert_allclose(module.apply(variables, x), expected, atol=1e-5)


def test_a_perceptual_distance_on_its_maps():
    """The more a photograph is blurred, the further it is from itself."""
    cat = photographs.cat()[40:264, 120:344] / 255
    blurred = [255 * gaussian(cat, sigma, channel_axis=-1) for sigma in (0, 1, 2, 4)]
    maps = jax.jit(efficientnet.load(96).maps)(jnp.asarray(np.stack(blurred), jnp.float32))
    assert [x.shape[1:] for x in maps] == [
        (48, 48, 16), (24, 24, 24), (12, 12, 40), (6, 6, 112), (3, 3, 320)
    ]  # fmt: skip
    first = tuple(jnp.broadcast_to(x[:1], x.shape) for x in maps)
    distances = np.asarray(metrics.perceptual_distance(first, maps))
    assert distances[0] < 1e-5
    assert (np.diff(distances) > 0.05).all()


def test_weights_of_another_network_are_told(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is not a file of PyTorch weights"):
        efficientnet.load(path=path)
    with pytest.raises(InputError, match="cannot read weights"):
        efficientnet.load(path=tmp_path / "absent.pth")


def test_where_the_package_is_missing_it_is_told(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    assert not efficientnet.installed()
    with pytest.raises(InputError, match=r"pip install 'gan-jax\[features\]'"):
        efficientnet.load()
