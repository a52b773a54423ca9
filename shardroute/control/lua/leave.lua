-- Ends a session at once; what tokens it leaves are reaped. ARGV: session. Repeatable.
redis.call('HDEL', ACKS, ARGV[1])
redis.call('HDEL', INFO, ARGV[1])
redis.call('HDEL', BEATS, ARGV[1])
return {'OK', redis.call('ZREM', SESSIONS, ARGV[1])}
