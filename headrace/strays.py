"""Strays: what somebody else put into keys or queues of ours. It is set apart, listed and counted, and work goes on."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from headrace.keys import Keys
from headrace.redis_op import Argument, RedisOp, load_script

T = TypeVar("T")

#: How long a key that was set apart is kept for whoever wants to know.
_KEPT_S = 86_400
#: As much of a message is listed.
_HEAD_CHARS = 1_000


class TypedKey(NamedTuple):
    """A key and the type that belongs there: string, hash, list, set, zset or stream."""

    key: str
    kind: str


class StrayMessage(NamedTuple):
    """What was taken out of a queue and is no message."""

    queue: str
    why: str
    content: object


def set_keys_apart(keys: Keys, suspects: Sequence[TypedKey]) -> RedisOp[list[TypedKey]]:
    """Rename those of the keys that hold another type; answers them."""
    rows = [part for key, kind in suspects for part in (key, kind, "", "")]
    return _set_apart(keys, rows, suspects)


def note_message(keys: Keys, message: StrayMessage) -> RedisOp[list[StrayMessage]]:
    """List a message that will not be worked on."""
    head = repr(message.content)[:_HEAD_CHARS]
    return _set_apart(keys, [message.queue, "", message.why[:_HEAD_CHARS], head], [message])


def _set_apart(keys: Keys, rows: Sequence[Argument], subjects: Sequence[T]) -> RedisOp[list[T]]:
    def parse(reply: Sequence[int]) -> list[T]:
        return [subjects[row - 1] for row in reply]

    return RedisOp(parse, (keys.prefix, _KEPT_S, *rows), load_script("set_apart"))


#: The types of our keys, by the names that `Keys` gives them. Those of single jobs and deliveries are not here: each
#: script looks at what it reads of them.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("stats", "desired", "api_keys", "key_rates", "weights", "rates", "paused"), "hash"),
        **dict.fromkeys(("waiting_caps", "running_caps"), "hash"),
        **dict.fromkeys(
            (
                "leases",
                "delayed",
                "deadlines",
                "groups",
                "outbox",
                "quarantine",
                "targets",
                "usage_days",
                "warm",
                "workers",
            ),
            "zset",
        ),
        **dict.fromkeys(("events", "couriers", "scaling_log"), "stream"),
        **dict.fromkeys(("homes", "leader", "leader_fence", "scaling", "id_key"), "string"),
        "tenants": "set",
        **dict.fromkeys(("strays", "endpoint_tests"), "list"),
    }
)
_OF_GROUP = MappingProxyType({"turn": "zset", "paid": "hash", "bell": "stream", "queue": "hash"})
_OF_TENANT = MappingProxyType(
    {
        **dict.fromkeys(("index", "deliveries", "dead_letters"), "zset"),
        **dict.fromkeys(("signing", "endpoints", "endpoint_health", "requests"), "hash"),
        "endpoint_test": "string",
        "held": "set",
    }
)
_OF_WORKER = MappingProxyType({"worker": "string", "wake": "stream"})


def typed_keys(keys: Keys, *, groups: Iterable[str], tenants: Iterable[str], workers: Iterable[str]) -> list[TypedKey]:
    """The keys that everybody shares and those of these groups, tenants and workers, each with its type.

    The counters come first: what is set apart is counted there.
    """
    groups, tenants = list(groups), list(tenants)
    typed = [TypedKey(getattr(keys, name), kind) for name, kind in KINDS.items()]
    for names, kinds in ((groups, _OF_GROUP), (tenants, _OF_TENANT), (workers, _OF_WORKER)):
        typed += [TypedKey(getattr(keys, key)(name), kind) for name in names for key, kind in kinds.items()]
    for queue_of in (keys.ready, keys.rounds, keys.flows):
        typed += [TypedKey(queue_of(group, tenant), "zset") for group in groups for tenant in tenants]
    return typed
