"""Provider settings: each provider declares its own models, which are read from environment variables with its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError


def _stripped(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()  # people write a space after a comma, and files end with a line break
    if not text:
        raise ValueError("must not be blank")
    return SecretStr(text)


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


Secret = Annotated[SecretStr, AfterValidator(_stripped)]
RotatedSecrets = Annotated[tuple[Secret, ...], BeforeValidator(_split)]
"""Secrets with a comma between them: one, or two while one is being replaced."""


class ProviderSettings(BaseModel):
    """Settings of one payment provider.

    The field `api_base` of the provider `stripe` is the variable `SEATWRIGHT_STRIPE_API_BASE`. No secret has a default
    outside development mode.
    """

    model_config = ConfigDict(frozen=True)


class GatewaySettings(ProviderSettings):
    """What every gateway needs."""

    api_base: str = Field(description="The address of the provider's API, without a trailing slash.")
    calls_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Most calls a second that all workers together make. Set the same value in all processes.",
    )


S = TypeVar("S", bound=ProviderSettings)


def read(
    model: type[S],
    provider: str,
    variables: Mapping[str, SecretStr],
    defaults: Mapping[str, str],
    *,
    published: Collection[str] = (),
) -> S:
    """Read settings of one provider.

    Args:
        model: The fields to read.
        provider: The provider's name, which begins the name of each variable.
        variables: By their names in lower case, without `SEATWRIGHT_`.
        defaults: Values of fields whose variable is not set.
        published: Secrets that everyone knows, and that are refused.

    Raises:
        ValueError: A variable is missing or wrong. The message names each, and repeats no value.
    """
    named = {field: variables.get(f"{provider}_{field}") for field in model.model_fields}
    values = {field: secret.get_secret_value() for field, secret in named.items() if secret is not None}
    secrets = {field for field, info in model.model_fields.items() if "SecretStr" in str(info.annotation)}
    given = {field: {each.strip() for each in values[field].split(",")} for field in secrets & values.keys()}
    if known := [field for field, each in given.items() if not each.isdisjoint(published)]:
        names = ", ".join(f"SEATWRIGHT_{provider}_{field}".upper() for field in sorted(known))
        raise ValueError(f"{names}: everyone knows the secrets of development mode; use your own")
    try:
        return model.model_validate({**defaults, **values})
    except ValidationError as error:
        found = {f"SEATWRIGHT_{provider}_{each['loc'][0]}".upper(): each["msg"] for each in error.errors()}
        raise ValueError("; ".join(f"{variable}: {message}" for variable, message in found.items())) from None
