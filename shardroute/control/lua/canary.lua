-- Sets which percentage of a tenant's reads the other side answers. ARGV: tenant, shard, percent, fence. Repeatable.
-- Only before the crossing, and once the other side has been in step: what it lacks is debt at most.
if map_lost() then return {'LOST'} end
if not holds_lock(ARGV[4]) then return {'LOCK_LOST'} end
local standing, percent = standing_of(ARGV[1], ARGV[2]), tonumber(ARGV[3])
if (standing.canary or 0) == percent then return {'OK', standing.version} end
if standing.phase ~= 'DUAL_OLD' then return {'NOT_DUAL_OLD', standing.phase} end
if standing.synced ~= 1 then return {'NOT_SYNCED', standing.phase} end
standing.canary = percent
return {'OK', publish(ARGV[1], standing)}
