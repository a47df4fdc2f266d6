"""JobPath: the way of a job through the parent: taken -> sent to the child -> started -> done -> committed.

It contains no policy: what to claim, how to batch, when to retry a load are decided by the parts it calls.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from headrace.failpoints import failpoint
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus, Reason
from headrace.store_work import ClaimedJob, Outcome
from workers import job_log
from workers.children import SHARED
from workers.circuit import Circuit
from workers.claim_policy import ClaimPlan
from workers.claimer import Sent
from workers.executor import ChildJob
from workers.forward_clock import ForwardClock, Idle
from workers.frames import PassReport
from workers.held_jobs import HeldJob, HeldJobs
from workers.loop import Loop
from workers.model_loads import ModelLoads
from workers.passing_on import TooLarge
from workers.path_parts import PathParts
from workers.progress import ProgressNotes
from workers.residency import Footprint
from workers.run_limits import RunLimits
from workers.served_models import ServedModels
from workers.starts import Starts
from workers.tally import Tally
from workers.trial import Trial

log = logging.getLogger("headrace.path")


class JobPath:
    """Listens to the executor, feeds the committer.

    Args:
        parts: what it connects.
        on_room: called whenever another claim may be in place.
        on_models: called whenever the set of versions that can run has changed.
    """

    def __init__(self, *, parts: PathParts, on_room: Callable[[], None], on_models: Callable[[], None]) -> None:
        self._wire, self._store, self._view = parts.wire, parts.store, parts.view
        self._children, self._committer, self._passing_on = parts.children, parts.committer, parts.passing_on
        self._policy, self.residency = parts.policy, parts.residency
        self._most_kept_bytes = parts.most_kept_bytes
        self._on_room, self._on_models = on_room, on_models
        self.held, self.models, self.clock, self.tally = HeldJobs(), ServedModels(), ForwardClock(), Tally()
        self._circuit = Circuit()
        self._starts = Starts(wire=parts.wire, store=parts.store, view=parts.view)
        self.loads = ModelLoads(parts=parts, models=self.models, held=self.held, tally=self.tally, on_models=on_models)
        self.trial = self._make_trial()
        self._limits = self._make_limits()
        self._progress = ProgressNotes(
            wire=parts.wire, store=parts.store, held=self.held, interval_s=parts.progress_interval_s
        )
        #: True once a child has come up, and when that was, Unix milliseconds.
        self.has_child = False
        self.child_ready_ms: int | None = None
        self.jobs_done = self.batches = self.child_deaths = 0
        #: When the last claim that brought jobs was decided on.
        self._planned_at = 0.0
        parts.children.listen(self)

    def _make_trial(self) -> Trial:
        return Trial(
            wire=self._wire,
            store=self._store,
            held=self.held,
            may_run=lambda held: self.models.is_ready(held.ref),
            run=lambda held: self._send([held], alone=True),
        )

    def _make_limits(self) -> RunLimits:
        return RunLimits(
            held=self.held,
            children=self._children,
            load_s=lambda ref: self.residency.footprint(ref).load_s,
            fail=self._end_failed,
        )

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; timers of the one before are void."""
        self._starts.attach(loop)

    # --- in

    def plan(self) -> ClaimPlan:
        """How many jobs to claim, and when."""
        apart, now = self._children.separation, time.monotonic()
        # What waits for a process of its own is no reason to leave the shared one without jobs.
        staged = self.held.staged_but(apart) if apart else self.held.staged
        running = self.clock.running or (self.clock.next_pass(now) if staged.jobs else None)
        window = self.models.window()
        if apart and self._children.has_idle:
            # The pass under way is another process's: it is no reason to leave this one without jobs.
            at_once = self._policy.plan(staged=staged, window=window, running=None, now=now)
            if at_once.size.most:
                return at_once
        return self._policy.plan(staged=staged, window=window, running=running, now=now)

    @property
    def crowded(self) -> set[str]:
        """Versions with a process of their own in which a batch waits: what more is claimed may lie there for long."""
        apart, most = self._children.separation, self.models.ready()
        if not apart:
            return set()
        waiting = Counter(held.ref for held in self.held.all() if held.ref in apart and not held.running)
        return {ref for ref, jobs in waiting.items() if jobs >= most.get(ref, 1)}

    def take(self, claimed: list[tuple[ClaimedJob, str]], sent: Sent) -> None:
        """Hold what a claim brought, each job with its group, and send it to the child."""
        self._policy.claimed(sent.plan)
        held = self.held.add_all(claimed, claimed_at=sent.at)
        if held:
            self._planned_at = sent.planned_at
            if sent.has_more:
                # So that Redis is at the next claim, if that is due, while these go to the child.
                self._on_room()
            failpoint("worker.before_send")
            self._send(self._unsuspected(held))
            self.trial.proceed()
            failpoint("worker.sent")
            if not sent.is_ahead:
                self._policy.trip_took(time.monotonic() - sent.at)
            self._view.received(held)
            # Their version may have made way for another since the claim was sent.
            cold = {ref for ref in {job.ref for job in held} if self.models.is_cold(ref)}
            self.give_back([job for job in held if job.ref in cold])

    def _unsuspected(self, jobs: list[HeldJob]) -> list[HeldJob]:
        suspects = self.held.suspects
        return [held for held in jobs if held.slot not in suspects] if suspects else jobs

    def _send(self, jobs: list[HeldJob], *, alone: bool = False) -> None:
        by_ref: dict[str, list[ChildJob]] = {}
        apart = [held.slot for held in jobs if held.job.runs_apart]
        for held in jobs:
            by_ref.setdefault(held.ref, []).append(held.row)
        for ref, rows in by_ref.items():
            if self.models.is_ready(ref):
                self._children.send(ref, rows, alone=alone, apart=apart)

    # --- what the child says

    def batch_started(self, ref: str, slots: list[int], expected_s: float) -> None:
        """A forward pass begins: say so in the records if it lasts, and plan the next claim."""
        now = time.monotonic()
        idle = self.clock.started(slots[0], ref, now=now, expected_s=expected_s)
        failpoint("worker.started")
        jobs = self.held.start(slots, now=now)
        if not (jobs and jobs[0].job.runs_apart):
            self.models.chose(ref, jobs=len(slots), left=self.held.staged.jobs)
        self._starts.begun(slots[0], jobs, now=now)
        self._learn(idle)
        self._on_room()

    def pass_found(self, slot: int) -> None:
        """A pass that should have been over in a moment is not: from now on it is like any other."""
        held = self.held.get(slot)
        if held is not None and not held.running:
            self.batch_started(held.ref, [slot], 0.0)

    def _begun(self, ref: str, jobs: Sequence[HeldJob], number: int, *, took_s: float) -> Sequence[HeldJob]:
        """Make up for the start of a pass of which nothing but its end was told; answers its jobs."""
        self._learn(self.clock.started(number, ref, now=time.monotonic() - took_s))
        if not jobs[0].job.runs_apart:
            self.models.chose(ref, jobs=len(jobs), left=self.held.staged.jobs)
        return jobs

    def _learn(self, idle: Idle | None) -> None:
        # Otherwise the jobs of the next pass came after the one before had ended, and nobody was too late.
        if idle is not None and self._planned_at < idle.since:
            self._policy.idled(idle.seconds, pass_s=idle.pass_s)

    def progressed(self, said: list[tuple[int, float, str]]) -> None:
        """The model says how far jobs are: note it for those who wait for them."""
        self._starts.tell()
        self._progress.heard(said)
        self.note_progress(time.monotonic())

    def note_progress(self, now: float) -> None:
        """Note what came too soon before and is due at `now`, in monotonic seconds."""
        self._progress.note(now)

    def batch_done(self, slots: list[int], results: list[tuple[bool, str | None, bytes]], report: PassReport) -> None:
        """A forward pass ended: commit it, and only then take note of it."""
        jobs, outcomes, too_large = self._outcomes(slots, results, report)
        if jobs:
            self._committer.commit(outcomes, took_s=report.took_s)
        self.held.remove_all(slots)
        ran = jobs or [held for held, _ in too_large]
        if ran and not ran[0].running:
            untold = self._begun(ran[0].ref, ran, slots[0], took_s=report.took_s)
        else:
            untold = self._starts.ended(slots[0])
        idle = self.clock.ended(slots[0], took_s=report.took_s)
        if too_large:
            self._passing_on.pass_on(too_large)
        if jobs:
            self._learn(idle)
            self._note_pass(jobs[0].ref, outcomes, report)
            self._view.ran(untold)
            self._tell_ended(jobs, outcomes, report.took_s)
            self._judge(jobs[0].ref, [outcome.cause for outcome in outcomes])
        self.trial.proceed()
        self._on_room()

    def _outcomes(
        self, slots: list[int], results: list[tuple[bool, str | None, bytes]], report: PassReport
    ) -> tuple[list[HeldJob], list[Outcome], list[TooLarge]]:
        """Of a pass's jobs those that ended, with how, and those that larger workers are to run."""
        jobs, outcomes, too_large = [], [], []
        parts_ms = report.parts_ms(len(slots))
        for held, (ok, cause, body), part_ms in zip(map(self.held.get, slots), results, parts_ms, strict=True):
            if held is None:
                continue
            if ok:
                jobs.append(held)
                outcomes.append(Outcome(held.job.lease, JobStatus.SUCCEEDED, None, body, part_ms))
            elif self._passing_on.concerns(held, ok=ok, cause=cause):
                too_large.append(TooLarge(held, body if cause else None))
            else:
                jobs.append(held)
                why = Cause(cause) if cause else None
                outcomes.append(Outcome(held.job.lease, JobStatus.FAILED, why, body, part_ms))
        return jobs, outcomes, too_large

    def _note_pass(self, ref: str, outcomes: list[Outcome], report: PassReport) -> None:
        """Remember how fast a version is and how its jobs fare: the next claims and loads are decided by it."""
        count, now = len(outcomes), time.monotonic()
        self.models.ran(ref, report)
        self.residency.ran(ref, count, job_s=self.models.job_s(ref), now=now)
        self.models.waits(ref, jobs=self.held.staged.jobs, seconds=report.staged_s)
        self.jobs_done += count
        self.batches += 1
        self.tally.passed(ref, count, report)
        if causes := [outcome.cause for outcome in outcomes if outcome.cause]:
            self.tally.failed(ref, causes)

    def _tell_ended(self, jobs: list[HeldJob], outcomes: list[Outcome], took_s: float) -> None:
        errors = [None if it.status is JobStatus.SUCCEEDED else it.body.decode() for it in outcomes]
        self._view.ended(jobs, errors, took_s)
        job_log.ended(jobs, errors, took_s)

    def _judge(self, ref: str, causes: list[Cause | None]) -> None:
        """Take a version out that fails whatever it is given, and give back what waits for it."""
        pause_s = self._circuit.ended(ref, causes)
        if not pause_s:
            return
        error = f"it worked here before, and now fails whatever it is given; tried again after {pause_s:g} s"
        log.error("%s: %s", ref, error)
        self.models.suspend(ref, error, time.monotonic() + pause_s)
        waiting = [held for held in self.held.all() if held.ref == ref and not held.running]
        self._children.drop([held.slot for held in waiting])
        self.give_back(waiting)
        self._on_models()

    # --- models

    def child_ready(self) -> None:
        """A new child: let it load everything."""
        self.has_child = True
        self.child_ready_ms = self.child_ready_ms or time.time_ns() // 1_000_000
        self.loads.load_due()

    def model_loaded(self, ref: str, max_batch: int, footprint: Footprint, used_bytes: int) -> None:
        """A version can run: send it what waits here, and claim for it."""
        self.loads.loaded(ref, max_batch, footprint, used_bytes)
        waiting = [held for held in self.held.all() if held.ref == ref]
        self._send(self._unsuspected(waiting))
        self.trial.proceed()
        self._on_models()

    def model_refused(self, ref: str, error: str, used_bytes: int) -> None:
        """A version cannot run here: give back what waits for it."""
        self.loads.refused(ref, error, used_bytes)
        self.give_back([held for held in self.held.all() if held.ref == ref])
        self._on_models()

    def model_unloaded(self, ref: str, used_bytes: int | None) -> None:
        """A version has made way."""
        self.loads.unloaded(ref, used_bytes)

    def model_parked(self, ref: str, host_bytes: int, took_s: float, used_bytes: int) -> None:
        """A version has made way, and stays in host memory."""
        self.loads.parked(ref, host_bytes, took_s, used_bytes)

    def copy_lost(self, ref: str, cause: str) -> None:
        """A child is gone while it copied a version to host memory."""
        self.loads.copy_lost(ref, cause)

    def model_learned(self, ref: str, state: bytes) -> None:
        """The child knows a version's speed better."""
        self.loads.learned(ref, state)

    # --- when the child dies

    def child_died(self, suspects: list[int], cause: str, loading: str | None, lost: Collection[str]) -> None:
        """A child is gone: under the same leases suspects run alone next, and a job that killed twice fails."""
        self.child_deaths += 1
        self.clock.forget_running(lost)
        self.held.stop_running(lost)
        self.models.child_lost(lost)
        if loading is not None and self.residency.is_parked(loading):
            self.loads.copy_lost(loading, cause)
        self._separate(suspects, loading, lost)
        if loading is not None:
            self.models.refused(loading, f"its process died while loading it ({cause})", time.monotonic())
        for held in filter(None, map(self.held.get, suspects)):
            job_log.suspected(held, cause)
        why = Cause.TIMEOUT if cause == "timeout" else Cause.WORKER_LOST
        for held in self.held.blame(suspects, lost, why):
            self._give_up(held, why, cause)
        # Suspects stay, under the same leases: elsewhere nobody would know that they must run alone.
        for_loading = [held for held in self.held.all() if held.ref == loading]
        self.give_back([held for held in for_loading if held.slot not in self.held.suspects])
        self._on_models()

    def _separate(self, suspects: list[int], loading: str | None, lost: Collection[str]) -> None:
        """Let a version that brings the others' process down run apart from them."""
        if not lost:
            # It had nothing to load yet, and which of them it was is not known.
            return
        process = next(map(self._children.process_of, lost))
        self.residency.process_lost(lost, process)
        if process == SHARED:
            present = [held.ref for held in filter(None, map(self.held.get, suspects))]
            if not suspects and loading is not None:
                present = [loading]
            guilty = self._children.separation.shared_process_died(present)
            if guilty is not None:
                log.error("%s brought the process down that it shared with others: from now on it has its own", guilty)

    def _give_up(self, held: HeldJob, why: Cause, cause: str) -> None:
        is_final = not held.job.may_repeat(why)
        if why is Cause.TIMEOUT:
            most_s = f"{self._children.limits.forward_s:g} s"
            detail = f"its forward pass took longer than {most_s}, {'' if is_final else 'also '}alone"
        else:
            detail = f"its forward pass killed the model's process {'alone' if is_final else 'twice'} ({cause})"
        if is_final:
            detail = f"{detail}, and its retry_on does not name {why}"
        self._end_failed(held, why, detail)

    def _end_failed(self, held: HeldJob, cause: Cause, detail: str, *, took_s: float = 0.0) -> None:
        outcomes = [Outcome(held.job.lease, JobStatus.FAILED, cause, error_document(cause, detail))]
        self.held.remove(held.slot)
        self._committer.commit(outcomes, took_s=took_s)
        self.tally.failed(held.ref, [cause])
        self._tell_ended([held], outcomes, took_s)

    def end_overdue(self, now: float) -> None:
        """End jobs that run longer than was asked for them, at `now` in monotonic seconds."""
        if self._limits.enforce(now):
            self.trial.proceed()
            self._on_room()

    # --- back

    def checkpointed(self, slots: list[int], states: list[bytes]) -> None:
        """The child says how far running jobs are: kept until they are given back."""
        for held, state in zip(map(self.held.get, slots), states, strict=True):
            if held is not None and len(state) <= self._most_kept_bytes:
                held.kept = state
            elif held is not None:
                log.warning("%s: %d bytes of how far a job is are not kept: too many", held.ref, len(state))

    def give_back(self, jobs: list[HeldJob], reason: Reason | None = None) -> None:
        """Let go of jobs that will not run here; charges nothing."""
        for held in jobs:
            self.held.remove(held.slot)
        if jobs:
            failpoint("worker.before_release")
            kept = {held.job.lease: held.kept for held in jobs if held.kept}
            op = self._store.release([held.job.lease for held in jobs], reason=reason, kept=kept)
            self._wire.send(op, lambda count: log.info("%s jobs given back", count), self._give_back_failed)

    def let_go(self, is_lost: Callable[[HeldJob], bool]) -> None:
        """Forget jobs that others may have by now, before their pass begins. What runs has begun, and is refused."""
        lost = [held for held in self.held.all() if not held.running and is_lost(held)]
        if not lost:
            return
        log.warning("%s jobs are not begun: their leases are over, or may be", len(lost))
        self._children.drop([held.slot for held in lost])
        for held in lost:
            self.held.remove(held.slot)
        self._on_room()

    def _give_back_failed(self, error: Exception) -> None:
        # Their leases run out, and they come back without us.
        log.warning("jobs could not be given back: %s", error)
