"""nghttp: a process, and so a connection, for each CONCURRENCY requests, since it opens no second one.

Arguments: URL REQUESTS CONCURRENCY FILE, whose bytes are the body. A request that nghttp has not sent is none that was lost.
"""

import re
import subprocess
import sys

from tally import Tally

url, count, concurrency, body = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
command = ["nghttp", "--no-push", "--null-out", "--stat", "--timeout=5s", f"--data={body}"]
tally = Tally()

for begin in range(0, count, concurrency):
    together = min(concurrency, count - begin)
    done = subprocess.run([*command, f"--multiply={together}", url], capture_output=True, text=True, check=False)
    # id, responseEnd, requestStart, process, code, size, path
    codes = re.findall(r"^ *\d+ +\S+ +\S+ +\S+ +(\d+) +(\d+\S*) /", done.stdout, re.MULTILINE)
    for code, size in codes:
        if (code, size) == ("200", "64"):
            tally.answered += 1
        else:
            tally.failed(f"status {code} with {size} bytes")
    for _ in range(together - len(codes)):
        tally.failed(f"no answer: {done.stderr.strip()[-150:]}")
tally.report()
