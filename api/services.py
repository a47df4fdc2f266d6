"""The parts of one API process, and how routes reach them."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from api.catalog import Catalog
from api.durability import Everysec, Strict, make_barrier
from api.event_feed import EventFeed
from api.fit import Fit
from api.id_seal import IdSeal
from api.intake import Intake
from api.key_ring import KeyRing
from api.lookout import Lookout
from api.openings import Openings
from api.presences import Presences
from api.prospects import Prospects
from api.rates import Rates
from api.shadows import Shadows
from api.tenant_caps import TenantCaps
from api.usage_reports import UsageReports
from api.waiters import Waiters
from headrace.delivery_store import DeliveryStore
from headrace.endpoint_store import EndpointStore
from headrace.key_store import KeyStore
from headrace.keys import Keys
from headrace.mux import Mux
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.tenant_store import Rate, TenantStore
from headrace.usage_store import UsageStore
from registry.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that requests share."""

    settings: Settings
    store: JobStore
    deliveries: DeliveryStore
    endpoints: EndpointStore
    mux: Mux
    #: Passed between storing a job and accepting it.
    barrier: Everysec | Strict
    catalog: Catalog
    presences: Presences
    intake: Intake
    prospects: Prospects
    seal: IdSeal
    shadows: Shadows
    key_store: KeyStore
    ring: KeyRing
    tenants: TenantStore
    rates: Rates
    openings: Openings
    usage: UsageReports
    caps: TenantCaps
    waiters: Waiters
    lookout: Lookout
    feed: EventFeed

    async def start(self) -> None:
        """Connect; a server or registry that is not there yet is tried again in the background."""
        await self.barrier.start()
        await self.mux.start()
        await self.feed.start()
        await self.catalog.start()

    async def close(self) -> None:
        """Let everybody go and disconnect."""
        self.waiters.close()
        await self.shadows.close()
        await self.catalog.close()
        await self.feed.close()
        await self.barrier.close()
        await self.mux.close()


def make_services(settings: Settings) -> Services:
    """Put the parts together; nothing is opened yet.

    Raises:
        SettingsError: if the address of Redis or of the registry cannot be used.
    """
    keys = Keys(cell=settings.cell)
    mux = Mux(url=settings.redis_url)
    waiters = Waiters()
    catalog = Catalog(
        registry=Registry(url=settings.registry_location, signers=settings.signers), poll_s=settings.registry_poll_s
    )
    store, seal = JobStore(keys), IdSeal(mux=mux, keys=keys)
    classes = settings.worker_classes
    nowhere = Fit(catalog=catalog, classes=classes).nowhere
    presences = Presences(mux=mux, keys=keys, nowhere=nowhere, classes=classes)
    caps = TenantCaps(mux=mux, store=(tenants := TenantStore(keys)))
    prospects = Prospects(mux=mux, store=store, presences=presences, caps=caps)
    return Services(
        settings=settings,
        store=store,
        deliveries=DeliveryStore(keys),
        endpoints=EndpointStore(keys),
        mux=mux,
        barrier=make_barrier(settings.durability, url=settings.redis_url, keys=keys),
        catalog=catalog,
        presences=presences,
        intake=Intake(settings=settings, store=store, mux=mux, presences=presences),
        prospects=prospects,
        seal=seal,
        shadows=Shadows(catalog=catalog, store=store, mux=mux, seal=seal, cap=settings.queue_cap),
        key_store=(key_store := KeyStore(keys)),
        ring=KeyRing(mux=mux, store=key_store, is_strict=settings.api_demands_keys),
        tenants=tenants,
        rates=Rates(mux=mux, store=tenants, default=Rate(per_s=settings.request_rate, burst=settings.request_burst)),
        openings=Openings(most_requests=settings.max_open_requests, most_waits=settings.max_open_waits),
        caps=caps,
        usage=UsageReports(mux=mux, store=UsageStore(keys)),
        waiters=waiters,
        lookout=Lookout(),
        feed=EventFeed(
            url=settings.redis_url,
            keys=keys,
            waiters=waiters,
            on_end=prospects.ended,
            is_concerned=lambda: prospects.has_noted,
        ),
    )


def services_of(request: Request) -> Services:
    """The parts that serve this request."""
    return cast("Services", request.app.state.services)
