"""The language of the pipe."""

import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.frames import Decoder, Frame, FrameReader, Message, encode


def test_a_message_comes_out_as_it_went_in() -> None:
    data = encode(Frame.JOBS, "a@1", True, [(1, b"\x00\xff"), (2, b"")])

    messages = list(Decoder().feed(data))

    assert messages == [[Frame.JOBS, "a@1", True, [[1, b"\x00\xff"], [2, b""]]]]


@settings(max_examples=50, derandomize=True, database=None)
@given(bodies=st.lists(st.binary(max_size=300), max_size=6), cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_messages_survive_any_fragmentation(bodies: list[bytes], cuts: list[int]) -> None:
    data = b"".join(encode(Frame.JOBS, body) for body in bodies)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = Decoder()

    messages: list[Message] = []
    for start, end in pairwise(edges):
        messages += decoder.feed(data[start:end])

    assert [[Frame.JOBS, body] for body in bodies] == messages


def test_a_reader_that_stops_halfway_loses_nothing_of_what_follows() -> None:
    decoder = Decoder()
    data = encode(Frame.LOAD, "a@1") + encode(Frame.LOAD, "b@1")

    first = next(decoder.feed(data))

    assert first == [Frame.LOAD, "a@1"]
    assert list(decoder.feed(b"")) == [[Frame.LOAD, "b@1"]]


def test_a_descriptor_is_read_until_its_end_and_what_was_read_before_stays_as_it_was() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    frames = FrameReader(read_end)
    first, second = encode(Frame.JOBS, b"first"), encode(Frame.JOBS, b"second")

    os.write(write_end, first + second[:3])
    begun = frames.read()
    os.write(write_end, second[3:])
    rest = frames.read()
    with pytest.raises(BlockingIOError):
        frames.read()
    os.close(write_end)

    assert ([[Frame.JOBS, b"first"]], [[Frame.JOBS, b"second"]], None) == (begun, rest, frames.read())
    os.close(read_end)
