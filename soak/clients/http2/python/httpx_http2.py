"""httpx over HTTP/2, by prior knowledge. Arguments: URL REQUESTS CONCURRENCY."""

import asyncio
import sys

import httpx

from tally import BODY, Tally

url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def main():
    """One client, as programs use it, and as many tasks as are asked for."""
    tally, left = Tally(), iter(range(count))
    async with httpx.AsyncClient(http1=False, http2=True, timeout=5) as client:

        async def work():
            for _ in left:
                try:
                    answer = await client.post(url, content=BODY)
                    tally.note(answer.status_code, answer.content)
                # Some errors of its library h2 are passed on as they are.
                except Exception as error:
                    tally.failed(error)

        await asyncio.gather(*(work() for _ in range(concurrency)))
    tally.report()


asyncio.run(main())
