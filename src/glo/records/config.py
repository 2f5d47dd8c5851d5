"""The base of every configuration, and how a training is to be run."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from glo.errors import ConfigError


class Config(BaseModel):
    """A frozen value; an unknown key is an error, so that a typo never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyConfig = TypeVar("AnyConfig", bound=Config)


def validated(model: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
    """A configuration from nested values.

    Raises:
        ConfigError: naming each key that is unknown or has a bad value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_problem(model, detail) for detail in error.errors())) from None


def read_toml(file: str | Path | None) -> dict[str, Any]:
    """The values of a TOML file; none of no file.

    Raises:
        ConfigError: if it cannot be read.
    """
    if file is None:
        return {}
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None


def _problem(model: type[Config], detail: Any) -> str:
    if detail["type"] == "value_error" and not detail["loc"]:
        return str(detail["ctx"]["error"])  # of the whole: it says itself what is wrong
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        fields: Any = model
        for part in detail["loc"][:-1]:
            fields = fields.model_fields[part].annotation
        return f"there is no option '{key}'; known here: {', '.join(fields.model_fields)}"
    return f"option '{key}': {detail['msg']} (given: {detail['input']!r})"


Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Link(StrEnum):
    """How a network's outputs become predictions y."""

    SOFTMAX = "softmax"  # one of C classes
    SIGMOID = "sigmoid"  # yes or no, for one output or for many
    IDENTITY = "identity"  # regression


class TrainingConfig(Config):
    """How each candidate's network is trained, by SGD as in the paper (section IV.A).

    Attributes:
        steps: number of SGD steps.
        batch_size: samples per step.
        learning_rates: the ladder; a network is trained at each, and the best by validation counts.
        momentum: SGD momentum.
        weight_decay: L2 penalty, as in `torch.optim.SGD`.
        schedule: (step, factor) pairs: from that step on, the learning rate is multiplied by the factor.
        class_reduction: sum or mean over classes; the sum reproduces the paper's accuracies.
        eps: predictions are clamped to [eps, 1 - eps] (not inside log(y), which comes from log-softmax).
        early_stop: fraction of the steps after which a network still at chance is given up; 0 never gives up.
        curve_every: steps between evaluations for the curve; 0 for none.
        curve_on: the split they are made on; "test" is for pictures of trainings that nothing is chosen by.
        precision: of the network's arithmetic: "float32"; "tf32" for its products on a GPU; "bfloat16" for the numbers
            inside, with parameters in float32.
        memory_mb: how much memory populations may take, in MiB; larger ones are trained in chunks.  None: half of what is
            free.
    """

    steps: PositiveInt = 300
    batch_size: PositiveInt = 100
    learning_rates: tuple[Rate, ...] = Field(default=(0.01,), min_length=1)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    schedule: tuple[tuple[PositiveInt, PositiveFloat], ...] = ()
    class_reduction: Literal["sum", "mean"] = "sum"
    eps: float = Field(default=1e-7, gt=0, lt=0.5)
    early_stop: float = Field(default=0.0, ge=0, lt=1)
    curve_every: int = Field(default=0, ge=0)
    curve_on: Literal["validation", "test"] = "validation"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    memory_mb: PositiveInt | None = None


def digest(value: Any) -> str:
    """A short stable hash of JSON-like data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
