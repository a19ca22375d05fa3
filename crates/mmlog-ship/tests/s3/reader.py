"""Reads the objects of a log as doc/ship.md describes them: DIR has each under its name, and what is said of it, line by line, in NAME@."""
import hashlib
import os
import sys

MODULUS, BASE = (1 << 61) - 1, 1442695040888963407


def sum_of(data):
    value = 0
    for byte in data:
        value = (value * BASE + byte + 1) % MODULUS
    return value


directory = sys.argv[1]
names = sorted(name for name in os.listdir(directory) if not name.endswith("@"))
before, at = "0" * 16, None
for name in names:
    if name.endswith(".gaps"):
        continue
    lines = open(os.path.join(directory, name + "@")).read().splitlines()
    said = dict(line.split(": ", 1) for line in lines)
    data = open(os.path.join(directory, name), "rb").read()
    first, last = (int(number) for number in name.split(".")[0].split("-"))
    assert (first, last) == (int(said["mm-from"]), int(said["mm-to"])), name
    assert len(data) == int(said["mm-size"]), name
    assert hashlib.sha256(data).hexdigest() == said["mm-sha256"], name
    order = "v kind log epoch from to sum proof-from proof-to proof after over by connection".split()
    text = "".join("mm-%s=%s\n" % (field, said["mm-" + field]) for field in order)
    assert said["mm-id"] == "%016x" % (sum_of(text.encode()) or 1), name
    assert said["mm-after"] == before, name
    before = said["mm-id"]
    if said["mm-kind"] == "begin":
        at = last
        continue
    assert first == at, name
    at = last
    if said["mm-kind"] != "segment":
        continue
    assert len(data) == last - first and sum_of(data) == int(said["mm-sum"], 16), name
    gaps = []
    if said["mm-gaps"] != "0":
        gaps = [line.split() for line in open(os.path.join(directory, name + ".gaps")).read().splitlines()]
        assert len(gaps) == int(said["mm-gaps"]), name
    position = first
    for start, end, _ in gaps:
        sys.stdout.buffer.write(data[position - first:int(start) - first])
        position = int(end)
    sys.stdout.buffer.write(data[position - first:])
