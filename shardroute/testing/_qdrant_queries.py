"""Queries of Qdrant's REST interface as those of its engine.

The engine knows no queries by the id of a point: as in a real server, their vectors are looked up first, and the
points that were named are left out of what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_errors import bad_request, not_here
from shardroute.testing._qdrant_filters import (
    engine_condition,
    engine_filter,
    geo_point,
    moment,
)
from shardroute.testing._qdrant_points import engine_vector, with_payload

Request = models.QueryRequest | models.Prefetch
LIMIT = 10
RRF_K = 2
_ID_KINDS = (int, str, UUID)

Lookup = Callable[[models.LookupLocation | None, str, Any], Any]
"""Gives the vector of a point: from which collection if not this one, the vector's name, the point's id."""


class QueryBuilder:
    """Builds the engine's queries for one collection."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def request(self, wanted: models.QueryRequest) -> engine.QueryRequest:
        """A whole query."""
        return engine.QueryRequest(
            limit=limit_of(wanted),
            offset=wanted.offset,
            query=self._query(wanted),
            prefetches=self._prefetches(wanted),
            with_vector=wanted.with_vector or False,
            with_payload=with_payload(wanted.with_payload, default=False),
            filter=_filter(wanted),
            score_threshold=wanted.score_threshold,
            params=_params(wanted.params),
        )

    def _prefetches(self, wanted: Request) -> list[engine.Prefetch] | None:
        return [
            engine.Prefetch(
                limit=limit_of(each),
                query=self._query(each),
                prefetches=self._prefetches(each),
                params=_params(each.params),
                filter=_filter(each),
                score_threshold=each.score_threshold,
            )
            for each in prefetches_of(wanted)
        ] or None

    def _query(self, wanted: Request) -> Any:
        query = wanted.query
        if query is None:
            return None
        if build := _VECTORLESS.get(type(query)):
            return build(query)
        return _WITH_VECTORS.get(type(query), _nearest)(query, self._vectors(wanted), wanted)

    def _vectors(self, wanted: Request) -> Callable[[Any], Any]:
        location, using = wanted.lookup_from, wanted.using or ""
        name = using if location is None or location.vector is None else location.vector

        def vector(given: Any) -> Any:
            if isinstance(given, _ID_KINDS):
                return self._lookup(location, name, given)
            return engine_vector(given)

        return vector


def limit_of(wanted: Request) -> int:
    return LIMIT if wanted.limit is None else wanted.limit


def prefetches_of(wanted: Request) -> list[models.Prefetch]:
    given = wanted.prefetch
    return given if isinstance(given, list) else [] if given is None else [given]


def inputs_of(query: Any) -> Iterator[Any]:
    """The vectors and ids that a query is made of."""
    if isinstance(query, models.NearestQuery):
        yield query.nearest
    elif isinstance(query, models.RecommendQuery):
        yield from [*(query.recommend.positive or []), *(query.recommend.negative or [])]
    elif isinstance(query, models.DiscoverQuery):
        yield query.discover.target
        yield from _pair_inputs(query.discover.context)
    elif isinstance(query, models.ContextQuery):
        yield from _pair_inputs(query.context)
    elif isinstance(query, models.RelevanceFeedbackQuery):
        yield query.relevance_feedback.target
        yield from (item.example for item in query.relevance_feedback.feedback)
    elif query is not None and type(query) not in _VECTORLESS:
        yield query


def _pairs(context: Any) -> list[models.ContextPair]:
    return context if isinstance(context, list) else [context]


def _pair_inputs(context: Any) -> Iterator[Any]:
    for pair in _pairs(context):
        yield from (pair.positive, pair.negative)


def _filter(wanted: Request) -> engine.Filter | None:
    """The filter, and not the points that the query itself names."""
    built = engine_filter(wanted.filter)
    if wanted.lookup_from is not None:
        return built
    named = {each for each in inputs_of(wanted.query) if isinstance(each, _ID_KINDS)}
    if not named:
        return built
    must: list[Any] = [] if built is None else [built]
    return engine.Filter(must=must, must_not=[engine.HasIdCondition(named)])


