-- The whole map in one consistent read. ARGV: a version, or ''. Changes nothing.
-- Last comes the stamp of that version, '' where it is too old to be known.
master_only()
local stamp, entry = '', nil
if ARGV[1] and ARGV[1] ~= '' then entry = redis.call('XRANGE', CHANGES, ARGV[1] .. '-0', ARGV[1] .. '-0')[1] end
if entry then stamp = cjson.decode(entry[2][2]).stamp or '' end
return {redis.call('HGETALL', META), redis.call('HGETALL', TENANTS), redis.call('HGETALL', DEFAULTS), stamp}
