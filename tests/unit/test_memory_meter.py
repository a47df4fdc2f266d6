"""What a process uses, and what it gives back; each in a process of its own, which holds nothing else that could go."""

import subprocess
import sys
from pathlib import Path

import pytest

from workers.memory_meter import MemoryMeter

MB = 1_000_000
BEGIN = """
import gc
from workers.memory_meter import MemoryMeter
meter = MemoryMeter("cpu")
meter.give_back()
"""


def figures(code: str) -> list[int]:
    """The numbers that a process prints which does this."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


def test_what_is_held_is_in_use_and_what_was_let_go_is_not() -> None:
    before, during, after = figures(f"""
before = meter.used_bytes()
held = [bytearray(b"x") * {20 * MB} for _ in range(3)]
during = meter.used_bytes()
held.clear()
meter.give_back()
print(before, during, meter.used_bytes())
""")

    assert during - before == pytest.approx(60 * MB, abs=10 * MB)
    assert after - before < 20 * MB


def test_a_peak_is_remembered_until_it_is_reset() -> None:
    before, peak = figures(f"""
meter.reset_peak()
before = meter.used_bytes()
bytearray(b"x") * {80 * MB}
print(before, meter.peak_bytes())
""")

    assert peak - before > 60 * MB


def test_on_a_device_that_the_process_does_not_use_nothing_is_in_use() -> None:
    meter = MemoryMeter("cuda")

    assert (0, 0) == (meter.used_bytes(), meter.peak_bytes())


def test_objects_that_were_frozen_are_collected_when_memory_is_given_back() -> None:
    before, after = figures(f"""
ring = [bytearray(b"x") * {40 * MB}]
ring.append(ring)
gc.freeze()
before = meter.used_bytes()
del ring
meter.give_back()
print(before, meter.used_bytes())
""")

    assert before - after > 20 * MB
