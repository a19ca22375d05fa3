"""Logs that many processes append to: one plain file, whole messages, nothing lost.

`Handler` is for `logging`, `Log` for everything else, `follow` reads along.
"""

from ._follow import NEWEST, OLDEST, Event, Hole, Line, Pruned, follow
from ._handler import Handler
from ._library import Code, Error, guard_against_sigbus, library
from ._log import Log
from ._policy import Policy

__version__: str = library.mmlog_version().decode()

__all__ = [
    "NEWEST",
    "OLDEST",
    "Code",
    "Error",
    "Event",
    "Handler",
    "Hole",
    "Line",
    "Log",
    "Policy",
    "Pruned",
    "follow",
    "guard_against_sigbus",
]
