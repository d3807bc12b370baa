// What a client saw, as the one line that `soak` reads; and the loop that all Node clients share.

export const BODY = Buffer.alloc(64, 'x')

/** Sends `count` requests, `concurrency` at a time; `send` resolves to a status and a body. */
export async function run(count, concurrency, send) {
  let left = count
  let answered = 0
  const failures = {}
  const fail = (why) => { failures[why] = (failures[why] ?? 0) + 1 }
  const work = async () => {
    while (left-- > 0) {
      try {
        const { status, body } = await send()
        if (status === 200 && BODY.equals(body)) answered += 1
        else fail(`status ${status} with ${body.length} bytes`)
      } catch (error) {
        fail(`${error.code ?? error.name}: ${error.message}`.slice(0, 200))
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  console.log(JSON.stringify({ answered, failures }))
}
