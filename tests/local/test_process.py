"""How long this process has been running."""

import subprocess
import sys
import time

import pytest


@pytest.mark.integration
def test_the_time_counts_from_the_start_of_the_process_and_not_of_the_import():
    program = (
        "import time; time.sleep(0.5)\n"
        "from tinyqueue.local.process import seconds_since_exec\n"
        "print(seconds_since_exec())"
    )
    began_s = time.monotonic()

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    # The kernel counts in steps of 10 ms.
    assert 0.5 <= float(done.stdout) <= time.monotonic() - began_s + 0.02
