"""The metrics that generators are scored by, a file each: see `gan_jax.evaluation.metric`."""
