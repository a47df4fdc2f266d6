"""The demo's second part: a burst in all tiers, for which the scheduler starts workers and drains them again."""

import asyncio
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from examples.demo import burst_checks
from examples.demo.burst import Burst, send_burst
from examples.demo.chart import save_chart
from examples.demo.checks import Check
from examples.demo.figures import burst_rows
from examples.demo.receiver import Receiver
from examples.demo.report import Report
from examples.demo.system import DemoSystem
from examples.demo.timeline import Documents, Sample, watching
from headrace.async_client import AsyncClient
from headrace.tiers import Tier

#: How much of the quiet before and after is seen.
_MARGIN_S = 2.0
#: How long workers may take to be drained, and webhooks to arrive.
_CALM_LIMIT_S = 60.0
_WEBHOOK_LIMIT_S = 30.0
#: A burst is so much work for one worker, or it would be done before another one is there; but no more jobs than this.
_BURST_S = 20.0
_MOST_JOBS = 6_000


class Story(NamedTuple):
    """All that happened."""

    burst: Burst
    samples: list[Sample]
    began: datetime
    #: What the scheduler changed since the burst began, the oldest first.
    changes: Documents
    first_extra_s: float | None


def show_scaling(system: DemoSystem, texts: Sequence[str], report: Report, *, rate: float) -> list[Check]:
    """Send the burst, show what it did, save the chart; answers what was checked.

    `rate` is how many jobs a second one worker was seen to do.
    """
    texts = [*texts] * rounds_of(len(texts), rate=rate)
    with Receiver(secret=system.webhook_secret()) as receiver:
        story = asyncio.run(_tell(system, texts, receiver, report))
        deliveries, refused = receiver.deliveries, receiver.refused
    save_chart(
        system.chart_path,
        story.samples,
        title=f"A burst of {len(story.burst.outcomes)} jobs in three tiers: workers come for it and go after it",
        first_extra_s=story.first_extra_s,
    )
    _explain(story, report)
    report.text(f"\n  the same as a chart: {os.path.relpath(system.chart_path)}\n")
    checks = [
        burst_checks.check_succeeded(story.burst),
        burst_checks.check_ran_once(story.burst),
        burst_checks.check_webhooks(story.burst.announced, deliveries, refused),
        burst_checks.check_first_extra(story.first_extra_s),
        burst_checks.check_back(story.samples, system.least_workers),
    ]
    report.checks(checks)
    report.figures(burst_rows(story.burst))
    return checks


def rounds_of(texts: int, *, rate: float) -> int:
    """How often each of so many texts is sent in each tier."""
    jobs = len(Tier) * texts
    return max(1, math.ceil(min(_BURST_S * rate, _MOST_JOBS) / jobs))


async def _tell(system: DemoSystem, texts: Sequence[str], receiver: Receiver, report: Report) -> Story:
    def is_idle(sample: Sample) -> bool:
        return sample.is_idle(system.least_workers)

    report.text("")
    async with AsyncClient(system.url) as client:
        async with watching(client) as before:
            await before.until(is_idle, limit_s=_CALM_LIMIT_S)
        jobs = len(Tier) * len(texts)
        report.step(f"all is calm; now {jobs} jobs at once, alike in each tier, every tenth with a webhook")
        with report.picture() as show:
            async with watching(client, show) as watch:
                await asyncio.sleep(_MARGIN_S)
                watch.begin()
                began = datetime.now(UTC)
                burst = await send_burst(client, texts, receiver_url=receiver.url)
                await asyncio.to_thread(receiver.wait_for, burst.announced, _WEBHOOK_LIMIT_S)
                await watch.until(is_idle, limit_s=_CALM_LIMIT_S)
                await asyncio.sleep(_MARGIN_S)
    changes = [change for change in reversed(watch.changes) if datetime.fromisoformat(change["at"]) >= began]
    return Story(burst, watch.samples, began, changes, watch.first_extra_s)


def _explain(story: Story, report: Report) -> None:
    """Say what the scheduler did, in its own words."""
    report.text("\n  what the scheduler did, and why, in the words of `headrace scaling`")
    for change in story.changes:
        after_s = (datetime.fromisoformat(change["at"]) - story.began).total_seconds()
        moved = f"{change['worker_class']} {change['before']} → {change['after']}"
        report.text(f"  {after_s:5.1f} s  {moved:<15}  {change['reason']}")
