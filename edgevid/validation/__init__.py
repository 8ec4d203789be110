"""Bundles against labelled videos: manifests, test protocols, results."""

from edgevid.validation.evaluate import evaluate
from edgevid.validation.results import Evaluation
from edgevid.validation.views import Views

__all__ = ["Evaluation", "Views", "evaluate"]
