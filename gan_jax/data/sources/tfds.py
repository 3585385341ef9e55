"""Datasets that tensorflow-datasets has prepared in its array_record format."""

import logging
from typing import Any

from gan_jax.data import images
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Request, lazy
from gan_jax.errors import InputError


def load(request: Request) -> Lazy:
    """A split of the dataset, by its features `image` and, if it is a class, `label`."""
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
    label = features["label"] if "label" in features else None  # noqa: SIM401 - it has no get
    num_classes = getattr(label, "num_classes", None)

    def read(index: int) -> Example:
        record = records[index]
        image = images.refit(record["image"], request.form)
        return image, None if num_classes is None else int(record["label"])

    fingerprint = f"{builder.info.full_name}/{request.split}/{len(records)}"
    version = f"{builder.data_path}/{fingerprint}"
    return lazy(request, read, len(records), num_classes, fingerprint=fingerprint, version=version)


def _says_nothing_of_opencv(record: logging.LogRecord) -> bool:
    return "OpenCV" not in record.getMessage()


TFDS = Kind(
    "tfds",
    "a split of a dataset that tensorflow-datasets has prepared",
    load,
    argument="NAME",
    has_splits=True,
)
