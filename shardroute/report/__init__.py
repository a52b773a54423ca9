"""A comparison of the two paths as one HTML page. Pure: values in, text out."""

from .page import page

__all__ = ["page"]
