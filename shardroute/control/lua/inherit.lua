-- Closes the windows of whoever's lock was taken over, once nothing of theirs can land any more (rules 7, 12).
-- ARGV: fence. Repeatable.
if not holds_lock(ARGV[1]) then return {'LOCK_LOST'} end
abandon_windows()
return {'OK'}
