"""The images of a report, each as a data URI: sheets kept during training, and new samples."""

import base64
import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gan_jax import figures
from gan_jax.runs import Run
from gan_jax.tasks.generation import Generation

SEED = 0
MOST_SHEETS = 60
SAMPLES = 256  # of images; enough for a median distance
POINTS = 2500
PATHS, STEPS = 6, 10
NUMBERS = 4
"""Of those that a model is told, how many are shown as they grow."""


class Shown(NamedTuple):
    """An image in the page."""

    src: str
    """A data URI."""
    alt: str
    iteration: int | None = None
    rows: tuple[str, ...] = ()
    """What its rows show, from the top, each as high as the others; empty if there is nothing to
    say."""


def encode(array: UInt8[np.ndarray, "h w c"]) -> str:
    """An array as the data URI of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, format="PNG")
    return _data_uri(buffer.getvalue())


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def sheets(run: Run) -> list[Shown]:
    """The sheets kept during training, as they are; if they are many, some of them at even
    distances, with the first and the last."""
    files = [file for file in (run.directory / "samples").glob("*.png") if file.stem.isdecimal()]
    files.sort(key=lambda file: int(file.stem))
    if len(files) > MOST_SHEETS:
        files = [files[i] for i in np.linspace(0, len(files) - 1, MOST_SHEETS).round().astype(int)]
    rows = run.task.rows if isinstance(run.task, Generation) else ()
    return [_sheet(file, rows) for file in files]


def _sheet(file: Path, rows: tuple[str, ...]) -> Shown:
    iteration = int(file.stem)
    alt = f"Samples at iteration {iteration:,}{'' if iteration else ', untrained'}"
    return Shown(_data_uri(file.read_bytes()), alt, iteration, rows)


class Samples(NamedTuple):
    """Examples of one checkpoint, and how they look together."""

    iteration: int
    examples: Float[np.ndarray, "n ..."]
    names: tuple[str, ...]
    """Of their classes; empty if they have none."""
    together: Shown


def draw(run: Run, iteration: int, real: Float[np.ndarray, "m f"] | None = None) -> Samples:
    """Samples of a checkpoint, always of the same latents; points over `real` ones if given.

    Raises:
        InputError: there is no such checkpoint, or it is of another architecture.
    """
    task = run.generation("samples")
    is_images = task.is_images
    examples = run.sample(SAMPLES if is_images else POINTS, SEED, iteration=iteration)
    if is_images:
        shown = task.previewed
        array = task.sheet(examples[:shown], task.labels(shown))
    else:
        array = figures.scatter(examples, real)
    alt = f"Samples of the checkpoint at iteration {iteration:,}"
    names = task.names(task.labels(len(examples)))
    return Samples(iteration, examples, names, Shown(encode(array), alt, iteration, task.rows))


def interpolation(run: Run, iteration: int) -> Shown:
    """Walks between random latents, one a row.

    Raises:
        InputError: there is no such checkpoint, or there are no latents to walk between.
    """
    walks = run.interpolate(PATHS, STEPS, SEED, iteration=iteration)
    array = figures.sheet(walks.reshape(PATHS * STEPS, *walks.shape[2:]), STEPS)
    task = run.generation("latents to walk between")
    alt = f"{PATHS} walks of {STEPS} samples between random latents"
    return Shown(encode(array), alt, iteration, task.names(task.labels(PATHS)))


class Varied(NamedTuple):
    """What one of the numbers does that a model is told."""

    name: str
    low: float
    high: float
    sheet: Shown


def varied(run: Run, iteration: int) -> list[Varied]:
    """Samples as one number grows, for each of the first numbers that a model is told.

    Raises:
        InputError: there is no such checkpoint, or it is of another architecture.
    """
    conditions, found = run.generation("samples").conditions, []
    if conditions is None:
        return found
    for name in conditions.names[:NUMBERS]:
        walks = run.interpolate(PATHS, STEPS, SEED, iteration=iteration, vary=name)
        array = figures.sheet(walks.reshape(-1, *walks.shape[2:]), STEPS)
        low, high = conditions.range_of(name)
        alt = f"{PATHS} samples as {name} grows from {low:.4g} to {high:.4g}"
        found.append(Varied(name, low, high, Shown(encode(array), alt, iteration)))
    return found


def single(image: UInt8[np.ndarray, "h w c"], alt: str) -> Shown:
    """One image, enlarged by a whole factor so that its pixels can be seen."""
    factor = math.ceil(64 / image.shape[0])
    return Shown(encode(image.repeat(factor, axis=0).repeat(factor, axis=1)), alt)
