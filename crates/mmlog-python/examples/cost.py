#!/usr/bin/env python3
"""What a record costs, by handler: 4 processes log 100 bytes a record to one file. It is no test: run it where nothing else runs.

cost.py [RECORDS]: how many each process logs, 8000 if not given. Each handler has its turn, five times; the best is shown,
which other work on the machine has disturbed least. concurrent-log-handler takes part where it is installed.
"""

import logging
import logging.handlers
import multiprocessing
import pathlib
import resource
import sys
import tempfile
import time

import mmlog

try:
    from concurrent_log_handler import ConcurrentRotatingFileHandler
except ImportError:
    ConcurrentRotatingFileHandler = None

PROCESSES = 4
ROUNDS = 5
FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
TEXT = "x" * 65


class Formats(logging.Handler):
    def emit(self, record):
        self.format(record)


def formats(path, queue):
    return Formats()


def file(path, queue):
    return logging.FileHandler(path)


def watched(path, queue):
    return logging.handlers.WatchedFileHandler(path)


def queued(path, queue):
    return logging.handlers.QueueHandler(queue)


def concurrent(path, queue):
    # Room for all: its rotation is not what is measured.
    return ConcurrentRotatingFileHandler(path, maxBytes=1 << 30)


def ours(path, queue):
    return mmlog.Handler(path)


HANDLERS = {
    "formatting alone": formats,
    "FileHandler": file,
    "WatchedFileHandler": watched,
    "QueueHandler": queued,
    "mmlog.Handler": ours,
}

if ConcurrentRotatingFileHandler is not None:
    HANDLERS["ConcurrentRotatingFileHandler"] = concurrent


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def work(make, path, queue, records, barrier, results):
    logger = logging.getLogger("cost")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = make(path, queue)
    handler.setFormatter(FORMAT)
    logger.addHandler(handler)
    barrier.wait()
    begun, used = time.monotonic(), cpu()
    for i in range(records):
        logger.info("%05d %s", i, TEXT)
    if make is queued:
        # What its thread has not handed over is not logged.
        queue.close()
        queue.join_thread()
    results.put((begun, time.monotonic(), cpu() - used))


def listen(path, queue, count, results):
    handler = logging.FileHandler(path)
    handler.setFormatter(FORMAT)
    used = cpu()
    for _ in range(count):
        handler.handle(queue.get())
    results.put((0.0, time.monotonic(), cpu() - used))


def measure(make, records):
    """Records a second of all, and microseconds of CPU a record."""
    context = multiprocessing.get_context("fork")
    queue, results, barrier = context.Queue(), context.Queue(), context.Barrier(PROCESSES)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "app.log"
        arguments = (make, path, queue, records, barrier, results)
        processes = [context.Process(target=work, args=arguments) for _ in range(PROCESSES)]
        if make is queued:
            processes.append(context.Process(target=listen, args=(path, queue, records * PROCESSES, results)))
        for process in processes:
            process.start()
        told = [results.get() for _ in processes]
        for process in processes:
            process.join()
    begun = min(begun for begun, _, _ in told if begun)
    ended = max(ended for _, ended, _ in told)
    total = records * PROCESSES
    return total / (ended - begun), sum(used for _, _, used in told) / total * 1e6


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    found = {name: [] for name in HANDLERS}
    for _ in range(ROUNDS):
        for name, make in HANDLERS.items():
            found[name].append(measure(make, records))
    nothing = min(used for _, used in found["formatting alone"])
    print("| handler | records/s, all | CPU a record | the handler's share |\n|---|---|---|---|")
    for name, measured in found.items():
        rate = max(rate for rate, _ in measured)
        used = min(used for _, used in measured)
        print(f"| `{name}` | {rate:,.0f} | {used:.1f} us | {used - nothing:.1f} us |".replace(",", " "))


if __name__ == "__main__":
    main()
