-- Takes one step of declaring a tenant that has no data as one of the new side (docs/protocol.md, "New tenants").
-- ARGV: tenant, shard, to, version of the standing that the caller acted on, max hold ms.
-- What the caller saw counts for this one standing. Epochs begin again with a record that goes, so they cannot tell
-- two declarations apart: versions can.
-- Repeatable: a step that was made already is answered as STALE, and the caller goes on from where the tenant stands.
local tenant, shard, to, version, max_hold = unpack(ARGV)
local ALLOWED = {OLD = {HOLD_OLD = true}, HOLD_OLD = {OLD = true, HOLD_NEW = true}, HOLD_NEW = {NEW = true}, NEW = {}}
if map_lost() then return {'LOST'} end
local own, standing = redis.call('HEXISTS', TENANTS, tenant) == 1, standing_of(tenant, shard)
if standing.version ~= tonumber(version) then return {'STALE', standing.version} end
-- Nobody's record at OLD, and nobody's move, is taken for a declaration; nor is a hold of the shard's default.
if own ~= (standing.declared == 1) or (HELD[standing.phase] and not own) then return {'NOT_DECLARED', standing.phase} end
if not ALLOWED[standing.phase][to] then return {'NOT_NEIGHBOUR', standing.phase} end
if to == 'HOLD_OLD' and may_be_at_work() then return {'LOCKED', redis.call('HGET', LOCK, 'owner')} end
-- Who has not heard of the hold is on the old side still: going back there waits for nobody.
local behind = to == 'OLD' and {} or lagging(standing.version, tenant)
if #behind > 0 then return {'BARRIER', table.concat(behind, ' ')} end
if to == 'HOLD_NEW' and standing.hold_until <= lease_time() then return {'HOLD_OVER', standing.phase} end
return {'OK', declare(tenant, standing, to, tonumber(max_hold))}
