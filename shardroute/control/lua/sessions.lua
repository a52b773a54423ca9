-- Leases, acknowledged versions, what each session told of itself, the lease time, and the tenants that each does not
-- speak for. No ARGV. Changes nothing.
master_only()
return {redis.call('ZRANGE', SESSIONS, 0, -1, 'WITHSCORES'), redis.call('HGETALL', ACKS),
        redis.call('HGETALL', INFO), lease_time(), redis.call('HGETALL', WITHHELD)}
