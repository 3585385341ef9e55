"""Configurations: JSON, flags, what counts as a change, and what is refused."""

import dataclasses
import json
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import pytest
import tyro

import gan_jax
from gan_jax.augment.ada import ADASection
from gan_jax.augment.diffaugment import DiffAugmentSection
from gan_jax.cli.flags import FLAGS, choose_kinds
from gan_jax.cli.launch import Launch
from gan_jax.config import (
    Annealing,
    Average,
    Evaluation,
    Optimizer,
    differences,
    from_dict,
    from_json,
    to_dict,
    to_json,
)
from gan_jax.data import Data, Description
from gan_jax.errors import InputError
from gan_jax.losses import LOSSES
from gan_jax.networks import dcgan, mlp, r3gan, resnet, stylegan2
from gan_jax.steps import Alternation
from gan_jax.tasks.base import initial_states
from gan_jax.tasks.generation import Config, Objective

DEFAULT = Config()
# No field has its default here, save the periods, which exclude other steps than 1 and 1.
CHANGED = Config(
    name="other",
    seed=7,
    iterations=5,
    batch_size=16,
    data=Data(
        "folder:some where",
        "test",
        32,
        "pad",
        3,
        True,
        99,
        (1, 2),
        500,
        0.5,
        "red",
        4e3,
        True,
        ("age",),
    ),
    objective=Objective(
        "hinge", 16, True, 0.1, {"r1": 1.5, "r2": 2.5, "lecam": 0.3}, 16, 0.6, 2.0, 2, 3
    ),
    alternation=Alternation(d_steps=5, g_steps=2),
    generator=stylegan2.GeneratorSection("bfloat16", 32, 64, 2, 0.9),
    discriminator=r3gan.DiscriminatorSection("bfloat16", (16, 8), (4, 2)),
    g_optimizer=Optimizer("lion", 1e-3, {"b1": 0.25}, 1.0, 0.5, 1e-4, ("dense",)),
    d_optimizer=Optimizer("sgd", 2e-3, {"momentum": 0.9}, 2.0, 0.25, 2e-4, ("down_0", "down_1")),
    average=Average(500.0, None),
    augmentation=ADASection(0.1, ("blit", "color"), 0.5, 0.6, 1e5, {"color": 0.5}),
    annealing=Annealing(1e6, "linear", 0.1, 0.2, 0.3, 0.99, 0.4, 0.5, 1e5),
    evaluation=Evaluation(50, ("kid", "swd"), "classifier", 100, "KID"),
    balance=True,
    check_every=40,
    on_failure="stop",
    log_every=10,
    sample_every=20,
    checkpoint_every=30,
    keep_last=1,
    keep_every=60,
)
KINDS = Config(
    generator=stylegan2.GeneratorSection(),
    discriminator=r3gan.DiscriminatorSection(),
    augmentation=ADASection(),
)
"""The same kinds, with defaults."""
PERIODS = Config(alternation=Alternation(d_epochs=2, g_epochs=3))

# When a run is resumed these may differ: how long, how often, where.
FREE = {
    "name",
    "data.source",
    "iterations",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_last",
    "keep_every",
    "data.budget_gib",
    "check_every",
    "on_failure",
    "evaluation.every",
    "evaluation.metrics",
    "evaluation.extractor",
    "evaluation.samples",
    "evaluation.best",
}


def leaves(config, prefix=""):
    """The fields of nested dataclasses, by dotted name."""
    flat = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= leaves(value, f"{prefix}{field.name}.")
        else:
            flat[prefix + field.name] = value
    return flat


def changed_in(name, value, config=DEFAULT):
    """The default configuration with one field changed."""
    values = inner = to_dict(config)
    *path, last = name.split(".")
    for part in path:
        inner = inner[part]
    inner[last] = value
    return from_dict(Config, values)


UNLIKE_DEFAULT = {
    name: value for name, value in leaves(CHANGED).items() if not name.endswith("_epochs")
}


def test_the_changed_config_has_no_default():
    default = leaves(KINDS)
    assert [name for name, value in UNLIKE_DEFAULT.items() if value == default[name]] == []


@pytest.mark.parametrize("config", [Config(), CHANGED, PERIODS], ids=["default", "all", "periods"])
def test_json_round_trip(config):
    text = to_json(config)
    back = from_json(Config, text)
    assert back == config
    assert to_json(back) == text
    assert json.loads(text) == {"version": 2, **json.loads(json.dumps(to_dict(config)))}


