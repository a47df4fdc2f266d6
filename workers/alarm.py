"""Alarm: wakes a thread after a time, unless another one takes it back before.

Setting it and taking it back costs a microsecond each and wakes nobody, which a condition or a semaphore would.
"""

import ctypes
import os
import time

#: Python has these calls from 3.13 on. They return at once, so that the interpreter need not be let go for them.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_NS = 1_000_000_000


class _Span(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("again_after", _Span), ("after", _Span))


class Alarm:
    """Rings `after_s` after it was set, and again and again until it is cleared; for one sleeper.

    Raises:
        OSError: if there is no descriptor left for it.
    """

    def __init__(self, *, after_s: float) -> None:
        self._fd = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer to be had")
        span = _Span(*divmod(round(after_s * _NS), _NS))
        # Kept, because the call is given their places.
        self._settings = _Setting(span, span), _Setting()
        self._on, self._off = map(ctypes.byref, self._settings)

    def set(self) -> None:
        """Let it ring after its time, counted from now."""
        _LIBC.timerfd_settime(self._fd, 0, self._on, None)

    def clear(self) -> None:
        """Let it not ring, also where nobody has heard it yet."""
        _LIBC.timerfd_settime(self._fd, 0, self._off, None)

    def sleep(self) -> None:
        """Wait until it rings."""
        os.read(self._fd, 8)
