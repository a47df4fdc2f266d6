"""DeviceMark: what a memory limit that was learnt depends on besides the model."""

import os
import sys
from typing import NamedTuple

#: Memory that differs by less is the same.
_TOLERANCE = 0.1


class DeviceMark(NamedTuple):
    """A device by name, with the software that drives it, and the memory that a model may use there."""

    name: str
    driver: str
    memory_bytes: int

    def is_like(self, other: "DeviceMark") -> bool:
        """Tell whether what was learnt on one holds on the other."""
        apart = abs(self.memory_bytes - other.memory_bytes)
        return self[:2] == other[:2] and apart <= _TOLERANCE * max(self.memory_bytes, other.memory_bytes)


def device_mark(device: str) -> DeviceMark:
    """The mark of `cpu`, `cuda` or `cuda:0` as this process sees it; call it when the model is loaded."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return DeviceMark(device, "", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    free_bytes, _ = torch.cuda.mem_get_info(device)
    # What our own allocator keeps is ours to use.
    usable = free_bytes + torch.cuda.memory_reserved(device)
    return DeviceMark(torch.cuda.get_device_name(device), str(torch.version.cuda), usable)
