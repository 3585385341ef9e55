"""Heights and widths, and the grids that they grow from."""

import jax
import jax.numpy as jnp
import pytest

from gan_jax.errors import InputError
from gan_jax.networks import biggan, dcgan, r3gan, resnet, stylegan2
from gan_jax.networks.base import Form
from gan_jax.resolutions import as_text, growth, in_words, nearest, parse, sides


@pytest.mark.parametrize(
    ("resolution", "start", "doublings"),
    [
        (8, (4, 4), 1),
        (28, (7, 7), 2),
        (48, (6, 6), 3),
        (64, (4, 4), 4),
        ((48, 64), (6, 8), 3),
        ((64, 48), (8, 6), 3),
        ((32, 256), (4, 32), 3),
    ],
)
def test_images_grow_from_a_grid_of_4_to_7_pixels_on_the_shorter_side(resolution, start, doublings):
    assert growth(resolution) == (start, doublings)
    assert nearest(resolution, range(1, 6)) == [resolution]


@pytest.mark.parametrize("resolution", [1, 4, 7, 9, 50, 100, (48, 60), (33, 64)])
def test_other_images_grow_from_none(resolution):
    assert growth(resolution) is None


@pytest.mark.parametrize(
    ("resolution", "able"),
    [
        (100, [96, 112]),
        (9, [10, 8]),
        (5, [8]),
        (1000, [224]),
        ((50, 64), [(48, 64), (56, 72)]),
        ((64, 50), [(64, 48), (72, 56)]),
        ((48, 60), [(48, 64)]),
    ],
)
def test_the_nearest_that_grow(resolution, able):
    assert nearest(resolution, range(1, 6)) == able
    assert all(growth(r) is not None for r in able)


def test_resolutions_as_text():
    for text, resolution in (("64", 64), ("48x64", (48, 64)), ("48×64", (48, 64)), ("9X9", 9)):
        assert parse(text) == resolution
        assert parse(str(as_text(resolution))) == resolution
    assert (in_words((48, 64)), in_words(64)) == ("48×64", "64×64")
    assert (sides(64), sides((48, 64))) == ((64, 64), (48, 64))


@pytest.mark.parametrize("text", ["", "x", "48x", "x64", "0", "48x64x3", "-8", "8.5", "none"])
def test_what_is_no_resolution(text):
    with pytest.raises(ValueError, match="not "):
        parse(text)


SIZES = {m: {"width": 8} for m in (biggan, dcgan, resnet, stylegan2)}


@pytest.mark.parametrize("module", [biggan, dcgan, r3gan, resnet, stylegan2])
@pytest.mark.parametrize("shape", [(48, 64, 4), (112, 48, 1), (28, 28, 3), (96, 96, 3)])
def test_networks_make_and_judge_images_that_are_not_square(module, shape):
    form = Form(shape, num_classes=3, latent_dim=20)
    _, doublings = growth(form.resolution)
    sizes = SIZES.get(module, {"widths": (16,) * (doublings + 1)})
    sections = module.GeneratorSection(**sizes), module.DiscriminatorSection(**sizes)
    if sections[0].doublings is not None and doublings not in sections[0].doublings:
        for section in sections:
            with pytest.raises(InputError, match="not for images of 28×28 pixels, but of 32×32"):
                section.check(form, "generator")
        return
    for section in sections:
        section.check(form, "generator")
    generator, discriminator = (section.build(form) for section in sections)
    label, z = jnp.zeros(2, jnp.int32), jnp.zeros((2, 20))

    @jax.eval_shape
    def outputs():
        image, _ = generator.init_with_output(jax.random.key(0), z, label)
        return image, discriminator.init_with_output(jax.random.key(0), image, label)[0]

    assert [x.shape for x in outputs] == [(2, *shape), (2,)]
