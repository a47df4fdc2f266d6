"""celery-batches behind a minimal FastAPI, run by the Python of `.bench/celery-batches`, never imported by ours.

The best way to wait that its result back end offers to an event loop: results are published by id, so one pattern
subscription of the process hears of all of them, and a wait costs a future.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import uvicorn
from celery.utils import uuid
from celery_batches_app import URL, noop  # type: ignore[import-not-found] # the folder of this file is on its path
from fastapi import FastAPI
from pydantic import BaseModel

_PREFIX = "celery-task-meta-"
waiting: dict[str, asyncio.Future[Any]] = {}


class Submission(BaseModel):
    """The body."""

    model: str
    input: Any


@asynccontextmanager
async def lifespan(_: FastAPI):  # type: ignore[no-untyped-def] # this file is typed as the other Python sees it
    """Listen for results while the application runs."""
    client = redis.asyncio.Redis.from_url(URL)
    results = client.pubsub(ignore_subscribe_messages=True)
    await results.psubscribe(f"{_PREFIX}*")
    listener = asyncio.create_task(listen(results))
    yield
    listener.cancel()
    await client.aclose()


async def listen(results) -> None:  # type: ignore[no-untyped-def] # as above
    """Hand each result to whoever waits for it."""
    async for message in results.listen():
        future = waiting.pop(message["channel"].decode().removeprefix(_PREFIX), None)
        if future is not None and not future.done():
            future.set_result(json.loads(message["data"])["result"])


app = FastAPI(lifespan=lifespan)


@app.post("/v1/jobs")
async def submit(body: Submission) -> dict[str, Any]:
    """Send the task, wait for its result."""
    task_id = uuid()
    future = waiting[task_id] = asyncio.get_running_loop().create_future()
    # Publishing blocks for one round trip on this host; handing it to a thread costs more than that.
    noop.apply_async((body.input,), task_id=task_id)
    return {"id": task_id, "result": await asyncio.wait_for(future, 30)}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
