"""`gan-jax resume`."""

import dataclasses

from gan_jax.cli.launch import Launch, start
from gan_jax.cli.running import RunArgument
from gan_jax.errors import InputError
from gan_jax.runs import Run


def resume(
    run: RunArgument,
    iterations: int | None = None,
    minutes: float | None = None,
    source: str | None = None,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
    preview: bool = False,
) -> None:
    """Go on with a run where it stopped, as it was configured.

    Args:
        run: Directory of the run.
        iterations: How many there are to be in all. Default: as many as the run was to have.
        minutes: Train for about so many minutes from now on instead.
        source: Where the data lie now, if they were moved: folder:PATH.
        data_dir: Where TFDS datasets are prepared.
        skip_bad_images: Leave out images that cannot be decoded, if the run was begun so.
        preview: Show what is drawn at the terminal too, where that has 256 colors.
    """
    if iterations is not None and minutes is not None:
        raise InputError("give --iterations or --minutes, not both")
    config = Run.open(run).config
    if iterations is not None:
        config = dataclasses.replace(config, iterations=iterations)
    if source is not None:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))
    config.validate()
    start(
        Launch(
            config,
            out=run,
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
            minutes=minutes,
            preview=preview,
        )
    )


COMMAND = resume
