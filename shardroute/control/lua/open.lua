-- Opens windows: from here on touches count against what is read (rule 7). ARGV: fence, how many.
-- Answers the last one's number; the others have the numbers before it.
-- Repeatable: a window too many keeps touches for longer, no more.
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
local last = redis.call('HINCRBY', COPY, 'sequence', ARGV[2])
for sequence = last - ARGV[2] + 1, last do redis.call('ZADD', WINDOWS, sequence, sequence) end
return {'OK', last}
