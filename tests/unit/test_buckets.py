"""A histogram of plain numbers."""

from headrace.buckets import Buckets


def test_each_bucket_counts_what_is_not_larger_than_its_bound() -> None:
    buckets = Buckets((1, 2.5, 4))

    for value in (0, 1, 2, 4, 5):
        buckets.add(value)

    assert [("1", 2), ("2.5", 3), ("4", 4), ("+Inf", 5)] == buckets.cumulative()
    assert (5, 12) == (buckets.count, buckets.sum)
