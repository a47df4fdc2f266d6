"""OomLimit: the largest batch, by cost, that a device's memory has room for, learnt from the passes that failed.

Beside it, the largest item that has room alone: what is larger is only run here if no larger worker can.

Pure. The cost of a batch is what the batcher calls it: items times the largest of their costs.
"""

import math
from typing import Self

import orjson

from workers.device_mark import DeviceMark

#: Room left below a batch that failed.
_BACK_OFF = 0.9
#: How the limit comes back: so much more after so many clean passes that it held back.
_RECOVERY = 1.05
_CLEAN_PASSES = 200
_NOWHERE = DeviceMark("", "", 0)


class OomLimit:
    """No batch of several items may cost more than `cost`. One item alone always may: it can hurt nobody else.

    After a failure at cost P the limit is 0.9 P; it creeps back while batches that fill it go through, but never up to
    P. A pass that goes through at P or more shows that the failure had another reason, and lifts the limit.
    """

    def __init__(self) -> None:
        self.cost = math.inf
        self._failed_at = math.inf
        self._clean = 0
        #: Cost from which on an item is too large even alone, and of the largest one that was not. This is not told to
        #: other workers: theirs may be larger, or smaller.
        self.alone = math.inf
        self._largest = 0.0
        self._device: DeviceMark | None = None

    def be_on(self, device: DeviceMark) -> None:
        """The model runs on this device now; what was learnt on another one is forgotten."""
        if self._device is not None and not self._device.is_like(device):
            self._forget()
        self._device = device

    def allows(self, cost: float) -> bool:
        """Tell whether a batch of several items of this cost, all together, may run."""
        return cost <= self.cost

    def failed(self, cost: float) -> None:
        """A pass of this cost ran out of memory, and not because of one of its items."""
        self._failed_at = float(cost)
        self.cost = _BACK_OFF * cost
        self._clean = 0

    def item_failed(self, cost: float) -> None:
        """An item ran out of memory alone. If larger ones went through, it was not for its cost."""
        if cost > self._largest:
            self.alone = min(self.alone, float(cost))

    def items_passed(self, largest: float) -> None:
        """Items of this cost at most went through, so that such are not too large."""
        self._largest = max(self._largest, largest)
        if largest >= self.alone:
            self.alone = math.inf

    def passed(self, cost: float, items: int) -> None:
        """A pass went through."""
        if self.cost == math.inf:
            return
        if cost >= self._failed_at:
            self.lift()
        elif cost + cost / items > self.cost:
            self._passed_at_limit()

    def _passed_at_limit(self) -> None:
        self._clean += 1
        if self._clean >= _CLEAN_PASSES:
            self._clean = 0
            self.cost = min(_RECOVERY * self.cost, math.nextafter(self._failed_at, 0.0))

    def lift(self) -> None:
        """Forget everything that failed."""
        self.cost = self._failed_at = math.inf
        self._clean = 0

    def _forget(self) -> None:
        self.lift()
        self.alone, self._largest = math.inf, 0.0

    def to_bytes(self) -> bytes:
        """Write it down for the next worker; empty if there is no limit."""
        if self.cost == math.inf:
            return b""
        return orjson.dumps({"cost": self.cost, "failed_at": self._failed_at, "device": list(self._device or _NOWHERE)})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: if it is anything else.
        """
        limit = cls()
        if raw:
            match orjson.loads(raw):
                case {"cost": float(cost), "failed_at": float(failed_at), "device": [str(), str(), int()] as device}:
                    limit.cost, limit._failed_at, limit._device = cost, failed_at, DeviceMark(*device)
                case _:
                    raise ValueError("not a memory limit: it has no cost, failed_at and device")
        return limit
