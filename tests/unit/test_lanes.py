"""Who is attempted when: no receiver can take the places of the others. Times are handed in."""

from collections.abc import Iterable

from workers.webhooks.lanes import FAILURES, FIRST_REST_S, FIRST_WIDTH, MOST_REST_S, Lanes, Placed

GOOD, BAD, NEW = "good", "bad", "new"
ATTEMPTS, WIDTH = 16, 8


def lanes(attempts: int = ATTEMPTS, width: int = WIDTH) -> Lanes[int]:
    return Lanes[int](attempts=attempts, width=width)


def offer(some: Lanes[int], lane: str, count: int, now: float = 0.0) -> list[float]:
    return [some.offer(n, lane, now) for n in range(count)]


def begun(placed: Iterable[Placed[int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in placed:
        counts[each.lane] = counts.get(each.lane, 0) + 1
    return counts


def go_well(some: Lanes[int], lane: str, times: int = WIDTH, *, now: float = 0.0, took_s: float = 0.01) -> None:
    for _ in range(times):
        some.offer(0, lane, now)
        for placed in some.take(now):
            some.ended(placed, is_well=True, took_s=took_s, now=now)


def go_badly(some: Lanes[int], lane: str, times: int = FAILURES, *, now: float = 0.0, pause_s: float = 0.0) -> None:
    for _ in range(times):
        some.offer(0, lane, now)
        [placed] = some.take(now)
        some.ended(placed, is_well=False, took_s=0.01, now=now, pause_s=pause_s)


def test_a_receiver_of_whom_nothing_is_known_gets_few_attempts_at_once() -> None:
    some = lanes()

    offer(some, NEW, 10)

    assert {NEW: FIRST_WIDTH} == begun(some.take(0.0))


def test_one_that_does_well_gets_more_up_to_the_limit() -> None:
    some = lanes()
    go_well(some, GOOD)

    offer(some, GOOD, 20)

    assert {GOOD: WIDTH} == begun(some.take(0.0))


def test_each_failure_halves_what_a_receiver_gets() -> None:
    some = lanes()
    go_well(some, GOOD)
    go_badly(some, GOOD, 1)

    offer(some, GOOD, 20)

    assert {GOOD: WIDTH // 2} == begun(some.take(0.0))


def test_what_finds_no_place_is_told_when_its_turn_will_be() -> None:
    some = lanes()

    backs = offer(some, NEW, 10)

    assert [0.0] * FIRST_WIDTH == backs[:FIRST_WIDTH]
    assert all(earlier < later for earlier, later in zip(backs[FIRST_WIDTH:], backs[FIRST_WIDTH + 1 :], strict=False))


def test_nobody_is_sent_away_for_more_than_a_minute() -> None:
    some = lanes()

    assert max(offer(some, NEW, 100_000)) <= 60.0


def test_receivers_that_hang_leave_half_of_the_places_to_quick_ones() -> None:
    some = lanes()
    go_well(some, GOOD)
    hanging = 0
    for n in range(50):
        offer(some, f"hangs{n}", 5)
        hanging += len(some.take(0.0))

    offer(some, GOOD, WIDTH)

    assert hanging == ATTEMPTS // 2
    assert {GOOD: WIDTH} == begun(some.take(0.0))


def test_receivers_that_hang_leave_room_for_what_quick_ones_are_to_be_told() -> None:
    some = lanes()

    for n in range(50):
        offer(some, f"hangs{n}", 5)
        some.take(0.0)

    assert some.room >= ATTEMPTS


def test_a_receiver_that_answers_slowly_is_not_quick() -> None:
    some = lanes()
    go_well(some, GOOD, 20, took_s=5.0)

    offer(some, GOOD, 1)

    assert [False] == [placed.is_quick for placed in some.take(0.0)]


def test_after_failures_one_after_the_other_a_receiver_rests_and_nothing_is_sent() -> None:
    some = lanes()
    go_badly(some, BAD)

    assert offer(some, BAD, 50) == [0.0] * 50

    refused = some.take(1.0)
    assert 50 == len(refused)
    assert {FIRST_REST_S - 1.0} == {placed.rests_s for placed in refused}
    assert (0, 1) == (some.held, some.resting)


def test_after_its_rest_it_is_tried_by_one_attempt() -> None:
    some = lanes()
    go_badly(some, BAD)
    after = FIRST_REST_S

    offer(some, BAD, 5, after)

    assert {BAD: 1} == begun(some.take(after))
    assert [] == some.take(after)


def test_it_rests_longer_each_time_but_not_for_ever() -> None:
    some, now, rests = lanes(), 0.0, []
    go_badly(some, BAD, FAILURES - 1)
    for _ in range(10):
        go_badly(some, BAD, 1, now=now)
        some.offer(0, BAD, now)
        rests.append(some.take(now)[0].rests_s)
        now += rests[-1]

    assert [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S] == rests[:3]
    assert rests[-1] == MOST_REST_S


def test_one_success_ends_the_rests() -> None:
    some = lanes()
    go_badly(some, BAD)
    go_well(some, BAD, 1, now=FIRST_REST_S)

    assert 0 == some.resting
    go_badly(some, BAD, 1, now=FIRST_REST_S)
    some.offer(0, BAD, FIRST_REST_S)
    assert [0.0] == [placed.rests_s for placed in some.take(FIRST_REST_S)]


def test_a_failure_between_successes_lets_nobody_rest() -> None:
    some = lanes()

    for _ in range(3 * FAILURES):
        go_badly(some, BAD, 1)
        go_well(some, BAD, 1)

    assert 0 == some.resting


def test_a_receiver_that_asks_for_a_pause_gets_it_at_once() -> None:
    some = lanes()
    go_badly(some, BAD, 1, pause_s=30.0)

    some.offer(0, BAD, 10.0)

    assert [20.0] == [placed.rests_s for placed in some.take(10.0)]


def test_never_more_than_all_places_are_taken() -> None:
    some = lanes()
    names = [f"good{n}" for n in range(10)]
    for name in names:
        go_well(some, name)

    for name in names:
        offer(some, name, WIDTH)

    assert sum(begun(some.take(0.0)).values()) == ATTEMPTS


def test_what_waits_begins_when_a_place_is_free() -> None:
    some = lanes(attempts=1, width=1)
    some.offer(1, GOOD, 0.0)
    [first] = some.take(0.0)
    some.offer(2, GOOD, 0.0)

    some.ended(first, is_well=True, took_s=0.1, now=0.1)

    assert [2] == [placed.item for placed in some.take(0.1)]


def test_a_new_receiver_has_its_turn_however_many_quick_ones_have_a_backlog() -> None:
    some = lanes()
    quick = [f"good{n}" for n in range(10)]
    for name in quick:
        go_well(some, name)
    for name in quick:
        offer(some, name, ATTEMPTS)
    under_way = some.take(0.0)
    assert ATTEMPTS == len(under_way)
    some.offer(0, NEW, 0.0)

    turns: list[str] = []
    for n in range(len(quick) + 1):
        [ended, *under_way] = under_way
        some.ended(ended, is_well=True, took_s=0.01, now=0.01 * n)
        some.offer(0, ended.lane, 0.01 * n)
        begun_now = some.take(0.01 * n)
        turns += [placed.lane for placed in begun_now]
        under_way += begun_now

    assert NEW in turns


def test_what_waited_too_long_waits_no_longer() -> None:
    some = lanes(attempts=2, width=1)
    some.offer(1, GOOD, 0.0)
    some.take(0.0)
    some.offer(2, GOOD, 0.0)

    assert [] == some.late(lambda item: item < 2)
    assert [2] == some.late(lambda item: item == 2)
    assert 1 == some.held
    assert [] == some.give_up()


def test_what_is_withdrawn_leaves_its_place() -> None:
    some = lanes(attempts=1, width=1)
    some.offer(1, GOOD, 0.0)
    [placed] = some.take(0.0)

    some.withdraw(placed)

    assert (0, 2) == (some.held, some.room)


def test_who_stops_gives_up_what_waits() -> None:
    some = lanes()
    offer(some, GOOD, FIRST_WIDTH)

    assert [0, 1] == some.give_up()
    assert [] == some.take(0.0)
    assert 0 == some.held


def test_receivers_are_forgotten_once_they_are_too_many() -> None:
    some = lanes()

    for n in range(10_050):
        go_well(some, f"receiver{n}", 1)

    assert len(some._lanes) == 10_000
