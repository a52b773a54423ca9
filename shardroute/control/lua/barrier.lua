-- Rule 2: who has not acknowledged a version for a tenant yet. ARGV: version, tenant ('' for all of them).
-- Forgets sessions dead for ten minutes.
forget_dead_sessions()
return lagging(tonumber(ARGV[1]), ARGV[2])
