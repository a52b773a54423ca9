-- Rule 11: anyone may move an overdue hold on to the neighbouring dual phase. ARGV: tenant, shard. Repeatable.
-- A hold of the shard's default, and that of a declaration, ends on the one cluster that the tenant is on: it has no
-- data, so there is nothing to write twice.
if map_lost() then return {'LOST'} end
local standing = standing_of(ARGV[1], ARGV[2])
if not HELD[standing.phase] then return {'OK', standing.version} end
if standing.hold_until > lease_time() then return {'HELD', standing.hold_until - lease_time()} end
-- Before the crossing, who has not heard of the hold is in the very phase that it ends in.
local follows_default = redis.call('HEXISTS', TENANTS, ARGV[1]) == 0
local behind = standing.crossed == 0 and {} or lagging(standing.version, follows_default and EVERY_TENANT or ARGV[1])
if #behind > 0 then return {'BARRIER', table.concat(behind, ' ')} end
if follows_default then
  step(standing, DEFAULT_HOLD_ENDS_IN[standing.phase], 0, '')
  return {'OK', publish_default(ARGV[2], standing)}
end
if standing.declared == 1 then
  return {'OK', declare(ARGV[1], standing, DEFAULT_HOLD_ENDS_IN[standing.phase], 0)}
end
return {'OK', move_to(ARGV[1], standing, HOLD_ENDS_IN[standing.phase], 0, '')}
