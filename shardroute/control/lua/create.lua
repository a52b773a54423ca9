-- Declares a tenant that has no data anywhere as one of the new side. ARGV: tenant, shard. Repeatable.
-- Answers the standing's version; a tenant that has a record already keeps it.
if map_lost() then return {'LOST'} end
local own = redis.call('HGET', TENANTS, ARGV[1])
if own then return {'EXISTS', cjson.decode(own).version, cjson.decode(own).phase} end
-- Whoever holds the tenant may be deleting what is left of it on the new side.
if redis.call('EXISTS', LOCK) == 1 then return {'LOCKED', 0, redis.call('HGET', LOCK, 'owner')} end
local standing = standing_of(ARGV[1], ARGV[2])
if standing.phase == 'NEW' then return {'EXISTS', standing.version, 'NEW'} end
standing.phase, standing.epoch, standing.synced, standing.hold_until = 'NEW', standing.epoch + 1, 0, 0
return {'CREATED', publish(ARGV[1], standing), 'NEW'}
