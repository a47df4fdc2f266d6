"""Who reads the pipe from the parent: the idle main thread itself, else, and soon, the reader."""

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from workers.batcher import Wait
from workers.frames import Frame, Message, encode
from workers.inbox import Inbox, Task, Unload
from workers.intake import Intake


class Rig:
    """An intake in a process that is not a child; its main thread is whoever calls it."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        #: What was heard, and by which thread.
        self.heard: list[tuple[Message, str]] = []
        self.down, self.write_end = os.pipe()
        #: Set when the main thread has been at something for a while.
        self.is_long = threading.Event()
        self.intake = Intake(fd=self.down, hear=self._hear, on_long=self.is_long.set)

    def _hear(self, message: Message) -> None:
        self.heard.append((message, threading.current_thread().name))
        self.inbox.put(message)

    def say(self, kind: Frame, *fields: object) -> None:
        os.write(self.write_end, encode(kind, *fields))

    def idle(self) -> Task:
        return self.intake.idle(lambda: self.inbox.next({}))

    @property
    def readers(self) -> list[str]:
        return [name for _, name in self.heard]


@pytest.fixture
def rig() -> Rig:
    # The reader stays where it is, in its wait, and the pipe with it: its end would end this process.
    return Rig()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.002)


def test_an_idle_main_thread_reads_by_itself(rig: Rig) -> None:
    rig.intake.start()
    rig.intake.look()
    threading.Timer(0.05, rig.say, (Frame.UNLOAD, "a@1")).start()

    # At work from the start of the intake on: the reader may have come meanwhile, and hands over once.
    first = rig.idle()
    rig.say(Frame.UNLOAD, "b@1")
    second = rig.idle()

    assert [Unload("a@1"), Unload("b@1")] == [first, second]
    assert "MainThread" == rig.readers[-1]


def test_what_comes_while_the_main_thread_is_at_something_is_heard_by_the_reader(rig: Rig) -> None:
    rig.intake.start()

    rig.say(Frame.UNLOAD, "a@1")
    wait_for(lambda: bool(rig.heard))

    assert ["reader"] == rig.readers
    assert Unload("a@1") == rig.inbox.take({})


def test_the_reader_hands_over_to_an_idle_main_thread_and_leaves_the_pipe_to_it(rig: Rig) -> None:
    rig.intake.start()
    rig.say(Frame.UNLOAD, "a@1")
    wait_for(lambda: bool(rig.heard))
    assert Unload("a@1") == rig.idle()
    # It is the reader's still: nothing has come since.
    threading.Timer(0.05, rig.say, (Frame.UNLOAD, "b@1")).start()

    handed_over = rig.idle()
    rig.say(Frame.UNLOAD, "c@1")
    own = rig.idle()

    assert [Unload("b@1"), Unload("c@1")] == [handed_over, own]
    assert ["reader", "MainThread"] == rig.readers[1:]


def test_what_the_reader_brings_while_the_main_thread_turns_idle_is_not_left_lying(rig: Rig) -> None:
    rig.intake.start()
    rig.say(Frame.DROP, [1])
    wait_for(lambda: bool(rig.heard))

    def find() -> Task | Wait | None:
        found = rig.inbox.next({})
        if len(rig.heard) == 1:
            rig.say(Frame.UNLOAD, "a@1")
            wait_for(lambda: len(rig.heard) == 2 and rig.intake.is_watched)
        return found

    assert Unload("a@1") == rig.intake.idle(find)


def test_the_reader_says_when_the_main_thread_has_been_at_something_for_a_while(rig: Rig) -> None:
    rig.say(Frame.UNLOAD, "a@1")
    rig.idle()
    assert rig.intake.is_watched

    rig.intake.start()

    assert rig.is_long.wait(60)
    wait_for(lambda: not rig.intake.is_watched)


def test_between_two_passes_the_main_thread_hears_what_has_come(rig: Rig) -> None:
    rig.say(Frame.UNLOAD, "a@1")
    rig.say(Frame.PARK, "b@1")

    rig.intake.look()

    assert [[Frame.UNLOAD, "a@1"], [Frame.PARK, "b@1"]] == [message for message, _ in rig.heard]
    assert ["MainThread"] * 2 == rig.readers


def test_looking_into_an_empty_pipe_does_not_wait(rig: Rig) -> None:
    rig.intake.look()

    assert [] == rig.heard


def test_a_message_that_brings_nothing_to_do_leaves_the_main_thread_listening(rig: Rig) -> None:
    rig.say(Frame.DROP, [1, 2])
    rig.say(Frame.UNLOAD, "a@1")

    assert Unload("a@1") == rig.idle()
    assert 2 == len(rig.heard)


def test_what_is_due_later_is_done_then_though_nobody_says_anything(rig: Rig) -> None:
    due_s = time.monotonic() + 0.02

    task = rig.intake.idle(lambda: Wait(due_s) if time.monotonic() < due_s else Unload("a@1"))

    assert Unload("a@1") == task
    assert [] == rig.heard


def test_what_is_due_later_is_done_then_though_the_reader_has_the_pipe(rig: Rig) -> None:
    rig.intake.start()
    rig.say(Frame.DROP, [1])
    wait_for(lambda: bool(rig.heard))
    due_s = time.monotonic() + 0.02

    task = rig.intake.idle(lambda: Wait(due_s) if time.monotonic() < due_s else Unload("a@1"))

    assert Unload("a@1") == task
    assert ["reader"] == rig.readers


def test_a_message_that_comes_in_pieces_is_put_together_whoever_reads_them(rig: Rig) -> None:
    row = [7, b"x" * 5_000, 1, math.inf, False, b"", None]
    message = encode(Frame.JOBS, "a@1", False, [row])
    os.write(rig.write_end, message[:100])
    rig.intake.look()

    rig.intake.start()
    os.write(rig.write_end, message[100:])
    wait_for(lambda: bool(rig.heard))

    assert [[Frame.JOBS, "a@1", False, [row]]] == [message for message, _ in rig.heard]


@pytest.mark.parametrize("state", ["intake.idle(lambda: None)", "time.sleep(600)", "intake.look()"])
def test_the_end_of_the_pipe_ends_the_process_whatever_it_is_at(state: str) -> None:
    code = f"""
import os, sys, time
from workers.intake import Intake
intake = Intake(fd=0, hear=lambda message: None, on_long=lambda: None)
intake.start()
print("begun", flush=True)
while True:
    {state}
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"begun\n" == process.stdout.readline()

    process.stdin.close()

    assert 0 == process.wait(60)
    process.stdout.close()
