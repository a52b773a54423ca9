-- A tenant's windows of time, as the hash has them, in no order. ARGV: those of the last so many ms, or ''.
-- Changes nothing.
local found, since = {}, ARGV[1] == '' and 0 or now() - ARGV[1]
for _, window in ipairs(redis.call('HKEYS', TALLIES)) do
  local start, width = string.match(window, '(%d+)/(%d+)')
  if start + width > since then
    found[#found + 1] = window
    found[#found + 1] = redis.call('HGET', TALLIES, window)
  end
end
return found
