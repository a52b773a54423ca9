-- Drops records that say what their shard's default says as well. ARGV: shard, tenants… Repeatable.
-- Answers how many went. Only at NEW: there, epoch and journal of a tenant no longer matter.
if map_lost() then return {'LOST'} end
local dropped = 0
if standing_of('', ARGV[1]).phase ~= 'NEW' then return {'OK', dropped} end
for index = 2, #ARGV do
  local own = redis.call('HGET', TENANTS, ARGV[index])
  -- Who has not heard of the move to NEW would take the epochs that begin again for those that it knows.
  if own and cjson.decode(own).phase == 'NEW' and #lagging(cjson.decode(own).version, ARGV[index]) == 0 then
    redis.call('HDEL', TENANTS, ARGV[index])
    announce({tenant = ARGV[index]}, nil)
    dropped = dropped + 1
  end
end
return {'OK', dropped}
