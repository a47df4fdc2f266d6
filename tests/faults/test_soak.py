"""The short form of `make soak`: thousands of jobs while something is killed every three seconds."""

from collections.abc import Callable

import pytest

from tests.faults.checker import verify
from tests.faults.soak import SoakTerms, soak

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_thousands_of_jobs_survive_a_kill_every_three_seconds(figure: Callable[[str], None]) -> None:
    outcome = soak(SoakTerms(jobs=5_000, seed=11, rate=80))

    figure(str(outcome))
    verify(outcome.verdicts)
