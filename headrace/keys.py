"""Every Redis key of Headrace, spelled once. The Lua scripts get these spellings from here (`spell_keys`).

All keys of a cell begin with `hr:<cell>:`. A job's own keys end in its member, `tenant/id`, so one tenant's id can
never reach another's record. A *group* is what one batch may be made of and one bell rings for: `name@version:tier`.
"""

import hashlib
import re
from dataclasses import dataclass

from headrace.dedupe import Scope

#: Name in the scripts -> what stands between the cell's prefix and the rest of the key.
_FAMILIES = {
    "JOB": "j:",  # <member>: hash, the record
    "INPUT": "i:",  # <member>: string, the input as submitted
    "CHECKPOINT": "c:",  # <member>: string, how far its pass was when it was given back; has a time to live
    "OUTPUT": "o:",  # <member>: string, result or error document
    "READY": "r:",  # <group>:<tenant>: zset of members by score
    "ROUNDS": "rounds:",  # <group>:<tenant>: zset of the rounds in which fairness keys take turns, by score
    "FLOWS": "flows:",  # <group>:<tenant>: zset of the fairness keys that wait there, by the round of their last job
    "TURN": "t:",  # <group>: zset of tenants with ready jobs by virtual time
    "PAID": "p:",  # <group>: hash tenant -> virtual time of those that wait for nothing, while others wait
    "PAUSED": "paused",  # hash queue (name@version:tier) that no worker claims from -> "ms since when, why"
    "WEIGHTS": "weights",  # hash tenant -> its weight, where that is not 1
    "WAITING_CAPS": "caps:waiting",  # hash tenant, or * for all others -> how many of its jobs may wait
    "RUNNING_CAPS": "caps:running",  # hash tenant, or * for all others -> how many of its jobs workers may hold
    "HELD": "held:",  # <tenant>: set of member#fence that were claimed under such a cap
    "RATE": "rate:",  # <tenant>, or <tenant>:<id of a key>: hash, what is left of its requests
    "BELL": "b:",  # <group>: stream of one entry, replaced when a tenant that had nothing ready has something
    "IDEM": "k:",  # <tenant>:<digest>: string "member|request hash"
    "NAMED": "n:",  # <member>: string, the request under an id that its submitter chose
    "DEDUPE": "u:",  # <tenant>:<digest>: string, the job of a dedupe key
    "PAST": "y:",  # <member>: list of its attempts that came to no result, the newest 20, JSON
    "META": "m:",  # <member>: string, what its submitter noted beside it (JSON)
    "INDEX": "a:",  # <tenant>: zset of all members by arrival
    "LEASES": "leases",  # zset of member#fence by expiry
    "DELAYED": "delayed",  # zset of members by the time they become ready
    "DEADLINES": "deadlines",  # zset of members by the time they expire
    "TENANTS": "tenants",  # set of tenants that ever submitted
    "GROUPS": "groups",  # zset of groups by last submission
    "USAGE": "usage:",  # <tenant>:<day>: hash of what a tenant had on a day, see `usage.COUNTS`
    "USAGE_DAYS": "usage_days",  # zset of tenant:day by day, counted from 1970
    "QUEUE": "q:",  # <group>: hash of what came and went, see `store_views.QueueCounts`
    "EVENTS": "events",  # capped stream: what ended, one entry a batch
    "HOOK": "h:",  # <member>: string, the URL that is told of the job's end
    "OUTBOX": "outbox",  # zset of deliveries (member:number of the event) by when they are due
    "COURIERS": "b:@couriers",  # stream of one entry, replaced when something comes into the outbox
    "DELIVERY": "d:",  # <delivery>: hash, how far it is; made with its first attempt
    "DELIVERIES": "v:",  # <tenant>: zset of its newest deliveries by first attempt
    "SIGNING": "signing:",  # <tenant>: hash of the secrets that sign its webhooks
    "ENDPOINTS": "endpoints:",  # <tenant>: hash of its registered receivers of webhooks
    "HEALTH": "endpoint_health:",  # <tenant>: hash of how each of them has been
    "DEAD": "x:",  # <tenant>: zset of its newest jobs that were given up, by their end
    "QUARANTINE": "quarantine",  # zset of members whose records are broken, by discovery
    "STRAYS": "strays",  # list of what else was found that is none of ours, the newest 100, JSON
    "ASIDE": "x:",  # <ms>:<key>: a key of another type than ours has, renamed
    "STATS": "stats",  # hash of counters: rescued, late_refused, dead, …
}

