"""What `submit` is sent for many jobs."""

from headrace.jobs import NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.tiers import Tier


def test_each_kind_of_jobs_is_sent_once_however_they_take_turns() -> None:
    tiers = [Tier.STANDARD, Tier.SPOT, Tier.SPOT, Tier.STANDARD]
    jobs = [
        NewJob(id=f"job-{number}", input=b"1", tenant="acme", ref=ModelRef("echo", 1), tier=tier)
        for number, tier in enumerate(tiers)
    ]

    args = JobStore(Keys()).submit_many(jobs, cap=10).args

    rows = args[-3 * len(jobs) :]
    assert list(rows[0::3]) == [f"acme/job-{number}" for number in range(4)]
    assert list(rows[1::3]) == ["1", "2", "2", "1"]
    assert [args.count("echo@1:standard"), args.count("echo@1:spot")] == [1, 1]
