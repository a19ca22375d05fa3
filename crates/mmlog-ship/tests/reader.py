"""Reads a directory that was shipped to, written from doc/ship.md alone: checks chain and sums, and prints the bytes."""

import os
import re
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


def main(directory):
    before, position, log = "0" * 16, None, None
    for coordinate, pairs, payload in units(directory):
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