def test_json_round_trip_of_a_description():
    data = Description((8, 8, 1), None, 1797, "abc")
    assert from_json(Description, to_json(data)) == data


def test_absent_fields_take_defaults():
    assert from_dict(Config, {"data": {"flip": True}}) == Config(data=Data(flip=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batchsize": 3}, "Config has no field batchsize"),
        ({"data": {"sauce": "digits"}}, "data has no field sauce"),
        ({"d_optimizer": {"rate": 1, "momentum": 2}}, "d_optimizer has no field momentum, rate"),
    ],
)
def test_unknown_fields_are_refused_by_name(values, message):
    with pytest.raises(InputError, match=message):
        from_dict(Config, values)


def test_flags_reach_every_field():
    flags = []
    for name, value in UNLIKE_DEFAULT.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            *path, last = flag.split(".")
            flags += [flag if value else ".".join([*path, f"no-{last}"])]
        elif isinstance(value, tuple):
            flags += [flag, *map(str, value)]
        elif isinstance(value, Mapping):
            flags += [flag, *(f"{k}={v}" for k, v in value.items())]
        else:
            flags += [flag, str(value)]
    for name in ("generator", "discriminator", "augmentation"):
        flags += [f"--{name}.kind", getattr(CHANGED, name).kind]
    assert parse(flags) == CHANGED


def parse(flags, config=DEFAULT):
    """The configuration that flags make of another one."""
    launch = Launch(choose_kinds(config, flags))
    return tyro.cli(Launch, default=launch, args=flags, registry=FLAGS).config


def test_a_kind_brings_its_own_flags_and_takes_those_of_the_other(capsys):
    chosen = parse(["--generator.kind=stylegan2", "--generator.max-width", "16"])
    assert chosen.generator == stylegan2.GeneratorSection(max_width=16)
    with pytest.raises(SystemExit):
        parse(["--generator.kind", "stylegan2", "--generator.norm", "batch"])
    assert "--generator.norm" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--help", "--generator.kind", "r3gan"])
    shown = capsys.readouterr().out
    assert "--generator.widths" in shown
    assert "--generator.width " not in shown
    assert "--discriminator.norm" in shown


def test_the_kind_of_a_section_that_stays_keeps_its_settings():
    config = Config(generator=dcgan.GeneratorSection(width=7))
    assert parse(["--generator.kind", "dcgan"], config).generator.width == 7
    with pytest.raises(InputError, match=r"unknown generator.kind 'gan': one of biggan, dcgan"):
        parse(["--generator.kind", "gan"])


@pytest.mark.parametrize("config", [CHANGED, KINDS, Config()], ids=["all", "kinds", "default"])
def test_equal_configurations_have_equal_hashes(config):
    assert hash(config) == hash(from_json(Config, to_json(config)))


@pytest.mark.parametrize(
    "name", [n for n, v in UNLIKE_DEFAULT.items() if not isinstance(v, Mapping)]
)
def test_differences_name_what_changes_the_training(name):
    other = changed_in(name, UNLIKE_DEFAULT[name], KINDS)
    found = [d.split(":")[0] for d in differences(KINDS, other)]
    assert found == ([] if name in FREE else [name])


def test_when_checks_are_is_part_of_a_balanced_training():
    every = [Config(balance=True, check_every=n) for n in (100, 50)]
    assert differences(*every) == ["check_every: 100 → 50"]


def test_differences_name_options_and_periods():
    config = dataclasses.replace(PERIODS, d_optimizer=Optimizer(options={"b1": 0.5, "eps": 1e-6}))
    assert differences(Config(), config) == [
        "alternation.d_epochs: None → 2",
        "alternation.g_epochs: None → 3",
        "d_optimizer.options.b2: 0.999 → None",
        "d_optimizer.options.eps: None → 1e-06",
    ]


@pytest.mark.parametrize("config", [Config(), CHANGED, PERIODS], ids=["default", "all", "periods"])
def test_no_differences_from_itself(config):
    assert differences(config, from_json(Config, to_json(config))) == []


