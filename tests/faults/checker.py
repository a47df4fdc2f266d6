"""Checker: the invariants I1-I15 of a run, each with every violation that the evidence shows. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import orjson

from headrace.endpoints import Event
from headrace.jobs import Job, JobStatus
from tests.faults.evidence import Evidence, Execution, Told, deliveries_of

_SHOWN = 5


class Verdict(NamedTuple):
    """One invariant and what speaks against it."""

    name: str
    meaning: str
    violations: tuple[str, ...]
    #: Why it was not looked at.
    skipped: str = ""

    def __str__(self) -> str:
        state = f"not checked: {self.skipped}" if self.skipped else "holds"
        if self.violations:
            more = f" … {len(self.violations)} in all" if len(self.violations) > _SHOWN else ""
            state = f"BROKEN: {'; '.join(self.violations[:_SHOWN])}{more}"
        return f"{self.name:<4}{self.meaning:<68}{state}"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a run may do."""

    #: Longest time from accepted to ended.
    ended_within_s: float = math.inf
    #: Connections to Redis that may have come.
    new_connections: int = 0
    #: True if no child died, so that no job may run twice under one fence.
    runs_once_a_fence: bool = False


Found = Iterator[str]


def ended_once(evidence: Evidence, _: Bounds) -> Found:
    for member in evidence.questions:
        job, story = evidence.jobs.get(member), evidence.stories.get(member)
        if job is not None and not job.status.is_terminal:
            yield f"{member} is {job.status}"
        if story is not None and len(story.ends) > 1:
            yield f"{member} ended as {story.ends}"


def is_the_functions_value(evidence: Evidence, _: Bounds) -> Found:
    for member, question in evidence.questions.items():
        job = evidence.jobs.get(member)
        if job is not None and job.status is JobStatus.SUCCEEDED:
            output = evidence.outputs.get(member)
            if output is None or orjson.loads(output) != question.x**2 + 1:
                yield f"{member} answers {output!r} to {question.x}"


def exists(evidence: Evidence, _: Bounds) -> Found:
    for member in evidence.questions:
        # A full server forgets jobs that have ended, the oldest first; that is no loss.
        ended = member in evidence.stories and evidence.stories[member].ends
        if member not in evidence.jobs and not ended:
            yield f"{member} is lost"
    yield from (f"{member} was never accepted" for member in evidence.indexed - set(evidence.questions))
    yield from (f"{member} was deleted and is there" for member in evidence.remaining)
    yield from (f"{member} was deleted and is listed" for member in evidence.indexed & evidence.erased)


def end_never_changes(evidence: Evidence, _: Bounds) -> Found:
    for member, story in evidence.stories.items():
        ends = [number for number, state in enumerate(story.states) if state.is_terminal]
        if ends and ends[0] < len(story.states) - 1:
            yield f"{member} went on after its end: {story.states}"


def fences_are_kept(evidence: Evidence, bounds: Bounds) -> Found:
    for member, story in evidence.stories.items():
        fences = [hand_over.fence for hand_over in story.hand_overs]
        if fences != sorted(set(fences)):
            yield f"{member} was given the fences {fences}"
        if fences and story.ends == [JobStatus.SUCCEEDED] and story.final_fence != fences[-1]:
            yield f"{member} ended with fence {story.final_fence}, the last one given was {fences[-1]}"
    if bounds.runs_once_a_fence:
        yield from runs_twice(evidence)


def runs_twice(evidence: Evidence) -> Found:
    """Which of two executions by one worker belongs to which claim is told by their times."""
    by_x = {question.x: member for member, question in evidence.questions.items()}
    runs = Counter[tuple[str, int]]()
    for execution in evidence.executions:
        member = by_x.get(execution.x)
        if member is not None:
            runs[member, _fence_of(execution, evidence, member)] += 1
    yield from (
        f"{member} ran {count} times with fence {fence}" for (member, fence), count in runs.items() if count > 1
    )


def _fence_of(execution: Execution, evidence: Evidence, member: str) -> int:
    """The fence that a worker held when it ran a job; 0 if it held none."""
    hand_overs = evidence.stories[member].hand_overs
    held = [each for each in hand_overs if each.pid == execution.pid and each.at_ms <= execution.at_ms + 1]
    return held[-1].fence if held else 0


def is_told(evidence: Evidence, _: Bounds) -> Found:
    for member, question in evidence.questions.items():
        job, events = evidence.jobs.get(member), evidence.told.get(member, {})
        if question.hook and job is not None and job.status.is_terminal:
            for seq, delivery_id in enumerate(deliveries_of(job), 1):
                if seq not in events and delivery_id not in evidence.untold:
                    yield f"{delivery_id} was told to nobody"
        for seq, told in events.items():
            if len(told.webhook_ids) != 1 or told.bodies != 1:
                yield f"event {seq} of {member} was told under {told.webhook_ids} with {told.bodies} bodies"


