"""celery-batches as its documentation shows it, run by the Python of `.bench/celery-batches`, never imported by ours.

`celery -A celery_batches_app worker` serves; `python celery_batches_app.py COUNT` puts COUNT rendered messages on the
list `staged` and prints the id of the last to be served.
"""

import json
import os
import sys
import uuid

from celery import Celery
from celery_batches import Batches  # type: ignore[import-not-found] # lives in the competitor's environment

URL = os.environ["BENCH_REDIS_URL"]
FLUSH_EVERY = 64
STAGED = "staged"

app = Celery("celery_batches_app", broker=URL, backend=URL)
app.conf.update(
    # A window of fewer than two batches could never fill one while another runs.
    worker_prefetch_multiplier=4 * FLUSH_EVERY,
    broker_connection_retry_on_startup=True,
    task_default_queue="noop",
)


@app.task(base=Batches, name="noop", flush_every=FLUSH_EVERY, flush_interval=0.02)
def noop(requests):  # type: ignore[no-untyped-def] # requests are celery_batches.SimpleRequest, typed there only
    """Store each input as its result."""
    for request in requests:
        app.backend.mark_as_done(request.id, request.args[0], request=request)


def stage(count: int) -> str:
    """Put `count` messages where no worker looks; renaming the list shows them all at once."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        for start in range(0, count, 1000):
            rendered = [render(channel, task_id) for task_id in ids[start : start + 1000]]
            channel.client.lpush(STAGED, *rendered)
    return ids[-1]


def render(channel, task_id: str) -> str:  # type: ignore[no-untyped-def] # kombu is untyped
    """The message that `send_task` would put on the list."""
    task = app.amqp.as_task_v2(task_id, "noop", ("x" * 200,), {})
    message = channel.prepare_message(
        json.dumps(task.body), 0, "application/json", "utf-8", headers=task.headers, properties=dict(task.properties)
    )
    channel._inplace_augment_message(message, "", "noop")
    return json.dumps(message)


if __name__ == "__main__":
    print(stage(int(sys.argv[1])))
