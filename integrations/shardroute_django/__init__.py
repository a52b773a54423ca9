"""shardroute in Django projects."""
