"""Job ids: sorted by time, bound to tenant and installation."""

import re
import uuid

import pytest

from headrace.ids import is_authentic, new_job_id, new_job_ids

KEY = b"secret of this installation"


def make(*, tenant: str = "acme", key: bytes = KEY, now_ns: int | None = None) -> str:
    return new_job_id(cell="c1", tenant=tenant, key=key, now_ns=now_ns)


def test_an_id_is_authentic_to_its_tenant_only() -> None:
    job_id = make()

    assert is_authentic(job_id, tenant="acme", key=KEY)
    assert not is_authentic(job_id, tenant="other", key=KEY)
    assert not is_authentic(job_id, tenant="acme", key=b"another installation")


def test_changing_any_letter_makes_an_id_invented() -> None:
    job_id = make()

    for i in range(3, len(job_id)):
        letter = "0" if job_id[i] != "0" else "1"
        assert not is_authentic(job_id[:i] + letter + job_id[i + 1 :], tenant="acme", key=KEY)


@pytest.mark.parametrize("text", ["", "c1-", "c1-" + "0" * 32, "nonsense", "C1-" + "0" * 32, "c1-" + "u" * 32, "../x"])
def test_what_is_no_id_is_not_authentic(text: str) -> None:
    assert not is_authentic(text, tenant="acme", key=KEY)


def test_a_trailing_line_break_is_not_part_of_an_id() -> None:
    assert not is_authentic(make() + "\n", tenant="acme", key=KEY)


def test_ids_sort_by_time() -> None:
    ids = [make(now_ns=(1_700_000_000_000 + i * 1000) * 1_000_000) for i in range(20)]

    assert sorted(ids) == ids


def test_ids_of_one_millisecond_sort_by_time_too() -> None:
    ids = [make(now_ns=1_700_000_000_000_000_000 + i * 250) for i in range(20)]

    assert sorted(ids) == ids


def test_ids_of_one_millisecond_differ() -> None:
    assert len({make(now_ns=1_700_000_000_000_000_000) for _ in range(1000)}) == 1000


def test_ids_that_are_made_together_are_in_order_over_the_end_of_a_millisecond() -> None:
    ids = new_job_ids(1000, cell="c1", tenant="acme", key=KEY, now_ns=1_700_000_000_000_900_000)

    assert sorted(set(ids)) == ids
    assert all(is_authentic(job_id, tenant="acme", key=KEY) for job_id in ids)
    assert make(now_ns=1_700_000_000_002_000_000) > ids[-1]


def test_the_middle_of_an_id_is_a_uuid_of_version_7() -> None:
    letters = make(now_ns=1_700_000_000_000_000_000)[3:29]
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = 0
    for letter in letters:
        number = number << 5 | alphabet.index(letter)

    made = uuid.UUID(int=number)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert number >> 80 == 1_700_000_000_000


def test_an_id_fits_into_a_record_and_a_url() -> None:
    job_id = new_job_id(cell="cell0000", tenant="acme", key=KEY)

    assert len(job_id) == 41
    assert re.fullmatch(r"[a-z0-9-]+", job_id)
    assert is_authentic(job_id, tenant="acme", key=KEY)
