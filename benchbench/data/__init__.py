"""Datasets on disk: downloads, archives, the decoded cache and checks. Nothing here imports torch."""
