-- Ends the suspicion of records. ARGV: tenant, fence, debt (0 or 1), then side and id, again and again. Repeatable.
-- With debt, they are brought from the primary to the secondary.
local tenant, fence, debt = unpack(ARGV, 1, 3)
if not holds_lock(fence) then return {'LOCK_LOST'} end
local ids = {}
for index = 4, #ARGV, 2 do
  redis.call('SREM', SUSPECTS, ARGV[index] .. ' ' .. ARGV[index + 1])
  ids[#ids + 1] = ARGV[index + 1]
end
if redis.call('EXISTS', SUSPECTS) == 0 then redis.call('SREM', SUSPECTED, tenant) end
if debt == '1' then
  touch(ids, 1)
  add_debt(ids, 1)
end
return {'OK', #ids}
