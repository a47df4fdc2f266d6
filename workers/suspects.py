"""Suspects: jobs that may have brought a process down, and what follows for them. Pure.

A job that was in the model's process when that died is a suspect, and so is one with which whole workers were lost. A
suspect runs alone, one at a time: if the process dies again, there is nobody else to blame, and a pass that goes
through acquits. So those that merely were there lose nothing but their company.
"""

from collections.abc import Callable, Collection, Sequence

from headrace.store_work import ClaimedJob

#: Processes that may die with a job before it is given up; the last of them with nobody else in it.
CRASHES = 2
#: Workers that may be lost with a job before it runs alone; fewer if its last attempt has come.
_RESCUES = 2


def is_suspect(job: ClaimedJob) -> bool:
    """Tell whether a job that was just claimed has to run alone, after what befell the workers that had it before."""
    return job.rescues >= _RESCUES or (job.rescues > 0 and job.attempts >= job.max_attempts - 1)


class Suspects:
    """Who is suspected, by slot, and who of them runs now."""

    def __init__(self) -> None:
        #: How many processes died with each, in the order in which they run.
        self._crashes: dict[int, int] = {}
        self._tried: int | None = None

    def __contains__(self, slot: int) -> bool:
        return slot in self._crashes

    def __len__(self) -> int:
        return len(self._crashes)

    def add(self, slot: int) -> None:
        """Suspect a job that was claimed."""
        self._crashes.setdefault(slot, 0)

    def process_died(
        self, present: Sequence[int], waiting: Collection[int] = (), final: Collection[int] = ()
    ) -> list[int]:
        """The model's process died with these jobs in it; answers those that are convicted: their last chance is used.

        Nobody is convicted in company. Alone those are that `final` names, and others the second time. `waiting` was
        there too, but not begun: if one of them was to run alone, its turn comes again.
        """
        if self._tried in present or self._tried in waiting:
            self._tried = None
        for slot in present:
            self._crashes[slot] = self._crashes.get(slot, 0) + 1
        if len(present) != 1:
            return []
        return [slot for slot in present if self._crashes[slot] >= CRASHES or slot in final]

    def next(self, may_run: Callable[[int], bool]) -> int | None:
        """The suspect that runs next; None while one runs, or if none may."""
        if self._tried is None:
            self._tried = next(filter(may_run, self._crashes), None)
            return self._tried
        return None

    def is_tried(self, slot: int) -> bool:
        """Tell whether it is this one's turn."""
        return slot == self._tried

    def forget(self, slot: int) -> None:
        """A job is no longer here: it ended, or was given back."""
        self._crashes.pop(slot, None)
        if slot == self._tried:
            self._tried = None
