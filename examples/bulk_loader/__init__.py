"""A batch job that writes beside a running application, through the same router."""
