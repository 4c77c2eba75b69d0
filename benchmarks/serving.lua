-- For wrk: sends the file that is its first argument as POST; the other arguments are names and values of headers.
-- Prints the result as one line of JSON.

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   wrk.method, wrk.body = "POST", file:read("*a")
   file:close()
   for i = 2, #arguments, 2 do
      wrk.headers[arguments[i]] = arguments[i + 1]
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      e.connect + e.read + e.write + e.status + e.timeout
   ))
end
