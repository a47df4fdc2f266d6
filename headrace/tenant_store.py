"""TenantStore: what operators have set for tenants and their keys, and the count of their requests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.keys import Keys
from headrace.reading import WHOLE
from headrace.redis_op import RedisOp, Reply, load_script

#: Beyond these the scripts take a weight for none.
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0


#: The tenant that caps are set for which hold for all that have none of their own.
EVERYBODY = "*"
#: Running jobs of a tenant that has a cap are counted one by one.
MOST_WAITING, MOST_RUNNING = 10_000_000, 10_000


class Rate(BaseModel):
    """How often a tenant may ask, or a key of it. A rate of 0 means as often as it likes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_s: Annotated[float, Field(strict=True, ge=0, le=1e6)] = 0.0
    burst: Annotated[int, Field(strict=True, ge=1, le=1_000_000), WHOLE] = 100


class Caps(NamedTuple):
    """How many jobs a tenant may have at once; None where nothing limits it."""

    #: That wait, over all its queues.
    waiting_jobs: int | None = None
    #: That workers hold.
    running_jobs: int | None = None


class Terms(NamedTuple):
    """What was set for a tenant; None where nothing was."""

    tenant: str
    weight: float | None
    rate: Rate | None
    caps: Caps

    @classmethod
    def of(cls, tenant: str, weights: Mapping[str, float], rate: Rate | None, caps: Mapping[str, Caps]) -> Self:
        """Of one tenant, from what the store has of its rate and of all tenants' weights and caps."""
        return cls(tenant, weights.get(tenant), rate, caps.get(tenant, Caps()))

    @classmethod
    def of_all(
        cls, names: Iterable[str], weights: Mapping[str, float], rates: Mapping[str, Rate], caps: Mapping[str, Caps]
    ) -> list[Self]:
        """Of all tenants that ever submitted, which `names` are, or for whom anything was set; by name."""
        known = sorted({*names, *weights, *rates, *caps})
        return [cls.of(name, weights, rates.get(name), caps) for name in known]

    @property
    def document(self) -> dict[str, Any]:
        """What operators are shown."""
        requests = self.rate and self.rate.model_dump()
        return {"tenant": self.tenant, "weight": self.weight, "requests": requests, **self.caps._asdict()}


class Bucket(NamedTuple):
    """A count of requests that is bounded by a rate: a tenant's, or that of one of its keys."""

    name: str
    rate: Rate


class Taken(NamedTuple):
    """What became of one request in one bucket; a request is allowed if all of its buckets do."""

    is_allowed: bool
    #: Requests that may follow at once.
    left: int
    #: Milliseconds until there is another; 0 if there is one now.
    next_ms: int


