"""Settings: environment variables `HEADRACE_…` over a TOML file over defaults.

Nothing else reads the environment, except `failpoints`: those are armed by tests, and no settings file may do it.

Any value may stand in a file of its own that `HEADRACE_…_FILE` names (`secret_files`); that is for secrets. The
settings file is `headrace.toml` in the working folder, or what `HEADRACE_CONFIG` names. Nested values are written with
two underscores in the environment: `HEADRACE_WORKER_CLASSES__SPOT__MAX_WORKERS=2`.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from headrace.addresses import PORTS, Egress, Network, port_range
from headrace.errors import SettingsError
from headrace.ids import CELL_PATTERN
from headrace.logs import LogStyle
from headrace.network import is_loopback
from headrace.secret_files import SecretFiles, password_of, with_password
from headrace.settings_file import SettingsFile, place_of
from headrace.tiers import Tier
from headrace.webhooks import COURIER_CLASS
from headrace.worker_class import WorkerClass, default_worker_classes

Positive = Annotated[int, Field(ge=1)]

_REDIS_URL = "redis://127.0.0.1:6379/0"
#: A shorter secret would mask half of every word in the log, and keeps nobody out.
_LEAST_MASKED = 4


#: What may stand behind the name of a scaling rule.
_SHARE = r":0?\.0*[1-9][0-9]*"
_TARGET = rf"({_SHARE}|:[1-9][0-9]*(\.[0-9]+)?)"


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", env_nested_delimiter="__", extra="ignore", frozen=True)

    redis_url: str = Field(_REDIS_URL, repr=False, description="where the jobs live")
    redis_password: str = Field("", repr=False, description="password of Redis, for a redis_url without one")
    durability: Literal["everysec", "strict"] = Field(
        "everysec",
        description="when a job counts as accepted: everysec (stored by Redis; a power loss may cost about a second"
        " of jobs) or strict (its disk has it too; refused where the server lacks WAITAOF)",
    )
    cell: str = Field("c1", pattern=CELL_PATTERN, description="name of this cell; begins each job id")
    data_dir: Path = Field(Path(".headrace"), description="folder for models, caches and the embedded server")
    registry_url: str = Field(
        "",
        description="object store of the models (file:///…, s3://…); empty means data_dir/registry",
    )
    require_signatures: bool = Field(False, description="serve only model versions that a trusted signer has signed")
    trusted_signers: list[Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]] = Field(
        [], description="public keys of those who may publish (`headrace models keygen`), as a JSON list"
    )
    registry_poll_s: float = Field(2.0, gt=0, description="how often processes look for new releases")
    cache_max_bytes: int = Field(
        64 << 30,
        ge=1 << 20,
        description="disk for fetched model files on a host; what was used longest ago goes, never what is loaded",
    )
    load_memory_bytes: int = Field(
        0, ge=0, description="memory that loading one model version may take beyond what its process has; 0: no limit"
    )

    canary_false_alarm: float = Field(
        0.05, ge=0, lt=1, description="chance that a canary is taken back that is no worse; 0 takes none back"
    )

    api_host: str = Field("127.0.0.1", description="address that the API binds; others than loopback demand API keys")
    api_insecure_bind: bool = Field(
        False, description="INSECURE: at any address, demand no keys until there are some; for a container network only"
    )
    api_port: int = Field(8080, ge=1, le=65535, description="port of the API")
    api_processes: int = Field(
        1, ge=1, le=64, description="API processes of `headrace up`; each of more than one shares the port"
    )
    url: str = Field("http://127.0.0.1:8080", description="where clients and the command line find the API")
    api_key: str = Field("", repr=False, description="what clients and the command line show the API")
    api_max_connections: Positive = Field(
        4096, description="connections of one API process; beyond it those make way that idle longest"
    )
    max_header_bytes: int = Field(
        32_768, ge=1024, description="largest request line and header fields that are accepted"
    )
    header_timeout_s: float = Field(10.0, gt=0, description="how long the header fields of a request may take to come")
    body_timeout_s: float = Field(
        20.0, gt=0, description="how long a body may take to get on: so many KiB must come in these seconds, or its end"
    )
    send_timeout_s: float = Field(60.0, gt=0, description="how long a caller may take nothing of what is sent to it")
    max_body_bytes: Positive = Field(65_536, description="largest request body that is accepted")
    max_bulk_bytes: Positive = Field(8_388_608, description="largest body of a bulk submission")
    max_bulk_jobs: int = Field(1000, ge=1, le=10_000, description="most jobs of a bulk submission")
    max_wait_s: float = Field(60.0, ge=0, description="longest `Prefer: wait` that is honoured")
    request_rate: float = Field(
        0.0, ge=0, le=1e6, description="requests a second that a tenant may make in the long run; 0: any number"
    )
    request_burst: int = Field(100, ge=1, le=1_000_000, description="requests that it may make at once")
    max_open_requests: Positive = Field(
        2048, description="requests that a tenant may have open in one API process, with those that wait"
    )
    max_open_waits: Positive = Field(
        1024, description="requests of a tenant that may wait for jobs in one API process at once"
    )
    queue_cap: Positive = Field(100_000, description="jobs of one tenant that may wait per model version and tier")

    wait_limits_s: dict[Tier, Annotated[float, Field(gt=0)]] = Field(
        {}, description="how long jobs of a tier may be expected to wait; more are answered 429; empty: no limit"
    )
    strict_deadlines: bool = Field(False, description="refuse jobs that are expected to end after their deadline")
    max_attempts: int = Field(3, ge=1, le=100, description="forward passes begun for a job before it fails")
    result_ttl_s: Positive = Field(86_400, description="how long records and results are kept after the end")
    max_result_ttl_s: Positive = Field(2_592_000, description="the longest that a job may ask to be kept after its end")
    hot_window_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="memory of Redis beyond which finished jobs are forgotten before their time, the oldest first",
    )
    usage_days: int = Field(
        90, ge=1, le=3_660, description="how many days it is kept what tenants had, besides the present one"
    )
    idempotency_ttl_s: Positive = Field(86_400, description="how long an idempotency key is remembered")
    lease_ms: int = Field(
        15_000,
        ge=500,
        description="how long a silent worker keeps its jobs; renewed at a third of it",
    )
    forward_limit_s: float = Field(60.0, gt=0, description="longest forward pass before its process is killed")
    load_limit_s: float = Field(300.0, gt=0, description="longest load of a model before its process is killed")
    claim_lead_ms: float = Field(
        3.0, ge=0, description="how long before the end of a forward pass the next batch is claimed"
    )
    claim_max_bytes: Positive = Field(8_388_608, description="most input bytes that wait in the model's process")
    shutdown_grace_s: float = Field(25.0, ge=0, description="how long a stopping worker may finish its batch")

    checkpoint_max_bytes: int = Field(
        1_048_576, ge=0, description="most that is kept of how far a job is whose worker must leave; larger is not kept"
    )

    progress_interval_s: float = Field(
        1.0, ge=0.1, description="shortest time between two words of a model on how far a job is that are recorded"
    )

    preemption_watch: Literal["off", "aws", "gcp", "azure", "file"] = Field(
        "off", description="who would say that this machine is taken away: its cloud, or the appearance of a file"
    )
    preemption_source: str = Field(
        "", description="base URL of the cloud's metadata service, empty for the usual one; with `file`, its path"
    )

    plain_task_modules: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")], ...] = Field(
        (), description="modules with plain Celery tasks of yours that workers import, as a JSON list"
    )

    webhook_key: str = Field(
        "",
        repr=False,
        pattern=r"^([A-Za-z0-9+/]{43}=)?$",
        description="seals the secrets that sign webhooks: 32 random bytes in base64; empty means data_dir/webhook.key",
    )
    webhook_allow_networks: tuple[Network, ...] = Field(
        (), description="networks that webhooks may be sent to though they are not public, also by plain http"
    )
    webhook_deny_networks: tuple[Network, ...] = Field(
        (), description="networks that webhooks may not be sent to though they are public: your own machines'"
    )
    webhook_ports: tuple[str, ...] = Field(
        PORTS, description="ports of webhooks' receivers on the public internet: numbers and ranges, as a JSON list"
    )
    webhook_timeout_s: float = Field(15.0, gt=0, description="longest attempt to deliver a webhook, all in all")
    webhook_concurrency: Positive = Field(32, description="attempts that one courier makes at once")
    webhook_receiver_concurrency: Positive = Field(
        8, description="of these, attempts at one receiver that answers well; one that does not gets fewer"
    )

    reap_interval_ms: int = Field(
        1_000,
        ge=20,
        description="how often lost leases are looked for, deadlines checked, delayed jobs promoted",
    )
    scaling_interval_ms: int = Field(500, ge=20, description="how often the number of workers is thought over")
    scaling_rule: str = Field(
        "headrace",
        pattern=rf"^(headrace({_TARGET}({_SHARE})?)?|(keda|hpa|knative|rate){_TARGET}?)$",
        description="by which rule workers are counted: headrace, headrace:0.8, or another's: keda, keda:60, hpa,"
        " knative, rate",
    )
    leader_ttl_ms: int = Field(5_000, ge=200, description="how long a silent leading scheduler keeps the lead")
    worker_classes: dict[str, WorkerClass] = Field(
        default_factory=default_worker_classes, description="kinds of workers by name"
    )

    flower_host: str = Field(
        "127.0.0.1", description="address that Flower binds; others than loopback need flower_auth"
    )
    flower_port: int = Field(5555, ge=1, le=65535, description="port of Flower")
    flower_auth: str = Field(
        "",
        repr=False,
        pattern=r"^([^:,\s]+:[^,\s]+(,[^:,\s]+:[^,\s]+)*)?$",
        description="who may look at Flower, as name:password, several with commas",
    )

    metrics_host: str = Field("127.0.0.1", description="address at which workers, couriers, schedulers serve metrics")
    metrics_port: int = Field(
        9600, ge=0, le=65535, description="first port tried for metrics; each process takes the next free one; 0: none"
    )

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged")
    log_format: str = Field(
        "text", pattern="^(text|json)$", description="form of log lines: text, or json for programs"
    )

    @field_validator("worker_classes")
    @classmethod
    def _leaves_the_courier_alone(cls, classes: dict[str, WorkerClass]) -> dict[str, WorkerClass]:
        if COURIER_CLASS in classes:
            raise ValueError(f"'{COURIER_CLASS}' is the class that delivers webhooks; choose another name")
        return classes

    @field_validator("webhook_ports")
    @classmethod
    def _are_ports(cls, ports: tuple[str, ...]) -> tuple[str, ...]:
        for text in ports:
            port_range(text)
        return ports

    @model_validator(mode="after")
    def _knows_where_to_watch(self) -> Self:
        if self.preemption_watch == "file" and not self.preemption_source:
            raise ValueError("preemption_watch=file needs preemption_source: the file whose appearance is a notice")
        return self

    @model_validator(mode="after")
    def _knows_whom_to_trust(self) -> Self:
        if self.require_signatures and not self.trusted_signers:
            raise ValueError("require_signatures needs trusted_signers: the public keys that `models keygen` prints")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment, itself or by the files that it names, over the settings file over defaults."""
        return init_settings, env_settings, SecretFiles(settings_cls), SettingsFile(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _complete_redis_url(cls, given: dict[str, Any]) -> dict[str, Any]:
        password = given.get("redis_password", "")
        if not password:
            return given
        return {**given, "redis_url": with_password(given.get("redis_url", _REDIS_URL), password)}

    def check_flower(self) -> None:
        """Make sure that nobody but this host can look at Flower without a password.

        Raises:
            SettingsError: if others could.
        """
        if not self.flower_auth and not is_loopback(self.flower_host):
            raise SettingsError(
                f"HEADRACE_FLOWER_HOST: '{self.flower_host}' can be reached by others; set HEADRACE_FLOWER_AUTH"
                " (name:password), better HEADRACE_FLOWER_AUTH_FILE, or use 127.0.0.1"
            )

    @property
    def api_demands_keys(self) -> bool:
        """True if callers need a key even while there is none: others than this host may be among them."""
        return not (self.api_insecure_bind or is_loopback(self.api_host))

    @property
    def log_style(self) -> LogStyle:
        """What log lines look like, and what none of them may show."""
        password = password_of(self.redis_url)
        flower = (pair.partition(":")[2] for pair in self.flower_auth.split(","))
        found = {password, quote(password, safe=""), self.redis_password, self.webhook_key, self.api_key, *flower}
        secrets = sorted((secret for secret in found if len(secret) >= _LEAST_MASKED), key=len, reverse=True)
        return LogStyle(self.log_level, self.log_format, tuple(secrets))

    @property
    def webhook_egress(self) -> Egress:
        """Where webhooks may go."""
        return Egress(networks=self.webhook_allow_networks, closed=self.webhook_deny_networks, ports=self.webhook_ports)

    @property
    def registry_location(self) -> str:
        """The registry's object store as a URL."""
        return self.registry_url or (self.data_dir.absolute() / "registry").as_uri()

    @property
    def signers(self) -> tuple[str, ...]:
        """Public keys one of which must have signed a version; empty if none need be signed."""
        return tuple(self.trusted_signers) if self.require_signatures else ()

    @property
    def model_cache_dir(self) -> Path:
        """Folder where this host keeps verified model files."""
        return self.data_dir.absolute() / "cache"


@lru_cache
def get_settings() -> Settings:
    """Read the settings once per process.

    Raises:
        SettingsError: naming each field that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(f"settings cannot be used: {'; '.join(map(_said, error.errors()))}") from error


def _said(problem: ErrorDetails) -> str:
    detail = problem["msg"].removeprefix("Value error, ")
    return f"{place_of(problem['loc'], os.environ)}: {detail}" if problem["loc"] else detail
