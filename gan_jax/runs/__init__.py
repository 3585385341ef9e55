"""A run's directory: checkpoints, logs, lock, lineage."""

from gan_jax.runs.run import Best, Origin, Rollback, Run

__all__ = ["Best", "Origin", "Rollback", "Run"]
