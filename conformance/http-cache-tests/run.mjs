// Runs the suite, or the tests of the given ids, against the server at the URL that it is given, and prints the
// verdicts: test id -> true, or why not.
//
// The suite's own command line closes every connection after one request; Node's own fetch keeps them, so that there
// is something to recycle.

import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'
import tests from 'http-cache-tests/tests/index.mjs'
import surrogateControl from 'http-cache-tests/tests/surrogate-control.mjs'

// Some tests let the server send responses that never end: that is a verdict, too.
const TIMEOUT = 10_000

// Reads every body to its end, which the suite does not: only then is a connection free for another request.
async function fetchWhole (url, init) {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT) })
  const text = await response.text()
  response.text = async () => text
  return response
}

const [base, ...ids] = process.argv.slice(2)
const suites = [...tests, surrogateControl].map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => ids.length === 0 || ids.includes(test.id))
}))
await runTests(suites, fetchWhole, false, base)
process.stdout.write(JSON.stringify(getResults()), () => process.exit())
