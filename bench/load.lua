-- The load that wrk makes. BENCH_TOKEN is the caller's token; BENCH_BODY, if set, makes each request a POST with that
-- body. In the body and in the path __N__ becomes a number of 16 digits that no other request has, so that no server can
-- answer from what it answered before. One line of JSON at the end, because wrk's own report has no 99th percentile alone.

wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")
local body = os.getenv("BENCH_BODY")
if body then
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

-- The pieces around the marker, cut once and not for every request.
local function cut(text)
  local pieces, from = {}, 1
  while true do
    local first, last = text:find("__N__", from, true)
    if not first then break end
    pieces[#pieces + 1] = text:sub(from, first - 1)
    from = last + 1
  end
  pieces[#pieces + 1] = text:sub(from)
  return pieces
end

local path, number

function init()
  path = cut(wrk.path)
  body = body and cut(body)
  number = tonumber(os.getenv("BENCH_FIRST"))
  -- Without a marker wrk sends one prepared request again and again, which costs it nothing.
  if #path == 1 and (not body or #body == 1) then
    wrk.body = body and body[1]
    return
  end
  request = function()
    number = number + 1
    local text = string.format("%016d", number)
    return wrk.format(nil, table.concat(path, text), nil, body and table.concat(body, text))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'JSON{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"bytes":%d,"bad_status":%d,"broken":%d,"timeouts":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, summary.bytes, errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
