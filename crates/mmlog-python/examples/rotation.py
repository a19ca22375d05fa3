#!/usr/bin/env python3
"""Four processes log to one file that rotates: what RotatingFileHandler loses, and mmlog.Handler does not.

rotation.py [RECORDS]: how many each process logs, 20000 if not given.
"""

import logging
import logging.handlers
import multiprocessing
import pathlib
import sys
import tempfile

import mmlog

PROCESSES = 4
SIZE = 1 << 20


def standard(path):
    # Room for more files than there will be: nothing is removed for being old.
    return logging.handlers.RotatingFileHandler(path, maxBytes=SIZE, backupCount=1000)


def ours(path):
    return mmlog.Handler(path, policy={"rotate_size": SIZE})


def work(make, path, number, records):
    logger = logging.getLogger("rotation")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(make(path))
    for i in range(records):
        logger.info("%d %d %s", number, i, "x" * 80)


def lines_of(make, path):
    if make is ours:
        return [event.text for event in mmlog.follow(path, timeout=0)]
    return [line for part in path.parent.iterdir() for line in part.read_text().splitlines()]


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for make, name in (standard, "RotatingFileHandler"), (ours, "mmlog.Handler"):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "app.log"
            processes = [
                multiprocessing.Process(target=work, args=(make, path, number, records)) for number in range(PROCESSES)
            ]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            lines = set(lines_of(make, path))
            logged = {f"{number} {i} {'x' * 80}" for number in range(PROCESSES) for i in range(records)}
            print(f"{name}: {len(logged)} logged, {len(logged - lines)} lost")


if __name__ == "__main__":
    main()