def _params(wanted: models.SearchParams | None) -> engine.SearchParams | None:
    if wanted is None:
        return None
    quantization, acorn = wanted.quantization, wanted.acorn
    corpus = wanted.idf.corpus if isinstance(wanted.idf, models.IdfCorpusParams) else None
    return engine.SearchParams(
        hnsw_ef=wanted.hnsw_ef,
        exact=bool(wanted.exact),
        indexed_only=bool(wanted.indexed_only),
        quantization=None
        if quantization is None
        else engine.QuantizationSearchParams(
            bool(quantization.ignore), quantization.rescore, quantization.oversampling
        ),
        acorn=None if acorn is None else engine.AcornSearchParams(bool(acorn.enable), acorn.max_selectivity),
        idf=None if corpus is None else engine.IdfParams(engine_filter(corpus)),
    )


_Vector = Callable[[Any], Any]


def _nearest(query: Any, vector: _Vector, wanted: Request) -> Any:
    if not isinstance(query, models.NearestQuery):
        return engine.Query.Nearest(vector(query), wanted.using)
    found, mmr = vector(query.nearest), query.mmr
    if mmr is None:
        return engine.Query.Nearest(found, wanted.using)
    diversity = 0.5 if mmr.diversity is None else mmr.diversity
    return engine.Mmr(found, 1.0 - diversity, mmr.candidates_limit or limit_of(wanted), wanted.using)


def _recommend(query: models.RecommendQuery, vector: _Vector, wanted: Request) -> Any:
    given = query.recommend
    positive, negative = [[vector(each) for each in some or []] for some in (given.positive, given.negative)]
    if given.strategy in (None, models.RecommendStrategy.AVERAGE_VECTOR):
        return engine.Query.Nearest(_average(positive, negative), wanted.using)
    both = engine.RecommendQuery(positive, negative)
    if given.strategy is models.RecommendStrategy.BEST_SCORE:
        return engine.Query.RecommendBestScore(both, wanted.using)
    return engine.Query.RecommendSumScores(both, wanted.using)


def _average(positive: list[Any], negative: list[Any]) -> list[float]:
    if not positive:
        raise bad_request("At least one positive vector ID required with this strategy")
    if not all(isinstance(each, list) and isinstance(each[0], int | float) for each in positive + negative):
        raise not_here("The average of vectors that are not dense")
    average = np.mean(np.asarray(positive, np.float32), axis=0)
    if negative:
        average = average + average - np.mean(np.asarray(negative, np.float32), axis=0)
    return [float(value) for value in average]


def _engine_pairs(context: Any, vector: _Vector) -> list[engine.ContextPair]:
    return [engine.ContextPair(vector(pair.positive), vector(pair.negative)) for pair in _pairs(context)]


def _discover(query: models.DiscoverQuery, vector: _Vector, wanted: Request) -> Any:
    pairs = _engine_pairs(query.discover.context, vector)
    return engine.Query.Discover(engine.DiscoverQuery(vector(query.discover.target), pairs), wanted.using)


def _context(query: models.ContextQuery, vector: _Vector, wanted: Request) -> Any:
    return engine.Query.Context(engine.ContextQuery(_engine_pairs(query.context, vector)), wanted.using)


def _feedback(query: models.RelevanceFeedbackQuery, vector: _Vector, wanted: Request) -> Any:
    given, strategy = query.relevance_feedback, query.relevance_feedback.strategy.naive
    items = [engine.FeedbackItem(vector(item.example), item.score) for item in given.feedback]
    naive = engine.NaiveFeedbackStrategy(strategy.a, strategy.b, strategy.c)
    target = vector(given.target)
    return engine.Query.FeedbackNaive(engine.FeedbackNaiveQuery(target, items, naive), wanted.using)


