"""What the tests share: a place for a log, what lies in it, and programs of their own."""

import collections
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import mmlog

# No claim: it only ends what hangs.
HANGS = 60


class WithLog(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = self.directory / "app.log"

    def lines(self):
        """All segments', in order; what is no line is a failure."""
        events = list(mmlog.follow(self.path, timeout=0))
        self.assertEqual([event for event in events if not isinstance(event, mmlog.Line)], [])
        return [event.text for event in events]

    def assert_exact(self):
        """The file ends with its last byte, and no writer is left."""
        data = self.path.read_bytes()
        self.assertNotIn(b"\0", data)
        self.assertTrue(data.endswith(b"\n"), data[-100:])
        self.assertEqual(data.decode().splitlines(), self.lines())

    def assert_all(self, expected):
        """`expected` maps a name to how many lines "NAME NUMBER" it has logged: all, each once and in order."""
        found = collections.defaultdict(list)
        for line in self.lines():
            name, number = line.rsplit(" ", 1)
            found[name].append(int(number))
        self.assertEqual({name: len(numbers) for name, numbers in found.items()}, expected)
        for name, numbers in found.items():
            self.assertEqual(numbers, list(range(len(numbers))), name)

    def program(self, text, *arguments):
        """Runs Python's text in a process of its own."""
        command = [sys.executable, "-c", text, str(self.path), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=HANGS)


def logger_of(path, name="mmlog.test", **options):
    """A logger that logs there and nowhere else, as it came from a configuration of its own."""
    logger = logging.getLogger(name)
    logger.handlers[:], logger.propagate = [mmlog.Handler(path, **options)], False
    logger.setLevel(logging.INFO)
    return logger


def log_some(logger, name, count):
    for i in range(count):
        logger.info("%s %d", name, i)


def close(logger):
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def is_root():
    return os.geteuid() == 0
