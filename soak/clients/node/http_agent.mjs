// Node's own http.Agent with keep-alive. Arguments: URL REQUESTS CONCURRENCY.

import http from 'node:http'

import { BODY, run } from './tally.mjs'

const [url, count, concurrency] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(concurrency) })
const headers = { 'content-length': BODY.length }

const send = () => new Promise((resolve, reject) => {
  const request = http.request(url, { agent, method: 'POST', headers, timeout: 60_000 }, (answer) => {
    const parts = []
    answer.on('data', (part) => parts.push(part))
    answer.on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts) }))
    answer.on('error', reject)
  })
  request.on('error', reject)
  request.on('timeout', () => request.destroy(new Error('no answer within 60 s')))
  request.end(BODY)
})

await run(Number(count), Number(concurrency), send)
agent.destroy()
