"""Reading a log as it grows."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, Iterator, NamedTuple, Optional, Union

from ._library import CEvent, Code, Owned, c_path, check, library, why
from ._policy import whole

#: Begin at the first byte that is kept.
OLDEST = 2**64 - 2
#: Begin at what comes.
NEWEST = 2**64 - 1

_CAUGHT_UP, _BYTES, _HOLE, _PRUNED = 0, 1, 2, 3
_BUFFER = 1 << 16
# A wait is no longer, so that Ctrl-C is heard.
_SLICE_MS = 250


class Line(NamedTuple):
    """A line, with its end; without one where nothing more came."""

    start: int
    end: int
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "backslashreplace").rstrip("\n")


class Hole(NamedTuple):
    """Positions without bytes: a writer died (`pid`, 0 if that is not known), or they were lost."""

    start: int
    end: int
    pid: int


class Pruned(NamedTuple):
    """Positions that a prune gave up."""

    start: int
    end: int


Event = Union[Line, Hole, Pruned]


def follow(
    path: Union[str, bytes, os.PathLike[Any]],
    start: int = OLDEST,
    timeout: Optional[float] = None,
) -> Iterator[Event]:
    """What was appended, line by line, and what comes, across rotations. `start` is a position (an event's `end` goes on behind
    it), OLDEST or NEWEST. Ends when nothing came for `timeout` seconds: 0 is what is there now, None never ends."""
    pointer = ctypes.c_void_p()
    check(library.mmlog_follow_open(c_path(path), whole("start", start, "a position, OLDEST or NEWEST"), ctypes.byref(pointer)))
    # A generator of its own, so that a log that is not there is said here.
    return _events(Owned(pointer.value or 0, library.mmlog_follow_close), timeout)


def _events(follower: Owned, timeout: Optional[float]) -> Iterator[Event]:
    buffer = ctypes.create_string_buffer(_BUFFER)
    event = CEvent(ctypes.sizeof(CEvent))
    # The beginning of a line whose end has not come, and where that is.
    begun, at = b"", 0
    while True:
        check(library.mmlog_follow_next(follower.pointer, buffer, _BUFFER, ctypes.byref(event)))
        if event.kind == _BYTES:
            if not begun:
                at = event.start
            *lines, begun = (begun + ctypes.string_at(buffer, event.end - event.start)).split(b"\n")
            for line in lines:
                yield Line(at, at + len(line) + 1, line + b"\n")
                at += len(line) + 1
            continue
        is_over = event.kind == _CAUGHT_UP and not _comes(follower, timeout)
        if begun and (is_over or event.kind in (_HOLE, _PRUNED)):
            yield Line(at, at + len(begun), begun)
            begun = b""
        if is_over:
            return
        if event.kind == _HOLE:
            yield Hole(event.start, event.end, event.pid)
        elif event.kind == _PRUNED:
            yield Pruned(event.start, event.end)


def _comes(follower: Owned, timeout: Optional[float]) -> bool:
    until = None if timeout is None else time.monotonic() + timeout
    while until is None or time.monotonic() < until:
        left = _SLICE_MS if until is None else min(_SLICE_MS, max(1, int((until - time.monotonic()) * 1000)))
        code = library.mmlog_follow_wait(follower.pointer, left)
        if code == 0:
            return True
        if code != Code.TIMED_OUT:
            raise why(code)
    return False
