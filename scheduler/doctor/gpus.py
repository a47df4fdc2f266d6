"""GPUs: what the worker classes want against what the driver lists."""

import re
import shutil
import subprocess
from collections.abc import Mapping

from headrace.worker_class import WorkerClass
from scheduler.doctor.finding import Finding, fail, ok

_CHECK = "gpu"
_TIMEOUT_S = 30.0


def look_at_gpus(classes: Mapping[str, WorkerClass]) -> Finding:
    """Ask the driver, if a class wants a GPU on this host."""
    if not any(kind.device.startswith("cuda") for kind in classes.values()):
        return ok(_CHECK, "no worker class wants one")
    program = shutil.which("nvidia-smi")
    if program is None:
        advice = "install NVIDIA's driver on the hosts of GPU workers (in containers: its container toolkit)"
        return fail(_CHECK, "nvidia-smi is not there", advice)
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return fail(_CHECK, f"nvidia-smi does not answer: {error}", "look at dmesg for Xid errors; reset or reboot")
    return judge_gpus(classes, done.stdout if done.returncode == 0 else "")


def judge_gpus(classes: Mapping[str, WorkerClass], listing: str) -> Finding:
    """What is to be said of the answer of `nvidia-smi -L`."""
    found = re.findall(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)", listing)
    wanted = {device for kind in classes.values() for device in kind.devices}
    if not found:
        return fail(_CHECK, "nvidia-smi lists none", "look at dmesg for Xid errors; check the driver and the container")
    if missing := sorted(wanted - set(found)):
        return fail(_CHECK, f"not listed: {', '.join(missing)}", "correct `devices` of the worker class")
    return ok(_CHECK, f"{len(found)} listed")