@pytest.mark.parametrize("config", [Config(), PERIODS], ids=["default", "periods"])
def test_good_configs_are_valid(config):
    assert config.validate() is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("objective.loss", "hing", ["'hing'", *LOSSES]),
        ("data.fit", "squeeze", ["'squeeze'", "crop", "pad"]),
        ("generator.kind", "gan", ["'gan'", "dcgan", "mlp"]),
        ("discriminator.kind", "gan", ["'gan'", "dcgan", "mlp"]),
        ("generator.norm", "layer", ["'layer'", "batch", "spectral", "none"]),
        ("discriminator.norm", "layer", ["'layer'", "batch", "spectral", "none"]),
        ("generator.dtype", "float16", ["'float16'", "float32", "bfloat16"]),
        ("discriminator.dtype", "float64", ["'float64'", "float32", "bfloat16"]),
        ("generator.width", 0, ["at least 1", "not 0"]),
        ("discriminator.width", -8, ["at least 1", "not -8"]),
        ("data.channels", 2, ["1 (grey)", "3 (RGB)", "not 2"]),
        ("annealing.shape", "step", ["'step'", "linear", "cosine"]),
        ("annealing.learning_rate", 0.1, ["annealing.learning_rate", "annealing.images"]),
        ("annealing.b2", 0.9, ["annealing.b2", "annealing.images"]),
        ("annealing.images", -1, ["annealing.images", "at least 0"]),
        ("augmentation.kind", "mixup", ["'mixup'", "none", "diffaugment", "ada"]),
        ("augmentation.categories", ("blit",), ["augmentation", "no field", "categories"]),
        ("augmentation.probability", 0.5, ["augmentation", "no field", "probability"]),
        ("augmentation.target", 0.6, ["augmentation", "no field", "target"]),
        ("average.half_life", -1.0, ["average.half_life", "at least 0"]),
        ("average.ramp_up", 0.0, ["average.ramp_up", "above 0"]),
        ("augmentation.noise", -0.1, ["augmentation.noise", "at least 0"]),
        ("objective.lazy", 0, ["objective.lazy", "at least 1"]),
        ("objective.packing", 3, ["batch of 64", "packs of 3"]),
        ("objective.auxiliary", 1.0, ["auxiliary", "objective.conditional"]),
        ("objective.path_length", 2.0, ["stylegan2", "dcgan"]),
        ("objective.penalties", {"bcr": 10.0}, ["bcr", "augmentation.kind"]),
        ("objective.penalties", {"r3": 1.0}, ["'r3'", "r1", "dragan"]),
        ("objective.penalties", {"r1": -1.0}, ["objective.penalties.r1", "at least 0"]),
        ("objective.label_smoothing", 1.0, ["label_smoothing", "below 1"]),
        ("objective.unroll", 2, ["eps_root"]),
        ("d_optimizer.clip_gradients", 0, ["clip_gradients", "above 0"]),
        ("g_optimizer.orthogonal", -1, ["orthogonal", "at least 0"]),
        ("d_optimizer.clip_weights", 0.0, ["above 0", "not 0.0"]),
        ("g_optimizer.clip_weights", -0.1, ["above 0", "not -0.1"]),
        ("batch_size", 0, ["at least 1", "not 0"]),
        ("log_every", 0, ["at least 1", "not 0"]),
        ("sample_every", -5, ["at least 1", "not -5"]),
        ("checkpoint_every", 0, ["at least 1", "not 0"]),
        ("keep_last", 0, ["at least 1", "not 0"]),
        ("iterations", 0, ["at least 1", "not 0"]),
        ("seed", -1, ["at least 0", "not -1"]),
        ("objective.latent_dim", 0, ["at least 1", "not 0"]),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_validate_names_the_field_and_what_it_may_be(name, value, says):
    with pytest.raises(InputError) as error:
        changed_in(name, value).validate()
    assert [word for word in [name.split(".")[0], *says] if word not in str(error.value)] == []


