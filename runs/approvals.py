"""``/a/<token>``: the page where people answer an approval. A GET only shows, so that no scanner of links decides."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from orchestrator.errorpages import error_response
from orchestrator.errors import NotFound, ServiceError
from orchestrator.tenants.access import Actor, SecondFactorNeeded, SingleSignOnNeeded, actor_for_session
from orchestrator.tenants.shell import private, theme_of
from runs import answers
from runs.asked import Asked, asked_at
from runs.pages.approval import Refused, approval_page, posted_of
from runs.pages.schema_form import form_value

ACTION = "flow.approve"


@require_http_methods(["GET", "HEAD", "POST"])
def approval(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show an approval's question, or take the answer. Who is asked by name or role signs in first."""
    asked = asked_at(token, ACTION)
    if asked is None:
        return _unlisted(error_response(request, 404))
    user = request.user if isinstance(request.user, User) else None
    wanted = asked.approval
    is_personal = wanted is not None and answers.needs_person(wanted)
    if is_personal and user is None:
        return _unlisted(redirect_to_login(request.get_full_path()))
    # Where the address is enough, who happens to be signed in is nobody's business.
    actor = _actor(request, user, asked) if is_personal else None
    if request.method == "POST":
        return _answered(request, asked, actor)
    return _page(request, asked, actor, thanks="thanks" in request.GET)


def _answered(request: HttpRequest, asked: Asked, actor: Actor | None) -> HttpResponse:
    posted = posted_of(request.POST)
    wanted = asked.approval
    form = form_value(wanted.form, posted) if wanted is not None and wanted.form is not None else None
    try:
        answers.approval_answer(
            run=asked.run,
            path=asked.path,
            actor=actor,
            decision=posted.get("decision", ""),
            form=form,
            comment=posted.get("comment", ""),
        )
    except ServiceError as error:
        refused = Refused(posted=posted, message=error.message, problems=error.problems)
        again = asked_at(request.path.rpartition("/")[2], ACTION)
        if again is None:
            return _unlisted(error_response(request, 404))
        status = 422 if error.status == 400 else error.status
        return _page(request, again, actor, refused=refused, status=status)
    return _unlisted(HttpResponseRedirect(f"{request.path}?thanks"))


def _actor(request: HttpRequest, user: User | None, asked: Asked) -> Actor | None:
    """Return a person as a member of the tenant that asks, None for anybody else and whom it asks for more."""
    if user is None:
        return None
    try:
        return actor_for_session(user, asked.run.tenant.slug, request.session)
    except (NotFound, SecondFactorNeeded, SingleSignOnNeeded):
        return None


def _page(
    request: HttpRequest,
    asked: Asked,
    actor: Actor | None,
    *,
    refused: Refused | None = None,
    thanks: bool = False,
    status: int = 200,
) -> HttpResponse:
    person = request.user.get_username() if isinstance(request.user, User) else ""
    with timezone.override(asked.run.tenant.time_zone):
        page = approval_page(asked, actor, refused=refused, thanks=thanks, person=person)
        if page.refused:
            status = 403
        text = render_to_string("runs/approval.html", {"page": page, "theme": theme_of(request)}, request)
    # Half a surrogate pair, which a message may hold and UTF-8 may not, shows as its escape.
    return _unlisted(HttpResponse(text.encode("utf-8", "backslashreplace"), status=status))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """Mark an answer as one that no cache keeps and no search engine lists."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Cache-Control"] = "private, no-store"
    return private(response)
