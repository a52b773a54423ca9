"""A page in the admin: where tenants stand, and the verbs for those who may. Everything is in Redis; no table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_GET, require_http_methods

from shardroute.errors import InvalidTenant, ShardrouteError
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.web import problem

from .looking import PAGE, VERBS_OFFERED, Found, Row, Wanted, counted, looking
from .models import Tenant
from .moving import begin
from .process import Host, host

_LIST = "admin:shardroute_django_tenant_changelist"
_TEMPLATES = "admin/shardroute_django/tenant"

_SAYS = {
    "migrate": "copies the tenant's records to the new cluster, compares every one, and takes the tenant across.",
    "rollback": "takes the tenant back to the old cluster. Both clusters stay in step.",
    "abort": "stops the move. The tenant stays on the old cluster alone. "
    "What was copied stays on the new cluster until purge.",
    "complete": "ends the move. The old cluster is no longer written. What it has of the tenant stays until purge.",
    "purge": "deletes every record of the tenant on the cluster that it is not on. There is no way back.",
}

_BEGUN = {
    "migrate": "Tenant {} is being migrated.",
    "rollback": "Tenant {} is being rolled back.",
    "abort": "The move of tenant {} is being aborted.",
    "complete": "The move of tenant {} is being completed.",
    "purge": "Tenant {} is being purged from the cluster that it is not on.",
}

_HISTORY_WIDTH = 200  # characters; what Django keeps of `object_repr`

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Tenant]
else:
    _ModelAdmin = admin.ModelAdmin  # generic for type checkers alone


@admin.register(Tenant)
class TenantAdmin(_ModelAdmin):
    """Nothing of it touches the database but the history of what was done."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def has_move_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("shardroute_django.move_tenants"))

    def has_view_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_move_permission(request)

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "shardroute_django_tenant"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("progress/", wrap(self.progress_view), name=f"{name}_progress"),
            path("<str:tenant>/", wrap(self.one_view), name=f"{name}_change"),
            path("<str:tenant>/<str:verb>/", wrap(self.verb_view), name=f"{name}_verb"),
        ]

    # -- looking -----------------------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """A page of tenants, and the sessions."""
        self._demand(self.has_view_permission(request))
        wanted = _wanted(request)
        found = _found(wanted)
        pages = Paginator(found.names, PAGE)
        page = pages.get_page(wanted.number)
        context = {
            **self._context(request, "Tenants"),
            "found": found,
            "wanted": wanted,
            "line": counted(found),
            "rows": [(row, _said(entry)) for row, entry in _with_history(found.rows)],
            "verbs": VERBS_OFFERED if self.has_move_permission(request) else (),
            "page": page,
            "page_range": pages.get_elided_page_range(page.number),
            "effects": EFFECTS,
            **(extra_context or {}),
        }
        return TemplateResponse(request, f"{_TEMPLATES}/change_list.html", context)

    @method_decorator(require_GET)
    def progress_view(self, request: HttpRequest) -> JsonResponse:
        """How the tenants in the query stand now, and what is around them: for the page's script."""
        self._demand(self.has_view_permission(request))
        try:
            running = host()
            found = running.submit(looking(running).progress(request.GET.getlist("tenant"))).wait()
        except ShardrouteError as error:
            return JsonResponse({"rows": [], "problem": str(error)}, status=problem(error).status)
        return JsonResponse(
            {
                "rows": [row.as_json() | {"said": _said(entry)} for row, entry in _with_history(found.rows)],
                "counts": dict(counted(found)),
                "sessions": render_to_string(f"{_TEMPLATES}/sessions.html", {"found": found}),
                "problem": found.problem,
            }
        )

    def one_view(self, request: HttpRequest, tenant: str) -> HttpResponse:
        """Where links to a tenant lead that the admin makes by itself."""
        return HttpResponseRedirect(reverse(_LIST, query={"q": tenant}))

    # -- moving ------------------------------------------------------------------------------------------------

    @method_decorator(require_http_methods(["GET", "POST"]))
    def verb_view(self, request: HttpRequest, tenant: str, verb: str) -> HttpResponse:
        """Asks whether it is meant; with POST, begins it."""
        self._demand(self.has_move_permission(request))
        if verb not in VERBS_OFFERED:
            raise Http404
        try:
            [row] = _rows(host(), [tenant])
            return self._asked(request, verb, row)
        except InvalidTenant as error:
            raise Http404 from error
        except ShardrouteError:
            messages.error(request, "Nothing was done.")  # the page that follows says what is wrong
        return HttpResponseRedirect(reverse(_LIST, query={"q": tenant}))

    def _asked(self, request: HttpRequest, verb: str, row: Row) -> HttpResponse:
        tenant, stands = row.status.tenant, f"{row.status.phase}/{row.status.epoch}"
        where = f"tenant {tenant} is in {row.status.phase}" + f", held by {row.status.holder}" * bool(
            row.status.holder
        )
        if verb not in row.verbs:
            messages.error(request, f"Cannot {verb}: {where}.")
        elif request.method != "POST":
            return self._confirmation(request, verb, row, stands)
        elif request.POST.get("stands") != stands:
            messages.error(request, f"Tenant {tenant} has moved meanwhile; nothing was done: {where}.")
        else:
            _begin(request, verb, tenant)
            messages.success(request, _BEGUN[verb].format(tenant))
        return HttpResponseRedirect(reverse(_LIST, query={"q": tenant}))

    def _confirmation(self, request: HttpRequest, verb: str, row: Row, stands: str) -> TemplateResponse:
        context = {
            **self._context(request, f"{verb.capitalize()} {row.status.tenant}?"),
            "verb": verb,
            "says": _SAYS[verb],
            "row": row,
            "stands": stands,
            "unused": _unused_place(row) if verb == "purge" else "",
        }
        return TemplateResponse(request, f"{_TEMPLATES}/confirm.html", context)

    # -- parts -------------------------------------------------------------------------------------------------

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}

    @staticmethod
    def _demand(permitted: bool) -> None:
        if not permitted:
            raise PermissionDenied