POINTS = {
    "generator": mlp.GeneratorSection(),
    "discriminator": mlp.DiscriminatorSection(),
}
ADA = ADASection(probability=0.2)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (POINTS | {"augmentation": DiffAugmentSection()}, "for images"),
        ({"augmentation": ADASection()}, "augmentation.target 0.6"),
        ({"augmentation": ADASection(target=1.0)}, "below 1"),
        (
            {
                "augmentation": ADASection(target=0.6),
                "annealing": Annealing(images=100, augmentation=0.0),
            },
            "leave annealing.augmentation",
        ),
        ({"augmentation": ADASection(categories=("magic",), probability=0.2)}, "'magic'"),
        ({"augmentation": dataclasses.replace(ADA, weights={"cutout": 0.5})}, "'cutout'"),
        ({"augmentation": dataclasses.replace(ADA, probability=1.5)}, "at least 0 and at most 1"),
        ({"augmentation": dataclasses.replace(ADA, images=0)}, "augmentation.images is above 0"),
        ({"generator": mlp.GeneratorSection(depth=-1)}, "generator.depth is at least 0, not -1"),
        (
            {
                "augmentation": ADASection(target=0.6),
                "objective": Objective(penalties={"bcr": 10.0}),
            },
            "instead of augmentation.target",
        ),
        (
            {"objective": Objective(unroll=1), "d_optimizer": Optimizer("nadam", 1e-3, {})},
            "nadam has no derivative",
        ),
    ],
)
def test_validate_refuses_what_does_not_go_together(fields, says):
    with pytest.raises(InputError, match=says):
        Config(**fields).validate()


RESNETS = {
    "generator": resnet.GeneratorSection(width=2),
    "discriminator": resnet.DiscriminatorSection(width=2),
}
STYLES = {
    "generator": stylegan2.GeneratorSection(width=4, max_width=4, depth=1),
    "discriminator": stylegan2.DiscriminatorSection(width=4, max_width=4),
}
DCGANS = {
    "generator": dcgan.GeneratorSection(width=2, norm="none"),
    "discriminator": dcgan.DiscriminatorSection(width=2),
}
ALWAYS_FINITE = Optimizer(options={"b1": 0.0, "eps_root": 1e-8})


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": Objective(lazy=2, penalties={"r1": 1.0})},
        {
            "objective": Objective(penalties={"lecam": 0.3}),
            "discriminator": dcgan.DiscriminatorSection(width=2, norm="batch"),
        },
        {"objective": Objective(penalties={"bcr": 10.0}), "augmentation": ADA},
        {"augmentation": ADASection(target=0.6, noise=0.1)},
        {"objective": Objective(packing=2), "augmentation": DiffAugmentSection()},
        {"objective": Objective(unroll=1, penalties={"r1": 1.0}), "d_optimizer": ALWAYS_FINITE},
        RESNETS | {"objective": Objective(auxiliary=1.0, conditional=True, penalties={"r1": 1.0})},
        STYLES | {"objective": Objective(path_length=2.0, lazy=4, penalties={"r1": 1.0})},
    ],
    ids=["lazy", "LeCam", "bCR", "ADA", "packs", "unrolled", "AC-GAN", "path length"],
)
def test_what_is_valid_can_be_trained(fields):
    config = Config(batch_size=4, **(DCGANS | fields))
    config.validate()
    data = Description((32, 32, 3), 10, 100, "")
    batches = {
        "real": jnp.zeros((1, 4, *data.shape)),
        **({"label": jnp.zeros((1, 4), jnp.int32)} if config.objective.conditional else {}),
    }
    task = config.build(data)
    task.check()

    def iteration(key):
        d, g = initial_states(task)
        return gan_jax.alternate(
            d, g, batches, key, objective=task.objective, alternation=config.alternation
        )

    d, g, metrics = jax.eval_shape(iteration, jax.random.key(0))
    assert all(x.shape == () for x in jax.tree.leaves(metrics))
    assert jax.tree.structure((d, g)) == jax.tree.structure(
        jax.eval_shape(lambda: initial_states(task))
    )


def test_lecam_bears_batch_norm():
    config = Config(
        objective=Objective(penalties={"lecam": 0.3}),
        discriminator=dcgan.DiscriminatorSection(norm="batch"),
    )
    assert config.validate() is None


@pytest.mark.parametrize("penalty", ["r1", "r2", "wgan_gp", "dragan", "bcr"])
def test_penalties_exclude_batch_norm_in_the_discriminator(penalty):
    config = Config(
        objective=Objective(penalties={penalty: 1.0}),
        augmentation=DiffAugmentSection(),
        discriminator=dcgan.DiscriminatorSection(norm="batch"),
    )
    with pytest.raises(InputError, match=rf"objective\.penalties\.{penalty} .*without batch norm"):
        config.validate()
    spectral = dataclasses.replace(
        config, discriminator=dcgan.DiscriminatorSection(norm="spectral")
    )
    assert spectral.validate() is None
