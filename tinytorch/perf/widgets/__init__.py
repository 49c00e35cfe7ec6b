"""What answers while one looks: leaderboards that follow the store, and a panel that measures and submits.

    boards = Leaderboards(competition.store, make_leaderboard)
    panel = SubmitPanel(competition, {"my model": model}, boards)
    display(boards, panel)

Both leave a static picture of themselves beside them, for readers without a kernel. Does not: rank, score or
measure; the benchmark that does is handed in. The only room that imports ipywidgets.
"""

from tinytorch.perf.widgets.easel import WidgetError
from tinytorch.perf.widgets.leaderboards import Leaderboards
from tinytorch.perf.widgets.submit import SubmitPanel

__all__ = ["Leaderboards", "SubmitPanel", "WidgetError"]
