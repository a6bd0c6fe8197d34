"""One typed settings object, read once at the start of a process.

From environment variables `USERFLOW_*` and from `userflow.toml` in the working directory; the
environment wins. `docs/settings.md` is generated from the descriptions below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from infra.errors import SettingsError

__all__ = ["Settings", "load_settings"]

TOML_FILE = "userflow.toml"
Port = Annotated[int, Field(ge=1, le=65535)]
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def _is_address(webhook: SecretStr) -> SecretStr:
    if not webhook.get_secret_value().startswith(("https://", "http://")):
        raise PydanticCustomError("webhook", "Input should begin with https://")
    return webhook


class Settings(BaseSettings):
    """Everything that can be set from outside."""

    model_config = SettingsConfigDict(
        env_prefix="USERFLOW_", toml_file=TOML_FILE, frozen=True, extra="forbid"
    )

    home: AbsolutePath = Field(
        default=Path(".userflow"),
        validate_default=True,
        description="Holds everything the embedded stack writes: services, lake, checkpoints, logs",
    )
    lake: str = Field(
        default="",
        description="Root of the Delta tables: a path or any URI that Spark and Delta accept "
        "(`s3a://…`); `lake` below the home when empty",
    )
    geoip_database: AbsolutePath | None = Field(
        default=None,
        description="A MaxMind database of cities (`.mmdb`) for the daily jobs; the bundled one, "
        "which knows simulated addresses only, when unset",
    )
    kafka: str | None = Field(
        default=None, description="`host:port` of an external Kafka; embedded when unset"
    )
    postgres: str | None = Field(
        default=None,
        description="`postgresql://…` of an external PostgreSQL, as the owner of its database; "
        "embedded when unset",
    )
    redis: str | None = Field(
        default=None, description="`redis://…` of an external Redis; embedded when unset"
    )
    kafka_port: Port | None = Field(
        default=None, description="Port of the embedded Kafka; a free one when unset"
    )
    postgres_port: Port | None = Field(
        default=None, description="Port of the embedded PostgreSQL; a free one when unset"
    )
    redis_port: Port | None = Field(
        default=None, description="Port of the embedded Redis; a free one when unset"
    )
    java_home: AbsolutePath | None = Field(
        default=None, description="Where Java 17+ is; JAVA_HOME, then PATH when unset"
    )
    start_timeout: float = Field(
        default=60, gt=0, description="Seconds that an embedded service has to answer after a start"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What is logged"
    )

    checkpoints: str = Field(
        default="",
        description="Root of Spark's checkpoints: a path or a URI; `checkpoints` below the home "
        "when empty",
    )
    max_offsets_per_trigger: int = Field(
        default=500_000, gt=0, description="Most Kafka records in one epoch of a job"
    )
    shuffle_partitions: int = Field(
        default=2,
        gt=0,
        description="Tasks of the keyed step; fixed by a checkpoint's first epoch",
    )
    buckets: int = Field(
        default=2,
        gt=0,
        description="Parts of a job's keyed state, a multiple of `shuffle_partitions`; bounds the "
        "tasks that can share it, and is fixed by a checkpoint's first epoch",
    )
    driver_memory: str = Field(default="2g", description="Heap of the Spark driver")
    metrics_host: str = Field(
        default="127.0.0.1",
        description="Address that `/metrics` of a stream listens on; `0.0.0.0` for a Prometheus on "
        "another machine",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of `/metrics` of a stream; a free one when unset, no `/metrics` when 0",
    )
    breach_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="How much of a topic's events in a minute may break the contract before its "
        "views are marked degraded; 1 allows all of it",
    )
    breach_least: int = Field(
        default=100, gt=0, description="Of fewer events in a minute nothing is concluded"
    )
    pass_rate: float = Field(
        default=0.99,
        ge=0,
        le=1,
        description="Share of a day's events that must fail none of the seven checks; with less "
        "the day is not loaded",
    )
    slack_webhook: Annotated[SecretStr, AfterValidator(_is_address)] | None = Field(
        default=None,
        description="Slack's incoming webhook for alerts, a secret; messages are logged when unset",
    )

    watchdog_lag: int = Field(
        default=500_000,
        gt=0,
        description="Records of a job that no epoch has read, from which on the watchdog tells it",
    )
    watchdog_silence: float = Field(
        default=300,
        gt=0,
        description="Seconds without an epoch, though there is something to read, from which on "
        "the watchdog tells it",
    )
    vacuum_hours: int = Field(
        default=168,
        ge=168,
        description="Files of the lake that no version needs any more are kept that long, for "
        "readers that have begun",
    )
    lake_retention_days: int | None = Field(
        default=None,
        gt=0,
        description="Archived events are deleted when they are older; kept for ever when unset, "
        "and `userflow rebuild` needs them",
    )
    ops_retention_days: int = Field(
        default=90,
        gt=0,
        description="Quality outcomes, alerts, refused rows and dead letters that are no longer "
        "open are deleted when they are older",
    )

    collector_ip: Literal["truncated", "hashed", "full"] = Field(
        default="truncated",
        description="In which form the collector keeps the address of a sender: its network (/24, "
        "/48), a salted hash, or as it is",
    )
    collector_ip_salt: SecretStr | None = Field(
        default=None,
        description="The salt of `hashed`, a secret; made once and kept in the home when unset",
    )
    api_host: str = Field(
        default="127.0.0.1",
        description="Address that the API listens on; `0.0.0.0` for clients on other machines",
    )
    api_port: Port | None = Field(
        default=None, description="Port of the API; a free one when unset"
    )
    api_rate_limit: float = Field(
        default=10_000,
        ge=0,
        description="Requests a second that one key may send to one worker of the API, and so many "
        "at once; 0 for no limit",
    )
    api_max_body_bytes: int = Field(
        default=1 << 20, gt=0, description="Bytes that the body of a request may have"
    )
    api_access_log: bool = Field(
        default=True, description="Whether the API logs a line for each request"
    )
    api_cors_origins: str = Field(
        default="",
        description="Whose pages may call the API from a browser: origins such as "
        "`https://shop.example`, with commas between them, or `*`",
    )

    ranker_model: AbsolutePath | None = Field(
        default=None,
        description="A model file that ranks recommendations for some users (`docs/howto/"
        "recommend.md`); rules rank for all when unset",
    )
    ranker_model_share: float = Field(
        default=0.5, ge=0, le=1, description="For which share of the users that model ranks"
    )
    experiment: str = Field(
        default="ranker",
        description="Name of the test of that model: another one divides the users anew",
    )

    samples: bool = Field(
        default=False,
        description="Whether the API has the sample pages below `/samples`: whoever can open them "
        "may collect and read",
    )

    @field_validator("buckets")
    @classmethod
    def _spread_evenly(cls, buckets: int, info: ValidationInfo) -> int:
        tasks = info.data.get("shuffle_partitions", 1)
        if buckets % tasks:
            message = "Input should be a multiple of shuffle_partitions, which is {tasks}"
            raise PydanticCustomError("multiple", message, {"tasks": tasks})
        return buckets

    @property
    def checkpoint_root(self) -> str:
        """The checkpoints as given, or their place in the home."""
        return self.checkpoints or str(self.home / "checkpoints")

    @property
    def lake_root(self) -> str:
        """The lake as given, or its place in the home."""
        return self.lake or str(self.home / "lake")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings() -> Settings:
    """The settings of this process; what cannot be used is named in one sentence."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error
    except ValueError as error:  # tomllib.TOMLDecodeError
        raise SettingsError(f"{TOML_FILE} is not valid TOML: {error}.") from error


def _sentence(error: ValidationError) -> str:
    """The first problem only; its input is left out, as it may hold a password."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    expected = first["msg"][0].lower() + first["msg"][1:]
    return (
        f"Setting {name} cannot be used: {expected}. Look at USERFLOW_{name.upper()} "
        f"and at {TOML_FILE}; docs/settings.md lists what can be set."
    )
