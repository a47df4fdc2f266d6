"""What the driver says is in use of a GPU, asked through a library that stands in for NVML: there is none here."""

from types import SimpleNamespace

import pytest

from workers.device_memory import DeviceMemory
from workers.memory_meter import MemoryMeter

MB = 1_000_000


class Driver:
    """Two GPUs, of which the second is used more."""

    nvmlMemory_v2 = 2  # noqa: N815 - the driver's name

    def __init__(self) -> None:
        self.asked: list[str] = []

    def nvmlInit(self) -> None:  # noqa: N802 - the driver's name
        """Nothing to do."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802 - the driver's name
        self.asked.append(f"number {index}")
        return ("GPU-a", "GPU-b")[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - the driver's name
        self.asked.append(uuid)
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int = 1) -> SimpleNamespace:  # noqa: N802 - likewise
        kept_bytes = 0 if version == self.nvmlMemory_v2 else 645 * MB
        return SimpleNamespace(used={"GPU-a": 100 * MB, "GPU-b": 300 * MB}[handle] + kept_bytes)


@pytest.mark.parametrize(
    ("visible", "device", "asked", "used_mb"),
    [
        (None, "cuda", "number 0", 100),
        (None, "cuda:1", "number 1", 300),
        ("1", "cuda", "number 1", 300),
        ("GPU-b", "cuda", "GPU-b", 300),
        ("GPU-b, GPU-a", "cuda:1", "GPU-a", 100),
    ],
)
def test_the_device_that_is_asked_about_is_the_one_that_the_process_sees(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, asked: str, used_mb: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver = Driver()

    memory = DeviceMemory(device, driver)

    assert [used_mb * MB] * 2 == [memory.used_bytes(), memory.used_bytes()]
    assert [asked] == driver.asked


@pytest.mark.parametrize("visible", ["GPU-unknown", "7"])
def test_where_the_driver_does_not_know_the_device_nothing_is_known_and_it_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver = Driver()
    memory = DeviceMemory("cuda", driver)

    assert [None, None] == [memory.used_bytes(), memory.used_bytes()]
    assert 1 == len(driver.asked)


def test_a_worker_that_has_not_opened_its_gpu_knows_what_is_in_use_of_it_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")

    meter = MemoryMeter("cuda", of_device=DeviceMemory("cuda", Driver()))

    assert (300 * MB, 300 * MB) == (meter.used_bytes(), meter.peak_bytes())


def test_a_worker_that_shares_its_gpu_does_not_count_what_others_use_of_it() -> None:
    assert 0 == MemoryMeter("cuda", slots=2).used_bytes()
