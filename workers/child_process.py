"""ChildProcess: a started child and the descriptors by which its parent talks to it."""

import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.environments import child_environment
from headrace.settings import Settings
from headrace.worker_class import WorkerClass
from workers.frames import Frame, encode
from workers.stage_marks import StageMarks, make_marks

log = logging.getLogger("headrace.executor")

_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ChildProcess:
    """One child. Its parent's ends of the pipes do not block."""

    process: subprocess.Popen[bytes]
    #: Written to by the parent, and read.
    down: int
    up: int
    marks: StageMarks

    def begin(self) -> bool:
        """Let a child go on that was started ahead, with the GPUs that this process sees; False if it has died."""
        try:
            os.write(self.down, encode(Frame.BEGIN, os.environ.get("CUDA_VISIBLE_DEVICES")))
        except OSError:
            log.warning("child %s, which was started ahead, is gone (exit %s)", self.process.pid, self.process.wait())
            os.close(self.down)
            os.close(self.up)
            return False
        return True


def child_arguments(settings: Settings, worker_class: WorkerClass) -> tuple[str, ...]:
    """The command line of `workers.child` after the descriptors."""
    registry = (settings.registry_location, ",".join(settings.signers), str(settings.model_cache_dir))
    memory = (str(settings.cache_max_bytes), str(settings.load_memory_bytes))
    device = (worker_class.device, str(worker_class.slots))
    return (*registry, *memory, *device, settings.log_level, settings.log_format)


def start_child(arguments: Sequence[str], *, threads: int, ahead: Sequence[str] | None = None) -> ChildProcess:
    """Start a child; with `ahead` it imports these modules and waits until it is told to `begin`."""
    down_read, down = os.pipe()
    up, up_write = os.pipe()
    for fd in (down, up):
        os.set_blocking(fd, False)
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    marks_fd, marks = make_marks()
    fds = (down_read, up_write, marks_fd)
    more = () if ahead is None else (",".join(ahead),)
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.child", *map(str, fds), *arguments, *more],
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=child_environment(threads=threads),
    )
    for fd in fds:
        os.close(fd)
    return ChildProcess(process=process, down=down, up=up, marks=marks)
