"""`gan-jax sample`."""

from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from gan_jax import figures
from gan_jax.cli.running import (
    Checkpoint,
    Condition,
    RunArgument,
    iteration_of,
    numbers_of,
    open_run,
    writing,
)
from gan_jax.data.labels import write as write_labels
from gan_jax.errors import InputError


def sample(
    run: RunArgument,
    n: int = 64,
    seed: int = 0,
    label: str | None = None,
    condition: Condition = (),
    checkpoint: Checkpoint = "latest",
    truncation: float | None = None,
    out: Path | None = None,
    format: Literal["png", "npz", "folder"] | None = None,
) -> None:
    """Generate samples from a trained run.

    Args:
        run: Directory of the run.
        n: How many.
        seed: Which ones: the same seed gives the same samples.
        label: Class of all of them, by its name or number, for a model that is told classes. By
            default all, one by one.
        condition: Numbers of all of them, for a model that is told such, as age=30 smile=1. All
            others are those of real examples.
        checkpoint: Its iteration, or latest, or best.
        truncation: Of a StyleGAN2's styles: from 1, none, to 0, all alike; between them, less
            variety of higher quality.
        out: Where to write: a PNG file with all of them side by side, an .npz file with the arrays
            `images` (or `points`) and `labels` (or `conditions`), or an empty folder for one PNG
            each. Default: samples.png.
        format: png, npz or folder, if the name does not tell.
    """
    suffixes = {".png": "png", ".npz": "npz", "": "folder"}
    kind = format or ("png" if out is None else suffixes.get(out.suffix))
    if kind is None:
        raise InputError(f"cannot tell a format from {out}: give --format png, npz or folder")
    out = out or Path("samples" + {"png": ".png", "npz": ".npz", "folder": ""}[kind])
    if n < 1:
        raise InputError(f"--n is at least 1, not {n}")
    opened = open_run(run, "sample")
    told, iteration = numbers_of(condition), iteration_of(opened, checkpoint)
    samples = opened.sample(n, seed, label, iteration, truncation, told)
    task = opened.generation("samples")
    labels, conditions = task.labels(n, label, told), task.conditions
    names = []
    if labels is not None and conditions is None:
        names = [task.data.name_of(int(k)) for k in labels]
    with writing(out):
        if kind == "npz":
            name = "images" if samples.ndim == 4 else "points"
            arrays = {name: figures.to_uint8(samples) if samples.ndim == 4 else samples}
            if conditions is not None:
                arrays |= {"conditions": labels, "condition_names": np.array(conditions.names)}
            elif labels is not None:
                arrays["labels"] = np.array(names if task.data.class_names else labels)
            with out.open("wb") as file:
                _save(file, arrays)
        elif samples.ndim != 4:
            if kind == "folder":
                raise InputError("a folder is for images; points can be written as npz or png")
            figures.save(figures.scatter(samples), out)
        elif kind == "png":
            figures.save(task.sheet(samples, labels), out)
        else:
            if out.is_dir() and any(out.iterdir()):
                raise InputError(f"{out} is not empty: samples go into a folder of their own")
            files = [f"{i:06}.png" for i in range(n)]
            for i, image in enumerate(figures.to_uint8(samples)):
                inside = out / names[i] if names else out
                figures.save(image, inside / files[i])
            if conditions is not None and labels is not None:
                numbers = [tuple(map(float, row)) for row in labels]
                write_labels(out, dict(zip(files, numbers, strict=True)), conditions.names)
    print(f"{n} samples: {out}")


def _save(file: BinaryIO, arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)


COMMAND = sample
