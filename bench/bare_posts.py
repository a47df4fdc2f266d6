"""The bare loop of `bench webhooks`: the courier's HTTP client posting as many bodies, with nothing around it.

`python -m bench.bare_posts URL COUNT TASKS BYTES` prints the seconds that it took, in a process of its own: so many
tasks post so many bodies over connections that are kept, and read each answer.
"""

import asyncio
import subprocess
import sys
import time

import httpcore2

from bench.service import ROOT


async def post_all(url: str, *, count: int, tasks: int, size: int) -> float:
    """Post; answers the seconds it took."""
    left, body = iter(range(tasks)), b"x" * size
    headers = [("Host", "127.0.0.1"), ("content-type", "application/json"), ("webhook-id", "bare")]

    async def post_on(pool: httpcore2.AsyncConnectionPool) -> None:
        for _ in left:
            async with pool.stream("POST", url, headers=headers, content=body) as response:
                async for _chunk in response.aiter_stream():
                    pass

    async with httpcore2.AsyncConnectionPool(max_connections=tasks) as pool:
        await asyncio.gather(*(post_on(pool) for _ in range(tasks)))  # opens the connections
        left = iter(range(count))
        began_s = time.perf_counter()
        await asyncio.gather(*(post_on(pool) for _ in range(tasks)))
        return time.perf_counter() - began_s


def measure_in_child(url: str, *, count: int, tasks: int, size: int) -> float:
    """Run the loop in a fresh process; answers the seconds it took."""
    command = [sys.executable, "-m", "bench.bare_posts", url, str(count), str(tasks), str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    count, tasks, size = map(int, numbers)
    print(asyncio.run(post_all(url, count=count, tasks=tasks, size=size)))
