"""The rules of other autoscalers, as their sources and manuals have them, to be compared with ours or chosen.

Each has one target, which is what its users tune. Pure; one entry of each array is one pool.
"""

import numpy as np

from scheduler.forecast_models import Array
from scheduler.rules import PoolLoad, Tolerances

_TOLERANCE = 0.1


class UpwardPace:
    """How fast Kubernetes' horizontal autoscaler lets a number rise: doubled or four more in 15 s."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._from: Array | None = None

    def limit(self, wanted: Array, present: Array, now: float) -> Array:
        """The number that may be asked for now."""
        if self._from is None or now - self._since >= 15:
            self._since, self._from = now, present
        return np.minimum(wanted, np.maximum(2 * self._from, self._from + 4))


class KedaRule:
    """KEDA's Redis scaler on the list's length: `ceil(LLEN / target)`, polled every 30 s, 10 % tolerance.

    Source: kedacore/keda, `redis_scaler.go`, and the horizontal autoscaler's behaviour. What workers hold is not in the
    list, so that a pool that keeps up reads 0.
    """

    name = "keda"
    tolerances = Tolerances()
    uses_window = True
    quantile: float | None = None
    warm_starts = 0.0
    default_target = 5.0
    _POLL_S = 30.0

    def __init__(self, *, target: float | Array = default_target) -> None:
        self._target = target
        self._pace = UpwardPace()
        self._polled_at = float("-inf")
        self._length: Array | None = None

    def workers(self, load: PoolLoad, now: float) -> Array:
        """Decide."""
        if self._length is None or now - self._polled_at >= self._POLL_S:
            self._polled_at, self._length = now, load.waiting
        wanted = _tolerant(self._length / self._target, load.present)
        return self._pace.limit(np.where(self._length > 0, np.maximum(wanted, 1), wanted), load.present, now)


class HpaRule:
    """Kubernetes' horizontal autoscaler on how busy workers are: `ceil(n * busy / target)`, 10 % tolerance."""

    name = "hpa"
    tolerances = Tolerances()
    uses_window = True
    quantile: float | None = None
    warm_starts = 0.0
    default_target = 0.7

    def __init__(self, *, target: float | Array = default_target) -> None:
        self._target = target
        self._pace = UpwardPace()

    def workers(self, load: PoolLoad, now: float) -> Array:
        """Decide."""
        # Workers that start are taken to be idle, as there; those that hold a job are busy.
        wanted = _tolerant(np.minimum(load.held, load.ready) / self._target, load.present)
        return self._pace.limit(np.where(load.jobs > 0, np.maximum(wanted, 1), wanted), load.present, now)


class KnativeRule:
    """Knative's pod autoscaler: `ceil(concurrency / target)` over 60 s, over 6 s while in panic.

    Source: knative/serving, `autoscaler.go`. Panic begins when 6 s ask for twice the ready workers; it never lets the
    number fall, and ends 60 s after its last cause.
    """

    name = "knative"
    tolerances = Tolerances()
    uses_window = False
    quantile: float | None = None
    warm_starts = 0.0
    default_target = 0.7
    _STABLE_S, _PANIC_S = 60.0, 6.0

    def __init__(self, *, target: float | Array = default_target) -> None:
        self._target = target
        self._seen: list[tuple[float, Array]] = []
        self._panic_until: Array | None = None
        self._panic_count: Array | None = None

    def workers(self, load: PoolLoad, now: float) -> Array:
        """Decide."""
        self._seen = [(at, jobs) for at, jobs in self._seen if at > now - self._STABLE_S]
        self._seen.append((now, load.jobs))
        stable = np.ceil(np.mean([jobs for _, jobs in self._seen], axis=0) / self._target)
        latest = [jobs for at, jobs in self._seen if at > now - self._PANIC_S]
        panic = np.ceil(np.mean(latest, axis=0) / self._target)
        if self._panic_until is None or self._panic_count is None:
            self._panic_until, self._panic_count = np.full_like(panic, -np.inf), np.zeros_like(panic)
        alarmed = panic >= 2 * np.maximum(load.ready, 1)
        self._panic_until = np.where(alarmed, now + self._STABLE_S, self._panic_until)
        panicking = now < self._panic_until
        self._panic_count = np.where(panicking, np.maximum(self._panic_count, panic), 0.0)
        return np.where(panicking, np.maximum(self._panic_count, load.present), stable)


class RateRule:
    """As many workers as the arriving work keeps busy for a share of their time, whatever waits."""

    name = "rate"
    tolerances = Tolerances()
    uses_window = True
    quantile: float | None = None
    warm_starts = 0.0
    default_target = 0.9

    def __init__(self, *, target: float | Array = default_target) -> None:
        self._target = target

    def workers(self, load: PoolLoad, now: float) -> Array:  # noqa: ARG002 - remembers nothing
        """Decide."""
        return np.where(load.jobs > 0, np.maximum(load.level / self._target, 0.001), load.level / self._target)


def _tolerant(wanted: Array, present: Array) -> Array:
    """A whole number of workers; the present one if it is off by a tenth at most."""
    off = np.abs(wanted / np.maximum(present, 1) - 1)
    return np.where((off <= _TOLERANCE) & (present > 0), present, np.ceil(wanted))
