-- Whether a lock is still held by this fence (rule 12). ARGV: fence. Changes nothing.
if map_lost() then return {'LOST'} end
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
return {'OK'}
