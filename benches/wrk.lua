-- Sends one request again and again, as each visitor in turn, and prints what came of it as one line of JSON.
--   wrk .. -s wrk.lua URL -- METHOD CONTENT_TYPE BODY_FILE COOKIE... (an empty word stands for none)

function init(args)
   wrk.method = args[1]
   wrk.headers["Accept-Encoding"] = "gzip, br"
   if args[1] ~= "GET" then
      wrk.headers["Content-Type"] = args[2]
      wrk.headers["Origin"] = wrk.scheme .. "://" .. wrk.headers["Host"]
      wrk.headers["Sec-Fetch-Site"] = "same-origin"
      wrk.body = io.open(args[3], "rb"):read("*a")
   end
   local requests, turn = {}, 0
   for i = 4, math.max(4, #args) do
      if args[i] and args[i] ~= "" then wrk.headers["Cookie"] = args[i] end
      requests[#requests + 1] = wrk.format()
   end
   -- With one visitor wrk sends a request that it made once.
   if #requests > 1 then
      request = function()
         turn = turn % #requests + 1
         return requests[turn]
      end
   end
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %f, "bytes": %d, "p50_ms": %f, "p99_ms": %f, "refused": %d, "lost": %d}',
      summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
