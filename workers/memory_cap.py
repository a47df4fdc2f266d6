"""Memory cap: a version that takes too much memory while it loads is refused, and its process lives on."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import InvalidModel
from workers.failures import is_out_of_memory


@contextmanager
def memory_cap(limit_bytes: int, *, of: str) -> Iterator[None]:
    """Let this process take so many more bytes and no more; 0: as many as it likes.

    What counts is private memory that can be written (RLIMIT_DATA, getrlimit(2)): files that are mapped to be read, as
    weights in safetensors are, cost nothing, and nor does the address space that CUDA reserves.

    Args:
        limit_bytes: the bytes.
        of: what is loaded, for the message.

    Raises:
        InvalidModel: in place of whatever was raised for want of memory.
    """
    if not limit_bytes:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + limit_bytes, hard))
    try:
        yield
    except Exception as error:
        if not _wants_memory(error):
            raise
        raise InvalidModel(
            f"{of} needs more memory to load than {limit_bytes / 1e6:.0f} MB, which is what load_memory_bytes allows;"
            f" raise it if the model is to be trusted with more ({type(error).__name__}: {error})"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """What this process has now of what the limit counts."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:"))


def _wants_memory(error: BaseException | None) -> bool:
    """Tell whether an exception, or one that it was raised for, says that there is no memory."""
    while error is not None:
        if isinstance(error, Exception) and is_out_of_memory(error):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        error = error.__cause__
    return False
