"""Configurations written by earlier versions, brought up to date one version at a time."""

from typing import Any

from gan_jax.errors import InputError

VERSION = 2
"""Of the configurations that are written now."""


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """The same configuration as this version writes it, without its version.

    Raises:
        InputError: it was written by a later version.
    """
    values = dict(values)
    version = values.pop("version", 1)
    if version > VERSION:
        raise InputError(
            f"this configuration is of version {version}, and this gan-jax knows those up to "
            f"{VERSION}: use the one that wrote it, or a later one"
        )
    for migration in _MIGRATIONS[version - 1 :]:
        values = migration(values)
    return values


_NETWORK_FIELDS = {
    "dcgan": ("width", "norm"),
    "resnet": ("width", "norm"),
    "biggan": ("width",),
    "mlp": ("width", "depth"),
    "r3gan": ("widths", "groups"),
    "stylegan2": ("width", "max_width"),
}
_STYLEGAN2_FIELDS = {
    "generator": ("depth", "style_mixing"),
    "discriminator": ("residual", "minibatch_std"),
}
_PENALTIES = ("r1", "r2", "wgan_gp", "dragan", "lecam", "bcr")
_AUGMENTATION_FIELDS = ("categories", "probability", "target", "images", "noise")


def _to_2(values: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 there was one task, all networks had all fields, and penalties were fields
    of the objective."""
    values = {"task": "generation", **values}
    for name in ("generator", "discriminator"):
        if name in values:
            old = values[name]
            kind = old.get("kind", "dcgan")
            fields = ["dtype", *_NETWORK_FIELDS[kind]]
            if kind == "stylegan2":
                fields += _STYLEGAN2_FIELDS[name]
            kept = {field: old[field] for field in fields if field in old}
            if name == "generator" and kind in ("dcgan", "resnet"):
                kept.setdefault("norm", "none")
            values[name] = {"kind": kind, **kept}
    if "objective" in values:
        objective = dict(values["objective"])
        weights = {name: objective.pop(name, 0) for name in _PENALTIES}
        objective["penalties"] = {name: weight for name, weight in weights.items() if weight}
        values["objective"] = objective
    if "augmentation" in values:
        old = values["augmentation"]
        kind = old.get("kind", "none")
        fields = ("noise",) if kind == "none" else _AUGMENTATION_FIELDS
        fields += ("weights",) if kind == "ada" else ()
        kept = {field: old[field] for field in fields if field in old}
        values["augmentation"] = {"kind": kind, **kept}
    return values


_MIGRATIONS = (_to_2,)
