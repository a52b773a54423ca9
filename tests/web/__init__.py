"""Web applications as real server processes, HTTP load on them, and the judgement of what they acknowledged."""
