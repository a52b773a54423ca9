-- Rule 2: who has not acknowledged a version for a tenant yet. ARGV: version, tenant ('' for all of them).
-- Forgets sessions dead for ten minutes.
local dead = redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', lease_time() - 600000)
for _, session in ipairs(dead) do
  for _, key in ipairs({ACKS, WITHHELD, INFO, BEATS}) do redis.call('HDEL', key, session) end
  redis.call('ZREM', SESSIONS, session)
end
return lagging(tonumber(ARGV[1]), ARGV[2])
