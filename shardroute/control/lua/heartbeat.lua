-- Renews a lease and acknowledges a version (rules 3, 4). ARGV: session, lease ms, acknowledged version, incarnation,
-- information (JSON), number (of a session's heartbeats, growing), tenants that the acknowledgement does not speak for
-- (JSON: name and last version, or ''), the most that a step of the clock may count for (ms).
-- Answers whether the lease had lapsed, the map's version and stamp, and Redis's clock. The router asks for the
-- duration, so Redis never holds it to a shorter one than the router knows of. Repeatable; one that comes after a later
-- one was given up long ago and changes nothing.
local session, lease, version, incarnation, information, number, withheld, most = unpack(ARGV)
if redis.call('HGET', META, 'incarnation') ~= incarnation then
  master_only()
  return {'LOST'}
end
local lapsed = session_alive(session) and 0 or 1
local map = redis.call('HMGET', META, 'version', 'stamp', 'step')
local answer = {'OK', lapsed, tonumber(map[1]), map[2] or '', now()}
if tonumber(redis.call('HGET', BEATS, session) or '0') > tonumber(number) then return answer end
-- The shortest lease of all decides what a step may count for; the first of new processes decides anew.
local alone = lapsed == 1 and redis.call('ZCOUNT', SESSIONS, '(' .. lease_time(), '+inf') == 0
if alone or not map[3] or tonumber(most) < tonumber(map[3]) then redis.call('HSET', META, 'step', most) end
redis.call('HSET', BEATS, session, number)
redis.call('ZADD', SESSIONS, lease_time() + tonumber(lease), session)
redis.call('HSET', ACKS, session, version)
if withheld == '' then redis.call('HDEL', WITHHELD, session) else redis.call('HSET', WITHHELD, session, withheld) end
if lapsed == 1 then
  forget_dead_sessions()
  redis.call('HSET', INFO, session, information)
end
return answer
