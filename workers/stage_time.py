"""StageTime: what a stage of a model takes for an item, and whether a batch of them is worth another thread. Pure."""

_FOLLOW = 0.2


class StageTime:
    """Of one stage; nothing is worth a thread before it was seen once.

    Args:
        thread_s: what waking the thread, and giving way to it when both want the interpreter, costs a pass.
    """

    def __init__(self, *, thread_s: float) -> None:
        self._thread_s = thread_s
        self._item_s: float | None = None

    def took(self, items: int, seconds: float) -> None:
        """The stage took so long for so many items."""
        if items:
            item_s = seconds / items
            self._item_s = item_s if self._item_s is None else self._item_s + _FOLLOW * (item_s - self._item_s)

    def expected_s(self, items: int) -> float:
        """What so many items should take; 0 while nobody knows."""
        return items * (self._item_s or 0.0)

    def is_worth_a_thread(self, items: int) -> bool:
        """Tell whether so many items should be worked on beside a pass."""
        return self.expected_s(items) > self._thread_s
