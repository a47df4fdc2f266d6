"""What one worker claims for, as remote control changes it."""

import pytest

from headrace.errors import InvalidInput
from headrace.tiers import Tier
from workers.offer import ALL, Offer, pause_pattern

REFS = ["cat@1", "cat@2", "dog@1"]
TIERS = (Tier.PRIORITY, Tier.SPOT)
ANY = Offer(names=("*",))


@pytest.mark.parametrize(
    ("text", "paused"),
    [
        ("cat", {"cat@1:priority", "cat@1:spot", "cat@2:priority", "cat@2:spot"}),
        ("cat@2", {"cat@2:priority", "cat@2:spot"}),
        ("cat:spot", {"cat@1:spot", "cat@2:spot"}),
        ("cat@2:spot", {"cat@2:spot"}),
        ("*:spot", {"cat@1:spot", "cat@2:spot", "dog@1:spot"}),
    ],
)
def test_a_pause_means_the_groups_that_it_names_and_no_others(text: str, paused: set[str]) -> None:
    offer = ANY.pause([pause_pattern(text)])

    assert paused == set(offer.paused(REFS, TIERS))
    assert set(ANY.groups(REFS, TIERS)) - paused == set(offer.groups(REFS, TIERS))


@pytest.mark.parametrize("text", ["", "@1", ":spot", "cat@", "cat@new", "cat:", "cat:urgent"])
def test_what_names_no_groups_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAME@VERSION"):
        pause_pattern(text)


def test_what_was_paused_is_claimed_again_after_it_is_resumed() -> None:
    paused = ANY.pause([pause_pattern("cat"), pause_pattern("dog:spot")])

    resumed = paused.resume([pause_pattern("cat")])

    assert ("dog@1:spot",) == resumed.paused(REFS, TIERS)


def test_resuming_what_was_not_paused_says_what_is() -> None:
    with pytest.raises(InvalidInput, match=r"cat@\*:spot was not paused here; paused is dog@\*:\*"):
        ANY.pause([pause_pattern("dog")]).resume([pause_pattern("cat:spot")])


def test_a_model_that_is_not_served_is_neither_claimed_nor_paused() -> None:
    offer = Offer(names=("dog",)).pause([ALL])

    assert () == offer.groups(REFS, TIERS)
    assert ("dog@1:priority", "dog@1:spot") == offer.paused(REFS, TIERS)
