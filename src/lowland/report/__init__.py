"""Pictures, tables and pages: reads energies and runs, never trains."""

from .charts import bars, clouds, lines, scatter
from .compare import compare
from .confusion import confusion
from .curves import curves
from .figures import figures_table
from .images import filters, images, mistakes
from .landscape import landscape, landscapes
from .page import write_report
from .picture import Picture, Pictures, Table, table
from .segmentations import CutLine, segmentations
from .style import house_style, panels
from .vector_field import vector_field

__all__ = [
    "Picture",
    "Pictures",
    "Table",
    "table",
    "landscape",
    "landscapes",
    "vector_field",
    "compare",
    "images",
    "filters",
    "mistakes",
    "segmentations",
    "CutLine",
    "confusion",
    "curves",
    "lines",
    "scatter",
    "clouds",
    "bars",
    "figures_table",
    "panels",
    "house_style",
    "write_report",
]
