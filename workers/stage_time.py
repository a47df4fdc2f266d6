"""StageTime: what a stage of a model takes for an item, and whether a batch of them is worth another thread. Pure."""

#: What waking another thread, and giving way to it when both want the interpreter, may cost a pass.
_WORTH_A_THREAD_S = 0.5e-3
_FOLLOW = 0.2


class StageTime:
    """Of one stage; nothing is worth a thread before it was seen once."""

    def __init__(self) -> None:
        self._item_s: float | None = None

    def took(self, items: int, seconds: float) -> None:
        """The stage took so long for so many items."""
        if items:
            item_s = seconds / items
            self._item_s = item_s if self._item_s is None else self._item_s + _FOLLOW * (item_s - self._item_s)

    def is_worth_a_thread(self, items: int) -> bool:
        """Tell whether so many items should be worked on beside a pass."""
        return items * (self._item_s or 0.0) > _WORTH_A_THREAD_S
