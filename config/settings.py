"""All configuration: environment variables prefixed `SEATWRIGHT_`; secrets have defaults in development only."""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.known_secrets import DEVELOPMENT_PAYLOAD_KEY, DEVELOPMENT_SECRET, is_blank, is_published
from config.rate_limits import RATE_LIMITS

_PREFIX = "SEATWRIGHT_"
Service = Literal["identity", "catalogue", "reservation", "payment", "analytics"]
SERVICES_WITH_DATABASE: tuple[Service, ...] = ("identity", "catalogue", "reservation", "payment", "analytics")

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(json_schema_extra={"unit": "s"})]
IpAddress = Annotated[str, AfterValidator(lambda value: str(ip_address(value)))]  # Temporal's runtime takes no name
Percent = Annotated[int, Field(ge=0, le=100)]


class LoginProvider(BaseModel):
    """An OpenID Connect provider, and the platform's registration there."""

    issuer: str
    client_id: str
    client_secret: SecretStr


class Settings(BaseSettings):
    """The settings of all processes. Addresses are host:port or URLs.

    `docs/operations.md` has a table of them that is made from the descriptions.

    Outside development mode no secret has a default: `config.needs` says which of them a process needs to start.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    mode: Literal["development", "production"] = Field(
        default="production",
        description="In `development` secrets have fixed values that everybody knows, and calls are not limited.",
    )

    postgres_host: str = Field(default="127.0.0.1", description="The server with the databases of all services.")
    postgres_port: int = Field(default=15432, description="Its port.")
    postgres_admin_dsn: SecretStr | None = Field(
        default=None, description="libpq string of a superuser. Only `migrate` uses it, to create databases and roles."
    )
    postgres_role_secret: SecretStr | None = Field(
        default=None,
        description="The password of each role is derived from it (HMAC of the role's name). "
        "A process that has `POSTGRES_PASSWORDS` does not need it.",
    )
    postgres_passwords: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='The passwords of the process\'s own roles, as JSON: `{"seatwright_<service>": "…"}`. '
        "`migrate` sets the same ones.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:16379/0"), description="Redis. The URL may contain a password."
    )
    temporal_address: str = Field(default="127.0.0.1:7233", description="Temporal's frontend.")
    temporal_namespace: str = Field(default="default", description="The namespace of all workflows.")
    temporal_ui_url: str = Field(
        default="http://127.0.0.1:8233", description="The Temporal UI. Its pages may always call the API."
    )
    kafka_bootstrap: str = Field(default="127.0.0.1:19092", description="Kafka's bootstrap servers.")
    elasticsearch_url: str = Field(default="http://127.0.0.1:19200", description="Elasticsearch.")
    smtp_host: str = Field(default="127.0.0.1", description="The server that sends mails.")
    smtp_port: int = Field(default=1025, description="Its port.")
    mail_sender: str = Field(
        default="Seatwright <tickets@seatwright.example>", description="The address in `From` of all mails."
    )
    mail_ui_url: str = Field(default="http://127.0.0.1:8025", description="The page with mails that the demo links to.")
    api_url: str = Field(
        default="http://127.0.0.1:8000",
        description="The public address of the API: issuer of the tokens, return address of 3-D Secure, and the "
        "address to which the sandbox sends webhooks.",
    )
    internal_port: int = Field(
        default=8100,
        ge=1,
        le=65535,
        description="Port on which identity's API also answers its internal routes; the public port does not. Only the "
        "platform's own processes may reach it.",
    )
    identity_url: str = Field(
        default="",
        description="The internal address of identity's API, with its `INTERNAL_PORT`, for keys that check tokens, "
        "contact data and the audit log. Empty: `INTERNAL_PORT` of this machine.",
    )
    cors_origins: str = Field(
        default="",
        description="Comma-separated origins (`https://…`) whose pages may call the API from a browser.",
    )
    sandbox_url: str = Field(
        default="http://127.0.0.1:8900",
        description="The payment sandbox. The audit reads its ledger. In development mode it is the default address "
        "of each payment provider.",
    )

    # Every other variable, by its name in lower case. The packages of the payment providers declare and check theirs.
    provider_variables: dict[str, SecretStr] = Field(default_factory=lambda: _split_variables(os.environ)[1])
    token_key_secret: SecretStr | None = Field(
        default=None,
        description="Encrypts the keys that sign tokens, in identity's database. Two, comma-separated, during a "
        "replacement: the first encrypts.",
    )
    login_providers: dict[str, LoginProvider] = Field(
        default_factory=dict,
        json_schema_extra={"secret": True},
        description="External log-in providers, as JSON: "
        '`{"name": {"issuer": …, "client_id": …, "client_secret": …}}` '
        "Register `API_URL/v1/log-in/name/back` there.",
    )
    booking_id_secret: SecretStr | None = Field(
        default=None,
        description="Keys the hash of user and idempotency key. After a change, an old key makes a new booking.",
    )
    temporal_payload_keys: SecretStr | None = Field(
        default=None,
        description="Comma-separated `id:key` pairs; a key is 32 bytes in base64url. The first one seals payloads in "
        "Temporal, and each of them opens payloads.",
    )
    internal_token: SecretStr | None = Field(
        default=None, description="Authenticates our processes at identity's internal routes."
    )
    personal_data_keys: SecretStr | None = Field(
        default=None,
        description="Wraps the key of each person. Two, comma-separated, during a replacement: the first wraps new "
        "keys. **If it is lost, all personal data is lost.**",
    )
    address_secret: SecretStr | None = Field(
        default=None,
        description="Keys the hash by which log-in finds an account, and the tokens in mails. It cannot be replaced.",
    )
    audit_log_secret: SecretStr | None = Field(
        default=None, description="Keys the chain of the audit log. It cannot be replaced."
    )

    metrics_port: Port = Field(
        default=0,
        description="Port for the metrics of a process, and for the readiness of a worker, relay or consumer. 0: none.",
    )
    metrics_host: IpAddress = Field(
        default="127.0.0.1", description="The IP address at which a process serves its metrics, without a log-in."
    )
    temporal_metrics_port: Port = Field(
        default=0,
        description="Port for the metrics of Temporal's SDK and of the sagas in a worker. 0: none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least important level of log lines. SIGUSR1 lets a process log one level more, SIGUSR2 one less.",
    )
    traces_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Where spans are sent by OTLP over HTTP, such as `http://jaeger:4318/v1/traces`. Empty: nowhere.",
    )
    traces_details: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05,
        description="The share of traces in which each statement and each command of Redis is a span. The others have "
        "those that failed or were slow. The same for all processes.",
    )
    traces_ui_url: str = Field(default="", description="Jaeger's pages and API, for `seatwright trace`.")
    graphs_url: str = Field(default="", description="The page with graphs that the demo links to.")
    rate_limits: dict[str, str] = Field(
        default=RATE_LIMITS,
        description="A limit such as `30/minute` for each class of calls, as JSON; `{}` for no limits, as in "
        "development mode. The defaults are in [api.md](api.md#limits), the names in `config/rate_limits.py`.",
    )
    connections: int = Field(
        default=1000,
        ge=10,
        description="Connections that one process of the API keeps open. If there are more, the one that has "
        "waited longest for its caller is closed. The hard limit of open files must be 500 higher.",
    )
    live_holds: int = Field(
        default=3,
        ge=0,
        description="Unpaid bookings of one event that a user may hold at a time. 0: no limits of holds at all, as in "
        "development.",
    )
    unproven_live_holds: int = Field(
        default=1, ge=1, description="The same for a user who has not confirmed the email address."
    )
    unpaid_holds: int = Field(
        default=10, ge=1, description="Holds of one event that a user may make in 15 minutes without a payment."
    )
    address_places: int = Field(
        default=500,
        ge=0,
        description="Places of one event that all users at one network address may hold at a time without a payment. "
        "0: any number, as in development.",
    )
    unproven_address_places: int = Field(
        default=100,
        ge=0,
        description="The same for all users at one address who have not confirmed their email addresses.",
    )
    unproven_event_percent: Percent = Field(
        default=25,
        description="Percentage of an event's places that all users who have not confirmed their email addresses may "
        "hold together at a time without a payment. 0: any number, as in development.",
    )
    free_places: int = Field(
        default=50,
        ge=0,
        description="Places of one event that cost nothing and that a user may have, held ones included. A user who "
        "has not confirmed the email address may hold none. 0: any number, for all users, as in development.",
    )
    charges_of_booking: int = Field(
        default=10,
        ge=0,
        description="Payments and exchanges of one booking that may fail in 15 minutes. 0: any number, as in "
        "development.",
    )
    charges_of_card: int = Field(default=20, ge=0, description="The same with one card, of any booking.")
    organizer_places: int = Field(
        default=5_000_000,
        ge=0,
        description="Places that all events of one organizer that have not begun or were drafted in the last 30 days "
        "may have together. Drafts and cancelled events count. A person may own 20 teams, and each is an organizer of "
        "its own. 0: any number, as in development.",
    )
    drain: Seconds = Field(
        default=5.0,
        ge=0,
        description="After SIGTERM an API still serves for this time, with 503 at `/readyz`. It must be longer than a "
        "load balancer needs to notice. A stack sets 0.",
    )
    payment_steps: Literal["local", "remote"] = Field(
        default="local",
        description="Where the payment steps of a booking run. `local`: in the reservation worker, which saves a sixth "
        "of a booking's cost. `remote`: in a payment worker, so that reservation workers need no payment secrets. An "
        "open booking keeps it: change it in the two phases below.",
    )
    payment_timeout: Seconds = Field(default=8.0, description="Longest wait for one call to a payment provider.")
    hold_wait: Seconds = Field(
        default=10.0, description="Longest time that a call waits for its hold. Then the answer is `outcome-unknown`."
    )
    payment_wait: Seconds = Field(
        default=15.0,
        description="The same for a payment or a cancellation. Then no charge starts for that call any more.",
    )
    payment_window: Seconds = Field(
        default=600.0, description="How long one payment attempt may keep the seats, 3-D Secure included."
    )
    compensation_attempts: int = Field(
        default=12, ge=1, description="Tries of a step before it is given up, or its saga waits for an operator."
    )

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Settings:
        """The settings that these environment variables give; the process's own environment gives the others."""
        own, others = _split_variables(variables)
        return cls.model_validate(own | {"provider_variables": others})

    @model_validator(mode="before")
    @classmethod
    def _development_secrets(cls, data: dict[str, object]) -> dict[str, object]:
        if data.get("mode") != "development":
            return data
        defaults = dict.fromkeys(SECRETS, DEVELOPMENT_SECRET)
        defaults["temporal_payload_keys"] = f"development:{DEVELOPMENT_PAYLOAD_KEY}"
        return {**defaults, "rate_limits": {}, **dict.fromkeys(_CAPS, 0), **data}

    @field_validator("rate_limits")
    @classmethod
    def _all_or_none(cls, given: dict[str, str]) -> dict[str, str]:
        if given and given.keys() != RATE_LIMITS.keys():
            raise ValueError(f"has to name {', '.join(RATE_LIMITS)}, or nothing at all")
        return given

    @model_validator(mode="after")
    def _no_blank_secrets(self) -> Self:
        given = {name: value for name in SECRETS if (value := getattr(self, name)) is not None}
        blank = [f"SEATWRIGHT_{name.upper()}" for name, value in given.items() if is_blank(name, value)]
        if any(is_blank("", each) for each in self.postgres_passwords.values()):
            blank.append("SEATWRIGHT_POSTGRES_PASSWORDS")
        if blank:
            raise ValueError(f"{', '.join(blank)}: a secret must not be blank, also not as one of several")
        return self

    @model_validator(mode="after")
    def _no_published_secrets(self) -> Self:
        if self.mode == "development":
            return self
        given = {name: value for name in SECRETS if (value := getattr(self, name)) is not None}
        given |= {f"postgres_passwords of {role}": value for role, value in self.postgres_passwords.items()}
        known = [f"SEATWRIGHT_{name.upper()}" for name, value in given.items() if is_published(value)]
        if known:
            raise ValueError(f"{', '.join(known)}: everyone knows the secrets of development mode; make your own")
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
        """The internal address of identity's API; tokens are issued in the name of `api_url`."""
        return self.identity_url or f"http://127.0.0.1:{self.internal_port}"

    @property
    def development_sandbox(self) -> str | None:
        """The sandbox's address in development mode, where it stands in for the payment providers; else None."""
        return self.sandbox_url if self.mode == "development" else None

    def database_url(self, service: Service, *, owner: bool = False) -> str:
        """The SQLAlchemy URL of a service's own database, as the application's role or as the owner that migrates."""
        role = f"seatwright_{service}_owner" if owner else f"seatwright_{service}"
        given = self.postgres_passwords.get(role)
        password = given.get_secret_value() if given else role_password(secret(self.postgres_role_secret), role)
        password = quote(password, safe="")  # a given password is free text
        return f"postgresql+psycopg://{role}:{password}@{self.postgres_host}:{self.postgres_port}/seatwright_{service}"


def _split_variables(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, SecretStr]]:
    """The variables that `Settings` declares, and all other ones with our prefix; their names without it."""
    named = {name[len(_PREFIX) :].lower(): text for name, text in variables.items() if name.upper().startswith(_PREFIX)}
    own = {name: text for name, text in named.items() if name in Settings.model_fields}
    return own, {name: SecretStr(text) for name, text in named.items() if name not in own}


_CAPS = (
    "live_holds",
    "address_places",
    "unproven_address_places",
    "unproven_event_percent",
    "free_places",
    "charges_of_booking",
    "charges_of_card",
    "organizer_places",
)
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
