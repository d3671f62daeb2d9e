"""What our orders would have been worth a little later: shots, markouts, causes, the funnel."""

from polytrade.shadow.fold import Shadow, ShadowSettings, shadow_settings
from polytrade.shadow.report import MEASURED, WALL_CLOCK, ShadowReport, quantile_name

__all__ = [
    "MEASURED",
    "WALL_CLOCK",
    "Shadow",
    "ShadowReport",
    "ShadowSettings",
    "quantile_name",
    "shadow_settings",
]
