-- Moves a shard's default, which tenants without a record follow (rules 1, 2, 11). They have no data, so there is
-- nothing to write twice and the dual phases are left out. ARGV: shard, to, epoch, fence, max hold ms.
-- Repeatable: a move that this fence has made already is answered as made.
local shard, to, epoch, fence, max_hold = unpack(ARGV)
local ALLOWED = {OLD = {HOLD_OLD = true}, HOLD_OLD = {OLD = true, HOLD_NEW = true}, HOLD_NEW = {NEW = true}, NEW = {}}
if map_lost() then return {'LOST'} end
if not holds_lock(fence) then return {'LOCK_LOST'} end
local standing = standing_of('', shard)
epoch = tonumber(epoch)
if standing.epoch == epoch + 1 and standing.phase == to and standing.fence == fence then
  return {'OK', standing.version}
end
if standing.epoch ~= epoch then return {'STALE', standing.phase} end
if not ALLOWED[standing.phase][to] then return {'NOT_NEIGHBOUR', standing.phase} end
local behind = lagging(standing.version, EVERY_TENANT)
if #behind > 0 then return {'BARRIER', table.concat(behind, ' ')} end
if to == 'HOLD_NEW' and standing.hold_until <= lease_time() then return {'HOLD_OVER', standing.phase} end
step(standing, to, tonumber(max_hold), fence)
return {'OK', publish_default(shard, standing)}
