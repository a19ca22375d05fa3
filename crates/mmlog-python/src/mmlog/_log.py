"""A log that this process appends to."""

from __future__ import annotations

import ctypes
import json
import multiprocessing.util
import os
import weakref
from typing import Any, Iterator, Mapping, Optional, Protocol, Union

from ._follow import OLDEST, Event, follow
from ._library import Code, COptions, CPolicy, Error, Owned, c_path, check, given, library, why
from ._policy import Age, Policy, milliseconds, whole

_MUST_EXIST, _ADOPT, _NO_POLICY = 1, 2, 4


class Log:
    """A log, made if it is missing. Any thread may use it, also in forked children, and nobody has to close it: a process that
    ends without a signal leaves an exact file, unless others write.

    `policy` counts for a log that is made. `adopt`: a plain file at the path becomes its first bytes. `wait`: how long a call
    waits for somebody who holds the log up, 10 seconds if None. `carry_out_policy`: whether appends of this process do what the
    policy asks for.
    """

    def __init__(
        self,
        path: Union[str, bytes, os.PathLike[Any]],
        *,
        policy: Union[Policy, Mapping[str, Any], None] = None,
        must_exist: bool = False,
        adopt: bool = False,
        carry_out_policy: bool = True,
        wait: Optional[Age] = None,
        chunk_size: int = 0,
        max_writers: int = 0,
        mode: int = 0,
        old_directory: Union[str, bytes, os.PathLike[Any], None] = None,
    ) -> None:
        # The same file also after a chdir.
        self._path = os.path.abspath(c_path(path))
        rules = Policy.of(policy)
        self._options = COptions(
            size=ctypes.sizeof(COptions),
            chunk_size=whole("chunk_size", chunk_size),
            wait_ms=milliseconds("wait", wait),
            policy=ctypes.pointer(rules.to_c()) if rules else None,
            old_directory=None if old_directory is None else c_path(old_directory),
            max_writers=whole("max_writers", max_writers, most=2**32 - 1),
            mode=whole("mode", mode, "permission bits, as 0o640", 0o7777),
            flags=_MUST_EXIST * must_exist | _ADOPT * adopt | _NO_POLICY * (not carry_out_policy),
        )
        self._is_closed = False
        self._handle: Optional[Owned] = None
        self._open()
        at_end(self)

    @property
    def path(self) -> str:
        return os.fsdecode(self._path)

    def _open(self) -> Owned:
        """The handle; a log that rests is opened again."""
        handle = self._handle
        if handle is None:
            if self._is_closed:
                raise Error(Code.INVALID, f"{self.path}: the log is closed")
            pointer = ctypes.c_void_p()
            check(library.mmlog_open_with(self._path, ctypes.byref(self._options), ctypes.byref(pointer)))
            handle = self._handle = Owned(pointer.value or 0, library.mmlog_close)
        return handle

    def _rest(self) -> None:
        """Gives the handle up, as a process does that is about to end; the next call opens the log again."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        ended = handle.ended
        # Ends it, unless another thread is in a call: then that does.
        del handle
        for code in ended:
            check(code)

    def close(self) -> None:
        """With the process's last one, the log is given up, and the file cut to its bytes if nobody else writes."""
        self._is_closed = True
        self._rest()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<mmlog.Log {self.path!r}{' closed' if self._is_closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Log is not sent to other processes: open it there")

    def append(self, data: Union[bytes, str], *, durable: bool = False) -> int:
        """Appends one message, all of it or nothing, as it is: no end of line is added. The position of its first byte.
        `durable`: returns when no power failure takes it any more."""
        message = data.encode() if isinstance(data, str) else bytes(memoryview(data))
        handle = self._open()
        function = library.mmlog_append_durable if durable else library.mmlog_append
        return given(function, handle.pointer, message, len(message))

    def sync(self) -> int:
        """Makes everything durable that anybody appended before; the position where that ends."""
        handle = self._open()
        return given(library.mmlog_sync, handle.pointer)

    def trim(self) -> None:
        """Cuts the file to exactly the bytes that were appended. Others may append meanwhile."""
        handle = self._open()
        library.mmlog_trim(handle.pointer)
        code = library.mmlog_last_error()
        check(code)

    def rotate(self) -> int:
        """Makes the file a final segment and goes on in a new one; does nothing where it has no byte. Where the current one begins
        then."""
        handle = self._open()
        return given(library.mmlog_rotate, handle.pointer)

    def prune(self, keep: Union[Policy, Mapping[str, Any], None] = None) -> int:
        """Removes final segments that no rule keeps; without any given, by the log's own. Where the log begins then."""
        handle, rules = self._open(), Policy.of(keep)
        return given(library.mmlog_prune, handle.pointer, ctypes.byref(rules.to_c()) if rules else None)

    def housekeep(self) -> None:
        """Does all that the policy asks for now; appends do it a little at a time."""
        handle = self._open()
        check(library.mmlog_housekeep(handle.pointer))

    @property
    def policy(self) -> Policy:
        """The log's rules. Set it to change them for every process; None ends them."""
        handle, rules = self._open(), CPolicy(ctypes.sizeof(CPolicy))
        check(library.mmlog_policy_get(handle.pointer, ctypes.byref(rules)))
        return Policy.of_c(rules)

    @policy.setter
    def policy(self, rules: Union[Policy, Mapping[str, Any], None]) -> None:
        handle, given = self._open(), Policy.of(rules)
        check(library.mmlog_policy_set(handle.pointer, ctypes.byref(given.to_c()) if given else None))

    def status(self) -> dict[str, Any]:
        """What there is to know of the log, with the keys that mmlog(3) lists."""
        handle, size = self._open(), 1 << 14
        while True:
            buffer, needed = ctypes.create_string_buffer(size), ctypes.c_size_t()
            code = library.mmlog_status_json(handle.pointer, buffer, size, ctypes.byref(needed))
            if code == 0:
                status: dict[str, Any] = json.loads(buffer.raw[: needed.value])
                return status
            if code != Code.NO_ROOM:
                raise why(code)
            # It may have grown again by then.
            size = needed.value + 4096

    def follow(self, start: int = OLDEST, timeout: Optional[float] = None) -> Iterator[Event]:
        """As `mmlog.follow`."""
        return follow(self._path, start, timeout)


class _Rests(Protocol):
    def _rest(self) -> None: ...


def at_end(thing: _Rests) -> None:
    """Has it rest when a process of multiprocessing ends: by _exit, which runs what that module calls finalizers, and nothing
    else. A child forgets its parent's."""

    def expect(thing: _Rests) -> None:
        multiprocessing.util.Finalize(thing, _rest_of, args=(weakref.ref(thing),), exitpriority=10)

    expect(thing)
    multiprocessing.util.register_after_fork(thing, expect)


def _rest_of(thing: weakref.ref[_Rests]) -> None:
    there = thing()
    if there is not None:
        try:
            there._rest()
        except Error:
            # The bytes are there; what could not be done is cut what is behind them.
            pass
