"""libmmlog by ctypes: its structs, its functions, and its errors as exceptions. Calls do not hold the interpreter's lock."""

from __future__ import annotations

import ctypes
import enum
import os
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Union

FOREVER = 2**64 - 1


class Code(enum.IntEnum):
    """What went wrong: 1xx try again, 2xx somebody is in the way, 3xx the log is damaged, 4xx refused, 5xx a bug."""

    NO_SPACE = 101
    BUSY = 201
    WRITERS_FULL = 202
    TIMED_OUT = 203
    DAMAGED = 301
    PANICKED = 302
    NOT_DURABLE = 303
    INVALID = 401
    NO_LOG = 402
    DENIED = 403
    TOO_LARGE = 404
    NO_POSITION = 405
    REFUSED = 406
    IO = 407
    NO_ROOM = 408
    INTERNAL = 501


class Error(Exception):
    """A call that failed: what is wrong, with the path and what to do next."""

    code: int

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = Code(code) if code in Code.__members__.values() else code
        self.text = text

    def __str__(self) -> str:
        return self.text


class CPolicy(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("rotate_size", c_uint64),
        ("rotate_age_ms", c_uint64),
        ("keep", c_uint64),
        ("keep_bytes", c_uint64),
        ("keep_age_ms", c_uint64),
        ("keep_free_bytes", c_uint64),
        ("hold_max", c_uint64),
        ("keep_free_percent", c_uint32),
        ("compress", c_uint32),
    ]


class COptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("chunk_size", c_uint64),
        ("wait_ms", c_uint64),
        ("drop_behind", c_uint64),
        ("policy", POINTER(CPolicy)),
        ("old_directory", c_char_p),
        ("ring_chunks", c_uint32),
        ("max_writers", c_uint32),
        ("mode", c_uint32),
        ("gate_ms", c_uint32),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class CEvent(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("kind", c_uint32),
        ("pid", c_uint32),
        ("start", c_uint64),
        ("end", c_uint64),
    ]


# What mmlog.h declares, less what Python has no use for.
_POSITION = POINTER(c_uint64)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "mmlog_open_with": (c_int, c_char_p, POINTER(COptions), POINTER(c_void_p)),
    "mmlog_close": (c_int, c_void_p),
    "mmlog_append": (c_int, c_void_p, c_char_p, c_size_t, _POSITION),
    "mmlog_append_durable": (c_int, c_void_p, c_char_p, c_size_t, _POSITION),
    "mmlog_sync": (c_int, c_void_p, _POSITION),
    "mmlog_trim": (None, c_void_p),
    "mmlog_rotate": (c_int, c_void_p, _POSITION),
    "mmlog_prune": (c_int, c_void_p, POINTER(CPolicy), _POSITION),
    "mmlog_policy_get": (c_int, c_void_p, POINTER(CPolicy)),
    "mmlog_policy_set": (c_int, c_void_p, POINTER(CPolicy)),
    "mmlog_housekeep": (c_int, c_void_p),
    "mmlog_status_json": (c_int, c_void_p, c_char_p, c_size_t, POINTER(c_size_t)),
    "mmlog_follow_open": (c_int, c_char_p, c_uint64, POINTER(c_void_p)),
    "mmlog_follow_next": (c_int, c_void_p, c_void_p, c_size_t, POINTER(CEvent)),
    "mmlog_follow_wait": (c_int, c_void_p, c_uint64),
    "mmlog_follow_close": (None, c_void_p),
    "mmlog_guard_against_sigbus": (c_int,),
    "mmlog_last_error": (c_int,),
    "mmlog_strerror": (c_char_p, c_int),
    "mmlog_strerror_cur": (c_char_p,),
    "mmlog_version": (c_char_p,),
}


def _load() -> ctypes.CDLL:
    """The one that the wheel has brought, else the one of the system."""
    name = "libmmlog.so.0"
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    library = ctypes.CDLL(beside if os.path.exists(beside) else name)
    for function, (result, *arguments) in _FUNCTIONS.items():
        there = getattr(library, function)
        there.restype, there.argtypes = result, arguments
    return library


library = _load()


def why(code: int) -> Error:
    """What this thread's last call said. A signal handler that made one in between leaves the code's own text."""
    is_it = library.mmlog_last_error() == code
    text = library.mmlog_strerror_cur() if is_it else library.mmlog_strerror(code)
    return Error(code, text.decode(errors="replace"))


def check(code: int) -> None:
    if code != 0:
        raise why(code)


def c_path(path: Union[str, bytes, os.PathLike[Any]]) -> bytes:
    """For C, which would take it to end at a NUL."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise Error(Code.INVALID, f"the path is {path!r}; a path has no NUL")
    return name


class Owned:
    """A handle or follower of C. Whoever is in a call with it has a reference: the last one ends it, whoever closed it."""

    def __init__(self, pointer: int, end: Any) -> None:
        self.pointer = pointer
        self.ended: list[int] = []
        self._end = end

    def __del__(self) -> None:
        self.ended.append(self._end(self.pointer) or 0)


def given(function: Any, *arguments: Any) -> int:
    """The position that a function leaves behind its last argument."""
    position = c_uint64()
    check(function(*arguments, ctypes.byref(position)))
    return position.value


def guard_against_sigbus() -> None:
    """From now on, an append to a file that somebody cut, or that the disk has no block for, fails, where SIGBUS would end the
    program. Once for the process."""
    check(library.mmlog_guard_against_sigbus())
