"""What waits for a model, and whether that is worth a load."""

import pytest

from headrace.tiers import Tier
from workers.model_choice import KAPPA, Backlog, weigh


def waiting(jobs: int, oldest_s: float = 0.0) -> list[Backlog]:
    return [Backlog(Tier.STANDARD, jobs, oldest_s)]


@pytest.mark.parametrize(
    ("jobs", "oldest_s", "expected"),
    [
        (int(KAPPA * 2.0 / 0.1), 0.0, True),
        (int(KAPPA * 2.0 / 0.1) - 1, 0.0, False),
        (1, 8.0, True),
        (1, 7.9, False),
        (0, 0.0, False),
    ],
)
def test_a_load_pays_by_the_work_that_waits_or_because_the_oldest_can_wait_no_longer(
    jobs: int, oldest_s: float, expected: bool
) -> None:
    candidate = weigh("cat@1", waiting(jobs, oldest_s), job_s=0.1, load_s=2.0, patience_s=10.0)

    assert expected == candidate.is_worth_it


def test_priority_jobs_weigh_more_than_spot_jobs_and_old_ones_more_than_new_ones() -> None:
    def urgency(tier: Tier, oldest_s: float) -> float:
        return weigh("cat@1", [Backlog(tier, 10, oldest_s)], job_s=0.1, load_s=1.0, patience_s=10.0).urgency

    assert urgency(Tier.PRIORITY, 0.0) > urgency(Tier.STANDARD, 0.0) > urgency(Tier.SPOT, 0.0)
    assert urgency(Tier.SPOT, 5.0) > urgency(Tier.SPOT, 0.0)
