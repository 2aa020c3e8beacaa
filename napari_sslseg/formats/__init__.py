"""Files in and out: one module a family of formats, and the registry that picks one."""

from .errors import FormatError
from .exporting import FORMATS, ExportFormat, export, format_for, why_not
from .fidelity import losses
from .registry import read, read_labels, stem, suffix_of, suffixes
from .writing import writable_suffixes, write_labels

__all__ = [
    "FORMATS",
    "ExportFormat",
    "FormatError",
    "export",
    "format_for",
    "losses",
    "read",
    "read_labels",
    "stem",
    "suffix_of",
    "suffixes",
    "why_not",
    "writable_suffixes",
    "write_labels",
]
