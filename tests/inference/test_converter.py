"""From files to what networks take, and back."""

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.inference.converter import Converter
from gan_jax.inference.files import ImageFile

H, W = 10, 14


@pytest.fixture
def color():
    return np.random.default_rng(0).uniform(-1, 1, (H, W, 3)).astype(np.float32)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def filling(seen):
    """A network that paints everything white, and keeps what it was shown."""

    def paint(x):
        seen.append(np.asarray(x))
        return np.ones_like(x[..., :3])

    return Converter(paint, channels=3, multiple=4, fills=True)


def test_what_is_transparent_is_filled_in_and_all_else_stays(filling, seen, color):
    alpha = np.ones((H, W), np.float32)
    alpha[2:5, 3:9] = 0.4
    made = filling.convert(ImageFile(color, alpha, 8, gray=False))
    hole = alpha < 0.5
    assert (made.color[hole] == 1).all()
    np.testing.assert_array_equal(made.color[~hole], color[~hole])
    assert made.alpha is None
    (shown,) = seen
    assert shown.shape == (1, 12, 16, 4)  # continued to multiples of 4
    np.testing.assert_array_equal(shown[0, :H, :W, 3], np.where(hole, 1, -1))
    assert (shown[0, :H, :W, :3][hole] == 0).all()  # as in training, whatever the file has there


def test_a_mask_can_be_given_from_python(filling, color):
    marked = np.concatenate([color, -np.ones((H, W, 1), np.float32)], axis=-1)
    marked[0, 0, 3] = 1
    made = filling(marked)
    assert (made[0, 0] == 1).all()
    np.testing.assert_array_equal(made[1:], color[1:])


@pytest.mark.parametrize("alpha", [None, np.full((H, W), 0.6, np.float32)])
def test_there_is_something_to_fill_in(filling, color, alpha):
    with pytest.raises(InputError, match="nothing of this image is transparent"):
        filling.convert(ImageFile(color, alpha, 8, gray=False))
    with pytest.raises(InputError, match="of 3 channels none is one"):
        filling(color)


def test_opacity_is_carried_over_where_nothing_is_filled_in(color):
    alpha = np.linspace(0, 1, H * W, dtype=np.float32).reshape(H, W)
    made = Converter(lambda x: -x, channels=3).convert(ImageFile(color, alpha, 16, gray=False))
    np.testing.assert_array_equal(made.color, -color)
    np.testing.assert_array_equal(made.alpha, alpha)
    assert made.bits == 16
