-- Opens a window: from here on touches count against what is read (rule 7). ARGV: fence.
-- Repeatable: a window too many keeps touches for longer, no more.
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
local sequence = redis.call('HINCRBY', COPY, 'sequence', 1)
redis.call('ZADD', WINDOWS, sequence, sequence)
return {'OK', sequence}
