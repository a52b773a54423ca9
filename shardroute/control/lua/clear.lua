-- Forgets a tenant's statistics, examples and recorded queries. No ARGV. Repeatable.
-- Batches stay, so that one that is sent again does not bring back what was cleared.
for _, key in ipairs({TALLIES, EXAMPLES, RECORDED}) do
  redis.call('DEL', key)
  uncount(key)
end
return {'OK'}
