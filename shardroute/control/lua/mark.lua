-- Marks ids as debt: something outside wrote them, or they were found to differ. ARGV: tenant, shard, ids…
-- Repeatable. Refused where there is no other side to bring them to.
local standing = standing_of(ARGV[1], ARGV[2])
if SETTLED[standing.phase] then return {'SETTLED', standing.phase} end
touch(ARGV, 3)
add_debt(ARGV, 3)
return {'OK', #ARGV - 2}
