"""Files in and out: one module a family of formats, and the registry that picks one."""

from .errors import FormatError
from .registry import read, read_labels, stem, suffix_of, suffixes, write_labels

__all__ = ["FormatError", "read", "read_labels", "stem", "suffix_of", "suffixes", "write_labels"]
