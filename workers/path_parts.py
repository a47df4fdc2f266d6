"""PathParts: what the way of a job through the parent connects."""

from dataclasses import dataclass

from headrace.store import JobStore
from workers.children import Children
from workers.claim_policy import ClaimPolicy
from workers.committer import Committer
from workers.cost_states import CostStates
from workers.move_log import MoveLog
from workers.passing_on import PassingOn
from workers.residency import Residency
from workers.view import JobView
from workers.wire import Wire


@dataclass(frozen=True, kw_only=True)
class PathParts:
    """What the path connects."""

    wire: Wire
    store: JobStore
    children: Children
    committer: Committer
    policy: ClaimPolicy
    residency: Residency
    costs: CostStates
    passing_on: PassingOn
    moves: MoveLog
    view: JobView
    #: Most that is kept of how far a job is.
    most_kept_bytes: int
    #: Shortest time between two notes of how far a job is.
    progress_interval_s: float
