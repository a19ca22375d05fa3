"""Reads a directory or a stream of Redis that was shipped to, written from doc/ship.md alone: checks chain and sums, and prints the bytes."""

import os
import re
import socket
import sys

BASE, MODULUS = 1442695040888963407, (1 << 61) - 1


def summed(data):
    sum = 0
    for byte in data:
        sum = (sum * BASE + byte + 1) % MODULUS
    return sum


def units(directory):
    names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"units-\d{20}", name))
    firsts = [int(name[len("units-"):]) for name in names]
    for name, first, end in zip(names, firsts, firsts[1:] + [1 << 64]):
        with open(os.path.join(directory, name), "rb") as file:
            for coordinate in range(first, end):
                words = file.readline().split()
                if len(words) != 4 or words[0] != b"unit":
                    break
                assert int(words[1]) == coordinate
                text, payload = file.read(int(words[2])), file.read(int(words[3]))
                if file.read(1) != b"\n":
                    break
                pairs = [line.split(": ", 1) for line in text.decode().splitlines() if line]
                yield coordinate, pairs, payload


def said(file):
    """An answer of Redis."""
    kind, text = (line := file.readline())[:1], line[1:-2]
    if kind == b"*":
        return [said(file) for _ in range(int(text))]
    if kind == b"$":
        data = file.read(int(text) + 2)
        return data[:-2]
    assert kind == b"+", line
    return text


def entries(address):
    host, port, key = re.fullmatch(r"redis://([^:]+):(\d+)/(.+)", address).groups()
    with socket.create_connection((host, int(port))) as connection:
        file = connection.makefile("rwb")
        begin = "-"
        while True:
            words = ["XRANGE", key, begin, "+", "COUNT", "10"]
            file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            file.flush()
            found = said(file)
            if not found:
                return
            for id, flat in found:
                coordinate, number = id.split(b"-")
                assert number == b"0"
                pairs = list(zip(flat[::2], flat[1::2]))
                assert pairs[-1][0] == b"payload"
                yield int(coordinate), [(name.decode(), value.decode()) for name, value in pairs[:-1]], pairs[-1][1]
            begin = "(" + id.decode()


def main(place):
    before, position, log = "0" * 16, None, None
    for coordinate, pairs, payload in entries(place) if "://" in place else units(place):
        fields = dict(pairs)
        signed = [pair for pair in pairs if pair[0] not in ("mm-id", "mm-cut")]
        id = max(1, summed("".join(f"{name}={value}\n" for name, value in signed).encode()))
        assert fields["mm-v"] == "1" and fields["mm-id"] == f"{id:016x}", coordinate
        assert fields["mm-after"] == before, coordinate
        assert fields["mm-sum"] == f"{summed(payload):016x}", coordinate
        before = fields["mm-id"]
        if fields["mm-kind"] == "opening":
            continue
        if fields["mm-kind"] != "begin":
            assert (log, position) == (fields["mm-log"], int(fields["mm-from"])), coordinate
        log, position = fields["mm-log"], int(fields["mm-to"])
        if fields["mm-kind"] == "content":
            assert len(payload) == position - int(fields["mm-from"]), coordinate
        else:
            assert not payload
        sys.stdout.buffer.write(payload)


main(sys.argv[1])
