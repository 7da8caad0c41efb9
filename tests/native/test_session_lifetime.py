"""Sessions that come and go: the memory that they leave behind."""

import subprocess
import sys

# In a process of its own, whose memory no other test has touched. Prints resident kB after the first hundred
# sessions, when ONNX Runtime's pools and malloc's have their size, and after all.
PROGRAM = """
import gc
import numpy as np
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.runtimes.onnx_runtime import create_session

def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

x = np.zeros((1, 3, 32, 32), np.float32)
for i in range(300):
    session = create_session(EMBEDDED_MODEL, library=True, threads=1)
    session.run(None, {session.get_inputs()[0].name: x})
    del session
    if i == 99:
        print(resident())
print(resident())
"""

# Of 200 sessions. malloc's fragments grow by some 0.1 MB in all; a library that was loaded anew for each
# session left its scratch memory behind each time, 38 MB in all.
BOUND_KB = 2048


def test_sessions_leave_no_memory_behind() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    first, last = map(int, result.stdout.split())
    assert last - first < BOUND_KB
