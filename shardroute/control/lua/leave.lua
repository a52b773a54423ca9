-- Ends a session; what tokens it leaves are reaped. ARGV: session, for how many ms it is still waited for. Repeatable.
-- What it sent may land for so long (rule 4): until then its session counts as alive, and its tokens stand.
local ends = tonumber(redis.call('ZSCORE', SESSIONS, ARGV[1]) or '0')
local stays = math.min(ends, lease_time() + tonumber(ARGV[2]))
if tonumber(ARGV[2]) > 0 and stays > lease_time() then
  redis.call('ZADD', SESSIONS, stays, ARGV[1])
  return {'OK', 1}
end
for _, key in ipairs({ACKS, WITHHELD, INFO, BEATS}) do redis.call('HDEL', key, ARGV[1]) end
return {'OK', redis.call('ZREM', SESSIONS, ARGV[1])}
