"""Where `logging` leaves its records: a log that any number of processes and threads share."""

from __future__ import annotations

import codecs
import collections
import logging
import math
import os
import sys
import time
from typing import Any, Mapping, NamedTuple, Optional, Union

from ._library import Code, Error, library, why
from ._log import Log, at_end
from ._policy import Age, Policy

# Seconds between two looks for room, and from when all was well again to the next complaint.
_RETRY = 0.1
_QUIET = 60.0


class Lost(NamedTuple):
    """Records that were not stored."""

    pid: int
    records: int
    since: float
    until: float
    why: str


class _Losses:
    """Counted without a lock, which a fork would leave held, or a signal handler wait for: each step is one of a deque's."""

    def __init__(self) -> None:
        self._parts: collections.deque[Lost] = collections.deque()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, lost: Optional[Lost]) -> None:
        if lost is not None:
            self._parts.append(lost)
        if len(self._parts) > 64:
            self.add(self.take())

    def take(self) -> Optional[Lost]:
        """All that this process has lost. What it was forked with is its parent's to tell."""
        whole: Optional[Lost] = None
        while True:
            try:
                part = self._parts.popleft()
            except IndexError:
                return whole
            if part.pid != os.getpid():
                continue
            if whole is None:
                whole = part
            else:
                since, until = min(whole.since, part.since), max(whole.until, part.until)
                whole = Lost(part.pid, whole.records + part.records, since, until, part.why)


class Handler(logging.Handler):
    """Appends each record as one message. No lock, no thread, no queue: nothing to wait for at a fork, nothing to drain at the end,
    and what `emit` came back from is in the log, whatever becomes of the process.

    A record that cannot be stored is counted; stderr hears of the first, and the log of all, once there is room again.
    `on_full="wait"` waits for room instead. `sync`: a record is durable when the call returns. The rest is as for `Log`.
    """

    terminator = "\n"

    def __init__(
        self,
        filename: Union[str, bytes, os.PathLike[Any]],
        level: Union[int, str] = logging.NOTSET,
        *,
        policy: Union[Policy, Mapping[str, Any], None] = None,
        on_full: str = "drop",
        sync: bool = False,
        adopt: bool = False,
        wait: Optional[Age] = None,
        mode: int = 0,
        errors: str = "backslashreplace",
    ) -> None:
        if on_full not in ("drop", "wait"):
            raise Error(Code.INVALID, f'on_full is {on_full!r}; it has to be "drop" or "wait"')
        try:
            codecs.lookup_error(errors)
        except (LookupError, TypeError):
            raise Error(Code.INVALID, f'errors is {errors!r}; it has to be what codecs knows, as "replace"') from None
        self.setLevel(level)
        self.errors = errors
        self._waits = on_full == "wait"
        self._append = library.mmlog_append_durable if sync else library.mmlog_append
        self._losses = _Losses()
        self._says_from = 0.0
        self._log = Log(filename, policy=policy, adopt=adopt, wait=wait, mode=mode)
        # From here on logging closes it: one that has no log would be in the way of the next configuration.
        super().__init__(level)
        at_end(self)

    @property
    def log(self) -> Log:
        return self._log

    def createLock(self) -> None:
        """None: an append is one message whoever else appends."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> Any:
        """As logging's, which in some versions takes the lock without a look."""
        kept: Any = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = (self.format(record) + self.terminator).encode("utf-8", self.errors)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)
            return
        error = self._store(message)
        if error is None:
            # Behind a record that was stored: a line that short may find room when no record does.
            if self._losses:
                self._tell()
        else:
            now = time.time()
            self._losses.add(Lost(os.getpid(), 1, now, now, str(error)))
            self._say(f"a record was not stored: {error}; more are counted, and the log will say how many")

    def _store(self, message: bytes) -> Optional[Error]:
        """Why it could not be stored."""
        try:
            is_late = False
            while True:
                handle = self._log._handle or self._log._open()
                code = self._append(handle.pointer, message, len(message), None)
                # It is there, and may be lost with the power: that is no record to count.
                if code == 0 or code == Code.NOT_DURABLE:
                    if is_late:
                        self._is_well()
                    return None
                error = why(code)
                if not (self._waits and code == Code.NO_SPACE):
                    return error
                is_late = True
                self._say(f"waits until there is room: {error}")
                time.sleep(_RETRY)
        except Error as e:
            return e

    def _tell(self) -> None:
        """Appends how many records were not stored, if there is room."""
        lost = self._losses.take()
        if lost is None:
            return
        since, until = (time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at)) for at in (lost.since, lost.until))
        what = "record was" if lost.records == 1 else "records were"
        text = f"{lost.records} {what} not stored between {since} and {until}: {lost.why}"
        record = logging.LogRecord("mmlog", logging.WARNING, __file__, 0, text, None, None)
        try:
            line = self.format(record)
        except Exception:
            # It asks for what only the program's own records have.
            line = text
        handle = self._log._handle
        message = (line + self.terminator).encode("utf-8", self.errors)
        if handle is not None and library.mmlog_append(handle.pointer, message, len(message), None) == 0:
            self._is_well()
        else:
            self._losses.add(lost)

    def _is_well(self) -> None:
        self._says_from = time.monotonic() + _QUIET

    def _say(self, text: str) -> None:
        """Once, until all is well again, and has been for a while."""
        if time.monotonic() < self._says_from:
            return
        self._says_from = math.inf
        try:
            sys.stderr.write(f"mmlog: {self._log.path}: {text}\n")
        except Exception:
            # There is none, or nobody reads it.
            pass

    def _rest(self) -> None:
        """What a process leaves of which this may be the end; a record that comes later opens the log again."""
        if self._losses:
            self._tell()
        lost = self._losses.take()
        if lost is not None:
            self._says_from = 0.0
            self._say(f"records that were not stored: {lost.records}, and there is still no room to say so there: {lost.why}")
        self._log._rest()

    def close(self) -> None:
        """The last one of the process leaves an exact file, if no other process writes. A thread that still runs may log on."""
        try:
            self._rest()
        except Error:
            # The bytes are there; what could not be done is cut what is behind them.
            pass
        super().close()

    def __reduce__(self) -> Any:
        raise TypeError("an mmlog.Handler is not sent to other processes: configure one there")

    def __repr__(self) -> str:
        return f"<mmlog.Handler {self._log.path!r} ({logging.getLevelName(self.level)})>"
