"""Plain Celery tasks, as an operator writes them."""

from celery import shared_task


@shared_task(name="chores.double", ignore_result=False)  # type: ignore[untyped-decorator]
def double(number: int) -> int:
    """What it says."""
    return 2 * number
