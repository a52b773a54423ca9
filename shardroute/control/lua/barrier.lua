-- Rule 2: who has not acknowledged a version yet. ARGV: version. Forgets sessions dead for ten minutes.
forget_dead_sessions()
return lagging(tonumber(ARGV[1]))
