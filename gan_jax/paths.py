"""Where files lie that belong to no run."""

import os
from pathlib import Path


def user_cache() -> Path:
    """This user's caches: `$GAN_JAX_CACHE`, by default `gan_jax` in `$XDG_CACHE_HOME` or
    `~/.cache`. Deleting it loses nothing."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GAN_JAX_CACHE") or Path(home) / "gan_jax")
