"""How a log bounds itself, in the words of `mmlogctl policy`."""

from __future__ import annotations

import ctypes
import dataclasses
import datetime
import re
from typing import Any, Mapping, Optional, Union

from ._library import FOREVER, Code, CPolicy, Error

Size = Union[int, str]
Age = Union[int, float, str, datetime.timedelta]

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AGES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COMPRESS: dict[Optional[str], int] = {None: 0, "none": 0, "zstd": 1, "gzip": 2}


def _invalid(what: str, value: object, forms: str) -> Error:
    return Error(Code.INVALID, f"{what} is {value!r}; it has to be {forms}")


def whole(what: str, value: Any, forms: str = "a whole number", most: int = FOREVER) -> int:
    """What C has room for: ctypes would cut it off and say nothing."""
    if not (isinstance(value, int) and 0 <= value <= most):
        raise _invalid(what, value, f"{forms}, 0 to {most}")
    return value


def _bytes(what: str, value: Optional[Size]) -> Optional[int]:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)([KMGT]?)", value) if isinstance(value, str) else None
    number = int(found[1]) * _SIZES[found[2]] if found else value
    return whole(what, number, "a number of bytes, as 67108864 or 64M", FOREVER - 1)


def milliseconds(what: str, value: Optional[Age]) -> int:
    """0 for None, which C takes for the default: what is less than a millisecond is one."""
    if value is None:
        return 0
    seconds: Any = value
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if found:
        seconds = int(found[1]) * _AGES[found[2]]
    # What is not a number is not 0 or more either.
    if not (isinstance(seconds, (int, float)) and seconds >= 0):
        raise _invalid(what, value, "seconds, a timedelta, or as 90s, 15m, 24h, 30d")
    return FOREVER if seconds * 1000 >= FOREVER else max(1, round(seconds * 1000))


@dataclasses.dataclass(frozen=True)
class Policy:
    """Rules of a log; None is no rule. Sizes are bytes or as "64M", ages are seconds, a timedelta, or as "24h"."""

    #: No segment is longer: 64 KiB and more.
    rotate_size: Optional[Size] = None
    #: The first append after that age begins a new segment.
    rotate_age: Optional[Age] = None
    #: So many final segments are kept; 0 keeps none.
    keep: Optional[int] = None
    #: As many as fit these bytes of disk; 0 keeps none.
    keep_bytes: Optional[Size] = None
    #: Those that became final less than that ago.
    keep_age: Optional[Age] = None
    #: While the file system has less ("5G" or "10%"), the oldest go.
    keep_free: Optional[Size] = None
    #: A hold that lags by more bytes keeps nothing.
    hold_max: Optional[Size] = None
    #: What tools do with final segments: "zstd" or "gzip".
    compress: Optional[str] = None

    def to_c(self) -> CPolicy:
        free, percent = self.keep_free, 0
        if isinstance(free, str) and free.endswith("%"):
            if not (free[:-1].isdecimal() and 1 <= int(free[:-1]) <= 99):
                raise _invalid("keep_free", free, "a number of bytes, or 1% to 99%")
            percent = int(free[:-1])
            free = None
        if not (self.compress is None or isinstance(self.compress, str)) or self.compress not in _COMPRESS:
            raise _invalid("compress", self.compress, "zstd or gzip")
        def kept(value: Optional[int]) -> int:
            return 0 if value is None else value or FOREVER

        return CPolicy(
            ctypes.sizeof(CPolicy),
            _bytes("rotate_size", self.rotate_size) or 0,
            milliseconds("rotate_age", self.rotate_age),
            kept(None if self.keep is None else whole("keep", self.keep, "a number of segments", FOREVER - 1)),
            kept(_bytes("keep_bytes", self.keep_bytes)),
            milliseconds("keep_age", self.keep_age),
            _bytes("keep_free", free) or 0,
            _bytes("hold_max", self.hold_max) or 0,
            percent,
            _COMPRESS[self.compress],
        )

    @classmethod
    def of_c(cls, c: CPolicy) -> Policy:
        def kept(value: int) -> Optional[int]:
            return 0 if value == FOREVER else value or None

        def seconds(value: int) -> Optional[float]:
            return value / 1000 if value else None

        return cls(
            c.rotate_size or None,
            seconds(c.rotate_age_ms),
            kept(c.keep),
            kept(c.keep_bytes),
            seconds(c.keep_age_ms),
            f"{c.keep_free_percent}%" if c.keep_free_percent else c.keep_free_bytes or None,
            c.hold_max or None,
            {number: name for name, number in _COMPRESS.items() if name != "none"}[c.compress],
        )

    @classmethod
    def of(cls, rules: Union[Policy, Mapping[str, Any], None]) -> Optional[Policy]:
        """A mapping is as in a file that dictConfig reads."""
        if rules is None or isinstance(rules, Policy):
            return rules
        if not isinstance(rules, Mapping):
            raise _invalid("policy", rules, 'a Policy, or its rules, as {"rotate_size": "64M", "keep": 10}')
        unknown = set(rules) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise Error(Code.INVALID, f"a policy has no rule {', '.join(sorted(map(repr, unknown)))}")
        return cls(**rules)
