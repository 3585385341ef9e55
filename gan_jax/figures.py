"""Pictures for people: sheets of samples, and scatter plots of points."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gan_jax import sampling


def to_uint8(pictures: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """[−1, 1] to 0 … 255, rounded."""
    return np.round((np.clip(np.asarray(pictures), -1, 1) + 1) * 127.5).astype(np.uint8)


def sheet(
    pictures: Float[np.ndarray, "n h w c"], columns: int, enlarge_to: int = 800
) -> UInt8[np.ndarray, "height width c"]:
    """A grid of pictures, enlarged by a whole factor so that its pixels can be seen."""
    array = to_uint8(np.asarray(sampling.grid(jnp.asarray(pictures), columns)))
    factor = max(1, enlarge_to // max(array.shape[:2]))
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def scatter(
    generated: Float[np.ndarray, "n 2"], real: Float[np.ndarray, "m 2"] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """Generated points in colour over real ones in grey, on axes of equal scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if real is not None:
        axes.scatter(*np.asarray(real).T[:2], s=4, color="0.75", linewidths=0, label="real")
    axes.scatter(
        *np.asarray(generated).T[:2],
        s=4,
        color="tab:red",
        linewidths=0,
        alpha=0.6,
        label="generated",
    )
    axes.set_aspect("equal")
    if real is not None:
        # The data's frame, whatever the generator does, so that pictures compare.
        low, high = np.min(real[:, :2], axis=0), np.max(real[:, :2], axis=0)
        margin = 0.3 * np.max(high - low)
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
    axes.legend(loc="upper right", markerscale=3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(array: UInt8[np.ndarray, "h w c"], path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(partial, format="PNG")
    partial.rename(path)
