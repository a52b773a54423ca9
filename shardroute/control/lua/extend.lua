-- Keeps the lock. ARGV: fence, life ms. Repeatable.
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
keep_lock(tonumber(ARGV[2]))
return {'OK'}
