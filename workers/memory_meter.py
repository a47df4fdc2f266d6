"""MemoryMeter: what the models of this process use, and giving back what an unloaded one used.

On the CPU that is the process's resident memory. On CUDA it is what the driver says of the whole device: a worker has
its device to itself, and whatever else uses it is not there for models either. Where workers share a device it is what
the allocator of this process has taken of it.
"""

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import Any

from workers.device_memory import DeviceMemory

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATUS, _STATM, _CLEAR = (Path("/proc/self") / name for name in ("status", "statm", "clear_refs"))
#: Written there it resets the peak of resident memory, see proc(5).
_RESET_PEAK = "5"


class MemoryMeter:
    """Of one process.

    Args:
        device: cpu, cuda or cuda:0.
        slots: workers that share it.
        of_device: tells what is in use of a GPU that this process has not opened, or not with torch.
    """

    def __init__(self, device: str, *, slots: int = 1, of_device: DeviceMemory | None = None) -> None:
        self._device = device
        self._is_cuda = device.startswith("cuda")
        self._is_shared = slots > 1
        self._of_device = of_device or (DeviceMemory(device) if self._is_cuda and not self._is_shared else None)

    def used_bytes(self) -> int:
        """What is in use now; on CUDA nothing before this process uses it, unless NVML tells."""
        if not self._is_cuda:
            return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
        torch = self._torch()
        if torch is None:
            return (self._of_device and self._of_device.used_bytes()) or 0
        if self._is_shared:
            return int(torch.cuda.memory_reserved(self._device))
        free_bytes, total_bytes = torch.cuda.mem_get_info(self._device)
        return int(total_bytes - free_bytes)

    def reset_peak(self) -> None:
        """Look for the peak from now on."""
        if (torch := self._torch()) is not None:
            torch.cuda.reset_peak_memory_stats(self._device)
        # Not everywhere may a process do that; its peak then counts from its start.
        with contextlib.suppress(OSError):
            _CLEAR.write_text(_RESET_PEAK)

    def peak_bytes(self) -> int:
        """The most that was in use since."""
        if self._is_cuda:
            torch = self._torch()
            if torch is None:
                return self.used_bytes()
            above = torch.cuda.max_memory_reserved(self._device) - torch.cuda.memory_reserved(self._device)
            return self.used_bytes() + int(above)
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return max(int(line.split()[1]) * 1024, self.used_bytes())

    def give_back(self) -> None:
        """Free what nobody refers to any more, down to the system."""
        gc.unfreeze()
        gc.collect()
        if (torch := self._torch()) is not None:
            torch.cuda.empty_cache()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)

    def _torch(self) -> Any:
        """The library, if this process uses the device through it."""
        torch = sys.modules.get("torch")
        return torch if self._is_cuda and torch is not None and torch.cuda.is_initialized() else None
