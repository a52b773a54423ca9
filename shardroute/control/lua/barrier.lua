-- Rule 2: who has not acknowledged a version for a tenant yet. ARGV: version, tenant ('' for all of them).
-- Forgets sessions dead for ten minutes.
-- A replica may not have heard of a session, and an empty Redis knows none: neither says that nobody is waited for.
-- A replica refuses the note of the lease time.
if map_lost() then return {'LOST'} end
forget_dead_sessions()
return lagging(tonumber(ARGV[1]), ARGV[2])
