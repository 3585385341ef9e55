"""Images for people: sheets of samples, and scatter plots of points."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from PIL import Image

from gan_jax import sampling


def to_uint8(images: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """[−1, 1] to 0 … 255, rounded."""
    return np.round((np.clip(np.asarray(images), -1, 1) + 1) * 127.5).astype(np.uint8)


def sheet(
    images: Float[np.ndarray, "n h w c"], columns: int, enlarge_to: int = 800
) -> UInt8[np.ndarray, "height width c"]:
    """A grid of images, enlarged by a whole factor so that its pixels can be seen."""
    array = to_uint8(np.asarray(sampling.grid(jnp.asarray(images), columns)))
    factor = max(1, enlarge_to // max(array.shape[:2]))
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def sheet_by_class(
    images: Float[np.ndarray, "n h w c"], labels: Int[Array | np.ndarray, " n"]
) -> UInt8[np.ndarray, "height width c"]:
    """A sheet on which every class has rows of its own, in the order of the classes."""
    images, labels = np.asarray(images), np.asarray(labels)
    most = int(np.unique(labels, return_counts=True)[1].max())
    columns = most if most <= 10 else 8
    rows = []
    for label in np.unique(labels):
        ours = images[labels == label]
        rows += [ours, np.ones((-len(ours) % columns, *images.shape[1:]), images.dtype)]
    return sheet(np.concatenate(rows), columns)


def scatter(
    generated: Float[np.ndarray, "n f"], real: Float[np.ndarray, "m f"] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """Generated points in color over real ones in gray, on axes of equal scale: the first two
    features, or the only one along a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    generated = _plane(generated)
    real = None if real is None else _plane(real)
    figure = Figure(figsize=(6, 6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if real is not None:
        axes.scatter(*real.T, s=4, color="0.75", linewidths=0, label="real")
    axes.scatter(
        *generated.T,
        s=4,
        color="tab:red",
        linewidths=0,
        alpha=0.6,
        label="generated",
    )
    axes.set_aspect("equal")
    if real is not None:
        # The data's frame, whatever the generator does, so that images compare.
        low, high = np.min(real, axis=0), np.max(real, axis=0)
        margin = 0.3 * np.max(high - low) or 1.0
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
    axes.legend(loc="upper right", markerscale=3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _plane(points: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n 2"]:
    points = np.asarray(points)[:, :2]
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def save(array: UInt8[np.ndarray, "h w c"], path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(partial, format="PNG")
    partial.rename(path)
