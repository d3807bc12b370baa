"""python requests: a session for each thread. Arguments: URL REQUESTS CONCURRENCY."""

import sys
import threading

import requests

from tally import BODY, Tally

url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tally, lock, left = Tally(), threading.Lock(), count


def take():
    """Takes one of the requests that are left."""
    global left
    with lock:
        left -= 1
        return left >= 0


def work():
    """One session, for as long as there is a request left."""
    with requests.Session() as session:
        while take():
            try:
                answer = session.post(url, data=BODY, timeout=60)
                with lock:
                    tally.note(answer.status_code, answer.content)
            except requests.RequestException as error:
                with lock:
                    tally.failed(error)


threads = [threading.Thread(target=work) for _ in range(concurrency)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tally.report()