def is_told_after_its_cause(evidence: Evidence, _: Bounds) -> Found:
    for member, events in evidence.told.items():
        if (job := evidence.jobs.get(member)) is not None:
            yield from (
                f"{told.event} of {member} is number {seq} of {job.next_seq}, happened at {told.at_ms} ms and was told"
                f" at {told.first_s} s"
                for seq, told in events.items()
                if told.first_s < told.at_ms // 1000 or not _is_borne_out(job, seq, told)
            )
        happened = [events[seq].at_ms for seq in sorted(events)]
        if happened != sorted(happened):
            yield f"the events of {member}, by their numbers, happened at {happened}"


def _is_borne_out(job: Job, seq: int, told: Told) -> bool:
    """Whether the record has counted the event, or ended with it."""
    if told.event in (Event.STARTED, Event.PROGRESS):
        return seq < job.next_seq
    return seq == job.next_seq and told.at_ms == job.ended_ms


def innocents_succeed(evidence: Evidence, _: Bounds) -> Found:
    for member, question in evidence.questions.items():
        job = evidence.jobs.get(member)
        if question.is_innocent and job is not None and job.status is JobStatus.FAILED:
            yield f"{member} failed ({job.cause}, attempt {job.attempts}): {evidence.outputs.get(member)!r}"


def attempts_are_bounded(evidence: Evidence, _: Bounds) -> Found:
    for member, job in evidence.jobs.items():
        if job.attempts > job.max_attempts:
            yield f"{member} had {job.attempts} attempts of {job.max_attempts}"
        question = evidence.questions[member]
        if not question.is_innocent and job.status is JobStatus.SUCCEEDED:
            yield f"{member} succeeded with {question.act}"


def nothing_is_left(evidence: Evidence, _: Bounds) -> Found:
    yield from (f"{count} in {name}" for name, count in evidence.leftovers.items() if count)


def connections_are_constant(evidence: Evidence, bounds: Bounds) -> Found:
    before, after = evidence.connections
    if after > before + bounds.new_connections:
        yield f"{before} connections to Redis became {after}"


def ends_in_time(evidence: Evidence, bounds: Bounds) -> Found:
    for member, job in evidence.jobs.items():
        if job.ended_ms is not None and job.ended_ms - job.created_ms > 1000 * bounds.ended_within_s:
            yield f"{member} took {(job.ended_ms - job.created_ms) / 1000:.1f} s"


def usage_is_the_sum(evidence: Evidence, _: Bounds) -> Found:
    beyond = {name: counted - said for name, (counted, said) in evidence.usage.items()}
    # Jobs whose records are deleted were accepted once and have ended once.
    gone = beyond.get("accepted", 0)
    ends = sum(beyond.get(status, 0) for status in JobStatus if status.is_terminal)
    yield from (f"{-count} {name} too few were counted" for name, count in beyond.items() if count < 0)
    if ends != gone:
        yield f"of {gone} jobs that are gone {ends} ends were counted"
    if not gone and beyond.get("gpu_us", 0):
        yield f"{beyond['gpu_us']} us of devices too many were counted"


Invariant = Callable[[Evidence, Bounds], Found]

INVARIANTS: Mapping[str, tuple[str, Invariant | str]] = MappingProxyType(
    {
        "I1": ("every accepted job ends exactly once", ended_once),
        "I2": ("every result is the function's value", is_the_functions_value),
        "I3": ("what was accepted is there unless deleted, and nothing else", exists),
        "I4": ("an end never changes", end_never_changes),
        "I5": ("fences rise, and the last one given is the one that commits", fences_are_kept),
        "I6": ("every event with a webhook is told, under one webhook-id", is_told),
        "I7": ("no event before its cause", is_told_after_its_cause),
        "I8": ("no tenant sees another's data", "there is one tenant here: tests/contract/test_tenants.py"),
        "I9": ("no innocent job fails", innocents_succeed),
        "I10": ("attempts are bounded; poison never succeeds", attempts_are_bounded),
        "I11": ("nothing is left: leases, ready sets, deadlines, quarantine", nothing_is_left),
        "I12": ("memory comes back", "needs bounds of what is kept in Redis"),
        "I13": ("connections to Redis stay as many as they were", connections_are_constant),
        "I14": ("every job ends within the promised time", ends_in_time),
        "I15": ("what tenants had is the sum of their jobs", usage_is_the_sum),
    }
)


def check(evidence: Evidence, bounds: Bounds | None = None) -> list[Verdict]:
    """Every invariant, in order."""
    bounds = bounds or Bounds()
    verdicts = []
    for name, (meaning, invariant) in INVARIANTS.items():
        if isinstance(invariant, str):
            verdicts.append(Verdict(name, meaning, (), skipped=invariant))
        else:
            verdicts.append(Verdict(name, meaning, tuple(invariant(evidence, bounds))))
    return verdicts


def verify(verdicts: Sequence[Verdict]) -> None:
    """Nothing may be broken.

    Raises:
        AssertionError: naming what is.
    """
    broken = [str(verdict) for verdict in verdicts if verdict.violations]
    assert broken == [], "\n" + "\n".join(broken)
