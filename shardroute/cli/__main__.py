"""``python -m shardroute.cli``."""

from . import main

main()
