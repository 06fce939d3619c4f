"""``/api/v1/``: every route, by hand, so that this page is the list of them."""

from __future__ import annotations

from django.urls import path

from orchestrator.alerts import api as alerts
from orchestrator.api import integrations
from orchestrator.tenants import api as tenants
from orchestrator.tenants import audit_api as audit
from orchestrator.tenants import invitation_api as invitations
from orchestrator.vault import api as vault
from orchestrator.workflows import api as workflows
from orchestrator.workflows import api_portable as portable
from orchestrator.workflows import api_variables as variables
from runs import api as runs
from runs import api_bulk as runs_bulk

app_name = "api"

urlpatterns = [
    path("integrations/", integrations.IntegrationList.as_view()),
    path("integrations/<str:key>/", integrations.IntegrationDetail.as_view()),
    path("workflows/", workflows.WorkflowList.as_view()),
    path("workflows/import/", portable.WorkflowImport.as_view()),
    path("workflows/<str:pk>/", workflows.WorkflowDetail.as_view()),
    path("workflows/<str:pk>/export/", portable.WorkflowExport.as_view()),
    path("workflows/<str:pk>/publish/", workflows.WorkflowPublish.as_view()),
    path("workflows/<str:pk>/enable/", workflows.WorkflowEnable.as_view()),
    path("workflows/<str:pk>/disable/", workflows.WorkflowDisable.as_view()),
    path("workflows/<str:pk>/versions/", workflows.VersionList.as_view()),
    path("workflows/<str:pk>/versions/diff/", workflows.VersionDiff.as_view()),
    path("workflows/<str:pk>/versions/<int:number>/", workflows.VersionDetail.as_view()),
    path("workflows/<str:pk>/undo/", workflows.DraftUndo.as_view()),
    path("workflows/<str:pk>/redo/", workflows.DraftRedo.as_view()),
    path("workflows/<str:pk>/versions/<int:number>/restore/", workflows.VersionRestore.as_view()),
    path("workflows/<str:pk>/runs/", runs.WorkflowRunStart.as_view()),
    path("workflows/<str:pk>/steps/<str:key>/test/", runs.StepTestStart.as_view()),
    path("variables/", variables.VariableList.as_view()),
    path("variables/<str:pk>/", variables.VariableDetail.as_view()),
    path("triggers/", workflows.TriggerList.as_view()),
    path("runs/", runs.RunList.as_view()),
    path("runs/bulk/", runs_bulk.RunBulk.as_view()),
    path("runs/export/", runs_bulk.RunExport.as_view()),
    path("runs/<str:pk>/", runs.RunDetail.as_view()),
    path("runs/<str:pk>/steps/", runs.RunSteps.as_view()),
    path("runs/<str:pk>/values/<int:ref>/", runs.RunValue.as_view()),
    path("runs/<str:pk>/cancel/", runs.RunCancel.as_view()),
    path("runs/<str:pk>/rerun/", runs.RunRerun.as_view()),
    path("runs/<str:pk>/resolve/", runs.RunResolve.as_view()),
    path("credentials/", vault.CredentialList.as_view()),
    path("credentials/<str:pk>/", vault.CredentialDetail.as_view()),
    path("credentials/<str:pk>/test/", vault.CredentialTest.as_view()),
    path("credentials/<str:pk>/connect/", vault.CredentialConnect.as_view()),
    path("credential-types/", vault.CredentialTypeList.as_view()),
    path("tokens/", tenants.TokenList.as_view()),
    path("tokens/<str:pk>/", tenants.TokenDetail.as_view()),
    path("members/", tenants.MemberList.as_view()),
    path("members/<str:pk>/", tenants.MemberDetail.as_view()),
    path("invitations/", invitations.InvitationList.as_view()),
    path("invitations/<str:pk>/", invitations.InvitationDetail.as_view()),
    path("alert-channels/", alerts.AlertChannelList.as_view()),
    path("alert-channels/<str:pk>/", alerts.AlertChannelDetail.as_view()),
    path("alert-channels/<str:pk>/test/", alerts.AlertChannelTest.as_view()),
    path("audit/", audit.AuditList.as_view()),
    path("audit/export/", audit.AuditExport.as_view()),
]
