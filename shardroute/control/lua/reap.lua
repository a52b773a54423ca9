-- Rule 8. No ARGV. Answers how many tokens became debt. Repeatable.
return reap()
