-- Rule 2: who has not acknowledged a version yet. ARGV: version. Forgets sessions dead for ten minutes.
local dead = redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now() - 600000)
for _, session in ipairs(dead) do
  redis.call('HDEL', ACKS, session)
  redis.call('HDEL', INFO, session)
  redis.call('HDEL', BEATS, session)
  redis.call('ZREM', SESSIONS, session)
end
return lagging(tonumber(ARGV[1]))
