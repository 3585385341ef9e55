"""What turns images into features, a file each: see `gan_jax.evaluation.extractors.kinds`."""
