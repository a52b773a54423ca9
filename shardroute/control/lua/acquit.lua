-- Ends the suspicion of records. ARGV: fence, debt (0 or 1), then side and id, again and again. Repeatable.
-- With debt, they are brought from the primary to the secondary.
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
local ids = {}
for index = 3, #ARGV, 2 do
  redis.call('SREM', SUSPECTS, ARGV[index] .. ' ' .. ARGV[index + 1])
  ids[#ids + 1] = ARGV[index + 1]
end
if ARGV[2] == '1' then
  touch(ids, 1)
  add_debt(ids, 1)
end
return {'OK', #ids}
