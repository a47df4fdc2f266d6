"""The ideal of `bench drain --model sleep`: the bare loop in a process of its own, with nothing around it.

`python -m bench.sleep_loop BATCHES FORWARD_MS` prints the seconds that the loop took.
"""

import subprocess
import sys
import time

from bench.service import ROOT


def sleep_loop(batches: int, forward_ms: float) -> float:
    """Sleep as often and as long as the model would; answers the seconds it took."""
    began_s = time.perf_counter()
    for _ in range(batches):
        time.sleep(forward_ms / 1000)
    return time.perf_counter() - began_s


def measure_in_child(batches: int, forward_ms: float) -> float:
    """Run the loop in a fresh process, as the model's own process would; answers the seconds it took."""
    command = [sys.executable, "-m", "bench.sleep_loop", str(batches), str(forward_ms)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    print(sleep_loop(int(sys.argv[1]), float(sys.argv[2])))
