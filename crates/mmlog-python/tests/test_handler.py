"""Guards `Handler`: whole records, none lost, whatever becomes of the processes that log."""

import concurrent.futures
import contextlib
import io
import logging.config
import mmap
import multiprocessing
import os
import pickle
import resource
import signal
import struct
import threading
import unittest

import helpers
import mmlog

RECORDS = 500


def config(path):
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(message)s"}},
        "handlers": {
            "log": {
                "class": "mmlog.Handler",
                "filename": str(path),
                "formatter": "plain",
                "level": "INFO",
                "policy": {"rotate_size": "64M", "keep": 3},
            }
        },
        "loggers": {"pool": {"level": "DEBUG", "handlers": ["log"], "propagate": False}},
    }


def configure(path):
    logging.config.dictConfig(config(path))


def task(name):
    helpers.log_some(logging.getLogger("pool"), name, RECORDS)
    return os.getpid()


def child(path, name):
    helpers.log_some(helpers.logger_of(path), name, RECORDS)


def log_after(event, logger):
    event.wait()
    helpers.log_some(logger, "child", RECORDS)


class HandlerTest(helpers.WithLog):
    def test_dict_config_makes_one(self):
        configure(self.path)
        logger = logging.getLogger("pool")
        logger.debug("not this")
        logger.info("%s", "that")
        handler = logger.handlers[0]
        self.assertEqual(handler.log.policy, mmlog.Policy(rotate_size=64 << 20, keep=3))
        helpers.close(logger)
        self.assertEqual(self.path.read_text(), "that\n")

    def test_a_record_is_one_append_with_its_lines_and_what_is_no_unicode(self):
        logger = helpers.logger_of(self.path)
        logger.info("two\nlines and \udcff")
        with self.subTest("nothing is appended in pieces"):
            writer = logger.handlers[0].log.status()["writers"][0]
            self.assertEqual(writer["messages"], 1)
        helpers.close(logger)
        self.assertEqual(self.path.read_text(), "two\nlines and \\udcff\n")

    def test_a_record_that_comes_after_the_close_is_stored(self):
        logger = helpers.logger_of(self.path)
        handler = logger.handlers[0]
        handler.close()
        logger.info("late")
        handler.close()
        self.assertEqual(self.path.read_text(), "late\n")

    def test_a_process_that_ends_leaves_an_exact_file(self):
        text = "import helpers, sys; helpers.log_some(helpers.logger_of(sys.argv[1]), 'it', 3)"
        done = self.program(text)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.path.read_text(), "it 0\nit 1\nit 2\n")

    def test_what_was_logged_before_a_kill_is_there(self):
        text = (
            "import helpers, os, sys\nhelpers.log_some(helpers.logger_of(sys.argv[1]), 'it', 1000)\n"
            "os.kill(os.getpid(), 9)"
        )
        self.assertEqual(self.program(text).returncode, -signal.SIGKILL)
        self.assert_all({"it": 1000})

    def pool(self, method):
        context = multiprocessing.get_context(method)
        configure(self.path)
        helpers.log_some(logging.getLogger("pool"), "parent", 1)
        pool = concurrent.futures.ProcessPoolExecutor(4, context, configure, (self.path,))
        with pool:
            names = [f"task{i}" for i in range(12)]
            done = list(pool.map(task, names))
        self.assertNotIn(os.getpid(), done)
        # Nothing but the parent has it open.
        status = logging.getLogger("pool").handlers[0].log.status()
        self.assertEqual([writer["pid"] for writer in status["writers"]], [os.getpid()])
        helpers.close(logging.getLogger("pool"))
        self.assert_all({"parent": 1} | {name: RECORDS for name in names})
        self.assert_exact()

    def test_a_pool_that_forks(self):
        self.pool("fork")

    def test_a_pool_that_spawns(self):
        self.pool("spawn")

    def test_a_pool_of_a_fork_server(self):
        self.pool("forkserver")

    def test_children_leave_an_exact_file_where_the_parent_never_opened_it(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                path = self.path = self.directory / method
                context = multiprocessing.get_context(method)
                children = [context.Process(target=child, args=(path, f"{i}")) for i in range(4)]
                for one in children:
                    one.start()
                for one in children:
                    one.join(helpers.HANGS)
                self.assertEqual([one.exitcode for one in children], [0] * 4)
                self.assert_all({f"{i}": RECORDS for i in range(4)})
                self.assert_exact()

    def test_a_child_that_outlives_its_parents_handler_leaves_an_exact_file(self):
        logger = helpers.logger_of(self.path)
        helpers.log_some(logger, "parent", 1)
        context = multiprocessing.get_context("fork")
        is_closed = context.Event()
        one = context.Process(target=log_after, args=(is_closed, logger))
        one.start()
        helpers.close(logger)
        is_closed.set()
        one.join(helpers.HANGS)
        self.assertEqual(self.path.read_text(), "parent 0\n" + "".join(f"child {i}\n" for i in range(RECORDS)))

    def test_threads_log_while_others_fork(self):
        logger, is_over = helpers.logger_of(self.path), threading.Event()
        counts = {}

        def work(name):
            counts[name] = 0
            while not is_over.is_set():
                logger.info("%s %d", name, counts[name])
                counts[name] += 1

        threads = [threading.Thread(target=work, args=(f"thread{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for i in range(40):
            pid = os.fork()
            if pid == 0:
                # Nothing of the test's comes after this, whatever happens.
                try:
                    of_mine = [
                        threading.Thread(target=helpers.log_some, args=(logger, f"child{i}.{j}", 50)) for j in range(3)
                    ]
                    for thread in of_mine:
                        thread.start()
                    for thread in of_mine:
                        thread.join()
                    os._exit(0)
                finally:
                    os._exit(1)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
        is_over.set()
        for thread in threads:
            thread.join()
        helpers.close(logger)
        self.assert_all(counts | {f"child{i}.{j}": 50 for i in range(40) for j in range(3)})
        self.assert_exact()

    def test_killed_processes_lose_at_most_the_record_in_flight(self):
        # How many records each has come back from, by memory that outlives it.
        done = mmap.mmap(-1, 4096)
        logger, pids = helpers.logger_of(self.path), []
        for i in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    number = 0
                    while True:
                        logger.info("%d %d", i, number)
                        number += 1
                        struct.pack_into("q", done, i * 8, number)
                finally:
                    os._exit(1)
            pids.append(pid)
        while min(struct.unpack_from("4q", done)) < 2000:
            os.sched_yield()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        logged = [[], [], [], []]
        holes = []
        for event in mmlog.follow(self.path, timeout=0):
            if isinstance(event, mmlog.Line):
                name, number = event.text.split()
                logged[int(name)].append(int(number))
            else:
                holes.append(event)
        for numbers, count in zip(logged, struct.unpack_from("4q", done)):
            self.assertEqual(numbers, list(range(len(numbers))))
            self.assertIn(len(numbers), (count, count + 1))
        self.assertLessEqual(len(holes), 4)
        helpers.close(logger)

    def test_four_processes_rotate_and_lose_nothing(self):
        logger = helpers.logger_of(self.path, policy={"rotate_size": "64K"})
        context = multiprocessing.get_context("fork")
        children = [
            context.Process(target=helpers.log_some, args=(logger, f"{i} {'x' * 90}", 4000)) for i in range(4)
        ]
        for one in children:
            one.start()
        for one in children:
            one.join(helpers.HANGS)
        self.assertGreater(len(logger.handlers[0].log.status()["segments"]), 10)
        self.assert_all({f"{i} {'x' * 90}": 4000 for i in range(4)})
        helpers.close(logger)

    def test_records_without_room_are_counted_said_once_and_told(self):
        logger = helpers.logger_of(self.path)
        helpers.log_some(logger, "before", 1)
        handler = logger.handlers[0]
        handler.log.trim()
        limits, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, limits[1]))
            try:
                for _ in range(300):
                    logger.info("x" * 16384)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                signal.signal(signal.SIGXFSZ, ignored)
            logger.info("after 0")
            logger.info("after 1")
        helpers.close(logger)
        self.assertEqual(said.getvalue().count("\n"), 1, said.getvalue())
        self.assertIn(f"mmlog: {self.path}: a record was not stored: ", said.getvalue())
        before, after, told, last = self.lines()
        self.assertEqual((before, after, last), ("before 0", "after 0", "after 1"))
        self.assertRegex(told, r"^300 records were not stored between \d{4}-\S+ and \S+: .*")

    def test_waiting_for_room_stores_every_record(self):
        logger = helpers.logger_of(self.path, on_full="wait")
        helpers.log_some(logger, "it", 1)
        logger.handlers[0].log.trim()
        limits, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        said = io.StringIO()
        said.write = lambda text: said.waited.set()
        said.waited = threading.Event()
        with contextlib.redirect_stderr(said):
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, limits[1]))
            try:
                thread = threading.Thread(target=logger.info, args=("it 1\n" + "x" * 16384,))
                thread.start()
                self.assertTrue(said.waited.wait(helpers.HANGS))
                self.assertEqual(self.lines(), ["it 0"])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                signal.signal(signal.SIGXFSZ, ignored)
            thread.join(helpers.HANGS)
        helpers.close(logger)
        self.assertEqual(self.lines(), ["it 0", "it 1", "x" * 16384])

    def test_a_child_does_not_tell_what_its_parent_lost(self):
        logger = helpers.logger_of(self.path)
        handler = logger.handlers[0]
        handler._losses.add(mmlog._handler.Lost(os.getpid(), 7, 0.0, 1.0, "no room"))
        context = multiprocessing.get_context("fork")
        one = context.Process(target=helpers.log_some, args=(logger, "child", 1))
        one.start()
        one.join(helpers.HANGS)
        self.assertEqual(self.lines(), ["child 0"])
        helpers.close(logger)
        self.assertRegex(self.lines()[1], "^7 records were not stored")

    def test_losses_of_many_threads_add_up(self):
        losses = mmlog._handler._Losses()

        def lose():
            for i in range(1000):
                losses.add(mmlog._handler.Lost(os.getpid(), 1, i, i, "why"))

        threads = [threading.Thread(target=lose) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(losses.take(), mmlog._handler.Lost(os.getpid(), 4000, 0, 999, "why"))
        self.assertFalse(losses)

    def test_a_signal_handler_may_log(self):
        logger = helpers.logger_of(self.path)
        before = signal.signal(signal.SIGALRM, lambda *_: logger.info("signal %d", next(numbers)))
        numbers = iter(range(10**9))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            helpers.log_some(logger, "it", 20_000)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        helpers.close(logger)
        # A signal may come in the middle of the last one's handler, and be logged first.
        signals = sorted((line for line in self.lines() if line.startswith("signal")), key=lambda line: int(line[7:]))
        self.assertEqual(signals, [f"signal {i}" for i in range(next(numbers))])
        self.assertEqual([line for line in self.lines() if line not in set(signals)], [f"it {i}" for i in range(20_000)])

    def test_what_cannot_be_formatted_is_said_and_costs_no_other_record(self):
        logger, said = helpers.logger_of(self.path), io.StringIO()
        with contextlib.redirect_stderr(said):
            logger.info("%d", "no number")
        logger.info("next")
        helpers.close(logger)
        self.assertEqual((self.path.read_text(), "no number" in said.getvalue()), ("next\n", True))

    def test_a_value_that_cannot_be_is_refused_by_its_name_and_makes_no_log(self):
        wrong = [
            ("policy", 5),
            ("policy", "64M"),
            ("policy", {"rotate_size": "64 MB"}),
            ("policy", {"rotate_size": 2**70}),
            ("policy", {"rotate_age": "1 day"}),
            ("policy", {"rotate_age": []}),
            ("policy", {"keep_age": float("nan")}),
            ("policy", {"compress": []}),
            ("policy", {"keep": -1}),
            ("on_full", "block"),
            ("wait", "soon"),
            ("mode", "0640"),
            ("mode", -1),
            ("mode", 2**40),
            ("errors", "nonsense"),
            ("errors", 5),
            ("filename", f"{self.path}\0.log"),
        ]
        for name, value in wrong:
            rules = value if isinstance(value, dict) else {name: value}
            described = config(self.path)
            described["handlers"]["log"][name] = value
            with self.subTest(name=name, value=value), self.assertRaises(ValueError) as raised:
                logging.config.dictConfig(described)
            why = raised.exception.__cause__
            self.assertIsInstance(why, mmlog.Error)
            self.assertEqual(why.code, mmlog.Code.INVALID)
            for rule, given in rules.items():
                self.assertIn("path" if rule == "filename" else rule, str(why))
                self.assertIn(repr(given), str(why))
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_handler_that_is_pickled_says_what_to_do(self):
        handler = helpers.logger_of(self.path).handlers[0]
        with self.assertRaisesRegex(TypeError, "configure one there"):
            pickle.dumps(handler)
        handler.close()

    def test_on_full_is_one_of_two(self):
        with self.assertRaises(mmlog.Error):
            mmlog.Handler(self.path, on_full="ignore")


if __name__ == "__main__":
    unittest.main()