def _wanted(request: HttpRequest) -> Wanted:
    phase, number = request.GET.get("phase", ""), request.GET.get("p", "1")
    return Wanted(
        words=request.GET.get("q", "").strip(),
        phase=Phase(phase) if phase in set(Phase) else None,
        number=max(1, int(number[:9])) if number.isdecimal() else 1,
    )


def _found(wanted: Wanted) -> Found:
    """What is wrong is part of what the page shows."""
    try:
        running = host()
        return running.submit(looking(running).page(wanted)).wait()
    except ShardrouteError as error:
        return Found(problem=str(error))


def _rows(running: Host, tenants: list[str]) -> list[Row]:
    return running.submit(looking(running).rows(tenants)).wait()


def _unused_place(row: Row) -> str:
    """What `purge` empties, in words."""
    route = host().settings.config.route
    unused = EFFECTS[row.status.phase].primary.other
    place = (route.old if unused is Side.OLD else route.new).place(row.status.tenant)
    return f"cluster {place.cluster}, collection {place.collection}"


def _begin(request: HttpRequest, verb: str, tenant: str) -> None:
    running, user = host(), request.user.pk
    _note(user, tenant, f"{verb} begun")
    running.submit(begin(running, verb, tenant, partial(_note_from_afar, user, tenant))).wait()


# -- the history ---------------------------------------------------------------------------------------------------


def _note(user: Any, tenant: str, words: str) -> None:
    """The admin's list of recent actions shows nothing but `object_repr`, so that has to say it all."""
    LogEntry.objects.create(
        user_id=user,
        content_type=ContentType.objects.get_for_model(Tenant),
        object_id=tenant,
        object_repr=f"{tenant}: {words}"[:_HISTORY_WIDTH],
        action_flag=CHANGE,
        change_message=words,
    )


def _note_from_afar(user: Any, tenant: str, words: str) -> None:
    """In a thread that no request will use again."""
    try:
        _note(user, tenant, words)
    finally:
        connection.close()


def _with_history(rows: Sequence[Row]) -> list[tuple[Row, LogEntry | None]]:
    """Each row with what was done last."""
    tenants = [row.status.tenant for row in rows]
    of_tenants = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Tenant), object_id__in=tenants
    )
    newest = of_tenants.values("object_id").annotate(newest=Max("pk")).values_list("newest", flat=True)
    entries = {entry.object_id: entry for entry in LogEntry.objects.filter(pk__in=list(newest))}
    return [(row, entries.get(row.status.tenant)) for row in rows]


def _said(entry: LogEntry | None) -> str:
    """It may be long ago, and the script may have moved the tenant since."""
    return "" if entry is None else f"{entry.get_change_message()} ({naturaltime(entry.action_time)})"
