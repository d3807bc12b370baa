"""httpx. Arguments: URL REQUESTS CONCURRENCY.

HTTP/1.1 alone: over HTTP/2 its library h2 takes every GOAWAY for the end of the connection (httpcore issue 46), and fails
with whoever sends one while a stream is open.
"""

import asyncio
import sys

import httpx

from tally import BODY, Tally

url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def main():
    """One client, as programs use it, and as many tasks as are asked for."""
    tally, left = Tally(), iter(range(count))
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def work():
            for _ in left:
                try:
                    answer = await client.post(url, content=BODY)
                    tally.note(answer.status_code, answer.content)
                except httpx.HTTPError as error:
                    tally.failed(error)

        await asyncio.gather(*(work() for _ in range(concurrency)))
    tally.report()


asyncio.run(main())
