"""aiohttp: one session. Arguments: URL REQUESTS CONCURRENCY."""

import asyncio
import sys

import aiohttp

from tally import BODY, Tally

url, count, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def main():
    """One session, as programs use it, and as many tasks as are asked for."""
    tally, left = Tally(), iter(range(count))
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def work():
            for _ in left:
                try:
                    async with session.post(url, data=BODY) as answer:
                        tally.note(answer.status, await answer.read())
                except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                    tally.failed(error)

        await asyncio.gather(*(work() for _ in range(concurrency)))
    tally.report()


asyncio.run(main())
