// undici's Pool. Arguments: URL REQUESTS CONCURRENCY.

import { Pool } from 'undici'

import { BODY, run } from './tally.mjs'

const [url, count, concurrency] = process.argv.slice(2)
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections: Number(concurrency), headersTimeout: 60_000, bodyTimeout: 60_000 })

await run(Number(count), Number(concurrency), async () => {
  const answer = await pool.request({ path: pathname, method: 'POST', body: BODY })
  return { status: answer.statusCode, body: Buffer.from(await answer.body.arrayBuffer()) }
})
await pool.close()
