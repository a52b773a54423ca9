-- Forgets a tenant's statistics, examples and recorded queries. No ARGV. Repeatable.
-- Batches stay, so that one that is sent again does not bring back what was cleared.
redis.call('DEL', TALLIES, EXAMPLES, RECORDED)
return {'OK'}
