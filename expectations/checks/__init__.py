"""The seven checks that a day of events passes before it is loaded. Pure: frames in, frames out."""

from __future__ import annotations

from expectations.checks.day import Day
from expectations.checks.seven import SEVEN, Check
from expectations.checks.verdict import Outcome, Verdict, judge

__all__ = ["SEVEN", "Check", "Day", "Outcome", "Verdict", "judge"]
