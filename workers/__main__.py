"""`python -m workers`: see `launch`, which is imported when the process already knows what to do at SIGTERM."""

import signal
import sys
from types import FrameType


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Start a worker that can be told to stop from its first moment on: Celery's own handlers come a second later."""
    signal.signal(signal.SIGTERM, _end)
    from headrace.errors import SettingsError

    try:
        from workers.launch import launch
    except SettingsError as error:  # Celery's application is made of the settings when it is imported
        sys.exit(f"error: {error.detail}")

    launch()


if __name__ == "__main__":
    main()
