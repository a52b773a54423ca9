-- Adds counts to a tenant's current window of time, as JSON. ARGV: batch, width ms, retention ms, most windows, most
-- names of a window, counts (JSON). Repeatable: a batch is added once.
local batch, width, retention, most_windows, most_names, counts = unpack(ARGV)
if not first_time(batch) then return {'OK', 0} end
local field = string.format('%d/%d', now() - now() % width, width)
local known, names = redis.call('HGET', TALLIES, field), 0
if not known then
  local windows = windows_of_time()
  for index, window in ipairs(windows) do
    if window[3] <= now() - retention or index <= #windows + 1 - most_windows then
      redis.call('HDEL', TALLIES, window[1])
    end
  end
end
local whole = cjson.decode(known or '{}')
for _ in pairs(whole) do names = names + 1 end
for name, count in pairs(cjson.decode(counts)) do
  if whole[name] then
    whole[name] = whole[name] + count
  elseif names < tonumber(most_names) then
    whole[name], names = count, names + 1
  end
end
redis.call('HSET', TALLIES, field, cjson.encode(whole))
redis.call('PEXPIRE', TALLIES, math.max(retention, width))
return {'OK', 1}
