"""Folded network -> deployable file: one exporter per target format."""
