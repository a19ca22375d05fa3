"""Guards the examples: they run, and show what they say."""

import pathlib
import subprocess
import sys
import unittest

import helpers

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


class ExamplesTest(unittest.TestCase):
    def test_rotation_loses_nothing_of_ours(self):
        command = [sys.executable, EXAMPLES / "rotation.py", "4000"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=helpers.HANGS, check=True)
        self.assertIn("mmlog.Handler: 16000 logged, 0 lost\n", done.stdout)
        self.assertRegex(done.stdout, r"RotatingFileHandler: 16000 logged, \d+ lost\n")

    def test_costs_are_measured_for_every_handler(self):
        command = [sys.executable, EXAMPLES / "cost.py", "20"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=helpers.HANGS, check=True)
        self.assertGreaterEqual(len(done.stdout.splitlines()), 7, done.stdout)
        self.assertIn("| `mmlog.Handler` | ", done.stdout)


if __name__ == "__main__":
    unittest.main()
