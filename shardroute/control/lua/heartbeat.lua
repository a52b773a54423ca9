-- Renews a lease and acknowledges a version (rules 3, 4). ARGV: session, lease ms, acknowledged version,
-- incarnation, information (JSON), number (of a session's heartbeats, growing). The router asks for the duration,
-- so Redis never holds it to a shorter one than the router knows of. Repeatable; one that comes after a later one
-- was given up long ago and changes nothing.
if redis.call('HGET', META, 'incarnation') ~= ARGV[4] then
  master_only()
  return {'LOST'}
end
local lapsed = session_alive(ARGV[1]) and 0 or 1
if tonumber(redis.call('HGET', BEATS, ARGV[1]) or '0') > tonumber(ARGV[6]) then
  return {'OK', lapsed, tonumber(redis.call('HGET', META, 'version'))}
end
redis.call('HSET', BEATS, ARGV[1], ARGV[6])
redis.call('ZADD', SESSIONS, now() + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', ACKS, ARGV[1], ARGV[3])
if lapsed == 1 then redis.call('HSET', INFO, ARGV[1], ARGV[5]) end
return {'OK', lapsed, tonumber(redis.call('HGET', META, 'version'))}
