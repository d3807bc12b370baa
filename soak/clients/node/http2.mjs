// Node's own http2, by prior knowledge. It replaces a session that has received GOAWAY, as Node's documentation asks.
// Arguments: URL REQUESTS CONCURRENCY.

import http2 from 'node:http2'

import { BODY, run } from './tally.mjs'

const [url, count, concurrency] = process.argv.slice(2)
const { origin, pathname } = new URL(url)
let current

const session = () => {
  if (current === undefined || current.closed || current.destroyed) {
    const opened = http2.connect(origin)
    const leave = () => { if (current === opened) current = undefined }
    opened.on('goaway', leave)
    opened.on('close', leave)
    // Each stream has the error as well, and there it is counted.
    opened.on('error', leave)
    current = opened
  }
  return current
}

const send = () => new Promise((resolve, reject) => {
  const stream = session().request({ ':method': 'POST', ':path': pathname })
  const parts = []
  let status
  stream.setTimeout(60_000, () => stream.destroy(new Error('no answer within 60 s')))
  stream.on('response', (head) => { status = head[':status'] })
  stream.on('data', (part) => parts.push(part))
  stream.on('end', () => resolve({ status, body: Buffer.concat(parts) }))
  stream.on('error', reject)
  stream.on('close', () => reject(new Error(`closed without an answer, code ${stream.rstCode}`)))
  stream.end(BODY)
})

await run(Number(count), Number(concurrency), send)
current?.close()
