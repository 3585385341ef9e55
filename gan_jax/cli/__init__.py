"""Command lines: of experiments, and of `gan-jax`."""

from gan_jax.cli.launch import experiment
from gan_jax.cli.terminal import errors_in_one_line

__all__ = ["errors_in_one_line", "experiment"]
