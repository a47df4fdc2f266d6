"""Where the time goes until a worker can run a model, stage by stage. Pure."""

from itertools import pairwise

#: Of a start: Python and Celery until the engine is made; the model's process until it answers; files and the load of
#: the first model, warm-up included.
STAGES = ("process", "child", "model")


def start_stages(*moments_ms: int | None) -> dict[str, float]:
    """Seconds of each stage that is over, given its beginning and its end, which is the next one's beginning.

    Args:
        moments_ms: one more than there are stages; None from the first that has not come.
    """
    spans = zip(STAGES, pairwise(moments_ms), strict=True)
    return {stage: max(0, end - begin) / 1000 for stage, (begin, end) in spans if begin is not None and end is not None}
