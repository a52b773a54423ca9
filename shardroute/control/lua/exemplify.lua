-- Keeps the worst examples of a tenant. ARGV: most, retention ms, then badness and example (JSON), again and again.
-- Repeatable: an example that is there already is left alone.
for index = 3, #ARGV, 2 do redis.call('ZADD', EXAMPLES, ARGV[index], ARGV[index + 1]) end
redis.call('ZREMRANGEBYRANK', EXAMPLES, 0, -ARGV[1] - 1)
redis.call('PEXPIRE', EXAMPLES, ARGV[2])
return {'OK'}
