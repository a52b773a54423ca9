-- Renews a lease and acknowledges a version (rules 3, 4). ARGV: session, lease ms, acknowledged version,
-- incarnation, information (JSON). The router asks for the duration, so Redis never holds it to a shorter
-- one than the router knows of. Repeatable.
if redis.call('HGET', META, 'incarnation') ~= ARGV[4] then return {'LOST'} end
local lapsed = session_alive(ARGV[1]) and 0 or 1
redis.call('ZADD', SESSIONS, now() + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', ACKS, ARGV[1], ARGV[3])
if lapsed == 1 then redis.call('HSET', INFO, ARGV[1], ARGV[5]) end
return {'OK', lapsed, tonumber(redis.call('HGET', META, 'version'))}
