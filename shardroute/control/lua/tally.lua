-- Adds counts to a tenant's current window of time, which is a field START/WIDTH (ms) of a hash. ARGV: batch,
-- width ms, retention ms, most windows, most names of a window, counts (JSON).
-- Repeatable: a batch is added once.
local batch, width, retention, most_windows, most_names, counts = unpack(ARGV)
if not first_time(batch) then return {'OK', 0} end
local start = now() - now() % width
local window = string.format('%d/%d', start, width)

local function forget_old_windows()
  local starts, fields = {}, {}
  for _, field in ipairs(redis.call('HKEYS', TALLIES)) do
    local begun, lasted = string.match(field, '(%d+)/(%d+)')
    if begun + lasted <= now() - retention then
      redis.call('HDEL', TALLIES, field)
    else
      starts[#starts + 1] = {tonumber(begun), field}
    end
  end
  table.sort(starts, function(one, two) return one[1] < two[1] end)
  for index = 1, #starts - most_windows + 1 do redis.call('HDEL', TALLIES, starts[index][2]) end
end

local known, names = redis.call('HGET', TALLIES, window), 0
if not known then forget_old_windows() end
local whole = cjson.decode(known or '{}')
for _ in pairs(whole) do names = names + 1 end
for name, count in pairs(cjson.decode(counts)) do
  if not whole[name] then names = names + 1 end
  if whole[name] or names <= tonumber(most_names) then whole[name] = (whole[name] or 0) + count end
end
redis.call('HSET', TALLIES, window, cjson.encode(whole))
redis.call('PEXPIRE', TALLIES, math.max(retention, width))
return {'OK', 1}
