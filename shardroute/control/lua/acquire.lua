-- Takes the tenant's lock with a new fencing token (rule 12). ARGV: owner, life ms, claim.
-- Answers whether somebody's unreleased lock was taken over: then a request of theirs may still land, and their
-- windows stay open until `inherit`.
-- Repeatable: a claim, one for each attempt to take the lock, that was granted is answered as granted.
if map_lost() then return {'LOST'} end
local owner, life, claim = unpack(ARGV)
local lock = redis.call('HMGET', LOCK, 'owner', 'claim', 'fence', 'taken_over')
local remaining = lock_remaining()
if remaining > 0 then
  if lock[2] == claim then return {'OK', tonumber(lock[3]), tonumber(lock[4])} end
  return {'HELD', lock[1], remaining}
end
local fence, taken_over = redis.call('HINCRBY', META, 'fence', 1), lock[1] and 1 or 0
redis.call('HSET', LOCK, 'owner', owner, 'claim', claim, 'fence', fence, 'taken_over', taken_over, 'life', life)
keep_lock(tonumber(life))
if taken_over == 0 then abandon_windows() end
return {'OK', fence, taken_over}
