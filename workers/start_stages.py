"""Where the time goes until a worker can run a model, stage by stage. Pure."""

#: Of a start: Python and Celery until the engine is made; the model's process until it answers; files and the load of
#: the first model, warm-up included.
STAGES = ("process", "child", "model")


def start_stages(
    started_ms: int | None, made_ms: int | None, child_ms: int | None, ready_ms: int | None, *, found_ms: int = 0
) -> dict[str, float]:
    """Seconds of each stage that is over, given its beginning and its end, which is the next one's beginning.

    Args:
        started_ms: when the process began.
        made_ms: when the engine was made.
        child_ms: when the model's process answered.
        ready_ms: when the first model could run.
        found_ms: since when there has been a model to load, if there was none at first: nobody waited until then.
    """
    load_from_ms = None if child_ms is None else max(child_ms, found_ms)
    spans = zip(STAGES, ((started_ms, made_ms), (made_ms, child_ms), (load_from_ms, ready_ms)), strict=True)
    return {stage: max(0, end - begin) / 1000 for stage, (begin, end) in spans if begin is not None and end is not None}
