"""The base of every configuration: frozen pydantic models that refuse unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from glo.errors import ConfigError


class Config(BaseModel):
    """A frozen set of options.

    Raises:
        ConfigError: for an unknown key or a bad value; the message names each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # type checkers see the fields as keyword arguments

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(_problems(type(self), error)) from None

        __init__.__pydantic_base_init__ = True  # nested models and signatures are treated as those of BaseModel


AnyConfig = TypeVar("AnyConfig", bound=Config)


def validated(model: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
    """A configuration from nested values, such as those of a TOML file.

    Raises:
        ConfigError: for an unknown key or a bad value; the message names each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_problems(model, error)) from None


def _problems(model: type[Config], error: ValidationError) -> str:
    return "; ".join(_problem(model, detail) for detail in error.errors())


def _problem(model: type[Config], detail: Any) -> str:
    if detail["type"] == "value_error" and (not detail["loc"] or isinstance(detail["input"], Mapping | Config)):
        return str(detail["ctx"]["error"])  # raised by a check of a whole model, which says what is wrong
    key = ".".join(str(part) for part in detail["loc"] if "[" not in str(part))  # without the types of a union
    if detail["type"] == "extra_forbidden":
        fields: Any = model
        for part in detail["loc"][:-1]:
            fields = fields.model_fields[part].annotation
        return f"there is no option '{key}'; known here: {', '.join(fields.model_fields)}"
    return f"option '{key}': {detail['msg']} (given: {detail['input']!r})"
