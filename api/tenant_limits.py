"""What operators set for tenants: shares, rates and caps, all of them together."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from headrace.errors import FieldError
from headrace.mux import Mux
from headrace.reading import WHOLE, invalid_fields
from headrace.redis_op import RedisOp
from headrace.tenant_store import (
    EVERYBODY,
    LEAST_WEIGHT,
    MOST_RUNNING,
    MOST_WAITING,
    MOST_WEIGHT,
    Caps,
    Rate,
    TenantStore,
    Terms,
)


class LimitsChange(BaseModel):
    """What is to be set for a tenant; what is not named stays, null takes it away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: Annotated[float, Field(strict=True, ge=LEAST_WEIGHT, le=MOST_WEIGHT)] | None = Field(
        None, description="Of its share while other tenants wait, too; null: 1."
    )
    requests: Rate | None = Field(None, description="How often it may ask; null: as the settings say.")
    waiting_jobs: Annotated[int, Field(strict=True, ge=0, le=MOST_WAITING), WHOLE] | None = Field(
        None, description="Jobs that may wait over all its queues; null: any number."
    )
    running_jobs: Annotated[int, Field(strict=True, ge=0, le=MOST_RUNNING), WHOLE] | None = Field(
        None, description="Jobs that workers may hold; null: any number."
    )


class TenantLimits:
    """Reads and changes them.

    Args:
        mux: how Redis is asked.
        store: where they are kept.
    """

    def __init__(self, *, mux: Mux, store: TenantStore) -> None:
        self._run = mux.run
        self._store = store

    async def of(self, tenant: str) -> dict[str, Any]:
        """What was set for one tenant; null where nothing was."""
        weights, rate = await self._run(self._store.weights()), await self._run(self._store.rate(tenant))
        return Terms.of(tenant, weights, rate, await self._run(self._store.caps())).document

    async def all(self) -> list[dict[str, Any]]:
        """The same of all for whom anything was, and of those that ever submitted."""
        store, run = self._store, self._run
        names, weights = await run(store.names()), await run(store.weights())
        rates, caps = await run(store.rates()), await run(store.caps())
        return [terms.document for terms in Terms.of_all(names, weights, rates, caps)]

    async def change(self, tenant: str, change: LimitsChange) -> dict[str, Any]:
        """Set what is named; answers what is set then.

        Raises:
            InvalidInput: if that can only be set for one tenant, and all are meant.
        """
        named = change.model_fields_set
        if tenant == EVERYBODY and (alone := sorted(named & {"weight", "requests"})):
            problem = "is set for one tenant; for all others the settings say it"
            raise invalid_fields([FieldError(f"/{name}", problem, "not_for_everybody") for name in alone])
        ops: list[RedisOp[int]] = []
        if "weight" in named:
            ops.append(self._store.set_weight(tenant, change.weight))
        if "requests" in named:
            ops.append(self._store.set_rate(tenant, change.requests))
        ops += self._store.set_caps(tenant, change.model_dump(include=named & set(Caps._fields)))
        for op in ops:
            await self._run(op)
        return await self.of(tenant)
