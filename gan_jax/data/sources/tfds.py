"""Datasets that tensorflow-datasets has prepared in its array_record format."""

import logging
from typing import Any

import numpy as np

from gan_jax.data import images
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Looks, Request, lazy
from gan_jax.errors import InputError

_LOOKED_AT = 100


def load(request: Request) -> Lazy:
    """A split of the dataset, by its features `image` and, if it is a class, `label`."""
    builder, records = _opened(request)
    classes = _classes(builder)

    def read(index: int) -> Example:
        record = records[index]
        image = images.refit(record["image"], request.form)
        return image, None if classes is None else int(record["label"])

    fingerprint = f"{builder.info.full_name}/{request.split}/{len(records)}"
    return lazy(
        request,
        read,
        len(records),
        fingerprint=fingerprint,
        version=f"{builder.data_path}/{fingerprint}",
        classes=classes,
    )


def look(request: Request) -> Looks:
    """From some of the examples, and from what is said of the dataset."""
    builder, records = _opened(request)
    some = np.linspace(0, len(records) - 1, min(_LOOKED_AT, len(records))).round().astype(int)
    shapes = [records[int(i)]["image"].shape for i in some]
    classes = _classes(builder) or ()
    each = len(records) // max(1, len(classes))
    return Looks(
        tuple((h, w) for h, w, _ in shapes),
        len(records),
        max(c for _, _, c in shapes),
        (each,) * len(classes),
        classes,
    )


def _classes(builder: Any) -> tuple[str, ...] | None:
    features = builder.info.features
    names = getattr(features["label"], "names", None) if "label" in features else None
    return None if names is None else tuple(names)


def _opened(request: Request) -> tuple[Any, Any]:
    """The dataset, and the records of its split."""
    import tensorflow_datasets as tfds

    # It recommends OpenCV, whose absence costs a little time once, at every start.
    logging.getLogger("absl").addFilter(_says_nothing_of_opencv)
    name, data_dir = request.argument, request.data_dir
    builder: Any = None
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        records = builder.as_data_source(split=request.split)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(f"TFDS has no dataset {name!r}") from error
    except (ValueError, AssertionError, OSError, NotImplementedError) as error:
        splits = [] if builder is None else list(builder.info.splits)
        if splits and request.split not in splits:
            raise InputError(
                f"TFDS dataset {name!r} has no split {request.split!r}: one of {', '.join(splits)}"
            ) from error
        where = f", data_dir={data_dir!r}" if data_dir else ""
        raise InputError(
            f"TFDS dataset {name!r} is not prepared as array_record in "
            f"{data_dir or 'the default data directory'}: point --data-dir at it, or prepare it "
            f"(needs pip install 'gan-jax[prepare]') with: python -c \"import tensorflow_datasets "
            f"as tfds; tfds.builder('{name}'{where}, file_format='array_record')"
            '.download_and_prepare()"'
        ) from error
    features = builder.info.features
    if "image" not in features:
        raise InputError(f"TFDS dataset {name!r} has no 'image': only {', '.join(features)}")
    return builder, records


def _says_nothing_of_opencv(record: logging.LogRecord) -> bool:
    return "OpenCV" not in record.getMessage()


TFDS = Kind(
    "tfds",
    "a split of a dataset that tensorflow-datasets has prepared",
    load,
    argument="NAME",
    look=look,
    has_splits=True,
)
