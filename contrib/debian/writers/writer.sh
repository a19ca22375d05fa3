#!/bin/sh
# As writer.c, by a pipe into the tool, which is replaced meanwhile.
set -eu
count=0
while [ ! -e "$2" ]; do
  count=$((count + 1))
  echo "pipe $count"
  sleep 0.01
done | mmlogctl append --tee "$1" | tail -n 1
