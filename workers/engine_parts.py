"""The engine's parts that depend on nothing but what was set for this process and its worker class."""

from collections.abc import Callable
from fnmatch import fnmatchcase

from headrace import worker_fit
from headrace.groups import split_group
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.worker_class import WorkerClass
from headrace.worker_fit import Needs
from workers.child_process import ChildProcess, child_arguments
from workers.executor import Executor, ExecutorLimits
from workers.passing_on import PassingOn
from workers.residency import Residency
from workers.wire import Wire


def executor_maker(settings: Settings, kind: WorkerClass, ahead: ChildProcess | None) -> Callable[[], Executor]:
    """What makes executors; the first one, that of the child that most versions share, begins with `ahead`."""
    limits = ExecutorLimits(forward_s=settings.forward_limit_s, load_s=settings.load_limit_s, threads=kind.threads)
    first = [ahead]

    def make() -> Executor:
        child = first.pop() if first else None
        return Executor(arguments=child_arguments(settings, kind), limits=limits, ahead=child)

    return make


def residency_of(kind: WorkerClass) -> Residency:
    """Who decides which models stay loaded."""
    return Residency(
        budget_bytes=kind.memory_bytes,
        host_bytes=kind.host_memory_bytes,
        patience_s=kind.wait_objective_s,
        device_wide=kind.device.startswith("cuda") and kind.slots == 1,
        pinned=lambda ref: any(fnmatchcase(ref.partition("@")[0], name) for name in kind.pinned),
    )


def passing_on_of(
    settings: Settings, kind: WorkerClass, *, wire: Wire, store: JobStore, needs_of: Callable[[str], Needs]
) -> PassingOn:
    """Who hands jobs on that are too large; `needs_of` a version is what it needs of a worker, as far as is known."""

    def has_larger(group: str) -> bool:
        ref, tier = split_group(group)
        return worker_fit.has_larger(settings.worker_classes, kind.memory_bytes, ref.name, tier, needs_of(str(ref)))

    return PassingOn(
        wire=wire,
        store=store,
        size_bytes=kind.memory_bytes,
        tiers=kind.tiers,
        has_larger=has_larger,
        result_ttl_s=settings.result_ttl_s,
    )
