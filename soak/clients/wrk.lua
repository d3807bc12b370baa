-- wrk sends what all clients send: a body of 64 bytes to be echoed.
wrk.method = "POST"
wrk.body = string.rep("x", 64)
