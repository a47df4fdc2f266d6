"""Which GPUs a worker may use: named in the settings, or those that the driver lists."""

import logging
import re
import shutil
import subprocess
from collections.abc import Sequence

from headrace.worker_class import WorkerClass

log = logging.getLogger("headrace.devices")

_TIMEOUT_S = 30.0
_LISTED = re.compile(r"^(?P<indent>\s*).*\(UUID: (?P<id>(?:GPU|MIG)-[^)\s]+)\)")


def devices_of(worker_class: WorkerClass) -> tuple[str, ...]:
    """The devices of which a worker of this class leases one; empty if it takes its device as it is."""
    if worker_class.devices or worker_class.device != "cuda":
        return worker_class.devices
    found = parse_gpus(_nvidia_smi())
    if not found:
        log.warning("nvidia-smi lists no GPU: device 'cuda' is used without a lease, so nothing keeps workers apart")
    return found


def places_on(devices: Sequence[str], slots: int) -> tuple[str, ...]:
    """What workers lease where so many share each device: the first place on each before the second on any."""
    return tuple(device if slot == 0 else f"{device}/{slot}" for slot in range(slots) for device in devices)


def device_at(place: str) -> str:
    """The device that a place is on."""
    return place.partition("/")[0]


def parse_gpus(listing: str) -> tuple[str, ...]:
    """Read the answer of `nvidia-smi -L`: ids of GPUs, and of the parts of those that are divided (MIG)."""
    devices: list[str] = []
    for match in filter(None, map(_LISTED.match, listing.splitlines())):
        if match["indent"] and devices and devices[-1].startswith("GPU-"):
            # A divided GPU is used by its parts only.
            devices.pop()
        devices.append(match["id"])
    return tuple(devices)


def _nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("nvidia-smi does not answer: %s", error)
        return ""
    return done.stdout
