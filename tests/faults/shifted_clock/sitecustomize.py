"""On PYTHONPATH, this moves a process's wall clock by as many seconds as its environment says."""

import os
import time

_SHIFT_S = int(os.environ.get("SHIFTED_CLOCK_S", "0"))
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _SHIFT_S
time.time_ns = lambda: _time_ns() + _SHIFT_S * 1_000_000_000
