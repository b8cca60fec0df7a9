"""Cron expressions: five fields, or six with seconds first."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

_EPOCH = datetime(2024, 1, 1)  # noqa: DTZ001 - a cron expression fires in local time; the start of a leap year


@lru_cache(maxsize=4096)
def cron_fault(text: str, fields: tuple[int, ...] = (5,)) -> tuple[str, str] | None:
    """Return the rule that a cron expression breaks with the reason; None for one that fires."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only files with schedules need it

    count = len(text.split())
    if count not in fields:
        return "bad-cron", f"expected {' or '.join(map(str, fields))} fields, found {count}"
    try:
        fires = next(CronSim(text, _EPOCH), None)
    except CronSimError as error:
        never = str(error) == "Bad day-of-month" and _impossible_day(text)
        return ("unreachable-window", "no month has such a day") if never else ("bad-cron", str(error))
    except ValueError:  # Python reads no number of more than 4,300 digits
        return "bad-cron", "a number is too long"
    return None if fires else ("unreachable-window", "it never fires")


def _impossible_day(text: str) -> bool:
    """Whether a day of the month is only refused because none of the named months has it (`0 0 30 2 *`)."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - as above

    fields = text.split()
    fields[-2] = "*"
    try:
        CronSim(" ".join(fields), _EPOCH)
    except CronSimError:
        return False
    return True
