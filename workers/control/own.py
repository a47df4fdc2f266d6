"""Commands of our own: `inspect jobs`, `control pause | resume | serve`.

They change one worker until it ends; a worker that starts later knows nothing of them.
"""

from collections.abc import Iterable
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import control_command, inspect_command

from headrace.errors import InvalidInput
from workers.control.answers import Answer, done, engine_of, explained, find_engine
from workers.engine import JobEngine
from workers.offer import ALL, pause_pattern

_WHAT = "[name[@version][:tier] …]"


@inspect_command(name="jobs")
def jobs(state: Any, **_: Any) -> Answer:
    """What the job engine of each worker holds and has done."""
    engine = find_engine(state)
    return engine.presence().model_dump(mode="json") if engine else {}


@control_command(name="pause", variadic="what", signature=_WHAT)
@explained
def pause(state: Any, what: Iterable[str] | None = None, **_: Any) -> Answer:
    """Claim no more jobs (of these); what is held already runs."""
    engine = engine_of(state)
    engine.make_offer(engine.offer.pause(_patterns(what) or [ALL]))
    return _offers_now(engine)


@control_command(name="resume", variadic="what", signature=_WHAT)
@explained
def resume(state: Any, what: Iterable[str] | None = None, **_: Any) -> Answer:
    """Claim jobs (of these) again."""
    engine = engine_of(state)
    engine.make_offer(engine.offer.resume(_patterns(what) or engine.offer.pauses))
    return _offers_now(engine)


@control_command(name="serve", variadic="names", signature="[name …]")
@explained
def serve(state: Any, names: Iterable[str] | None = None, **_: Any) -> Answer:
    """Serve these models and no others; without a name those of the worker class."""
    engine = engine_of(state)
    wanted = tuple(maybe_list(names) or engine.own_offer.names)
    for name in wanted:
        if "@" in name or ":" in name:
            raise InvalidInput(
                f"'{name[:80]}' is not a model's name; releases choose versions and worker classes choose tiers,"
                " and `control pause` leaves some of them alone"
            )
    engine.make_offer(engine.offer._replace(names=wanted))
    return _offers_now(engine)


def _patterns(what: Iterable[str] | None) -> list[str]:
    return [pause_pattern(text) for text in maybe_list(what) or ()]


def _offers_now(engine: JobEngine) -> Answer:
    pauses = ", ".join(engine.offer.pauses) or "nothing"
    return done(f"serves {', '.join(engine.offer.names)}; paused is {pauses}")
