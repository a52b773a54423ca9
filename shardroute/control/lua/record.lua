-- Keeps the newest queries of a tenant. ARGV: batch, most, retention ms, queries (JSON)…
-- Repeatable: a batch is kept once.
if not first_time(ARGV[1]) then return {'OK', 0} end
for index = 4, #ARGV do redis.call('RPUSH', RECORDED, ARGV[index]) end
redis.call('LTRIM', RECORDED, -ARGV[2], -1)
redis.call('PEXPIRE', RECORDED, ARGV[3])
return {'OK', 1}