_WITH_VECTORS: dict[type[Any], Callable[[Any, _Vector, Request], Any]] = {
    models.RecommendQuery: _recommend,
    models.DiscoverQuery: _discover,
    models.ContextQuery: _context,
    models.RelevanceFeedbackQuery: _feedback,
}


def order_by(wanted: Any) -> engine.OrderBy | None:
    """The field to sort by, given as its name or with more."""
    if wanted is None or isinstance(wanted, str):
        return None if wanted is None else engine.OrderBy(wanted)
    direction = None if wanted.direction is None else getattr(engine.Direction, wanted.direction.capitalize())
    return engine.OrderBy(wanted.key, direction, moment(wanted.start_from))


def _fusion(query: models.FusionQuery) -> Any:
    return engine.Fusion.Rrf(RRF_K) if query.fusion is models.Fusion.RRF else engine.Fusion.Dbsf()


def _rrf(query: models.RrfQuery) -> Any:
    return engine.Fusion.Rrf(RRF_K if query.rrf.k is None else query.rrf.k, query.rrf.weights)


def _formula(query: models.FormulaQuery) -> Any:
    return engine.Formula(_expression(query.formula), query.defaults or {})


def _no_text(query: Any) -> Any:
    raise not_here(type(query).__name__)


_VECTORLESS: dict[type[Any], Callable[[Any], Any]] = {
    models.OrderByQuery: lambda query: order_by(query.order_by),
    models.FusionQuery: _fusion,
    models.RrfQuery: _rrf,
    models.FormulaQuery: _formula,
    models.SampleQuery: lambda _: engine.Sample.Random,
    models.TextQuery: _no_text,
}


def _expression(wanted: Any) -> Any:
    build = _EXPRESSIONS.get(type(wanted))
    return engine.Expression.Condition(engine_condition(wanted)) if build is None else build(wanted)


def _all(some: Any) -> list[Any]:
    return [_expression(each) for each in some]


def _decay(kind: Any, wanted: models.DecayParamsExpression) -> Any:
    target = None if wanted.target is None else _expression(wanted.target)
    return engine.Expression.Decay(kind, _expression(wanted.x), target, wanted.midpoint, wanted.scale)


_E = engine.Expression
_EXPRESSIONS: dict[type[Any], Callable[[Any], Any]] = {
    float: _E.Constant,
    int: _E.Constant,
    str: _E.Variable,
    models.GeoDistance: lambda it: _E.GeoDistance(geo_point(it.geo_distance.origin), it.geo_distance.to),
    models.DatetimeExpression: lambda it: _E.Datetime(it.datetime),
    models.DatetimeKeyExpression: lambda it: _E.DatetimeKey(it.datetime_key),
    models.MultExpression: lambda it: _E.Mult(_all(it.mult)),
    models.SumExpression: lambda it: _E.Sum(_all(it.sum)),
    models.NegExpression: lambda it: _E.Neg(_expression(it.neg)),
    models.AbsExpression: lambda it: _E.Abs(_expression(it.abs)),
    models.DivExpression: lambda it: _E.Div(
        _expression(it.div.left), _expression(it.div.right), it.div.by_zero_default
    ),
    models.SqrtExpression: lambda it: _E.Sqrt(_expression(it.sqrt)),
    models.PowExpression: lambda it: _E.Pow(_expression(it.pow.base), _expression(it.pow.exponent)),
    models.ExpExpression: lambda it: _E.Exp(_expression(it.exp)),
    models.Log10Expression: lambda it: _E.Log10(_expression(it.log10)),
    models.LnExpression: lambda it: _E.Ln(_expression(it.ln)),
    models.LinDecayExpression: lambda it: _decay(engine.DecayKind.Lin, it.lin_decay),
    models.ExpDecayExpression: lambda it: _decay(engine.DecayKind.Exp, it.exp_decay),
    models.GaussDecayExpression: lambda it: _decay(engine.DecayKind.Gauss, it.gauss_decay),
}
