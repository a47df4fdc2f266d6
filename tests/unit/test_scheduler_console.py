"""Lines of several processes in one place."""

import io
import json
import re

from scheduler.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_each_line_begins_with_the_name_of_its_process() -> None:
    out = io.StringIO()

    Console(out).line("api", "hello")

    assert re.fullmatch(r"\d\d:\d\d:\d\d api {14}\| hello\n", out.getvalue())


def test_a_file_gets_no_colours() -> None:
    out = io.StringIO()

    Console(out).line("api", "hello")

    assert "\033" not in out.getvalue()


def test_on_a_terminal_each_process_has_a_colour_of_its_own() -> None:
    out = Terminal()
    console = Console(out)

    for name in ("api", "redis", "api"):
        console.line(name, "x")

    colours = [line.split()[1].partition("m")[0] for line in out.getvalue().splitlines()]
    assert colours[0] == colours[2] != colours[1]


def test_a_reader_that_has_gone_does_not_end_the_system() -> None:
    Console(Gone()).line("api", "hello")


def test_as_json_each_line_is_an_object_whoever_wrote_it() -> None:
    out = io.StringIO()
    console = Console(out, as_json=True)

    console.line("api", '{"service": "api", "message": "as it came"}')
    console.line("redis", "Ready to accept connections")
    console.plain("\n  it is up\n")

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [("api", "as it came"), ("redis", "Ready to accept connections"), ("up", "it is up")] == [
        (line["service"], line["message"]) for line in lines
    ]
