-- The time by which leases and holds count, in milliseconds. No ARGV. Repeatable.
return lease_time()
