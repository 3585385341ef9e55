"""What extractors see: how far real images that were spoiled, a little and more, are from others.

2,000 photographs of CIFAR-10's test set are blurred, given noise, compressed, thinned out by class
or cut into tiles that change places; each such set is compared with 10,000 training images by every
extractor. One that sees a fault gives a distance that grows with it.
"""

import io
import time
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageFilter

from evidence.record import Record, table
from gan_jax.data import Data, load
from gan_jax.data.sources import read_some
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.evaluation.extractors.kinds import make_extractor
from gan_jax.metrics import fit, frechet_distance, kernel_distance

REAL, SPOILED, MOST = 10_000, 2_000, 10_000
EXTRACTORS = ("pixels", "classifier", "efficientnet-lite0")

Images = UInt8[np.ndarray, "n h w c"]


def blurred(images: Images, sigma: float) -> Images:
    return _one_by_one(images, lambda x: x.filter(ImageFilter.GaussianBlur(sigma)))


def noisy(images: Images, deviation: float) -> Images:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def compressed(images: Images, quality: float) -> Images:
    def through_jpeg(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return _one_by_one(images, through_jpeg)


def shuffled(images: Images, tiles: float) -> Images:
    """With so many tiles a side in random places."""
    rng, n, side = np.random.default_rng(0), int(tiles), images.shape[1] // int(tiles)
    cut = images.reshape(len(images), n, side, n, side, 3).swapaxes(2, 3)
    cut = cut.reshape(len(images), n * n, side, side, 3)
    moved = np.stack([x[rng.permutation(n * n)] for x in cut])
    moved = moved.reshape(len(images), n, n, side, side, 3).swapaxes(2, 3)
    return moved.reshape(images.shape)


def _one_by_one(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    return np.stack([np.asarray(change(Image.fromarray(x))) for x in images])


FAULTS: dict[str, tuple[str, Callable[[Images, float], Images], tuple[float, ...]]] = {
    "blur": ("σ in pixels", blurred, (0.5, 0.75, 1, 2)),
    "noise": ("σ of 255", noisy, (4, 8, 16, 32)),
    "JPEG": ("quality", compressed, (90, 70, 40, 15)),
    "tiles": ("a side, shuffled", shuffled, (2, 4, 8)),
}
CLASSES_GONE = (1, 3, 5, 8)


def spoiled(images: Images, labels: Int[np.ndarray, " n"]) -> Iterator[tuple[str, Images]]:
    """All sets, by what was done, the untouched one first."""
    yield "nothing", images[:SPOILED]
    for fault, (_, change, levels) in FAULTS.items():
        for level in levels:
            yield f"{fault} {level:g}", change(images[:SPOILED], level)
    gone = np.random.default_rng(0).permutation(10)
    for n in CLASSES_GONE:
        yield f"classes gone {n}", images[~np.isin(labels, gone[:n])][:SPOILED]


def measure(extractor: Extractor, real: Images, test: Images, labels: np.ndarray) -> dict:
    """FID and KID of every set."""
    reference = extractor(real).features
    gaussian, scores, seconds = fit(reference), {}, 0.0
    for what, images in spoiled(test, labels):
        began = time.monotonic()
        features = extractor(images).features
        seconds += time.monotonic() - began
        scores[what] = {
            "FID": round(frechet_distance(gaussian, fit(features), warn=False), 4),
            "KID": round(1e3 * kernel_distance(reference, features, subsets=20).mean, 4),
            "images": len(images),
        }
    total = sum(score["images"] for score in scores.values())
    return {
        "extractor": extractor.name,
        "features": reference.shape[1],
        "seeds": [0],
        "seconds for 1,000 images": round(1000 * seconds / total, 2),
        "scores": scores,
    }


def reproduce(record: Record) -> str:
    """Every extractor's distances."""

    def row(name: str) -> dict:
        data = Data(source="tfds:cifar10")
        source, held_out = load(data), load(Data(source="tfds:cifar10", split="test"))
        real, _ = read_some(source, REAL)
        test, labels = read_some(held_out, MOST)
        assert labels is not None
        extractor = make_extractor(name, source, dataset=data.source)
        return measure(extractor, real, test, labels)

    rows = [record.row(name, lambda name=name: row(name)) for name in EXTRACTORS]
    return table(["", *(row["extractor"] for row in rows)], list(lines(rows)))


def lines(rows: list[dict]) -> Iterator[list[str]]:
    """What the table has: for each fault, FID at every level over that of what was not touched, in
    bold type where it grows from level to level; and what the extractor costs."""
    levels = {f"{fault} ({unit})": (fault, of) for fault, (unit, _, of) in FAULTS.items()}
    levels["classes gone"] = ("classes gone", CLASSES_GONE)
    for called, (fault, of) in levels.items():
        yield [
            f"{called} {', '.join(f'{level:g}' for level in of)}",
            *(_growth(row["scores"], [f"{fault} {level:g}" for level in of]) for row in rows),
        ]
    yield ["FID of what was not touched", *(f"{r['scores']['nothing']['FID']:.3g}" for r in rows)]
    yield ["seconds for 1,000 images", *(f"{r['seconds for 1,000 images']:.2g}" for r in rows)]


def _growth(scores: dict, which: list[str]) -> str:
    base = scores["nothing"]["FID"]
    ratios = [scores[what]["FID"] / base for what in which]
    grows = all(a < b for a, b in zip([1.0, *ratios], ratios, strict=False))
    text = ", ".join(f"{ratio:.3g}" for ratio in ratios)
    return f"**{text}**" if grows else text
