"""Numbers for people: counts, sizes and times in words. Pure."""

#: Steps of a size, and how many of each make the next.
_SIZES, _STEP = ("B", "KB", "MB", "GB", "TB"), 1000
#: Steps of a time, with the seconds in each.
_TIMES = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))


def count_in_words(count: int, thing: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def size_in_words(size_bytes: int) -> str:
    """`634 B`, `90.9 MB`."""
    size, unit = float(size_bytes), 0
    while size >= _STEP and unit < len(_SIZES) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.1f} {_SIZES[unit]}" if unit else f"{size_bytes} B"


def time_in_words(time_s: float) -> str:
    """`0.03 ms`, `4.2 s`, `2.5 h`."""
    unit, seconds = next(((name, size) for name, size in _TIMES if time_s >= size), _TIMES[-1])
    return f"{time_s / seconds:.2g} {unit}" if time_s < seconds else f"{time_s / seconds:.1f} {unit}"
