"""What a client saw, as the one line that `soak` reads."""

import collections
import json

BODY = b"x" * 64


class Tally:
    """Counts answers that are right, and everything else by what it was."""

    def __init__(self):
        self.answered = 0
        self.failures = collections.Counter()

    def note(self, status, body):
        """Notes an answer: only the very bytes that were sent are the right ones."""
        if status == 200 and body == BODY:
            self.answered += 1
        else:
            self.failures[f"status {status} with {len(body)} bytes"] += 1

    def failed(self, error):
        """Notes a request that had no answer."""
        self.failures[f"{type(error).__name__}: {error}"[:200]] += 1

    def report(self):
        """Prints the line."""
        print(json.dumps({"answered": self.answered, "failures": self.failures}))
