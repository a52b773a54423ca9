-- Adds counts to a tenant's current window of time, as JSON. ARGV: batch, budget, width ms, retention ms, most windows,
-- most names of a window, counts (JSON). Repeatable: a batch is added once.
-- Without room nothing is added, and the answer says which key is the largest.
local batch, budget, width, retention, most_windows, most_names, counts = unpack(ARGV)
if taken_before(batch) then return {'OK', 0} end
local field = string.format('%d/%d', now() - now() % width, width)
local known, names = redis.call('HGET', TALLIES, field), 0
local whole = cjson.decode(known or '{}')
for _ in pairs(whole) do names = names + 1 end
for name, count in pairs(cjson.decode(counts)) do
  if whole[name] then
    whole[name] = whole[name] + count
  elseif names < tonumber(most_names) then
    whole[name], names = count, names + 1
  end
end
local text = cjson.encode(whole)
local bytes = #text - (known and #known or -ELEMENT_BYTES)
local refused = too_much(TALLIES, bytes, budget)
if refused then return refused end
remember(batch)
if not known then
  local windows = windows_of_time()
  for index, window in ipairs(windows) do
    if window[3] <= now() - retention or index <= #windows + 1 - most_windows then
      bytes = bytes - redis.call('HSTRLEN', TALLIES, window[1]) - ELEMENT_BYTES
      redis.call('HDEL', TALLIES, window[1])
    end
  end
end
redis.call('HSET', TALLIES, field, text)
counted(TALLIES, bytes)
lives_for(TALLIES, math.max(retention, width))
return {'OK', 1}
