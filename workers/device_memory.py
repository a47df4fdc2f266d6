"""DeviceMemory: what is in use of a whole GPU by the word of its driver (NVML), whichever library uses it.

Needs `nvidia-ml-py` (extra `gpu`); without it, or without a driver, nothing is known.
"""

import importlib
import logging
import os
from typing import Any

log = logging.getLogger("headrace.devices")


class DeviceMemory:
    """Of one device as this process is to see it.

    Args:
        device: cuda or cuda:1, counted among those that `CUDA_VISIBLE_DEVICES` names.
        nvml: the library; None: as it is installed.
    """

    def __init__(self, device: str, nvml: Any = None) -> None:
        self._place = int(device.partition(":")[2] or 0)
        self._nvml = nvml
        self._handle: Any = None
        self._is_known = True

    def used_bytes(self) -> int | None:
        """What is in use now, by all processes; None if nobody can tell."""
        if not self._is_known:
            return None
        try:
            if self._handle is None:
                self._handle = self._find()
            # In the first layout of this answer `used` has what the driver keeps for itself, which CUDA does not count.
            info = self._nvml.nvmlDeviceGetMemoryInfo(self._handle, version=self._nvml.nvmlMemory_v2)
            return int(info.used)
        except Exception as error:  # noqa: BLE001 - a library of the driver's: whatever it raises, figures are not to be had
            log.info("the driver does not tell what is in use of the device: %s", error)
            self._is_known = False
            return None

    def _find(self) -> Any:
        if self._nvml is None:
            self._nvml = importlib.import_module("pynvml")
        self._nvml.nvmlInit()
        name = _visible(self._place, os.environ.get("CUDA_VISIBLE_DEVICES"))
        if name.isdecimal():
            return self._nvml.nvmlDeviceGetHandleByIndex(int(name))
        return self._nvml.nvmlDeviceGetHandleByUUID(name)


def _visible(place: int, named: str | None) -> str:
    """How the driver calls the device at a place among the visible ones: its number or its UUID."""
    names = [name.strip() for name in (named or "").split(",") if name.strip()]
    return names[place] if names else str(place)
