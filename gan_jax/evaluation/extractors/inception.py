"""Inception-v3, the extractor that published scores use, with its standard weights.

They are those of TensorFlow's graph `inception-2015-12-05`, as pytorch-fid publishes them: in a
file of PyTorch's, which is read without PyTorch (see `gan_jax.evaluation.torch_weights`) and kept
in the user's cache in the form that Flax takes.
"""

import hashlib
import http.client
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Float, Num

from gan_jax.data import cache
from gan_jax.errors import InputError
from gan_jax.evaluation import torch_weights
from gan_jax.evaluation.extractors.base import Extractor, digest, opaque
from gan_jax.evaluation.extractors.kinds import Kind, Request
from gan_jax.networks.inception import SIDE, InceptionV3

URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
# By the convention of torch.hub, it begins with what the file's name ends in.
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def load(path: str | Path | None = None) -> Extractor:
    """Inception-v3 with the weights in a file, by default the standard ones, which are downloaded
    (91 MiB) on first use.

    A file whose name ends in a hyphen and at least eight hexadecimal digits is taken for one that
    was named by PyTorch's convention: its SHA-256 must begin with them.

    Its logits are those without the output's bias, which published Inception scores are of.

    The extractor takes images of 1, 3 or 4 channels and any size. As in pytorch-fid they are
    brought to 299×299 by bilinear interpolation without a low-pass filter, so that large ones
    alias.

    Raises:
        InputError: the weights cannot be downloaded or read, are not those their checksum promises,
            or are not of this network.
    """
    variables = jax.tree.map(jnp.asarray, _variables(path))
    # A pytree, so that it can be handed to a compiled function with its weights as arguments.
    apply = jax.tree_util.Partial(_apply, variables)
    # 32 images take 2 GB of memory, 256 would take ten.
    return Extractor(
        "inception-v3", apply, batch_size=32, version=digest(variables), logits="other"
    )


def _apply(variables: dict, images: Num[Array, "b h w c"]) -> tuple[Array, Array]:
    output: Any = InceptionV3().apply(variables, prepare(images))
    features, logits = output
    return features, logits - variables["params"]["fc"]["bias"]


def prepare(images: Num[Array | np.ndarray, "b h w c"]) -> Float[Array, "b 299 299 3"]:
    """Images [b, h, w, 1, 3 or 4] from 0 to 255, as the network takes them: float32
    [b, 299, 299, 3] from −1 to 1. What is transparent is seen on white.

    Raises:
        InputError: images of another number of channels.
    """
    x = opaque(images, "Inception-v3")
    n, _, _, channels = x.shape
    x = jax.image.resize(x, (n, SIDE, SIDE, channels), "linear", antialias=False)
    return jnp.broadcast_to(2 * x - 1, (n, SIDE, SIDE, 3))


def _variables(path: str | Path | None) -> dict:
    if path is None:
        source, expected = URL, SHA256
        if stored := _stored(SHA256):
            return stored
        data = _download()
    else:
        source = str(path)
        named = re.search(r"-([0-9a-f]{8,64})\.\w+$", source)
        expected = named[1] if named else ""
        data = torch_weights.contents(path)
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(expected):
        raise InputError(
            f"{source} is damaged or another file: its SHA-256 begins with "
            f"{digest[: min(len(expected), 12)]}, not {expected[:12]}"
        )
    if stored := _stored(digest):
        return stored
    weights = torch_weights.tensors(data, source)
    variables = torch_weights.fitted(
        weights, InceptionV3(), SIDE, source=source, network="FID's Inception"
    )
    flat: dict[str, Any] = dict(traverse_util.flatten_dict(variables, sep="/"))
    cache.store(_key(digest), **flat)
    return variables


def _key(digest: str) -> str:
    return f"inception/{digest}"


def _stored(digest: str) -> dict | None:
    arrays = cache.load(_key(digest))
    return traverse_util.unflatten_dict(arrays, sep="/") if arrays else None


def _download() -> bytes:
    print(f"downloading {URL}", file=sys.stderr)
    try:
        with urllib.request.urlopen(URL, timeout=60) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot download the weights of Inception-v3 ({error}): download {URL} by hand, and "
            "give the path of the file"
        ) from error


def _make(request: Request) -> Extractor:
    return load(request.weights)


INCEPTION = Kind(
    "inception",
    "published weights, 91 MiB, downloaded on first use",
    _make,
    logits="other",
    place=30,
)
