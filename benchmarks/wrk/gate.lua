-- Asks with a different visitor's cookies each time: gate.lua COOKIES_FILE (one header a line).
-- All requests are put together before the clock starts.

dofile(os.getenv("WRK_SHARED"))

local requests, position = {}, 0

function init(args)
   for line in io.lines(args[1]) do
      local headers = { ["Host"] = wrk.headers["Host"], ["Cookie"] = line ~= "" and line or nil }
      requests[#requests + 1] = wrk.format("GET", nil, headers)
   end
   -- Threads begin at different places, so that they are not on the same visitor all the time.
   position = math.floor(#requests / 2) * number
end

function request()
   position = position % #requests + 1
   return requests[position]
end
