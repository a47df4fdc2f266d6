"""A caller's connection: its requests must come in time and within bounds, and their answers must be taken.

uvicorn bounds none of that: over httptools a header may have any length, and all the time that there is. What is
refused before a route is reached is a problem document like any other.
"""

import secrets
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.connection_book import Phase
from api.outgoing import Outgoing
from api.problems import MEDIA_TYPE, problem_document, retry_headers
from headrace.errors import HeadersTooLarge, HeadraceError, MalformedRequest, RequestTimeout, TooManyConnections

if TYPE_CHECKING:
    from api.reception import Reception

#: A body that comes more slowly than this, over the time that is given to it, comes too slowly.
LEAST_BODY_BYTES_PER_S = 1024
#: What a header field costs beside its name and value.
_FIELD_BYTES = 4


class _Stage(Enum):
    """How far the newest request has come in."""

    HEAD = auto()
    BODY = auto()
    WHOLE = auto()


class _RefusedError(Exception):
    """Ends the parser's work; what is said to the caller was noted before."""


class Connection(HttpToolsProtocol):
    """One connection, as uvicorn makes it.

    Args:
        reception: knows all of them.
        options: uvicorn's.
    """

    def __init__(self, *, reception: "Reception", **options: Any) -> None:
        super().__init__(**options)
        self._reception = reception
        self._bounds = reception.bounds
        self._book = reception.book
        self._phase = Phase.HEAD
        self._stage = _Stage.HEAD
        self._refusal: HeadraceError | None = None
        #: The request that is being answered, or was last; `cycle` is the newest, which may have to wait for that.
        self._served: RequestResponseCycle | None = None
        #: Bytes of header fields or trailers that have come, of the newest packet, of the body since it last got on.
        self._field_bytes = self._packet_bytes = self._body_bytes = 0
        #: What waited to be taken when that was looked at.
        self._unsent_bytes = 0

    # --- what comes in

    def connection_made(self, transport: Any) -> None:
        """Take a place, if need be that of one that makes no use of it."""
        super().connection_made(transport)
        # An answer leaves at once; uvloop would hold it to the end of the turn, behind what others still do in that.
        transport.set_write_buffer_limits(high=0)
        self._outgoing = Outgoing(transport)
        has_place, displaced = self._book.enter(self, self._reception.now())
        if displaced is not None:
            self._reception.dropped["displaced"] += 1
            displaced.cut()
        if not has_place:
            busy = f"all {self._bounds.connections} connections of this process are busy; come back later"
            self._refuse("crowded", TooManyConnections(busy))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._book.leave(self)
        self._tell_of_the_end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came, unless it is no HTTP or too much of it."""
        if self._phase is Phase.PARTING:
            return
        self._packet_bytes = size = len(data)
        was_in_body, body_bytes = self._stage is _Stage.BODY, self._body_bytes
        if not was_in_body:
            self._field_bytes += size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to what nobody here speaks, so the request is answered as it is (RFC 9110, section 7.8)
        except httptools.HttpParserError as error:
            self._refuse("malformed", self._refusal or MalformedRequest(f"this is no HTTP: {error}"))
            return
        if was_in_body and self._stage is _Stage.BODY and self._body_bytes == body_bytes:
            self._field_bytes += size  # trailers
        if self._field_bytes > self._bounds.header_bytes:
            self._refuse("large_header", self._too_large())
        else:
            self._note_phase()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._stage = _Stage.HEAD

    def on_headers_complete(self) -> None:
        """Begin to serve a request whose header fields are not too many."""
        limit = self._bounds.header_bytes
        if (self._packet_bytes > limit or self._field_bytes > limit) and self._head_bytes() > limit:
            self._refusal = self._too_large()
            raise _RefusedError
        self._field_bytes = 0
        self._stage = _Stage.BODY
        super().on_headers_complete()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _FIELD_BYTES for name, value in self.headers)

    def _too_large(self) -> HeadersTooLarge:
        limit = self._bounds.header_bytes
        return HeadersTooLarge(f"the request line and the header fields have more than {limit} bytes; send fewer")

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has come in whole."""
        self._field_bytes = 0
        self._stage = _Stage.WHOLE
        super().on_message_complete()

    # --- what goes out

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        self._outgoing.begin(cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with what comes next."""
        self._outgoing.flush()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._book.stall(self, self._reception.now())
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self._note_phase()

    def pause_writing(self) -> None:
        """More is sent than is taken."""
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._book.stall(self, self._reception.now())

    def resume_writing(self) -> None:
        """Enough was taken."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._book.flow(self)

    # --- how it is going

    def _is_answering(self) -> bool:
        return self._served is not None and not self._served.response_complete

    def _note_phase(self) -> None:
        phase = self._phase_now()
        if phase is not self._phase or (phase is Phase.BODY and self._has_got_on()):
            self._note(phase)

    def _phase_now(self) -> Phase:
        if self._stage is _Stage.BODY:
            return Phase.BODY
        if self._is_answering():
            return Phase.BUSY
        return Phase.HEAD if self._stage is _Stage.HEAD else Phase.IDLE

    def _has_got_on(self) -> bool:
        # What comes after the answer is thrown away, and need not go on for ever.
        return self._is_answering() and self._body_bytes >= LEAST_BODY_BYTES_PER_S * self._bounds.body_s

    def _note(self, phase: Phase) -> None:
        self._phase, self._body_bytes = phase, 0
        self._book.note(self, phase, self._reception.now())

    def is_overdue(self) -> None:
        """Its patience is over."""
        match self._phase:
            case Phase.IDLE:
                self._close()
            case Phase.HEAD if not self._field_bytes:
                self._reception.dropped["silent"] += 1
                self._close()
            case Phase.HEAD:
                allowed = f"the header fields must come within {self._bounds.header_s:g} s; send them at once"
                self._refuse("slow_header", RequestTimeout(allowed))
            case Phase.BODY if self.flow.read_paused:
                self._note(Phase.BODY)  # it is we who do not read
            case Phase.BODY if self._is_answering():
                least = f"{LEAST_BODY_BYTES_PER_S * self._bounds.body_s:g} bytes every {self._bounds.body_s:g} s"
                self._refuse("slow_body", RequestTimeout(f"of a body {least} must come; send it without pauses"))
            case _:
                self.cut()

    def is_stalled(self) -> None:
        """What was sent to it has not been taken for long; if some of it has been, it may go on."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self._book.stall(self, self._reception.now())
        else:
            self._reception.dropped["stalled"] += 1
            self.cut()

    def cut(self) -> None:
        """Close it at once, whatever it is at."""
        self._tell_of_the_end()
        self.transport.abort()

    def _tell_of_the_end(self) -> None:
        if self._served is not None and self._is_answering():
            self._served.disconnected = True
            self._served.message_event.set()

    def _close(self) -> None:
        """Close it once it has taken what was sent to it, if it does."""
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self.transport.close()
        self._note(Phase.BUSY)
        self._book.stall(self, self._reception.now())

    def _refuse(self, why: str, error: HeadraceError) -> None:
        """Say why nothing more is taken in, unless another answer is on its way, and let go."""
        self._reception.dropped[why] += 1
        if self._is_answering() and not self._awaits_body():
            self.cut()
            return
        self._tell_of_the_end()
        self.transport.write(_answer(error, path=self._path()))
        # Closed with something unread, the system would throw the answer away (RFC 9112, section 9.6).
        self.transport.write_eof()
        self._note(Phase.PARTING)
        self.flow.resume_reading()

    def _awaits_body(self) -> bool:
        """True while nothing was said yet to the request whose body comes."""
        return self._stage is _Stage.BODY and self._served is self.cycle and not self.cycle.response_started

    def _path(self) -> str:
        return (getattr(self, "url", b"").partition(b"?")[0].decode("latin-1") or "/")[:200]


def _answer(error: HeadraceError, *, path: str) -> bytes:
    """A whole answer, as it goes over the wire."""
    request_id = secrets.token_hex(8)
    body = orjson.dumps(problem_document(error, instance=path, request_id=request_id))
    fields = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        "connection": "close",
        **retry_headers(error),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n".encode() + body
