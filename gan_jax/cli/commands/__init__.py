"""The commands of `gan-jax`, a file each: what it calls `COMMAND` is found there."""
