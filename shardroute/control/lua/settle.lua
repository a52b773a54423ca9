-- Ends a token, with or without debt (rule 5). ARGV: tenant, shard, token, debt (0 or 1), ids…
-- Repeatable. A token that is not there (its `begin` may still be on its way) is made void, so that a late
-- `begin` cannot leave a token that nobody ends.
local tenant, shard, token, debt = unpack(ARGV, 1, 4)
if redis.call('HDEL', TOKENS, token) == 1 then
  land(ARGV, 5)
else
  redis.call('ZREMRANGEBYSCORE', VOID, '-inf', now() - 600000)
  redis.call('ZADD', VOID, now(), token)
end
if SETTLED[standing_of(tenant, shard).phase] then
  redis.call('DEL', VOID)
  return {'OK'}
end
touch(ARGV, 5)
if debt == '1' then add_debt(ARGV, 5) end
return {'OK'}
