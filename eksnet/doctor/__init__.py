"""The doctor: what this computer, a cluster and its AWS account need for the course, looked at.

It reads, asks what may be done, and has objects judged in dry runs; it changes nothing.
"""

from __future__ import annotations

from eksnet.doctor.examination import CHECKS, examine
from eksnet.doctor.findings import Finding, Report

__all__ = ["CHECKS", "Finding", "Report", "examine"]
