-- Moves a tenant to a neighbouring phase (rules 1, 2, 10, 11). ARGV: tenant, shard, to, epoch, fence, max hold ms.
-- Repeatable: a move that this fence has made already is answered as made.
local tenant, shard, to, epoch, fence, max_hold = unpack(ARGV)
if map_lost() then return {'LOST'} end
if not holds_lock(fence) then return {'LOCK_LOST'} end
local standing = standing_of(tenant, shard)
epoch = tonumber(epoch)
if standing.epoch == epoch + 1 and standing.phase == to and standing.fence == fence then
  return {'OK', standing.version}
end
if standing.epoch ~= epoch then return {'STALE', standing.phase} end
-- A hold of the shard's default is not this tenant's own, and one of a declaration not a migrator's: it is over in a
-- moment.
local alien = redis.call('HEXISTS', TENANTS, tenant) == 0 or standing.declared == 1
if HELD[standing.phase] and alien then return {'STALE', standing.phase} end
if math.abs(LINE[to] - LINE[standing.phase]) ~= 1 then return {'NOT_NEIGHBOUR', standing.phase} end
local behind = lagging(standing.version, tenant)
if #behind > 0 then return {'BARRIER', table.concat(behind, ' ')} end
if DUAL[standing.phase] and HELD[to] and standing.synced ~= 1 then return {'NOT_SYNCED', standing.phase} end
if HELD[standing.phase] and HELD[to] then
  if standing.synced ~= 1 then return {'NOT_SYNCED', standing.phase} end
  if standing.hold_until <= lease_time() then return {'HOLD_OVER', standing.phase} end
  reap()
  if redis.call('HLEN', TOKENS) > 0 then return {'TOKENS', redis.call('HLEN', TOKENS)} end
  if redis.call('SCARD', DEBT) > 0 then return {'DEBT', redis.call('SCARD', DEBT)} end
end
return {'OK', move_to(tenant, standing, to, tonumber(max_hold), fence)}
