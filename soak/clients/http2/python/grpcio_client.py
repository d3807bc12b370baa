"""grpcio: one channel; a message is its bytes. Arguments: URL REQUESTS CONCURRENCY."""

import sys
import threading
from urllib.parse import urlsplit

import grpc

from tally import BODY, Tally

url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tally, lock, left = Tally(), threading.Lock(), iter(range(count))


def work(say):
    """Calls for as long as there is a request left."""
    while True:
        with lock:
            if next(left, None) is None:
                return
        try:
            answer = say(BODY, timeout=5)
            with lock:
                tally.note(200, answer)
        except grpc.RpcError as error:
            with lock:
                tally.failed(f"{error.code().name}: {error.details()}")


with grpc.insecure_channel(urlsplit(url).netloc) as channel:
    method = channel.unary_unary("/echo.Echo/Say")
    threads = [threading.Thread(target=work, args=(method,)) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
tally.report()
