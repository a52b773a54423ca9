-- Keeps the worst examples of a tenant. ARGV: budget, most, retention ms, then badness and example (JSON), again and
-- again. Repeatable: an example that is there already is left alone.
-- Without room nothing is kept, and the answer says which key is the largest.
local budget, most, retention = unpack(ARGV, 1, 3)
local bytes = 0
for index = 5, #ARGV, 2 do bytes = bytes + #ARGV[index] + ELEMENT_BYTES end
local refused = too_much(EXAMPLES, bytes, budget)
if refused then return refused end
bytes = 0
for index = 4, #ARGV, 2 do
  local added = redis.call('ZADD', EXAMPLES, ARGV[index], ARGV[index + 1])
  bytes = bytes + added * (#ARGV[index + 1] + ELEMENT_BYTES)
end
for _, example in ipairs(redis.call('ZRANGE', EXAMPLES, 0, -most - 1)) do bytes = bytes - #example - ELEMENT_BYTES end
redis.call('ZREMRANGEBYRANK', EXAMPLES, 0, -most - 1)
counted(EXAMPLES, bytes)
lives_for(EXAMPLES, retention)
return {'OK'}
