"""Guards `Log` and `follow`: what goes in comes out, and errors say what is wrong."""

import datetime
import os
import threading
import unittest

import helpers
import mmlog


class LogTest(helpers.WithLog):
    def test_messages_are_stored_as_they_are_and_positions_count_bytes(self):
        with mmlog.Log(self.path) as log:
            self.assertEqual(log.append("ß\n"), 0)
            self.assertEqual(log.append(b"\0two\n", durable=True), 3)
            self.assertEqual(log.append(bytearray(b"three\n")), 8)
            self.assertEqual(log.sync(), 14)
        self.assertEqual(self.path.read_bytes(), "ß\n\0two\nthree\n".encode())

    def test_the_file_is_exact_after_a_trim_and_after_the_last_close(self):
        log = mmlog.Log(self.path)
        log.append("one\n")
        self.assertGreater(os.path.getsize(self.path), 4)
        log.trim()
        self.assertEqual(os.path.getsize(self.path), 4)
        log.append("two\n")
        second = mmlog.Log(self.path)
        log.close()
        second.append("three\n")
        second.close()
        self.assertEqual(self.path.read_bytes(), b"one\ntwo\nthree\n")

    def test_a_closed_log_refuses_and_closing_twice_is_fine(self):
        log = mmlog.Log(self.path)
        log.close()
        log.close()
        with self.assertRaises(mmlog.Error) as caught:
            log.append("x")
        self.assertEqual(caught.exception.code, mmlog.Code.INVALID)
        self.assertIn("is closed", str(caught.exception))

    def test_closing_under_threads_that_append_ends_in_a_refusal(self):
        for _ in range(20):
            log, begun, ended = mmlog.Log(self.path), threading.Barrier(5), []

            def work():
                log.append("line\n")
                begun.wait()
                try:
                    while True:
                        log.append("line\n")
                except mmlog.Error as e:
                    ended.append(e.code)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            begun.wait()
            log.close()
            for thread in threads:
                thread.join()
            self.assertEqual(ended, [mmlog.Code.INVALID] * 4)
        self.assertEqual(set(self.lines()), {"line"})

    def test_errors_have_a_code_and_a_sentence(self):
        with self.assertRaises(mmlog.Error) as caught:
            mmlog.Log(self.path, must_exist=True)
        self.assertEqual(caught.exception.code, mmlog.Code.NO_LOG)
        self.assertIn(str(self.path), str(caught.exception))
        with self.assertRaises(mmlog.Error) as caught:
            mmlog.follow(self.path)
        self.assertEqual(caught.exception.code, mmlog.Code.NO_LOG)

    def test_what_is_no_message_and_no_position_is_refused(self):
        with mmlog.Log(self.path) as log:
            log.append(memoryview(bytearray(b"bytes\n")))
            for value in (5, [104, 105], None):
                self.assertRaises(TypeError, log.append, value)
            self.assertRaises(mmlog.Error, log.follow, start=-1)
        self.assertEqual(self.path.read_bytes(), b"bytes\n")

    def test_a_plain_file_is_adopted(self):
        self.path.write_text("before\n")
        with mmlog.Log(self.path, adopt=True) as log:
            self.assertEqual(log.append("after\n"), 7)
        self.assertEqual(self.lines(), ["before", "after"])

    def test_a_policy_is_that_of_the_log_and_may_be_changed(self):
        rules = mmlog.Policy(
            rotate_size="64M",
            rotate_age=datetime.timedelta(days=1),
            keep=0,
            keep_bytes="10G",
            keep_age="30d",
            keep_free="10%",
            hold_max=5,
            compress="zstd",
        )
        with mmlog.Log(self.path, policy=rules) as log:
            there = mmlog.Policy(64 << 20, 86400.0, 0, 10 << 30, 30 * 86400.0, "10%", 5, "zstd")
            self.assertEqual(log.policy, there)
            log.policy = {"keep": 3, "keep_free": "5G"}
            self.assertEqual(log.policy, mmlog.Policy(keep=3, keep_free=5 << 30))
            log.policy = None
            self.assertEqual(log.policy, mmlog.Policy())

    def test_a_rule_that_is_none_is_refused(self):
        for rules in (
            {"rotate_sice": 1},
            {"rotate_size": "64X"},
            {"rotate_size": -1},
            {"rotate_age": "1 day"},
            {"rotate_age": -1},
            {"keep": "3"},
            {"keep_free": "100%"},
            {"compress": "xz"},
        ):
            with self.assertRaises(mmlog.Error, msg=rules) as caught:
                mmlog.Log(self.path, policy=rules)
            self.assertEqual(caught.exception.code, mmlog.Code.INVALID)
            self.assertIn(next(iter(rules)), str(caught.exception))

    def test_rotation_and_pruning_and_what_a_follower_is_told(self):
        with mmlog.Log(self.path) as log:
            log.append("one\n")
            self.assertEqual(log.rotate(), 4)
            log.append("two\n")
            self.assertEqual(list(log.follow(timeout=0)), [mmlog.Line(0, 4, b"one\n"), mmlog.Line(4, 8, b"two\n")])
            self.assertEqual(log.prune({"keep": 0}), 4)
            self.assertEqual(list(log.follow(0, timeout=0)), [mmlog.Pruned(0, 4), mmlog.Line(4, 8, b"two\n")])
            log.housekeep()
            self.assertEqual(log.status()["first_kept"], 4)

    def test_a_follower_puts_lines_together_and_goes_on_where_an_event_ended(self):
        with mmlog.Log(self.path) as log:
            long = "x" * 200_000
            for part in ("a\nb", "c\n", long, "\nend"):
                log.append(part)
            events = list(log.follow(timeout=0))
            self.assertEqual([event.text for event in events], ["a", "bc", long, "end"])
            self.assertEqual([event.text for event in log.follow(events[1].end, 0)], [long, "end"])
            self.assertEqual(list(log.follow(mmlog.NEWEST, 0)), [])

    def test_a_follower_sleeps_until_something_comes(self):
        with mmlog.Log(self.path) as log:
            log.append("first\n")
            events = log.follow()
            self.assertEqual(next(events).text, "first")
            thread = threading.Thread(target=log.append, args=("second\n",))
            thread.start()
            self.assertEqual(next(events).text, "second")
            thread.join()

    def test_a_status_has_every_writer(self):
        with mmlog.Log(self.path) as log:
            log.append("x")
            self.assertEqual([writer["pid"] for writer in log.status()["writers"]], [os.getpid()])


if __name__ == "__main__":
    unittest.main()
