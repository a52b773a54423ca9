-- The memory that the server uses, and may use, in bytes; 0 where it does not tell. No ARGV. Changes nothing.
local answer = redis.pcall('INFO', 'memory')
if type(answer) ~= 'string' then return {0, 0} end
return {tonumber(string.match(answer, 'used_memory:(%d+)') or 0), tonumber(string.match(answer, 'maxmemory:(%d+)') or 0)}
