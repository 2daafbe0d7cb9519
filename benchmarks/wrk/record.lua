-- Posts one decision of a new visitor each time: record.lua BODY_FILE ORIGIN KEYED.
-- KEYED is 1 to send an Idempotency-Key, never the same twice, as the widget does: WRK_RUN is
-- another with each run.

dofile(os.getenv("WRK_SHARED"))

local body, headers, keyed, prefix, count

function init(args)
   body = io.open(args[1]):read("*a")
   headers = {
      ["Host"] = wrk.headers["Host"],
      ["Content-Type"] = "application/json",
      ["Origin"] = args[2],
      ["User-Agent"] = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 "
         .. "(KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
   }
   keyed = args[3] == "1"
   prefix = string.format("%s-%d-", os.getenv("WRK_RUN"), number)
   count = 0
end

function request()
   if keyed then
      count = count + 1
      headers["Idempotency-Key"] = string.format("%s%012d", prefix, count)
   end
   return wrk.format("POST", nil, headers, body)
end
