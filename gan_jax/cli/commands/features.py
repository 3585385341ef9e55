"""`gan-jax features train`."""

from typing import Annotated

import tyro

from gan_jax import compilation
from gan_jax.data import Data, load
from gan_jax.data.held_out import hold_out

_DIGITS = Data()

COMMAND = tyro.extras.SubcommandApp()
HELP = "Feature extractors that scores are made with."


@COMMAND.command
def train(
    data: Annotated[Data, tyro.conf.arg(name="data")] = _DIGITS,
    data_dir: str | None = None,
) -> None:
    """Train a small classifier on labelled images, for its features, and say how good it is.

    It is kept in the user's cache, and used wherever these data are scored with the extractor
    classifier.

    Args:
        data: What the images are.
        data_dir: Where TFDS datasets are prepared.
    """
    from gan_jax.evaluation.extractors import classifier

    compilation.keep_compiled()
    source = load(data, conditional=True, labels_for="a classifier", data_dir=data_dir)
    source = hold_out(source, data.held_out)[0]
    _, accuracy = classifier.for_source(source)
    print(
        f"{data.source}: {accuracy:.2%} of {classifier.tested(source):,} images that it was not "
        "trained on"
    )
