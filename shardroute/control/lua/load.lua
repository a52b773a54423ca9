-- The whole map in one consistent read. No ARGV. Changes nothing.
master_only()
return {redis.call('HGETALL', META), redis.call('HGETALL', TENANTS), redis.call('HGETALL', DEFAULTS)}
