-- A tenant's windows of time, oldest first: field and counts (JSON), again and again. ARGV: those of the last so many
-- ms, or ''. Changes nothing.
local found, since = {}, ARGV[1] == '' and 0 or now() - ARGV[1]
for _, window in ipairs(windows_of_time()) do
  if window[3] > since then
    found[#found + 1] = window[1]
    found[#found + 1] = redis.call('HGET', TALLIES, window[1])
  end
end
return found
