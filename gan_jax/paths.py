"""Where files lie that belong to no run."""

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder of this user's caches: `$GAN_JAX_CACHE`, by default `gan_jax` in
    `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GAN_JAX_CACHE") or Path(home) / "gan_jax")
