-- Rule 2: who has not acknowledged a version yet. ARGV: version. Forgets sessions dead for ten minutes.
-- A replica may not have heard of a session, and an empty Redis knows none: neither says that nobody is waited for.
master_only()
if map_lost() then return {'LOST'} end
local dead = redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now() - 600000)
for _, session in ipairs(dead) do
  redis.call('HDEL', ACKS, session)
  redis.call('HDEL', INFO, session)
  redis.call('HDEL', BEATS, session)
  redis.call('ZREM', SESSIONS, session)
end
return lagging(tonumber(ARGV[1]))
