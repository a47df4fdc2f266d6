"""The language of the pipe between parent and child: four bytes of length, then a msgpack list led by its kind.

Down, parent to child:
    LOAD    [ref, state, spares]                    fetch, verify and load a model version; what is known of its speed;
                                                    whether jobs come back unrun that would run out of memory
    JOBS    [ref, alone, [[slot, input, tier, deadline_s, leads, state, seed or nil], …], slot, …]   run these, each by
                                                    itself if `alone`; the slots that follow share no pass with others
    DROP    [[slot, …]]                             forget these unless their pass has begun
    FINISH  []                                      finish the running batch and forget the rest
    BEGIN   [devices]                               to a child that was started ahead: its CUDA_VISIBLE_DEVICES or nil
    CHECKPOINT []                                   say how far the running batch is
    UNLOAD  [ref]                                   free the memory of a version of which no job is here
    PARK    [ref]                                   the same, but keep it in host memory; LOAD brings it back from there
Up, child to parent:
    HELLO   [pid]                                   ready for work
    LOADED  [ref, max_batch, [size_bytes, extra_bytes, load_s, return_s, can_park], used_bytes]
                                                    a `Footprint`, and what all use now
    UNLOADED [ref, used_bytes]                      also if it was to be parked and could not be
    PARKED  [ref, host_bytes, took_s, used_bytes]   it takes so much of host memory; the copy took so long
    REFUSED [ref, error, used_bytes]                could not be loaded; what all use now
    STARTED [ref, [slot, …], expected_s]            a forward pass begins with exactly these; 0: nobody knows how long.
                                                    Of a brief one only DONE is said (`opening`)
    DONE    [[slot, …], [[ok, cause or nil, body], …], report]   their ends, and a `PassReport`; a failure
                                                    without a cause was not run, for want of memory
    LEARNED [ref, state]                            what is known of a version's speed by now
    CHECKPOINTED [[slot, …], [state, …]]            how far the jobs of the running batch are; none if nothing is kept
    PROGRESSED [[[slot, fraction, message], …]]     what the model says of how far jobs are, for those who wait for them
The results of one pass may come after the next one has begun. Deadlines are monotonic seconds, of this machine.
Inputs and results stay bytes throughout; nothing is ever pickled.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import msgpack

Message: TypeAlias = list[Any]

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 20
#: One packer for all messages: it brings a megabyte of memory. It keeps the interpreter until it has packed one.
_pack = msgpack.Packer().pack


class Frame(IntEnum):
    """The kind of a message."""

    LOAD = 0
    JOBS = 1
    FINISH = 2
    DROP = 3
    UNLOAD = 4
    BEGIN = 5
    CHECKPOINT = 6
    PARK = 7
    HELLO = 10
    LOADED = 11
    REFUSED = 12
    STARTED = 13
    DONE = 14
    LEARNED = 15
    UNLOADED = 16
    CHECKPOINTED = 17
    PROGRESSED = 18
    PARKED = 19


class PassReport(NamedTuple):
    """What the child counted in one forward pass.

    `took_s` is the wall time from forming the batch to its rows, `staged_s` the work that waited in the child at the
    end. `cost` is that of the batch as padded (items times the largest) and `padding` how much of it was filling;
    `runs` counts the calls of `forward`, more than one if a run failed. `costs` are those of the jobs, in their order,
    if the model tells costs.
    """

    took_s: float
    staged_s: float
    cost: float
    items: int
    runs: int
    padding: float
    costs: Sequence[float] = ()

    def parts_ms(self, jobs: int) -> Sequence[float | None]:
        """What each of the jobs had of the pass, by their costs; None for each where all had as much."""
        if not self.costs or min(self.costs) == max(self.costs):
            return [None] * jobs
        ms_per_cost = 1000 * self.took_s / sum(self.costs)
        return [cost * ms_per_cost for cost in self.costs]


def encode(kind: Frame, *fields: object) -> bytes:
    """One message as bytes."""
    body: bytes = _pack((int(kind), *fields))
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Turns bytes as they come into messages."""

    def __init__(self) -> None:
        #: The beginning of a message that is not complete.
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Yield the messages that `data` completes."""
        source: bytes | memoryview | bytearray = data
        if self._buffer:
            self._buffer += data
            source = self._buffer
        at = 0
        try:
            while (end := _end_of_message(source, at)) is not None:
                with memoryview(source) as view:
                    message: Message = msgpack.unpackb(view[at + _LENGTH.size : end])
                at = end
                yield message
        finally:
            if source is self._buffer:
                # Once a read, not once a message: each deletion moves the rest.
                del self._buffer[:at]
            elif at < len(source):
                self._buffer += source[at:]


def _end_of_message(source: bytes | memoryview | bytearray, at: int) -> int | None:
    begin = at + _LENGTH.size
    if len(source) < begin:
        return None
    end = begin + int(_LENGTH.unpack_from(source, at)[0])
    return end if len(source) >= end else None


class FrameReader:
    """Reads messages from a descriptor, into memory that is kept: asking for it at each read costs more than the read.

    Args:
        fd: one end of the pipe.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = Decoder()
        self._memory = memoryview(bytearray(_READ_BYTES))

    def read(self) -> list[Message] | None:
        """The messages that one read completes, None at the end of the pipe.

        Raises:
            BlockingIOError: if nothing is there and the descriptor does not block.
        """
        count = os.readv(self._fd, [self._memory])
        return list(self._decoder.feed(self._memory[:count])) if count else None
