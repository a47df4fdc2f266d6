"""What a process uses, and what it gives back."""

import gc

import pytest

from workers.memory_meter import MemoryMeter

MB = 1_000_000


@pytest.fixture
def meter() -> MemoryMeter:
    meter = MemoryMeter("cpu")
    meter.give_back()
    return meter


def test_what_is_held_is_in_use_and_what_was_let_go_is_not(meter: MemoryMeter) -> None:
    before = meter.used_bytes()

    held = [bytearray(b"x") * (20 * MB) for _ in range(3)]
    during = meter.used_bytes()
    held.clear()
    meter.give_back()

    assert during - before == pytest.approx(60 * MB, abs=10 * MB)
    assert meter.used_bytes() - before < 20 * MB


def test_a_peak_is_remembered_until_it_is_reset(meter: MemoryMeter) -> None:
    meter.reset_peak()
    before = meter.used_bytes()

    bytearray(b"x") * (80 * MB)
    peak = meter.peak_bytes()

    assert peak - before > 60 * MB


def test_on_a_device_that_the_process_does_not_use_nothing_is_in_use() -> None:
    meter = MemoryMeter("cuda")

    assert (0, 0) == (meter.used_bytes(), meter.peak_bytes())


def test_objects_that_were_frozen_are_collected_when_memory_is_given_back(meter: MemoryMeter) -> None:
    ring: list[object] = [bytearray(b"x") * (40 * MB)]
    ring.append(ring)
    gc.freeze()
    before = meter.used_bytes()

    del ring
    meter.give_back()

    assert before - meter.used_bytes() > 20 * MB
