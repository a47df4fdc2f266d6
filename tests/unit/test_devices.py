"""Which GPUs a worker may lease."""

import pytest

from headrace.worker_class import WorkerClass
from workers import devices
from workers.devices import device_at, devices_of, parse_gpus, places_on

TWO_WHOLE = """\
GPU 0: NVIDIA H200 (UUID: GPU-1b6fa4c2-0000-4e6f-8f0e-000000000001)
GPU 1: NVIDIA H200 (UUID: GPU-1b6fa4c2-0000-4e6f-8f0e-000000000002)
"""

ONE_DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-0aa3b0d6-d33d-2b2c-524d-9e3d8d2b8a77)
"""


def test_each_gpu_that_the_driver_lists_is_a_device() -> None:
    found = parse_gpus(TWO_WHOLE)

    expected = tuple(f"GPU-1b6fa4c2-0000-4e6f-8f0e-00000000000{n}" for n in (1, 2))
    assert expected == found


def test_a_divided_gpu_is_used_by_its_parts_only() -> None:
    found = parse_gpus(ONE_DIVIDED)

    assert ("MIG-c6d4", "MIG-cba6", "GPU-0aa3") == tuple(device[:8] for device in found)


@pytest.mark.parametrize("listing", ["", "No devices were found\n", "NVIDIA-SMI has failed\n"])
def test_other_answers_list_no_device(listing: str) -> None:
    assert parse_gpus(listing) == ()


def test_devices_of_the_settings_go_before_those_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_nvidia_smi", lambda: TWO_WHOLE)

    assert devices_of(WorkerClass(device="cuda", devices=("GPU-a",))) == ("GPU-a",)
    assert len(devices_of(WorkerClass(device="cuda"))) == 2


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "mps"])
def test_a_device_that_is_named_is_used_as_it_is(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_nvidia_smi", lambda: TWO_WHOLE)

    assert devices_of(WorkerClass(device=device)) == ()


def test_without_a_driver_no_device_is_leased_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    assert devices_of(WorkerClass(device="cuda")) == ()
    assert "without a lease" in caplog.text


def test_workers_that_share_devices_take_one_place_on_each_before_a_second_on_any() -> None:
    places = places_on(("GPU-a", "GPU-b"), 2)

    assert ("GPU-a", "GPU-b", "GPU-a/1", "GPU-b/1") == places
    assert ["GPU-a", "GPU-b"] * 2 == [device_at(place) for place in places]
