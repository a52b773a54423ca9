"""What web frameworks have in common: whose request it is, and how an error is answered. Pure."""

from ..errors import for_log
from .answers import Problem, problem
from .resolvers import AllAgree, Asked, Attribute, Claim, FirstOf, Header, PathSegment, Resolver, Subdomain
from .resolving import resolved

__all__ = [
    "AllAgree",
    "Asked",
    "Attribute",
    "Claim",
    "FirstOf",
    "Header",
    "PathSegment",
    "Problem",
    "Resolver",
    "Subdomain",
    "for_log",
    "problem",
    "resolved",
]
