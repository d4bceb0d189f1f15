"""All configuration: environment variables prefixed `SEATWRIGHT_`; secrets have defaults in development only."""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX = "SEATWRIGHT_"
_DEVELOPMENT_SECRET = "development-only-secret-0123456789"
Service = Literal["identity", "catalogue", "reservation", "payment", "analytics"]
SERVICES_WITH_DATABASE: tuple[Service, ...] = ("identity", "catalogue", "reservation", "payment", "analytics")

RATE_LIMITS = {
    "log-in": "30/minute",
    "log-in-failures": "10/15 minute",
    "log-in-failures-of-account": "50/hour",
    "token": "600/minute",
    "register": "20/hour",
    "book": "30/minute",
    "pay": "30/minute",
    "read": "600/minute",
    "write": "120/minute",
}


class LoginProvider(BaseModel):
    """An OpenID Connect provider, and the platform's registration there."""

    issuer: str
    client_id: str
    client_secret: SecretStr


class Settings(BaseSettings):
    """The settings of all processes. Durations are seconds; addresses are host:port or URLs.

    Outside development mode no secret has a default: `config.needs` says which of them a process needs to start.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    mode: Literal["development", "production"] = "production"

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 15432
    postgres_admin_dsn: SecretStr | None = None  # used by `migrate` alone, to create databases and roles
    postgres_role_secret: SecretStr | None = None  # each role's password is derived from it; see `role_password`
    # The passwords of a process's own roles, so that it does not have to know the secret of all: {"role": "password"}
    postgres_passwords: dict[str, SecretStr] = Field(default_factory=dict)
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:16379/0")
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_ui_url: str = "http://127.0.0.1:8233"
    kafka_bootstrap: str = "127.0.0.1:19092"
    elasticsearch_url: str = "http://127.0.0.1:19200"
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    mail_sender: str = "Seatwright <tickets@seatwright.example>"
    mail_ui_url: str = "http://127.0.0.1:8025"
    api_url: str = "http://127.0.0.1:8000"
    identity_url: str = ""  # where the platform's processes reach identity; empty: at `api_url`
    cors_origins: str = ""  # comma-separated origins that may call the API from a browser, such as `https://host`
    # The audit compares money with the sandbox's ledger; in development mode it also stands in for the providers.
    sandbox_url: str = "http://127.0.0.1:8900"

    # Every other variable, by its name in lower case. The packages of the payment providers declare and check theirs.
    provider_variables: dict[str, SecretStr] = Field(default_factory=lambda: _split_variables(os.environ)[1])
    token_key_secret: SecretStr | None = None  # seals the keys that sign tokens; two with a comma while one is replaced
    # Other log-in providers, by the name in the URL: {"name": {"issuer": …, "client_id": …, …}}
    login_providers: dict[str, LoginProvider] = Field(default_factory=dict)
    booking_id_secret: SecretStr | None = None  # keys the hash of user and idempotency key
    temporal_payload_keys: SecretStr | None = None  # `id:key,…`, see `PayloadCipher`
    internal_token: SecretStr | None = None  # lets the consumers read contact data from identity
    personal_data_keys: SecretStr | None = None  # wrap each person's key; two with a comma while one is replaced
    address_secret: SecretStr | None = None  # keys the hash by which accounts are found; it cannot be replaced
    audit_log_secret: SecretStr | None = None  # keys the chain of the audit log; it cannot be replaced

    metrics_port: int = Field(default=0, ge=0, le=65535)  # 0: no metrics and readiness endpoint
    # The rate limits, by class of route (JSON; see `api/edge/rate_limits.py`); none in development.
    rate_limits: dict[str, str] = RATE_LIMITS
    live_holds: int = Field(
        default=3, ge=0
    )  # unpaid bookings of one event that a user may hold at a time; 0: any number
    unpaid_holds: int = Field(default=10, ge=1)  # holds of an event that a user may make in 15 minutes without paying
    drain: float = Field(default=5.0, ge=0)  # how long an API still serves after SIGTERM, with 503 at /readyz
    # Where a booking's payment steps run: "local" in its saga's own worker, which saves a third of a booking's cost;
    # "remote" on the payment queue, for workers of the reservation service that must not have the payment's secrets.
    payment_steps: Literal["local", "remote"] = "local"
    payment_timeout: float = 8.0  # of one call to a provider
    hold_wait: float = 10.0  # how long a caller waits for a hold before the response is "unknown"
    payment_wait: float = 15.0  # the same for a payment; after it that call can no longer charge the buyer
    payment_window: float = 600.0  # how long one attempt may keep the seats, 3-D Secure included
    compensation_attempts: int = 12  # attempts of an undo before the saga waits for an operator

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Settings:
        """The settings of a process that has these environment variables."""
        own, others = _split_variables(variables)
        return cls.model_validate(own | {"provider_variables": others})

    @model_validator(mode="before")
    @classmethod
    def _development_secrets(cls, data: dict[str, object]) -> dict[str, object]:
        if data.get("mode") != "development":
            return data
        defaults = dict.fromkeys(SECRETS, _DEVELOPMENT_SECRET)
        defaults["temporal_payload_keys"] = "development:c2VhdHdyaWdodC1kZXZlbG9wbWVudC1vbmx5LWtleSE"
        return {**defaults, "rate_limits": {}, "live_holds": 0, **data}

    @field_validator("rate_limits")
    @classmethod
    def _all_or_none(cls, given: dict[str, str]) -> dict[str, str]:
        if given and given.keys() != RATE_LIMITS.keys():
            raise ValueError(f"has to name {', '.join(RATE_LIMITS)}, or nothing at all")
        return given

    @model_validator(mode="after")
    def _no_blank_secrets(self) -> Self:
        given = {name: value for name in SECRETS if (value := getattr(self, name)) is not None}
        blank = [f"SEATWRIGHT_{name.upper()}" for name, value in given.items() if _is_blank(name, value)]
        if any(_is_blank("", each) for each in self.postgres_passwords.values()):
            blank.append("SEATWRIGHT_POSTGRES_PASSWORDS")
        if blank:
            raise ValueError(f"{', '.join(blank)}: a secret must not be blank, also not as one of several")
        return self

    def require(self, secrets: Collection[str], databases: Collection[Service]) -> None:
        """Refuse to go on without what a process needs.

        Args:
            secrets: The names of their settings.
            databases: The services whose databases it opens.

        Raises:
            ValueError: It names all that is missing.
        """
        missing = [f"SEATWRIGHT_{name.upper()}" for name in sorted(secrets) if getattr(self, name) is None]
        roles = {f"seatwright_{service}" for service in databases}
        if self.postgres_role_secret is None and (unknown := sorted(roles - self.postgres_passwords.keys())):
            missing.append(
                f"SEATWRIGHT_POSTGRES_ROLE_SECRET (or SEATWRIGHT_POSTGRES_PASSWORDS of {', '.join(unknown)})"
            )
        if missing:
            raise ValueError(f"set {', '.join(missing)}, or SEATWRIGHT_MODE=development")

    @property
    def identity_address(self) -> str:
        """The internal address of identity's API; tokens are still issued in the name of `api_url`."""
        return self.identity_url or self.api_url

    @property
    def development_sandbox(self) -> str | None:
        """The sandbox's address in development mode, where it stands in for the payment providers; else None."""
        return self.sandbox_url if self.mode == "development" else None

    def database_url(self, service: Service, *, owner: bool = False) -> str:
        """The SQLAlchemy URL of a service's own database, as the application's role or as the owner that migrates."""
        role = f"seatwright_{service}_owner" if owner else f"seatwright_{service}"
        given = self.postgres_passwords.get(role)
        password = given.get_secret_value() if given else role_password(secret(self.postgres_role_secret), role)
        return f"postgresql+psycopg://{role}:{password}@{self.postgres_host}:{self.postgres_port}/seatwright_{service}"