class TenantStore:
    """Operations on the tenants of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def set_weight(self, tenant: str, weight: float | None) -> RedisOp[int]:
        """Give a tenant a share of this weight, from the next claim on; others, and None, weigh 1."""
        if weight is None:
            return RedisOp(int, ("HDEL", self.keys.weights, tenant))
        return RedisOp(int, ("HSET", self.keys.weights, tenant, repr(weight)))

    def weights(self) -> RedisOp[Mapping[str, float]]:
        """The weights that were set."""

        def parse(reply: Reply) -> Mapping[str, float]:
            pairs = zip(reply[::2], reply[1::2], strict=True)
            return {tenant.decode(errors="replace"): _weight(weight) for tenant, weight in pairs}

        return RedisOp(parse, ("HGETALL", self.keys.weights))

    def set_rate(self, tenant: str, rate: Rate | None) -> RedisOp[int]:
        """Say how often a tenant may ask, None: as the settings say. All API processes know it two seconds later."""
        return _set_rate(self.keys.rates, tenant, rate)

    def rate(self, tenant: str) -> RedisOp[Rate | None]:
        """How often a tenant may ask, None if nothing was set that can be read."""
        return RedisOp(_rate, ("HGET", self.keys.rates, tenant))

    def rates(self) -> RedisOp[Mapping[str, Rate]]:
        """The rates that were set."""
        return RedisOp(_rates, ("HGETALL", self.keys.rates))

    def set_key_rate(self, key_id: str, rate: Rate | None) -> RedisOp[int]:
        """Say how often a key may ask, within what its tenant may; None: nothing bounds it but that."""
        return _set_rate(self.keys.key_rates, key_id, rate)

    def key_rate(self, key_id: str) -> RedisOp[Rate | None]:
        """How often a key may ask, None if nothing was set that can be read."""
        return RedisOp(_rate, ("HGET", self.keys.key_rates, key_id))

    def key_rates(self) -> RedisOp[Mapping[str, Rate]]:
        """The rates that were set for keys, by their ids."""
        return RedisOp(_rates, ("HGETALL", self.keys.key_rates))

    def take(self, buckets: Sequence[Bucket]) -> RedisOp[Sequence[Taken]]:
        """Count one request in buckets of tokens that fill at their rates, up to their bursts: in all, or in none."""
        args = [part for name, rate in buckets for part in (name, rate.per_s, rate.burst)]

        def parse(reply: Reply) -> Sequence[Taken]:
            return [Taken(bool(had), left, next_ms) for had, left, next_ms in reply]

        return RedisOp(parse, (self.keys.prefix, *args), load_script("take_token"))

    def set_caps(self, tenant: str, changes: Mapping[str, int | None]) -> list[RedisOp[int]]:
        """Set those of a tenant's `Caps` that are named, from now on; None takes one away."""
        places = {"waiting_jobs": self.keys.waiting_caps, "running_jobs": self.keys.running_caps}
        return [
            RedisOp(int, ("HDEL", places[name], tenant) if most is None else ("HSET", places[name], tenant, most))
            for name, most in changes.items()
        ]

    def caps(self) -> RedisOp[Mapping[str, Caps]]:
        """The caps that were set; those of `EVERYBODY` hold for whoever has none of its own."""
        return RedisOp(_caps, (self.keys.prefix,), load_script("caps"))

    def held(self, tenant: str) -> RedisOp[int]:
        """How many jobs of a tenant workers hold, of those that were claimed since its running jobs are limited."""
        return RedisOp(int, (self.keys.prefix, tenant), load_script("held"))

    def names(self) -> RedisOp[list[str]]:
        """Every tenant that ever submitted."""
        names = ("SMEMBERS", self.keys.tenants)
        return RedisOp(lambda reply: sorted(name.decode(errors="replace") for name in reply), names)


def caps_of(tenant: str, caps: Mapping[str, Caps]) -> Caps:
    """What holds for a tenant: its own, and where it has none, those of everybody."""
    mine, others = caps.get(tenant, Caps()), caps.get(EVERYBODY, Caps())
    return Caps(*(other if own is None else own for own, other in zip(mine, others, strict=True)))


def _caps(reply: Reply) -> Mapping[str, Caps]:
    waiting, running = (
        {row[i].decode(errors="replace"): _count(row[i + 1]) for i in range(0, len(row), 2)} for row in reply
    )
    return {name: Caps(waiting.get(name), running.get(name)) for name in sorted({*waiting, *running})}


def _count(raw: bytes) -> int | None:
    return int(raw) if raw.isdigit() else None


def _weight(raw: bytes) -> float:
    """A weight as the scripts take it: what is none counts as 1."""
    try:
        weight = float(raw)
    except ValueError:
        return 1.0
    return weight if LEAST_WEIGHT <= weight <= MOST_WEIGHT else 1.0


def _set_rate(place: str, whose: str, rate: Rate | None) -> RedisOp[int]:
    if rate is None:
        return RedisOp(int, ("HDEL", place, whose))
    return RedisOp(int, ("HSET", place, whose, rate.model_dump_json()))


def _rates(reply: Reply) -> Mapping[str, Rate]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {whose.decode(errors="replace"): rate for whose, raw in pairs if (rate := _rate(raw))}


def _rate(raw: bytes | None) -> Rate | None:
    try:
        return None if raw is None else Rate.model_validate_json(raw)
    except ValidationError:
        # Written by somebody else: no limit is better than an API that stands still.
        return None
