-- Takes the tenant's lock with a new fencing token (rule 12). ARGV: owner, life ms.
-- Answers whether somebody's unreleased lock was taken over: then a request of theirs may still land.
local lock = redis.call('HMGET', LOCK, 'owner', 'until')
local remaining = (tonumber(lock[2]) or 0) - now()
if lock[1] and remaining > 0 and lock[1] ~= ARGV[1] then return {'HELD', lock[1], remaining} end
local fence = redis.call('HINCRBY', META, 'fence', 1)
redis.call('HSET', LOCK, 'owner', ARGV[1], 'fence', fence, 'until', now() + tonumber(ARGV[2]))
redis.call('DEL', WINDOWS, TOUCHED)
return {'OK', fence, (lock[1] and lock[1] ~= ARGV[1]) and 1 or 0}
