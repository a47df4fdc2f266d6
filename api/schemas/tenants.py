"""What a tenant may do and has had, and its keys."""

from datetime import date

from pydantic import AwareDatetime, ConfigDict, Field

from api.schemas.jobs import ModelVersion
from api.schemas.shape import Shape
from headrace.api_keys import KeyState, Scope
from headrace.tiers import Tier


class RateRecord(Shape):
    """How often a tenant may ask, or a key of it."""

    per_s: float = Field(description="Requests a second in the long run.")
    burst: int = Field(description="Requests at once.")


class Limits(Shape):
    """What bounds the caller's tenant, and every request."""

    tenant: str
    weight: float = Field(description="Of its share while other tenants wait, too; most weigh 1.")
    requests: RateRecord | None = Field(description="Of the tenant; null if it may ask as often as it likes.")
    key_requests: RateRecord | None = Field(description="Of the caller's key; null if nothing bounds it but that.")
    open_requests: int = Field(description="Requests that may be open at once in one API process.")
    open_waits: int = Field(description="Of them those that may wait for jobs.")
    waiting_jobs: int = Field(description="Jobs that may wait for one model version in one tier.")
    tenant_waiting_jobs: int | None = Field(description="Jobs that may wait over all queues; null: any number.")
    running_jobs: int | None = Field(description="Jobs that workers may hold; null: any number.")
    body_bytes: int = Field(description="Of one submission.")
    bulk_jobs: int = Field(description="Jobs that one request may hand in.")
    bulk_bytes: int = Field(description="Of such a request.")
    metadata_pairs: int = Field(description="That may be noted beside a job.")
    wait_s: float = Field(description="The longest `Prefer: wait` that is honoured.")
    run_s: float = Field(description="The longest forward pass, and `run_timeout_s`.")
    result_kept_s: int
    longest_result_kept_s: int = Field(description="The longest `result_ttl_s`.")
    idempotency_key_kept_s: int


class TenantLimitsRecord(Shape):
    """What was set for a tenant; null where nothing was."""

    tenant: str
    weight: float | None
    requests: RateRecord | None
    waiting_jobs: int | None = Field(description="Jobs that may wait, over all its queues.")
    running_jobs: int | None = Field(description="Jobs that workers may hold.")


class TenantLimitsList(Shape):
    """What was set for tenants, by name; `*` stands for all that have no caps of their own."""

    tenants: list[TenantLimitsRecord]


class UsageRecord(Shape):
    """What a tenant had on a day of one model version in one tier."""

    tenant: str
    day: date = Field(description="In UTC, on which it happened: a job may be accepted on one and end on another.")
    model: ModelVersion
    tier: Tier
    accepted: int = Field(description="Jobs that were stored.")
    succeeded: int
    failed: int
    canceled: int
    expired: int
    gpu_ms: float = Field(description="Of its workers' time: the sum of the jobs' parts in their last passes.")
    input_bytes: int = Field(description="Of the jobs that were accepted.")
    output_bytes: int = Field(description="Results of the jobs that succeeded.")


class UsageReport(Shape):
    """What tenants had over a span of days."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    usage: list[UsageRecord] = Field(description="By tenant, day, model version and tier; without rows of nothing.")


class KeyRecord(Shape):
    """An API key."""

    id: str
    tenant: str
    scopes: list[Scope]
    name: str
    state: KeyState
    requests: RateRecord | None = Field(description="How often it may ask; null: as often as its tenant may.")
    created: AwareDatetime
    expires: AwareDatetime | None
    revoked: AwareDatetime | None


class MadeKeyRecord(KeyRecord):
    """An API key that was just made."""

    key: str = Field(description="What callers show. It is kept nowhere and never shown again.")


class KeyList(Shape):
    """All API keys, the oldest first."""

    keys: list[KeyRecord]
