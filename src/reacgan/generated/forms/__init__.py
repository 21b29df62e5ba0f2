"""The forms in which a generated data set is written; each is read by other tools as it is."""

from __future__ import annotations

from reacgan.generated.forms.arrow import HfForm, ParquetForm
from reacgan.generated.forms.base import Item, SetForm
from reacgan.generated.forms.files import FolderForm, ZipForm
from reacgan.generated.forms.webdataset import WebDatasetForm

FORMS: dict[str, type[SetForm]] = {
    "folder": FolderForm,
    "zip": ZipForm,
    "webdataset": WebDatasetForm,
    "parquet": ParquetForm,
    "hf": HfForm,
}

__all__ = ["FORMS", "Item", "SetForm"]
