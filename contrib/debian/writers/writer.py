"""As writer.c, by the Python package: its modules and the library are replaced meanwhile."""

import os
import sys
import time

import mmlog

count = 0
with mmlog.Log(sys.argv[1]) as log:
    while not os.path.exists(sys.argv[2]):
        count += 1
        log.append(f"python {count}\n")
        time.sleep(0.001)
print("python", count)
