"""Command lines: of experiments, and of `gan-jax`."""

from gan_jax.cli.launch import errors_in_one_line, experiment

__all__ = ["errors_in_one_line", "experiment"]
