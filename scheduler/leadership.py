"""Leadership: at most one scheduler works at a time; two at once would do no harm, only the same work twice."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from headrace.homes import Manners, write_manners
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply, Script
from headrace.scaling import ScalingChange, ScalingReport


class Lead(NamedTuple):
    """Answer to an attempt to lead."""

    #: Grows with each change of leader; 0 if another scheduler leads.
    fence: int
    leader: str


class Leadership:
    """Builds the operations by which one scheduler takes, uses and gives back the lead.

    Args:
        keys: of the cell.
        scheduler: a name that no other scheduler has.
        ttl_ms: how long a silent leader keeps the lead.
    """

    def __init__(self, *, keys: Keys, scheduler: str, ttl_ms: int) -> None:
        self._keys = keys
        self._scheduler = scheduler
        self._ttl_ms = ttl_ms

    def take(self) -> RedisOp[Lead]:
        """Take the lead if it is free, or keep it."""
        keys = (self._keys.leader, self._keys.leader_fence)
        return RedisOp(_lead, (*keys, self._scheduler, self._ttl_ms), _script("lead"))

    def resign(self, lead: Lead) -> RedisOp[bool]:
        """Give the lead back, so that the next scheduler need not wait; False if it was lost before."""
        return RedisOp(bool, (self._keys.leader, self._mark(lead)), _script("resign"))

    def desire(
        self,
        lead: Lead,
        counts: Mapping[str, int],
        *,
        report: ScalingReport,
        changes: Sequence[ScalingChange] = (),
        manners: Mapping[str, Manners] = MappingProxyType({}),
        manners_ttl_ms: int = 10_000,
    ) -> RedisOp[bool]:
        """Write how many workers of each class there should be, and why; False if the lead was lost.

        What they leave to other classes is forgotten after `manners_ttl_ms`.
        """
        keys = (self._keys.leader, self._keys.desired, self._keys.scaling, self._keys.scaling_log)
        rows = [change.model_dump_json() for change in changes]
        pairs = [part for pair in counts.items() for part in pair]
        told = (self._keys.homes, write_manners(manners), manners_ttl_ms)
        args = (*keys, self._mark(lead), report.model_dump_json(), *told, len(rows), *rows, *pairs)
        return RedisOp(bool, args, _script("desire"))

    def _mark(self, lead: Lead) -> str:
        return f"{self._scheduler}#{lead.fence}"


@cache
def _script(name: str) -> Script:
    return Script(name, (Path(__file__).parent / "lua" / f"{name}.lua").read_text())


def _lead(reply: Reply) -> Lead:
    fence, leader = reply
    return Lead(fence, leader.decode())
