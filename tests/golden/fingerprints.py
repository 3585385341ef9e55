"""Digests of trained states, and the name of the environment in which they hold.

Two states have the same fingerprint if they hold the same numbers, bit for bit. The functions take
any object with the attributes of a train state, whichever version of the library made it, so what
one version recorded can be compared with what another one trains.

The last bits of a result depend on the versions of the libraries that compute it, on what the
processor can do, and on the number of its cores. `environment` names all of these: a fingerprint
that was recorded under one name says nothing about another.
"""

import hashlib
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax")
PARTS = ("params", "collections", "opt_state", "ema_params")
_UNNAMED = ("opt_state",)
"""Parts whose leaves count without their names: how an optimiser nests its state may change as long
as the numbers and their order stay."""
_EXTENSIONS = {"avx512f": "avx512", "avx2": "avx2", "avx": "avx", "sve": "sve", "asimd": "neon"}
"""Flags of /proc/cpuinfo, the most telling first, and what to call them."""


def fingerprint(state: Any) -> dict[str, str | None]:
    """The digest of each part of a train state; None for a part that it does not have."""
    return {part: _digest(getattr(state, part, None), part not in _UNNAMED) for part in PARTS}


def fingerprints(d: Any, g: Any) -> dict[str, dict[str, str | None]]:
    """Of both networks."""
    return {"d": fingerprint(d), "g": fingerprint(g)}


def _digest(tree: Any, named: bool) -> str | None:
    """SHA-256 of the leaves in the order of the tree: the name (if wanted), dtype, shape and bytes
    of each."""
    import jax
    import numpy as np

    if tree is None:
        return None
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        name = jax.tree_util.keystr(path) if named else ""
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def environment() -> str:
    """What the last bits of a result on this machine's processor depend on, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{packages}; {platform.machine()} {_extension()}; {_cores()} cores"


def _extension() -> str:
    """The vector extension that a compiler would use here."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "unknown"
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    flags = set(lines[0].split()) if lines else set()
    return next((name for flag, name in _EXTENSIONS.items() if flag in flags), "unknown")


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
