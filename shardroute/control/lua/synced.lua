-- Notes that a full copy has been made since the dual phase was entered. ARGV: tenant, shard, epoch, fence. Repeatable.
if map_lost() then return {'LOST'} end
if not holds_lock(ARGV[4]) then return {'LOCK_LOST'} end
local standing = standing_of(ARGV[1], ARGV[2])
if standing.epoch ~= tonumber(ARGV[3]) or not DUAL[standing.phase] then return {'STALE', standing.phase} end
if standing.synced == 1 then return {'OK', standing.version} end
standing.synced = 1
return {'OK', publish(ARGV[1], standing)}
