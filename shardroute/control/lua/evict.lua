-- Makes room: takes the oldest recorded queries, the oldest windows or the mildest examples of a tenant; at least one,
-- at most two hundred, and about half of what it has, so that the next largest gives its part.
-- ARGV: kind, how many bytes are wanted. Answers how many went. Repeatable: more goes than had to, no more.
local kind, wanted, freed, most = ARGV[1], tonumber(ARGV[2]), 0, 200
local key = ({recorded = RECORDED, tallies = TALLIES, examples = EXAMPLES})[kind]
wanted = math.min(wanted, (redis.call('ZSCORE', SIZES, key) or 0) / 2)
local windows = kind == 'tallies' and windows_of_time() or {}
local function oldest(index)
  if kind == 'recorded' then return redis.call('LPOP', RECORDED) end
  if kind == 'examples' then return redis.call('ZPOPMIN', EXAMPLES)[1] end
  if not windows[index] then return nil end
  local counts = redis.call('HGET', TALLIES, windows[index][1])
  redis.call('HDEL', TALLIES, windows[index][1])
  return counts
end
for index = 1, most do
  local gone = (index == 1 or freed < wanted) and oldest(index)
  if not gone then break end
  freed = freed + #gone + ELEMENT_BYTES
end
if redis.call('EXISTS', key) == 1 then counted(key, -freed) else uncount(key) end
return {'OK', freed}
