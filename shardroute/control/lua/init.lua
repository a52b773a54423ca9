-- Makes the map unless there is one. ARGV: incarnation, configuration. Repeatable.
if map_lost() then
  redis.call('DEL', META, TENANTS, DEFAULTS, CHANGES, SESSIONS, ACKS, INFO, BEATS, WITHHELD)
  local stamp = string.sub(redis.sha1hex(ARGV[1]), 1, 16)
  redis.call('HSET', META, 'incarnation', ARGV[1], 'version', 1, 'moving', 0, 'fence', 0, 'configuration', ARGV[2],
             'stamp', stamp)
  redis.call('XADD', CHANGES, '1-0', 'change', cjson.encode({version = 1, moving = 0, stamp = stamp, after = ''}))
  return {'CREATED', ARGV[1]}
end
return {'EXISTS', redis.call('HGET', META, 'incarnation')}
