"""Submitter: a client that does what the promises ask of one: it sends again, with the same key, until answered."""

import contextlib
import http.client
import itertools
import json
import time
import uuid
from dataclasses import asdict, dataclass, fields

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

    @property
    def is_innocent(self) -> bool:
        """True if it must succeed whatever happens to the processes."""
        return self.act == "answer"

    @property
    def body(self) -> bytes:
        """The request."""
        document = {
            "model": self.model,
            "input": {"x": self.x, "sleep_ms": self.sleep_ms, "act": self.act},
            "options": {"tier": str(self.tier)},
        }
        return json.dumps(document | ({"webhook": {"url": self.hook}} if self.hook else {})).encode()

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
        key, until = key or uuid.uuid4().hex, time.monotonic() + limit_s
        while time.monotonic() < until:
            answer = self._try(question, key)
            if answer is not None:
                member = f"{TENANT}/{answer}"
                self._history.note("accepted", member=member, key=key, **asdict(question))
                return member
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"nobody took job {question.x} within {limit_s:g} s")

    def _try(self, question: Question, key: str) -> str | None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            self._connection.request("POST", "/v1/jobs", question.body, headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._history.note("unanswered", x=question.x, why=type(error).__name__)
            return None
        if status in (200, 202):
            return str(json.loads(text)["id"])
        self._history.note("refused", x=question.x, status=status)
        if status in (429, 503):
            return None
        raise ValueError(f"job {question.x} was refused: {status} {text.decode()}")

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(OSError):
            self._connection.close()


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