def _split_variables(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, SecretStr]]:
    """The variables that `Settings` declares, and all other ones with our prefix; their names without it."""
    named = {name.removeprefix(_PREFIX).lower(): text for name, text in variables.items() if name.startswith(_PREFIX)}
    own = {name: text for name, text in named.items() if name in Settings.model_fields}
    return own, {name: SecretStr(text) for name, text in named.items() if name not in own}


SECRETS = (
    "postgres_role_secret",
    "token_key_secret",
    "booking_id_secret",
    "temporal_payload_keys",
    "internal_token",
    "personal_data_keys",
    "address_secret",
    "audit_log_secret",
)
_LISTS = frozenset({"token_key_secret", "temporal_payload_keys", "personal_data_keys"})


def _is_blank(name: str, value: SecretStr) -> bool:
    """Whether a secret, or one of several, is one that everyone knows."""
    text = value.get_secret_value()
    return not all(each.strip() for each in (text.split(",") if name in _LISTS else [text]))


def secret(value: SecretStr | None) -> str:
    """The text of a secret that the process needs, so that its start has checked it."""
    assert value is not None
    return value.get_secret_value()


def role_password(seed: str, role: str) -> str:
    """The password of one database role, derived from one secret, so that one password reveals no other."""
    return hmac.new(seed.encode(), role.encode(), sha256).hexdigest()


@lru_cache
def settings() -> Settings:
    """The settings of an operator's command, which may need any secret.

    Raises:
        ValueError: One is missing.
    """
    given = Settings()
    given.require(SECRETS, SERVICES_WITH_DATABASE)
    return given
