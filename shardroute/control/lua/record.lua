-- Keeps the newest queries of a tenant. ARGV: batch, budget, most, retention ms, queries (JSON)…
-- Repeatable: a batch is kept once. Without room nothing is kept, and the answer says which key is the largest.
local batch, budget, most, retention = unpack(ARGV, 1, 4)
if taken_before(batch) then return {'OK', 0} end
local bytes = 0
for index = 5, #ARGV do bytes = bytes + #ARGV[index] + ELEMENT_BYTES end
local refused = too_much(RECORDED, bytes, budget)
if refused then return refused end
remember(batch)
for index = 5, #ARGV do redis.call('RPUSH', RECORDED, ARGV[index]) end
for _ = 1, redis.call('LLEN', RECORDED) - most do
  bytes = bytes - #redis.call('LPOP', RECORDED) - ELEMENT_BYTES
end
counted(RECORDED, bytes)
lives_for(RECORDED, retention)
return {'OK', 1}
