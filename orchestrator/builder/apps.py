from django.apps import AppConfig


class BuilderConfig(AppConfig):
    name = "orchestrator.builder"
    label = "builder"
