"""saasbot: promotes, deploys and reports from a declarative SaaS config repository."""

__version__ = "0.1.0"
