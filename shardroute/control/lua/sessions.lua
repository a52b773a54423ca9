-- Leases, acknowledged versions and what each session told of itself, and the time. No ARGV. Changes nothing.
master_only()
return {redis.call('ZRANGE', SESSIONS, 0, -1, 'WITHSCORES'), redis.call('HGETALL', ACKS),
        redis.call('HGETALL', INFO), now()}