_FAMILY_NAME = re.compile(rf"\b({'|'.join(_FAMILIES)})\b")


@dataclass(frozen=True)
class Keys:
    """The keys of one cell."""

    cell: str = "c1"

    @property
    def prefix(self) -> str:
        """What every key of the cell begins with."""
        return f"hr:{self.cell}:"

    def _key(self, family: str, rest: str = "") -> str:
        return self.prefix + _FAMILIES[family] + rest

    def job(self, member: str) -> str:
        """Hash: the record of a job."""
        return self._key("JOB", member)

    def input(self, member: str) -> str:
        """String: what was submitted."""
        return self._key("INPUT", member)

    def checkpoint(self, member: str) -> str:
        """String: how far a job's pass was when its worker gave it back."""
        return self._key("CHECKPOINT", member)

    def output(self, member: str) -> str:
        """String: the result, or the error document of a failed job."""
        return self._key("OUTPUT", member)

    def ready(self, group: str, tenant: str) -> str:
        """Sorted set: a tenant's ready jobs of one group by score."""
        return self._key("READY", f"{group}:{tenant}")

    def rounds(self, group: str, tenant: str) -> str:
        """Sorted set: rounds in which a tenant's fairness keys take turns, by the score that their jobs have."""
        return self._key("ROUNDS", f"{group}:{tenant}")

    def flows(self, group: str, tenant: str) -> str:
        """Sorted set: fairness keys of a tenant that wait for a group, by the round of the last job of each."""
        return self._key("FLOWS", f"{group}:{tenant}")

    def turn(self, group: str) -> str:
        """Sorted set: the tenants that have ready jobs of a group, by virtual time."""
        return self._key("TURN", group)

    def paid(self, group: str) -> str:
        """Hash: the virtual time of tenants that have nothing ready, kept while others wait for the group."""
        return self._key("PAID", group)

    def requests(self, bucket: str) -> str:
        """Hash: how many requests a tenant that has a rate, or a key (`tenant:id`), may make at once, since when."""
        return self._key("RATE", bucket)

    @property
    def rates(self) -> str:
        """Hash: tenant -> how often it may ask, JSON."""
        return f"{self.prefix}rates"

    @property
    def key_rates(self) -> str:
        """Hash: id of an API key -> how often it may ask, JSON."""
        return f"{self.prefix}key_rates"

    @property
    def paused(self) -> str:
        """Hash: queue (`name@version:tier`) that no worker claims from -> `ms since when, why`."""
        return self._key("PAUSED")

    @property
    def weights(self) -> str:
        """Hash: tenant -> the weight of its share, where that is not 1."""
        return self._key("WEIGHTS")

    @property
    def waiting_caps(self) -> str:
        """Hash: tenant, or * for all that are not named -> how many of its jobs may wait, over all its queues."""
        return self._key("WAITING_CAPS")

    @property
    def running_caps(self) -> str:
        """Hash: tenant, or * for all that are not named -> how many of its jobs workers may hold."""
        return self._key("RUNNING_CAPS")

    def held(self, tenant: str) -> str:
        """Set: `member#fence` of jobs that were claimed under such a cap; those without a lease count no more."""
        return self._key("HELD", tenant)

    def bell(self, group: str) -> str:
        """Stream: one entry, replaced whenever something of the group becomes claimable."""
        return self._key("BELL", group)

    def idempotency(self, tenant: str, key: str) -> str:
        """String: the job that an idempotency key made."""
        return self._key("IDEM", f"{tenant}:{digest_of(key)}")

    def named(self, member: str) -> str:
        """String: fingerprint of the request under an id that its submitter chose; outlives the job."""
        return self._key("NAMED", member)

    def dedupe(self, tenant: str, key: str, scope: Scope = Scope.ACTIVE) -> str:
        """String: the job that stands for others with its dedupe key."""
        return self._key("DEDUPE", f"{tenant}:{dedupe_digest(key, scope)}")

    def metadata(self, member: str) -> str:
        """String: what its submitter noted beside a job (JSON)."""
        return self._key("META", member)

    def past(self, member: str) -> str:
        """List: a job's attempts that came to no result, the newest 20, JSON."""
        return self._key("PAST", member)

    def index(self, tenant: str) -> str:
        """Sorted set: all jobs of a tenant by arrival."""
        return self._key("INDEX", tenant)

    @property
    def leases(self) -> str:
        """Sorted set: `member#fence` by expiry."""
        return self._key("LEASES")

    @property
    def delayed(self) -> str:
        """Sorted set: jobs that become ready later."""
        return self._key("DELAYED")

    @property
    def deadlines(self) -> str:
        """Sorted set: jobs by the time they expire."""
        return self._key("DEADLINES")

    @property
    def tenants(self) -> str:
        """Set: every tenant that ever submitted."""
        return self._key("TENANTS")

    @property
    def groups(self) -> str:
        """Sorted set: every group by its last submission."""
        return self._key("GROUPS")

    def queue(self, group: str) -> str:
        """Hash: what came to a group and what was done for it, ever and lately."""
        return self._key("QUEUE", group)

    def usage(self, tenant: str, day: int) -> str:
        """Hash: what a tenant had on a day, counted from 1970, by group."""
        return self._key("USAGE", f"{tenant}:{day}")

    @property
    def usage_days(self) -> str:
        """Sorted set: `tenant:day` by day, where there is usage."""
        return self._key("USAGE_DAYS")

    @property
    def events(self) -> str:
        """Stream: jobs that ended, one entry a batch; the API wakes its waiters from it."""
        return self._key("EVENTS")

    def dead_letters(self, tenant: str) -> str:
        """Sorted set: a tenant's newest jobs that were given up, by their end."""
        return self._key("DEAD", tenant)

    @property
    def quarantine(self) -> str:
        """Sorted set: jobs whose records are broken."""
        return self._key("QUARANTINE")

    @property
    def strays(self) -> str:
        """List: what somebody else put into keys and queues of ours, the newest 100, JSON."""
        return self._key("STRAYS")

    def hook(self, member: str) -> str:
        """String: the URL that is told of a job's end."""
        return self._key("HOOK", member)

    @property
    def outbox(self) -> str:
        """Sorted set: deliveries by when they are due."""
        return self._key("OUTBOX")

    @property
    def couriers(self) -> str:
        """Stream: the couriers' bell, replaced when something comes into the outbox."""
        return self._key("COURIERS")

    def delivery(self, delivery_id: str) -> str:
        """Hash: how far a delivery is."""
        return self._key("DELIVERY", delivery_id)

    def deliveries(self, tenant: str) -> str:
        """Sorted set: a tenant's newest deliveries by first attempt."""
        return self._key("DELIVERIES", tenant)

    def signing(self, tenant: str) -> str:
        """Hash: the secrets that sign a tenant's webhooks."""
        return self._key("SIGNING", tenant)

    @property
    def stats(self) -> str:
        """Hash: counters of what operators must see."""
        return self._key("STATS")

    @property
    def workers(self) -> str:
        """Sorted set: workers by when they last spoke."""
        return f"{self.prefix}workers"

    def worker(self, worker: str) -> str:
        """String: what a worker says of itself (JSON), gone when it stops speaking."""
        return f"{self.prefix}w:{worker}"

    def wake(self, worker: str) -> str:
        """Stream: read by one parked worker beside the bells, so that it can be made to look again."""
        return f"{self.prefix}b:@{worker}"

    def device(self, device: str) -> str:
        """String: the worker that leases a GPU, gone when it stops speaking."""
        return f"{self.prefix}g:{device}"

    @property
    def targets(self) -> str:
        """Sorted set: where processes serve metrics, JSON, by when they last said so."""
        return f"{self.prefix}targets"

    def costs(self, ref: str, worker_class: str) -> str:
        """String: what was learned of a version's speed by workers of a class (JSON), gone when nobody runs it."""
        return f"{self.prefix}costs:{ref}:{worker_class}"

    def model_moves(self, ref: str) -> str:
        """Stream: what workers loaded and unloaded of a version, or for it, gone after a day."""
        return f"{self.prefix}moves:{ref}"

    @property
    def warm(self) -> str:
        """Sorted set: model versions that somebody wants loaded, jobs or not, by when that ends (ms)."""
        return f"{self.prefix}warm"

    @property
    def desired(self) -> str:
        """Hash: worker class -> how many the scheduler wants."""
        return f"{self.prefix}desired"

    @property
    def homes(self) -> str:
        """String: worker class -> groups that its workers leave to a cheaper class (JSON), gone when nobody says so."""
        return f"{self.prefix}homes"

    @property
    def scaling(self) -> str:
        """String: the scheduler's last decision with its reasons, JSON."""
        return f"{self.prefix}scaling"

    @property
    def scaling_log(self) -> str:
        """Stream: changes of the numbers in `desired`, about the last 1000, JSON in field `change`."""
        return f"{self.prefix}scaling_log"

    @property
    def leader(self) -> str:
        """String: the scheduler that leads, with its fence."""
        return f"{self.prefix}leader"

    @property
    def leader_fence(self) -> str:
        """Counter: the last fence that a leader was given."""
        return f"{self.prefix}leader_fence"

    @property
    def barrier(self) -> str:
        """String: written behind submissions to learn when the disk has them (strict durability)."""
        return f"{self.prefix}barrier"

    def endpoints(self, tenant: str) -> str:
        """Hash: a tenant's registered receivers of webhooks by id, JSON."""
        return self._key("ENDPOINTS", tenant)

    def endpoint_health(self, tenant: str) -> str:
        """Hash: how each of them has been lately, JSON."""
        return self._key("HEALTH", tenant)

    @property
    def endpoint_tests(self) -> str:
        """List: tests of receivers that couriers are to make, JSON."""
        return f"{self.prefix}endpoint_tests"

    def endpoint_test(self, tenant: str) -> str:
        """String: the test of a receiver that a tenant has under way, and what came of it, JSON."""
        return f"{self.prefix}endpoint_test:{tenant}"

    @property
    def api_keys(self) -> str:
        """Hash: id -> API key without its secret, JSON."""
        return f"{self.prefix}api_keys"

    @property
    def id_key(self) -> str:
        """String: the secret that seals job ids."""
        return f"{self.prefix}id_key"


def digest_of(key: str) -> str:
    """How a key that a caller made up stands in ours."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def dedupe_digest(key: str, scope: Scope) -> str:
    """How a dedupe key stands in ours: those of two scopes do not meet."""
    return digest_of(key if scope is Scope.ACTIVE else f"{scope}\0{key}")


def spell_keys(lua: str) -> str:
    """Replace the names of the key families in a script by their spellings; `P` is the cell's prefix, `KEYS[1]`."""
    return _FAMILY_NAME.sub(lambda name: f"P .. '{_FAMILIES[name[0]]}'", lua)
