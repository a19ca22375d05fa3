"""Guards what a prefork server logs: its workers share a handler that was made before the fork, or make one each."""

import concurrent.futures
import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

import helpers

REQUESTS = 200

GUIDE = pathlib.Path(__file__).parents[3] / "doc" / "prefork.md"


@unittest.skipUnless(importlib.util.find_spec("gunicorn"), "SKIPPED: no gunicorn")
class GunicornTest(helpers.WithLog):
    def serve(self, *options, directory=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "--workers", "4", "--threads", "2", "--bind", address]
        command += [*options, "--log-level", "warning", "app:application"]
        environment = {**os.environ, "APP_LOG": str(self.path)}
        server = subprocess.Popen(command, env=environment, cwd=directory, stderr=subprocess.PIPE)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        until = time.monotonic() + helpers.HANGS
        while True:
            try:
                socket.create_connection(server_of(address)).close()
                return server, address
            except ConnectionRefusedError:
                self.assertIsNone(server.poll())
                self.assertLess(time.monotonic(), until)
                time.sleep(0.05)

    def requests(self, address, name):
        def one(i):
            with urllib.request.urlopen(f"http://{address}/{name}{i}", timeout=helpers.HANGS) as answer:
                return answer.read()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return set(pool.map(one, range(REQUESTS)))

    def all_is_there(self, *options):
        server, address = self.serve(*options)
        first = self.requests(address, "a")
        # New workers, while the old ones end.
        server.send_signal(signal.SIGHUP)
        others = self.requests(address, "b")
        while others <= first:
            others |= self.requests(address, "b")
        server.terminate()
        self.assertEqual(server.wait(helpers.HANGS), 0)
        lines = self.lines()
        for kind in ("request", "thread"):
            a = [line for line in lines if line.startswith(f"{kind}.a")]
            self.assertEqual(sorted(a), sorted(f"{kind}.a{i} 0" for i in range(REQUESTS)))
            b = {line for line in lines if line.startswith(f"{kind}.b")}
            self.assertEqual(b, {f"{kind}.b{i} 0" for i in range(REQUESTS)})
        self.assert_exact()

    def test_workers_that_open_it_themselves_lose_nothing_across_a_reload(self):
        self.all_is_there()

    def test_workers_that_were_forked_with_it_lose_nothing_across_a_reload(self):
        self.all_is_there("--preload")

    def test_the_programs_of_the_guide_log_every_request_and_gunicorn_s_own_lines(self):
        for name, text in re.findall(r"^```python (\S+)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE):
            (self.directory / name).write_text(text)
        server, address = self.serve("--config", "gunicorn.conf.py", directory=self.directory)
        self.requests(address, "a")
        server.terminate()
        self.assertEqual(server.wait(helpers.HANGS), 0)
        lines = self.lines()
        for i in range(REQUESTS):
            self.assertEqual(len([line for line in lines if line.endswith(f" app INFO GET /a{i}")]), 1)
            self.assertEqual(len([line for line in lines if f'"GET /a{i} HTTP/1.1" 200' in line]), 1)
        self.assert_exact()


def server_of(address):
    host, port = address.split(":")
    return host, int(port)


if __name__ == "__main__":
    unittest.main()
