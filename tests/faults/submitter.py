"""Submitter: a client that does what the promises ask of one: it sends again, with the same key, until answered."""

import contextlib
import http.client
import itertools
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from headrace.endpoints import ENDS, Event
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from tests.faults.history import History
from tests.faults.ledger import TENANT

_ANSWER_LIMIT_S = 4.0
_PAUSE_S = 0.1
#: Above what the model is warmed up with.
_numbers = itertools.count(1_000)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A job as it is asked for; `x` is never asked twice in one process."""

    x: int
    model: str = "exact"
    tier: Tier = Tier.STANDARD
    act: str = "answer"
    sleep_ms: int = 0
    hook: str = ""
    #: In how many words its model says how far it is; its hook is told of them.
    steps: int = 0
    #: Not to begin earlier than in so many seconds.
    later_s: int = 0

    @property
    def is_innocent(self) -> bool:
        """True if it must succeed whatever happens to the processes."""
        return self.act == "answer"

    @property
    def document(self) -> dict[str, Any]:
        """The request."""
        later = {"not_before": self.later_s} if self.later_s else {}
        steps = {"steps": self.steps} if self.steps else {}
        document = {
            "model": self.model,
            "input": {"x": self.x, "sleep_ms": self.sleep_ms, "act": self.act, **steps},
            "options": {"tier": str(self.tier), **later},
        }
        events = {"events": sorted(ENDS | {Event.PROGRESS})} if self.steps else {}
        return document | ({"webhook": {"url": self.hook, **events}} if self.hook else {})

    def job(self, ref: ModelRef, *, cell: str) -> NewJob:
        """The same, as the API would store it."""
        return NewJob(
            id=new_job_id(cell=cell, tenant=TENANT, key=b"test"),
            tenant=TENANT,
            ref=ref,
            tier=self.tier,
            input=json.dumps({"x": self.x, "sleep_ms": self.sleep_ms, "act": self.act}).encode(),
        )


def new_x() -> int:
    """A number that was not asked yet."""
    return next(_numbers)


class Answer(NamedTuple):
    """What came back."""

    status: int
    document: Any


class Submitter:
    """One thread's connection to the API; what comes of each job goes into the history."""

    def __init__(self, *, port: int, history: History) -> None:
        self._history = history
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_LIMIT_S)

    def submit(self, question: Question, *, key: str = "", limit_s: float = 90.0) -> str:
        """Hand a job in, under a new key if none is given, however often that takes; answers its member.

        Raises:
            TimeoutError: if nobody took it within `limit_s`.
            ValueError: if it was refused for good.
        """
        key = key or uuid.uuid4().hex
        answer = self._ask("POST", "/v1/jobs", question.document, key=key, limit_s=limit_s)
        if answer.status not in (200, 202):
            raise ValueError(f"job {question.x} was refused: {answer}")
        return self._accepted(question, answer.document["id"], key)

    def submit_many(self, questions: Sequence[Question]) -> list[str]:
        """Hand jobs in by one request, again and again until all are accepted; answers their members."""
        key, jobs = uuid.uuid4().hex, [{"error": "not asked yet"}]
        while any(job["error"] for job in jobs):
            answer = self._ask("POST", "/v1/jobs:bulk", [question.document for question in questions], key=key)
            assert answer.status == 200, answer
            jobs = answer.document["jobs"]
        rows = enumerate(zip(questions, jobs, strict=True))
        return [self._accepted(question, job["id"], f"{key}:{number}") for number, (question, job) in rows]

    def amend(self, member: str, tier: Tier) -> bool:
        """Move a job to another tier; False if it did not wait any more."""
        answer = self._ask("PATCH", _path(member), {"tier": str(tier)})
        assert answer.status in (200, 409), answer
        if answer.status == 200:
            self._history.note("amended", member=member, tier=str(tier))
        return answer.status == 200

    def erase(self, member: str) -> None:
        """Delete a job, again and again until nothing is left of it."""
        # An answer that is lost and a record that stays until its end look alike: ask again. 410 is what is wanted.
        while (answer := self._ask("DELETE", _path(member))).status not in (204, 410):
            assert answer.status == 202, answer
            time.sleep(_PAUSE_S)
        self._history.note("erased", member=member)

    def _accepted(self, question: Question, job_id: str, key: str) -> str:
        member = f"{TENANT}/{job_id}"
        self._history.note("accepted", member=member, key=key, **asdict(question))
        return member

    def _ask(self, method: str, path: str, body: object = None, *, key: str = "", limit_s: float = 90.0) -> Answer:
        """Send a request until it is answered with something that is not to be sent again."""
        until, answer = time.monotonic() + limit_s, None
        while time.monotonic() < until:
            answer = self._try(method, path, body, key)
            if answer is not None and answer.status not in (429, 503):
                return answer
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"{method} {path} was not taken within {limit_s:g} s; last answer: {answer}")

    def _try(self, method: str, path: str, body: object, key: str) -> Answer | None:
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._history.note("unanswered", method=method, path=path, why=type(error).__name__)
            return None
        if status >= 400:
            self._history.note("refused", method=method, path=path, status=status)
        return Answer(status, json.loads(text) if text else None)

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(OSError):
            self._connection.close()


def _path(member: str) -> str:
    return f"/v1/jobs/{member.partition('/')[2]}"


def erased(history: History) -> set[str]:
    """What was deleted, by member."""
    return {event.fields["member"] for event in history.events("erased")}


def amended(history: History) -> dict[str, Tier]:
    """What was moved to another tier, by member, with that."""
    return {event.fields["member"]: Tier(event.fields["tier"]) for event in history.events("amended")}


def accepted(history: History) -> dict[str, Question]:
    """What was accepted, by member."""
    names = [field.name for field in fields(Question)]
    rows = (event.fields for event in history.events("accepted"))
    return {
        row["member"]: Question(**{name: row[name] for name in names} | {"tier": Tier(row["tier"])}) for row in rows
    }


def keys_of(history: History) -> dict[str, str]:
    """Under which key each member was handed in."""
    return {event.fields["member"]: event.fields["key"] for event in history.events("accepted")}
