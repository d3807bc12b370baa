// grpc-js with one channel; a message is its bytes. Arguments: URL REQUESTS CONCURRENCY.

import grpc from '@grpc/grpc-js'

import { BODY, run } from './tally.mjs'

const [url, count, concurrency] = process.argv.slice(2)
const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure())
const same = (bytes) => bytes

const send = () => new Promise((resolve, reject) => {
  const options = { deadline: Date.now() + 5_000 }
  client.makeUnaryRequest('/echo.Echo/Say', same, same, BODY, new grpc.Metadata(), options, (error, body) => {
    if (error) reject(error)
    else resolve({ status: 200, body })
  })
})

await run(Number(count), Number(concurrency), send)
client.close()
