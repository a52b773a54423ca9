-- Notes what a migrator may have written after it lost its lock (rule 12). ARGV: tenant, shard, side, most, ids…
-- Under no lock. Where the side is the secondary, the ids are debt. Where it is the primary, nothing says what is right:
-- they are suspects, until both sides were compared. Where it is neither, nobody reads them.
-- Answers what they became, and how many were noted. Repeatable.
local tenant, shard, side, most = unpack(ARGV, 1, 4)
local standing = standing_of(tenant, shard)
if PRIMARY[standing.phase] ~= side then
  if SETTLED[standing.phase] then return {'UNUSED', 0} end
  touch(ARGV, 5)
  add_debt(ARGV, 5)
  return {'DEBT', #ARGV - 4}
end
local noted = 0
for index = 5, #ARGV do
  if redis.call('SCARD', SUSPECTS) >= tonumber(most) then break end
  redis.call('SADD', SUSPECTS, side .. ' ' .. ARGV[index])
  noted = noted + 1
end
redis.call('SADD', SUSPECTED, tenant)
return {'SUSPECT', noted}
