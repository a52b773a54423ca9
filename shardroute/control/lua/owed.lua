-- Debt to pay. ARGV: limit, side that is read. Ids at random, so that none starves the others. Changes nothing.
-- Without the suspects of that side: a payment would copy what may be wrong over what may be right (rule 12).
local limit, side = tonumber(ARGV[1]), ARGV[2]
local ids = {}
for _, id in ipairs(redis.call('SRANDMEMBER', DEBT, limit + redis.call('SCARD', SUSPECTS))) do
  if #ids < limit and redis.call('SISMEMBER', SUSPECTS, side .. ' ' .. id) == 0 then ids[#ids + 1] = id end
end
return ids
